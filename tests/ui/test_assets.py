"""The page's scripts as a whole: which of them uses which."""

from __future__ import annotations

import re
from graphlib import CycleError, TopologicalSorter

from ui.web import ASSETS

_IMPORT = re.compile(r"^import\b", re.MULTILINE)
_USES = re.compile(r"""^import\b[^;"']*["']\./([^"']+)["'];""", re.MULTILINE)


def test_no_script_uses_one_that_uses_it() -> None:
    """What a lower script has to say to a higher one is an event, or a callback that `main.js` gives it."""
    scripts = {path.name: path.read_text("utf-8") for path in ASSETS.glob("*.js")}
    uses = {name: _USES.findall(text) for name, text in scripts.items()}
    assert "chat.js" in uses["main.js"]
    assert all(len(uses[name]) == len(_IMPORT.findall(text)) for name, text in scripts.items())
    assert set().union(*uses.values()) <= set(scripts)
    try:
        TopologicalSorter(uses).prepare()
    except CycleError as error:
        raise AssertionError(f"These scripts use each other: {', '.join(error.args[1])}") from None
