"""Who may import whom: the table in docs/structure.md, held against every import in the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import app

ROOT = Path(__file__).parents[1]
ROW = re.compile(r"^\| `(\w+)(?:/|\.py)` \|[^|]*\|([^|]*)\|$", re.MULTILINE)
MAY = {
    name: set(re.findall(r"`(\w+)`", allowed))
    for name, allowed in ROW.findall((ROOT / "docs/structure.md").read_text(encoding="utf-8"))
}
APART = {"scripts", "tests"}  # these may import all


def sources(part: str) -> list[Path]:
    single = ROOT / f"{part}.py"
    return [single] if single.exists() else sorted((ROOT / part).rglob("*.py"))


def imported(file: Path) -> Iterator[tuple[int, str]]:
    """The line and the first name of each import, also of those inside functions and for types only."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file}:{node.lineno}: an import without the folder's name"
            yield node.lineno, str(node.module).partition(".")[0]
        elif isinstance(node, ast.Import):
            for name in node.names:
                yield node.lineno, name.name.partition(".")[0]


@pytest.mark.parametrize("part", sorted(MAY))
def test_a_part_imports_only_what_its_row_names(part: str) -> None:
    ours = (MAY.keys() | APART) - MAY[part] - {part}
    wrong = [
        f"{file.relative_to(ROOT)}:{line} imports {name}"
        for file in sources(part)
        for line, name in imported(file)
        if name in ours
    ]
    assert not wrong


@pytest.mark.parametrize("part", sorted(MAY))
def test_a_row_names_nothing_that_is_not_imported(part: str) -> None:
    assert MAY[part] <= {name for file in sources(part) for _, name in imported(file)}


def test_there_is_no_circle() -> None:
    order = list(TopologicalSorter(MAY).static_order())
    assert order.index("app") == len(order) - 1


def test_the_table_names_every_part() -> None:
    folders = {file.parent.name for file in ROOT.glob("*/__init__.py")}
    modules = {file.stem for file in ROOT.glob("*.py")}
    assert (folders - APART) | modules == MAY.keys()
    assert modules == {"app", "settings"}


def test_errors_and_logs_of_every_part_count_as_our_own() -> None:
    assert MAY.keys() - {"app", "settings"} == app.OURS
