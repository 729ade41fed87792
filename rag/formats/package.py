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
from typing import IO, Any
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
        if self._info(name).file_size > _MEMBER:
            raise Unreadable("zip_bomb")
        with self._opened(name) as file:
            return file.read(self._info(name).file_size)  # without a number it unpacks more, if there is more

    def stream(self, name: str, element: str) -> Iterator[Any]:
        """The elements of that local name in a member's XML, one after the other; each is empty afterwards.

        So a member may be larger than one that is read at once.
        """
        from lxml import etree

        with self._opened(name) as file, _as_unreadable():
            for _, node in etree.iterparse(file, tag=f"{{*}}{element}", **_SAFE):
                yield node
                node.clear()
                while node.getprevious() is not None:
                    del node.getparent()[0]

    def _info(self, name: str) -> zipfile.ZipInfo:
        if name not in self._by_name:
            raise Unreadable("damaged_package")
        return self._by_name[name]

    @contextmanager
    def _opened(self, name: str) -> Iterator[IO[bytes]]:
        info = self._info(name)
        if info.flag_bits & 1:
            raise Unreadable("encrypted_file")
        try:
            with self._archive.open(info) as file:
                yield file
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError):
            raise Unreadable("damaged_package") from None

    def tree(self, name: str) -> Any:
        """A member's XML as an lxml element."""
        return parse_xml(self.read(name))

    def main_part(self, default: str) -> str:
        """The part of an Office file that all others hang on."""
        parts = self.relations("").values()
        return next((part for kind, part in parts if kind == "officeDocument"), default)

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


_SAFE: dict[str, Any] = {
    "resolve_entities": False,
    "no_network": True,
    "load_dtd": False,
    "huge_tree": False,
    "remove_comments": True,
}


def parse_xml(data: bytes) -> Any:
    """An lxml element; entities stay unexpanded, nothing is fetched."""
    from lxml import etree

    with _as_unreadable():
        return etree.fromstring(data, etree.XMLParser(**_SAFE))


@contextmanager
def _as_unreadable() -> Iterator[None]:
    from lxml import etree

    try:
        yield
    except etree.XMLSyntaxError:
        raise Unreadable("broken_xml") from None


def local(node: Any) -> str:
    """An element's name without its namespace, of which Office files have two; "" for what is no element."""
    return node.tag.rpartition("}")[2] if isinstance(node.tag, str) else ""


def attribute(node: Any, name: str) -> str:
    """An attribute's value, whatever its namespace; "" without it."""
    return next((value for key, value in node.attrib.items() if key.rpartition("}")[2] == name), "")


def reference(node: Any, name: str) -> str:
    """An attribute in the namespace of relations, beside which there may be another `id`."""
    return next((value for key, value in node.attrib.items() if key.endswith(f"/relationships}}{name}")), "")


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
