"""Write the table of all settings into README.md, from settings.py."""

from __future__ import annotations

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from settings import markdown_table

README = Path(__file__).parent.parent / "README.md"


def main() -> None:
    text = README.read_text(encoding="utf-8")
    table = re.compile(r"(?<=\n\n)(?:TABLE|\| variable \| default .*?)(?=\n\n)", re.S)
    README.write_text(table.sub(lambda _: markdown_table(), text, count=1), encoding="utf-8")


if __name__ == "__main__":
    main()
