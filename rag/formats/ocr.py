"""Reads text in images with Tesseract, where that is installed: one thread, so many seconds a page.

It does not know where an image is from.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from typing import Any, NamedTuple

from rag.formats.base import Options, Unreadable

DPI = 250
LONGEST = 5_000  # pixels of a page's longer side
MOST_PAGES = 500  # of one document; at 5 s each that is most of an hour
PAGE_SECONDS = 45
_LINE, _WORD = "4", "5"  # levels of Tesseract's table
_USED = 4  # languages that "auto" takes; each makes a page slower, and too many make it worse
_LAYOUTS = frozenset({"osd", "equ", "snum"})  # data of Tesseract's that are no languages


class Spotted(NamedTuple):
    """A word, the number of its line, and its place in shares of the image."""

    text: str
    line: int
    left: float
    top: float
    right: float
    bottom: float


class Recogniser:
    """For one document. Making it is `Unreadable` where there is no Tesseract, or it is not wanted."""

    def __init__(self, options: Options) -> None:
        self._alive = options.alive
        self._program = _program(options.ocr)
        installed = _installed(self._program)
        self._languages = _chosen(options.ocr, installed)
        # 1: it also finds out which way up the page is
        self._layout = "1" if "osd" in installed else "3"

    def check(self, pages: int) -> None:
        if pages > MOST_PAGES:
            raise Unreadable("too_many_scans", str(MOST_PAGES))

    def text_of(self, draw: Callable[[], Any]) -> str:
        """The text of what `draw` gives, a PIL image; "" where there is none."""
        text = self._read(draw()).replace("\f", "").strip()
        return re.sub(r"\n{3,}", "\n\n", text)

    def words_of(self, draw: Callable[[], Any]) -> list[Spotted]:
        """The words of the same text, each with its place."""
        image = draw()
        return _spotted(self._read(image, "tsv"), *image.size)

    def _read(self, image: Any, *form: str) -> str:
        """What Tesseract writes of an image: its text, or what `form` names; "" if that takes too long."""
        self._alive()
        png = io.BytesIO()
        image.save(png, "PNG", compress_level=1)
        self._alive()
        how = ["-l", self._languages, "--psm", self._layout, "--dpi", str(DPI)]
        command = [self._program, "-", "-", *how, *form]
        try:
            done = subprocess.run(
                command,
                input=png.getvalue(),
                capture_output=True,
                timeout=PAGE_SECONDS,
                env={**os.environ, "OMP_THREAD_LIMIT": "1"},
            )
        except subprocess.TimeoutExpired:
            return ""
        return done.stdout.decode("utf-8", "replace")


def ability(setting: str) -> str:
    """What OCR can do here with this setting: its languages, or why it can do nothing."""
    try:
        return languages(setting)
    except Unreadable as error:
        return f"{error.code} {error.detail}".strip()


def languages(setting: str) -> str:
    """The languages that are recognised here, as Tesseract names them; `Unreadable` says why none is."""
    return _chosen(setting, _installed(_program(setting)))


def _spotted(table: str, width: int, height: int) -> list[Spotted]:
    """The words of Tesseract's table; each as high as its line, or as wide where that runs up or down."""
    words: list[Spotted] = []
    line, around = -1, (0, 0, 0, 0)
    for row in table.split("\n")[1:]:
        level, *_, left, top, across, down, _, text = (row.split("\t", 11) + [""] * 12)[:12]
        if level not in (_LINE, _WORD):
            continue
        box = (int(left), int(top), int(left) + int(across), int(top) + int(down))
        if level == _LINE:
            line, around = line + 1, box
        elif text.strip():
            flat = around[2] - around[0] >= around[3] - around[1]
            near, low, far, high = (
                (box[0], around[1], box[2], around[3]) if flat else (around[0], box[1], around[2], box[3])
            )
            words.append(Spotted(text.strip(), line, near / width, low / height, far / width, high / height))
    return words


def _program(setting: str) -> str:
    if setting == "none":
        raise Unreadable("ocr_off")
    program = shutil.which("tesseract")
    if program is None:
        raise Unreadable("no_ocr")
    return program


def _installed(program: str) -> set[str]:
    try:
        listed = subprocess.run([program, "--list-langs"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):  # it is there, and does not run
        raise Unreadable("no_ocr") from None
    return set(listed.stdout.split("\n")[1:]) - {""}


def _chosen(setting: str, installed: set[str]) -> str:
    """Tesseract's codes for the languages that are set; "auto": those that are installed, English first."""
    if setting != "auto":
        wanted = setting.split("+")
        if missing := [code for code in wanted if code not in installed]:
            raise Unreadable("no_ocr_language", ", ".join(missing))
        return setting
    languages = sorted(installed - _LAYOUTS, key=lambda code: (code != "eng", code))
    languages = [code for code in languages if "/" not in code]
    if not languages:
        raise Unreadable("no_ocr_language", "eng")
    return "+".join(languages if len(languages) <= _USED else languages[:1])
