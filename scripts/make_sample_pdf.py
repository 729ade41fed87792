"""Write the sample corpus' PDF, pdfs/larkmoor-handbook.pdf, from handbook.md, the same bytes each time.

The source is a small part of Markdown: "# " begins a page, "## " a section, "| a | b |" rows are a table
whose first row is its head, and what stands between "::: columns" and ":::" is set in two columns.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.platypus import (
    BaseDocTemplate,
    Frame,
    NextPageTemplate,
    PageBreak,
    PageTemplate,
    Paragraph,
    Table,
    TableStyle,
)

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "scripts" / "handbook.md"
TARGET = ROOT / "pdfs" / "larkmoor-handbook.pdf"

GREEN = colors.HexColor("#24543c")
MARGIN, GUTTER = 22 * mm, 8 * mm
WIDTH, HEIGHT = A4[0] - 2 * MARGIN, A4[1] - 2 * MARGIN
BODY = ParagraphStyle("body", fontName="Helvetica", fontSize=10, leading=14, spaceAfter=5)
TITLE = ParagraphStyle(
    "title", BODY, fontName="Helvetica-Bold", fontSize=20, leading=26, textColor=GREEN, spaceAfter=8
)
SECTION = ParagraphStyle("section", BODY, fontName="Helvetica-Bold", fontSize=13, leading=17, spaceBefore=9)
CELL = ParagraphStyle("cell", BODY, fontSize=9.5, leading=12, spaceAfter=0)
HEAD = ParagraphStyle("head", CELL, fontName="Helvetica-Bold", textColor=colors.white)


def blocks(text: str) -> list[str]:
    """Headings, marks and table rows line by line; other lines joined to paragraphs at blank lines."""
    found: list[str] = []
    joins = False
    for line in text.splitlines():
        alone = not line or line.startswith(("#", "|", ":::"))
        if not alone and joins:
            found[-1] += " " + line
        elif line:
            found.append(line)
        joins = not alone
    return found


def table(rows: list[str]) -> Table:
    cells = [[cell.strip() for cell in row.strip("| ").split("|")] for row in rows]
    styled = [[Paragraph(cell, CELL if number else HEAD) for cell in row] for number, row in enumerate(cells)]
    widest = [max(len(row[column]) for row in cells) + 4 for column in range(len(cells[0]))]
    widths = [WIDTH * share / sum(widest) for share in widest]
    style = [
        ("BACKGROUND", (0, 0), (-1, 0), GREEN),
        ("GRID", (0, 0), (-1, -1), 0.4, colors.grey),
        ("TOPPADDING", (0, 0), (-1, -1), 2),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 3),
    ]
    return Table(
        styled, colWidths=widths, style=TableStyle(style), spaceBefore=3, spaceAfter=6, hAlign="LEFT"
    )


def story(text: str) -> list[Any]:
    """The flowables of the whole book."""
    flow: list[Any] = []
    rows: list[str] = []
    items = blocks(text)
    for number, item in enumerate(items):
        following = items[number + 1] if number + 1 < len(items) else ""
        if item.startswith("|"):
            rows.append(item)
            if not following.startswith("|"):
                flow.append(table(rows))
                rows = []
        elif item.startswith("# "):
            template = "columns" if following.startswith("::: ") else "page"
            flow += [NextPageTemplate(template), PageBreak()] if flow else []
            flow.append(Paragraph(item[2:], TITLE))
        elif item.startswith("## "):
            flow.append(Paragraph(item[3:], SECTION))
        elif not item.startswith(":::"):
            flow.append(Paragraph(item, BODY))
    return flow


def footer(canvas: Any, document: Any) -> None:
    canvas.setFont("Helvetica", 8)
    canvas.drawString(MARGIN, 12 * mm, "Larkmoor Visitor Handbook")
    canvas.drawRightString(A4[0] - MARGIN, 12 * mm, f"Page {document.page}")


def make(target: Path) -> None:
    """Write the book; without dates and random ids, so that the same source gives the same bytes."""
    half = (WIDTH - GUTTER) / 2
    whole = Frame(MARGIN, MARGIN, WIDTH, HEIGHT, 0, 0, 0, 0, id="whole")
    halves = [Frame(MARGIN + x, MARGIN, half, HEIGHT, 0, 0, 0, 0) for x in (0, half + GUTTER)]
    book = BaseDocTemplate(
        str(target),
        pagesize=A4,
        title="Larkmoor Visitor Handbook",
        author="Larkmoor Museum and Botanic Garden",
        invariant=1,
        pageTemplates=[
            PageTemplate("page", [whole], onPage=footer),
            PageTemplate("columns", halves, onPage=footer),
        ],
    )
    book.build(story(SOURCE.read_text("utf-8")))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("destination", type=Path, nargs="?", default=TARGET)
    destination = parser.parse_args().destination
    make(destination)
    print(f"wrote {destination}")
