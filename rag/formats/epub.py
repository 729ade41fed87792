"""An e-book: one page for each part of it in reading order, most of which are chapters."""

from __future__ import annotations

from rag.formats.base import Options, Page, Parsed, Source, Unreadable, check_size
from rag.formats.blocks import Writer
from rag.formats.html import html_of
from rag.formats.markup import parse_html, write_html
from rag.formats.package import Package, attribute, child, descendants, open_package, resolve
from rag.formats.titles import first_line, sensible

_FONTS = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")  # only fonts are locked


def read(source: Source, options: Options) -> Parsed:
    with open_package(source) as package:
        _refuse_locked(package)
        main = next(
            (
                attribute(n, "full-path")
                for n in descendants(package.tree("META-INF/container.xml"), "rootfile")
            ),
            "",
        )
        root = package.tree(main)
        title = next((node.text or "" for node in descendants(root, "title")), "")
        files = {
            attribute(item, "id"): resolve(main, attribute(item, "href"))
            for item in descendants(root, "item")
        }
        spine = [files.get(attribute(item, "idref"), "") for item in descendants(root, "itemref")]
        pages: list[Page] = []
        for name in spine:
            options.alive()
            if name in package and (page := _chapter(package, name, len(pages) + 1)).text:
                pages.append(page)
                check_size(pages)
    if not pages:
        raise Unreadable("no_text", "blank")
    return Parsed(pages, sensible(title) or first_line(pages))


def _chapter(package: Package, name: str, number: int) -> Page:
    writer = Writer()
    data = package.read(name)
    if data.strip() and (body := parse_html(html_of(data, None))) is not None:
        write_html(body, writer)
    return writer.page(f"chapter {number}")


def _refuse_locked(package: Package) -> None:
    """Books that a shop has locked cannot be read; locked fonts do not matter."""
    if "META-INF/encryption.xml" not in package:
        return
    for method in descendants(package.tree("META-INF/encryption.xml"), "EncryptionMethod"):
        parent = method.getparent()
        if (
            parent is not None
            and child(parent, "CipherData") is not None
            and attribute(method, "Algorithm") not in _FONTS
        ):
            raise Unreadable("encrypted_file")
