"""A zip archive: each file in it read as a document of its own kind, after a list of what it holds."""

from __future__ import annotations

from rag.formats.base import Options, Page, Parsed, Source, Unreadable
from rag.formats.blocks import Writer
from rag.formats.package import Package, open_package
from rag.formats.parts import Parts, part_name

_MOST_READ = 1_000  # files


def read(source: Source, options: Options) -> Parsed:
    listing, parts = Writer(), Parts(options)
    with open_package(source) as package:
        members = [info.filename for info in package.members if not _is_hidden(part_name(info.filename))]
        if len(members) > _MOST_READ:
            raise Unreadable("too_many_members", str(_MOST_READ))
        for number, member in enumerate(members):
            why = _member(package, member, parts)
            listing.paragraph(f"- {part_name(member)}" + (f" ({why})" if why else ""), close=number > 0)
    if not parts:
        raise Unreadable("nothing_inside", ", ".join(map(part_name, members[:5])) or "it is empty")
    return parts.after(Page(f"This archive holds:\n{listing.page().text}", place="contents"))


def _member(package: Package, member: str, parts: Parts) -> str:
    """Why it is not read; "" if it is."""
    name = part_name(member)
    try:
        data = package.read(member)
    except Unreadable as error:
        return parts.refuse(error, ".zip")
    return parts.read(data, name)


def _is_hidden(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in name.split("/"))
