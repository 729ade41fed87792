"""A zip archive: each file in it read as a document of its own kind, after a list of what it holds."""

from __future__ import annotations

from rag.formats.base import Options, Page, Parsed, Source, Unreadable, check_size
from rag.formats.blocks import Writer
from rag.formats.package import Package, open_package
from rag.formats.parts import part_name, read_part
from rag.formats.reasons import reason

_MOST_READ = 1_000  # files


def read(source: Source, options: Options) -> Parsed:
    listing, pages = Writer(), []
    with open_package(source) as package:
        members = [info.filename for info in package.members if not _is_hidden(part_name(info.filename))]
        if len(members) > _MOST_READ:
            raise Unreadable("too_many_members", str(_MOST_READ))
        for number, member in enumerate(members):
            name = part_name(member)
            found, reason = _member(package, member, name, options)
            listing.paragraph(f"- {name}" + (f" (not read: {reason})" if reason else ""), close=number > 0)
            pages += found
            check_size(pages)
    if not pages:
        raise Unreadable("nothing_inside", ", ".join(map(part_name, members[:5])) or "it is empty")
    return Parsed([Page(f"This archive holds:\n{listing.page().text}", place="contents"), *pages])


def _member(package: Package, member: str, name: str, options: Options) -> tuple[list[Page], str]:
    try:
        data = package.read(member)
    except Unreadable as error:
        return [], reason(error.code, error.detail, ".zip")
    return read_part(data, name, options) if data else ([], reason("empty"))


def _is_hidden(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in name.split("/"))
