"""Archives and the XML in them, opened so that nothing hostile in them can do harm.

What is unpacked has a limit before it is unpacked; no entity is ever expanded or fetched, and a tree that is
too deep or a text that is too long is refused by the parser. Nothing is ever written to a disk.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from posixpath import dirname, join, normpath
from typing import Any
from urllib.parse import unquote

from rag.formats.base import Source, Unreadable, opened

MOST_MEMBERS = 20_000
MOST_BYTES = 500_000_000  # unpacked, of all members
_MEMBER = 100_000_000  # unpacked, of one
_RATIO, _SMALL = (
    200,
    20_000_000,
)  # unpacked to packed, which only a bomb has; below so many bytes none matters


class Package:
    """A zip archive; `read` gives a member's bytes."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self.members = [info for info in archive.infolist() if not info.is_dir()]
        self._by_name = {info.filename: info for info in self.members}

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def read(self, name: str) -> bytes:
        """A member's bytes; `Unreadable` if it is not there, damaged, encrypted or too large."""
        if name not in self._by_name:
            raise Unreadable("damaged_package")
        info = self._by_name[name]
        if info.flag_bits & 1:
            raise Unreadable("encrypted_file")
        if info.file_size > _MEMBER:
            raise Unreadable("zip_bomb")
        try:
            with self._archive.open(info) as file:
                return file.read(info.file_size)  # without a number it unpacks more, if there is more
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError):
            raise Unreadable("damaged_package") from None

    def tree(self, name: str) -> Any:
        """A member's XML as an lxml element."""
        return parse_xml(self.read(name))

    def relations(self, name: str) -> dict[str, tuple[str, str]]:
        """Of a part of an Office file: id → (kind, the part it leads to); what is outside is left out."""
        folder, _, file = name.rpartition("/")
        listed = f"{folder}/_rels/{file}.rels" if folder else f"_rels/{file}.rels"
        if listed not in self:
            return {}
        return {
            node.get("Id", ""): (
                node.get("Type", "").rpartition("/")[2],
                resolve(name, node.get("Target", "")),
            )
            for node in self.tree(listed)
            if isinstance(node.tag, str) and node.get("TargetMode") != "External"
        }


def resolve(name: str, target: str) -> str:
    """The member that a reference in member `name` leads to."""
    target = unquote(target.partition("#")[0])
    return normpath(target if target.startswith("/") else join(dirname(name), target)).lstrip("/")


@contextmanager
def open_package(source: Source) -> Iterator[Package]:
    """Open a zip archive within the limits; `Unreadable` if it is none, or unpacks to more."""
    with opened(source) as file:
        try:
            archive = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
            raise Unreadable("damaged_package") from None
        with archive:
            _check(archive.infolist())
            yield Package(archive)


def _check(members: list[zipfile.ZipInfo]) -> None:
    packed = sum(info.compress_size for info in members)
    unpacked = sum(info.file_size for info in members)
    bomb = unpacked > _SMALL and unpacked > _RATIO * max(packed, 1)
    if len(members) > MOST_MEMBERS or unpacked > MOST_BYTES or bomb:
        raise Unreadable("zip_bomb")


def parse_xml(data: bytes) -> Any:
    """An lxml element; entities stay unexpanded, nothing is fetched."""
    from lxml import etree

    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True
    )
    try:
        return etree.fromstring(data, parser)
    except etree.XMLSyntaxError:
        raise Unreadable("broken_xml") from None


def local(node: Any) -> str:
    """An element's name without its namespace, of which Office files have two; "" for what is no element."""
    return node.tag.rpartition("}")[2] if isinstance(node.tag, str) else ""


def attribute(node: Any, name: str) -> str:
    """An attribute's value, whatever its namespace; "" without it."""
    return next((value for key, value in node.attrib.items() if key.rpartition("}")[2] == name), "")


def descendants(node: Any, name: str) -> Iterator[Any]:
    found: Iterator[Any] = node.iter(f"{{*}}{name}")
    return found


def child(node: Any, *path: str) -> Any:
    """The first element along a path of local names; None if there is none."""
    for name in path:
        node = next((item for item in node if local(item) == name), None)
        if node is None:
            return None
    return node
