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
from typing import Any

from rag.formats.base import Options, Unreadable

DPI = 250
LONGEST = 5_000  # pixels of a page's longer side
MOST_PAGES = 500  # of one document; at 5 s each that is most of an hour
PAGE_SECONDS = 45
_USED = 4  # languages that "auto" takes; each makes a page slower, and too many make it worse
_LAYOUTS = frozenset({"osd", "equ", "snum"})  # data of Tesseract's that are no languages


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
        self._alive()
        png = io.BytesIO()
        draw().save(png, "PNG", compress_level=1)
        self._alive()
        command = [self._program, "-", "-", "-l", self._languages, "--psm", self._layout, "--dpi", str(DPI)]
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
        text = done.stdout.decode("utf-8", "replace").replace("\f", "").strip()
        return re.sub(r"\n{3,}", "\n\n", text)


def _program(setting: str) -> str:
    if setting == "none":
        raise Unreadable("ocr_off")
    program = shutil.which("tesseract")
    if program is None:
        raise Unreadable("no_ocr")
    return program


def _installed(program: str) -> set[str]:
    listed = subprocess.run([program, "--list-langs"], capture_output=True, text=True, timeout=20)
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
