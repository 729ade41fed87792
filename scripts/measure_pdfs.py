"""Indexes text-heavy PDFs and says how many pages a second that is; the figure of docs/scale.md.

    python -m scripts.measure_pdfs FOLDER… [--pages 300]

The PDFs are made from the text files in the FOLDERs, 2,300 characters to a page and 100 pages to a file. What
is measured is the whole of `app.py index`: reading, cutting, embedding, storing, both search indexes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path

from scripts.arguments import existing_folder

APP = Path(__file__).parent.parent / "app.py"
PAGE = 2300  # characters
FILE = 100  # pages
LINE = 105  # characters


def pages(folders: Sequence[Path]) -> Iterator[list[str]]:
    """The lines of one page after the other, for ever; the texts are read again when they are through."""
    files = [
        path
        for folder in folders
        for path in sorted(folder.rglob("*.*"))
        if path.suffix in (".txt", ".md", ".rst")
    ]
    lines: list[str] = []
    for path in cycle(files):
        for line in textwrap.wrap(path.read_text(encoding="utf-8"), LINE):
            lines.append(line)
            if sum(map(len, lines)) >= PAGE:
                yield lines
                lines = []


def write_pdf(path: Path, content: Sequence[list[str]]) -> None:
    from reportlab.pdfgen.canvas import Canvas

    canvas = Canvas(str(path), invariant=True)
    canvas.setTitle(path.stem)
    for lines in content:
        text = canvas.beginText(40, 800)
        text.setFont("Helvetica", 9, 11)
        text.textLines(lines)
        canvas.drawText(text)
        canvas.showPage()
    canvas.save()


def index(corpus: Path, data: Path) -> dict[str, float]:
    command = [
        sys.executable,
        str(APP),
        "index",
        "--json",
        "--offline",
        "--corpus",
        str(corpus),
        "--data",
        str(data),
    ]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    report: dict[str, float] = json.loads(done.stdout)
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folders", nargs="+", type=existing_folder, metavar="FOLDER")
    parser.add_argument("--pages", type=int, default=300)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        corpus, content = Path(temporary, "corpus"), list(islice(pages(options.folders), options.pages))
        corpus.mkdir()
        for at in range(0, len(content), FILE):
            write_pdf(corpus / f"{at // FILE + 1}.pdf", content[at : at + FILE])
        report = index(corpus, Path(temporary, "data"))
    characters = sum(len(line) for lines in content for line in lines)
    print(
        f"{len(content)} pages of {characters / len(content):.0f} characters, {report['chunks']} chunks: "
        f"{report['seconds']:.1f} s, {len(content) / report['seconds']:.1f} pages/s"
    )


if __name__ == "__main__":
    main()
