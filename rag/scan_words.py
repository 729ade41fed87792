"""Runs in a reader's process (see `rag.extract`): where words stand on a page that is only an image.

The page is read once more as it was read for the index, now with the words' places, and the two texts are
aligned. It does not know the index or the web.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rag.formats.base import Options, Unreadable
from rag.formats.ocr import Recogniser, Spotted
from rag.page_image import align, placed_words

Row = list[float]


def read_scan(path: str, number: int, text: str, languages: str) -> dict[str, Any]:
    """{"words": …} of all of page `number` of a PDF or a picture, as `rag.page_image.read_words` gives them.

    `languages` as in `rag.formats.base.Options.ocr`. Empty where there is no recogniser for them.
    """
    try:
        recogniser = Recogniser(Options(Path(path).name, ocr=languages))
        with _drawing(Path(path), number) as draw:
            return {"words": _rows(text, recogniser.words_of(draw))}
    except Unreadable:
        return {"words": []}


@contextlib.contextmanager
def _drawing(path: Path, number: int) -> Iterator[Callable[[], Any]]:
    """Draws the page as it was drawn to be read for the index."""
    if path.suffix.lower() == ".pdf":
        import pypdfium2

        from rag.formats.pdf import image_of

        with contextlib.closing(pypdfium2.PdfDocument(path)) as pdf:
            yield lambda: image_of(pdf, number - 1)
    else:
        from rag.formats.image import frame_of, opened_image

        with opened_image(path) as image:
            yield lambda: frame_of(image, number - 1)


def _rows(text: str, spotted: Sequence[Spotted]) -> list[Row]:
    printed = " ".join(word.text for word in spotted)
    owners = [number for number, word in enumerate(spotted) for _ in f"{word.text} "]
    rows = []
    for start, end, places in placed_words(text, (0, len(text)), align(text, printed)):
        for line in dict.fromkeys(spotted[owners[place]].line for place in places):
            own = [spotted[owners[place]] for place in places if spotted[owners[place]].line == line]
            left, right = min(word.left for word in own), max(word.right for word in own)
            rows.append([start, end, line, left, own[0].top, right, own[0].bottom])
    return rows
