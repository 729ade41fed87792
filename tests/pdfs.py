"""PDFs for tests, a page for each drawing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

Draw = Callable[[Any], None]


def draw_pdf(path: Path, *pages: Draw, size: tuple[float, float] = (600, 800), turned: int = 0) -> Path:
    """`size` in points, before each page is turned by so many degrees."""
    from reportlab.pdfgen.canvas import Canvas

    canvas = Canvas(str(path), pagesize=size)
    for draw in pages:
        canvas.setPageRotation(turned)
        draw(canvas)
        canvas.showPage()
    canvas.save()
    return path


def lines(*texts: str, x: float = 50, top: float = 700, leading: float = 14, angle: float = 0) -> Draw:
    """Lines of 11 points, at an angle in degrees."""

    def draw(canvas: Any) -> None:
        canvas.saveState()
        canvas.translate(x, top)
        canvas.rotate(angle)
        canvas.setFont("Helvetica", 11)
        for number, text in enumerate(texts):
            canvas.drawString(0, -leading * number, text)
        canvas.restoreState()

    return draw


def together(*draws: Draw) -> Draw:
    """All on one page."""

    def draw(canvas: Any) -> None:
        for each in draws:
            each(canvas)

    return draw
