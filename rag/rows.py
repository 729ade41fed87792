"""Rows of the Markdown tables in a passage, as they are quoted: each value with its column's name.

It knows tables as `rag.formats.tables` writes them; it does not know which row answers.
"""

from __future__ import annotations

import re

from rag.sentences import split_sentences

_CELL_END = re.compile(r"(?<!\\)\|")
_RULE = re.compile(r"\|(?: ?:?-{3,}:? ?\|)+")


def named_rows(passage: str) -> dict[str, str]:
    """Each row as `rag.sentences` gives it → "Part: BM-3310; Stock: 0"; without names if it has no head."""
    lines = [line.strip() for line in passage.splitlines()]
    found: dict[str, str] = {}
    head: list[str] = []
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if _RULE.fullmatch(line):
            continue
        if not line.startswith("|"):
            head = []
            continue
        cells = [cell.strip().replace(r"\|", "|") for cell in _CELL_END.split(line)[1:]]
        is_head = _RULE.fullmatch(following) is not None
        head = cells if is_head else head
        names = [] if is_head else head
        parts = split_sentences(line)  # more than one: where a cell ends like a sentence
        for part in parts:
            found[part] = _named(names, cells) if len(parts) == 1 else part.replace(" | ", "; ")
    return found


def _named(names: list[str], cells: list[str]) -> str:
    pairs = zip([*names, *[""] * len(cells)], cells, strict=False)
    return "; ".join(f"{name}: {cell}" if name else cell for name, cell in pairs if cell)
