"""How many sentences of PDFs have boxes on the page's image that hold exactly their words.

    python -m scripts.measure_highlights FILE.pdf… [--pages 20] [--sentences 15]

Sentences are drawn from the text as it is indexed, and their boxes are those that the page draws. Then PDFium
is asked, letter by letter, whose centre lies in a box. A sentence of which a part is printed outside the page
does not count, and a letter that is printed twice at one place counts once.
"""

from __future__ import annotations

import argparse
import ctypes
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from rag import page_image
from rag.documents import DocumentError, load_file
from rag.sentences import split_sentences

Rectangle = tuple[float, float, float, float]  # left, top, right, bottom in shares of the page


class Printed(NamedTuple):
    """A letter of the page; x and y of its centre in shares of the page."""

    letter: str
    x: float
    y: float

    @property
    def is_seen(self) -> bool:
        return 0 <= self.x <= 1 and 0 <= self.y <= 1


def letters_of(text: str) -> Counter[str]:
    """What is compared: letters and digits, in whatever case and order."""
    return Counter(c for character in text for c in page_image.fold(character) if c.isalnum())


def printed(path: Path, number: int) -> list[Printed]:
    """Everything on page `number` in PDFium's order, by its tight boxes."""
    import pypdfium2.raw as raw

    found = []
    with page_image.opened(str(path), number) as page:
        across, down = page.get_size()
        textpage = page.get_textpage()
        space = page_image.Letters(page, textpage)
        for index, character in enumerate(page_image.characters(textpage)):
            left, right, bottom, top = (ctypes.c_double() for _ in range(4))
            raw.FPDFText_GetCharBox(textpage, index, left, right, bottom, top)
            x, y = space.shown((left.value + right.value) / 2, (bottom.value + top.value) / 2)
            found.append(Printed(character, x / across, y / down))
    return found


def boxes(words: Sequence[Sequence[float]]) -> list[Rectangle]:
    """The words of one span as the page draws them: those of one line together."""
    lines: dict[float, Rectangle] = {}
    for _, _, line, left, top, right, bottom in words:
        before = lines.get(line, (1.0, 1.0, 0.0, 0.0))
        lines[line] = (
            min(before[0], left),
            min(before[1], top),
            max(before[2], right),
            max(before[3], bottom),
        )
    return list(lines.values())


def enclosed(letters: Sequence[Printed], rectangles: Sequence[Rectangle]) -> Counter[str]:
    """The letters whose centre lies in one of the rectangles."""
    inside = {
        (one.letter, round(one.x, 3), round(one.y, 3))
        for one in letters
        if any(left <= one.x <= right and top <= one.y <= low for left, top, right, low in rectangles)
    }
    return letters_of("".join(letter for letter, _, _ in inside))


def spans(text: str, count: int) -> list[tuple[int, int]]:
    """Some of the text's sentences."""
    found, at = [], 0
    for sentence in split_sentences(text):
        start = text.find(sentence, at)
        if start >= 0 and letters_of(sentence):
            at = start + len(sentence)
            found.append((start, at))
    return random.sample(found, min(count, len(found)))


def check(path: Path, pages: int, sentences: int) -> Iterator[tuple[str, bool]]:
    """Each sentence that was looked at, and whether its boxes hold it and nothing else."""
    documents = [page for page in load_file(path, path.name) if page.page_content.strip()]
    for document in random.sample(documents, min(pages, len(documents))):
        number, text = document.metadata["page"], document.page_content
        letters = printed(path, number)
        places = page_image.align(text, "".join(one.letter for one in letters))
        for start, end in spans(text, sentences):
            if not all(letters[place].is_seen for place in places[start:end] if place is not None):
                continue
            words = page_image.read_words(str(path), number, text, start, end)["words"]
            yield text[start:end], enclosed(letters, boxes(words)) == letters_of(text[start:end])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--pages", type=int, default=20, help="of each file")
    parser.add_argument("--sentences", type=int, default=15, help="of each page")
    wish = parser.parse_args()
    random.seed(0)
    right = seen = 0
    for path in wish.files:
        try:
            checked = list(check(path, wish.pages, wish.sentences))
        except DocumentError:  # it has no text to be found on it
            continue
        right, seen = right + sum(good for _, good in checked), seen + len(checked)
        for sentence, good in checked:
            if not good:
                print(f"{path.name}: {sentence[:100]!r}")
    print(
        f"{right} of {seen} sentences have boxes that hold exactly their words ({right / max(seen, 1):.1%})"
    )


if __name__ == "__main__":
    main()
