"""What lies in a folder of documents, and under which names.

It knows file systems: links that loop, folders that cannot be read, names that are not UTF-8. It does not
know documents or the index.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import stat
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*\ud800-\udfff]')
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\.|$)")  # not a file name on Windows
LONGEST_NAME = 200  # bytes; file systems take 255, and a copy's number must fit


@dataclass(frozen=True)
class File:
    """One file in a corpus folder."""

    path: Path
    folder: Path
    size: int
    mtime_ns: int

    @property
    def location(self) -> str:
        return location_of(self.path)

    @property
    def relative(self) -> str:
        return display(self.path.relative_to(self.folder))

    def names(self) -> Iterator[str]:
        """What it may be called: its path in the folder, then with more of it before, then numbered."""
        relative = self.path.relative_to(self.folder)
        for parts in range(len(self.folder.parts)):
            yield display(Path(*self.folder.parts[len(self.folder.parts) - parts :], relative))
        yield display(self.path)
        for number in itertools.count(2):  # names that are not UTF-8 may look alike
            yield f"{display(self.path)} ({number})"


@dataclass
class Listing:
    """The files of one folder; `unreadable` are the folders in it that could not be listed."""

    files: list[File] = field(default_factory=list)
    unreadable: list[Path] = field(default_factory=list)


def location_of(path: Path) -> str:
    """A path as text that can be stored: a file URI where the path is not UTF-8."""
    text = str(path)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return path.as_uri()
    return text


def path_of(location: str) -> Path:
    """The path that `location_of` has made text of."""
    if not location.startswith("file://"):
        return Path(location)
    return Path(os.fsdecode(unquote_to_bytes(urlsplit(location).path)))


def display(path: Path) -> str:
    """A path as text that can be shown; what is not UTF-8 in it becomes a replacement character."""
    return os.fsencode(path.as_posix()).decode("utf-8", "replace")


def list_files(folder: Path, *, below: Path | None = None, without: Path | None = None) -> Listing:
    """All regular files in `folder`, sorted, hidden ones left out, and those below `without` too.

    With `below`, only those in that part of it. Links are followed; a folder that is reached twice (a loop,
    or two links) is listed once. Raises `OSError` if what is to be listed cannot be.
    """
    found = Listing()
    seen: set[tuple[int, int]] = set()
    first = below or folder
    waiting = [first]
    while waiting:
        current = waiting.pop()
        try:
            status = current.stat()
            if (status.st_dev, status.st_ino) in seen or current == without:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(current) as entries:
                visible = sorted((e for e in entries if not e.name.startswith(".")), key=lambda e: e.name)
        except OSError:
            if current == first:
                raise
            found.unreadable.append(current)
            continue
        waiting += reversed(_sort_entries(visible, folder, found))
    return found


def _sort_entries(entries: list[os.DirEntry[str]], folder: Path, found: Listing) -> list[Path]:
    """Put files into the listing; return the folders."""
    folders = []
    for entry in entries:
        try:
            status = entry.stat()
        except OSError:  # a link that leads nowhere, or a file that has just gone
            continue
        if stat.S_ISDIR(status.st_mode):
            folders.append(Path(entry.path))
        elif stat.S_ISREG(status.st_mode):  # never a pipe or a device: reading those waits for ever
            found.files.append(File(Path(entry.path), folder, status.st_size, status.st_mtime_ns))
    return folders


def hash_file(path: Path) -> str:
    """SHA-256 of the bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def safe_name(name: str) -> str:
    """A file name from what was sent as one: no folders, nothing hidden, nothing a file system refuses."""
    name = unicodedata.normalize("NFC", name.replace("\\", "/").rpartition("/")[2])
    name = _UNSAFE.sub("_", name).strip(" .") or "document"
    name = f"_{name}" if _RESERVED.match(name) else name
    stem, suffix = os.path.splitext(name)
    suffix = suffix if len(suffix.encode()) <= 20 else ""
    stem = stem.encode()[: LONGEST_NAME - len(suffix.encode())].decode("utf-8", "ignore")
    return f"{stem}{suffix}"


def free_path(folder: Path, name: str) -> Path:
    """`folder/name`, with a number before the suffix where that is taken."""
    stem, suffix = os.path.splitext(name)
    path, number = folder / name, 2
    while path.exists():
        path, number = folder / f"{stem} ({number}){suffix}", number + 1
    return path
