"""Facts of well-known models' configurations, so that they can be planned without a network.

Facts only: what decides how large a model is. It does not know what is on this disk (`hub`).
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

from rag.importing import import_transformers

FILE = Path(__file__).with_name("known_models.json")
TUNED = ("-Instruct", "-Chat", "-it")


def known_models() -> tuple[str, ...]:
    """Their names, a family's sizes in order."""
    return tuple(_facts())


def known_config(name: str) -> Any | None:
    """The configuration of a model, or of the base model of one that is known; None for any other."""
    import_transformers()
    from transformers import AutoConfig

    found = next(
        (_facts()[form] for form in (name, *(name + end for end in TUNED)) if form in _facts()), None
    )
    return AutoConfig.for_model(**found) if found else None


@functools.cache
def _facts() -> dict[str, dict[str, Any]]:
    facts: dict[str, dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))
    return facts
