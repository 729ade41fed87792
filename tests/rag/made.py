"""Small files of many formats, made by hand, so that a test says exactly what is in them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import quoteattr

_W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_A = "http://schemas.openxmlformats.org/drawingml/2006/main"
_P = "http://schemas.openxmlformats.org/presentationml/2006/main"
_R = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_S = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELS = "http://schemas.openxmlformats.org/package/2006/relationships"

STYLES = f"""<w:styles xmlns:w="{_W}">
<w:style w:styleId="berschrift1"><w:name w:val="heading 1"/></w:style>
<w:style w:styleId="Own"><w:name w:val="My own"/><w:basedOn w:val="berschrift1"/></w:style>
<w:style w:styleId="Points"><w:name w:val="List Bullet"/><w:pPr><w:numPr/></w:pPr></w:style>
</w:styles>"""


def package(path: Path, members: Mapping[str, str | bytes]) -> Path:
    """A zip archive with these members."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(packed(members))
    return path


def packed(members: Mapping[str, str | bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return data.getvalue()


def relations(**targets: tuple[str, str]) -> str:
    """id=(kind, target) …"""
    lines = (
        f'<Relationship Id="{identifier}" Type="{_R}/{kind}" Target="{target}"/>'
        for identifier, (kind, target) in targets.items()
    )
    return f'<Relationships xmlns="{_RELS}">{"".join(lines)}</Relationships>'


def paragraph(text: str, style: str = "") -> str:
    properties = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f"<w:p>{properties}<w:r><w:t>{text}</w:t></w:r></w:p>"


def table(*rows: tuple[str, ...]) -> str:
    cells = ("".join(f"<w:tc>{paragraph(cell)}</w:tc>" for cell in row) for row in rows)
    return f"<w:tbl>{''.join(f'<w:tr>{row}</w:tr>' for row in cells)}</w:tbl>"


def docx(path: Path, body: str, *, before: str = "", **more: str) -> Path:
    """`before`: put before the document's element, such as a DTD; more: members' XML, by their kind."""
    targets = {kind: (kind, f"{kind}.xml") for kind in more}
    members = {f"word/{kind}.xml": xml for kind, xml in more.items()}
    return package(
        path,
        {
            "_rels/.rels": relations(r1=("officeDocument", "word/document.xml")),
            "word/_rels/document.xml.rels": relations(styles=("styles", "styles.xml"), **targets),
            "word/styles.xml": STYLES,
            "word/document.xml": f'{before}<w:document xmlns:w="{_W}"><w:body>{body}</w:body></w:document>',
            **members,
        },
    )


def shape(text: str, role: str = "") -> str:
    holder = f'<p:ph type="{role}"/>' if role else ""
    lines = "".join(f"<a:p><a:r><a:t>{line}</a:t></a:r></a:p>" for line in text.split("\n"))
    return f"<p:sp><p:nvSpPr><p:nvPr>{holder}</p:nvPr></p:nvSpPr><p:txBody>{lines}</p:txBody></p:sp>"


def slide(*shapes: str) -> str:
    return (
        f'<p:sld xmlns:p="{_P}" xmlns:a="{_A}" xmlns:r="{_R}">'
        f"<p:cSld><p:spTree>{''.join(shapes)}</p:spTree></p:cSld></p:sld>"
    )


def pptx(path: Path, *slides: str, notes: str = "", chart: str = "") -> Path:
    """Notes and chart belong to the first slide."""
    count = range(1, len(slides) + 1)
    order = "".join(f'<p:sldId id="{255 + n}" r:id="r{n}"/>' for n in count)
    return package(
        path,
        {
            "ppt/presentation.xml": (
                f'<p:presentation xmlns:p="{_P}" xmlns:r="{_R}"><p:sldIdLst>{order}</p:sldIdLst>'
                "</p:presentation>"
            ),
            "ppt/_rels/presentation.xml.rels": relations(
                **{f"r{n}": ("slide", f"slides/slide{len(slides) - n}.xml") for n in count}
            ),
            **{f"ppt/slides/slide{len(slides) - n}.xml": xml for n, xml in enumerate(slides, 1)},
            f"ppt/slides/_rels/slide{len(slides) - 1}.xml.rels": relations(
                n=("notesSlide", "../notesSlides/notes1.xml"), c=("chart", "/ppt/charts/chart1.xml")
            ),
            "ppt/notesSlides/notes1.xml": slide(shape(notes, "body")),
            "ppt/charts/chart1.xml": chart or "<c/>",
        },
    )


CHART_FRAME = (
    '<p:graphicFrame><a:graphic><a:graphicData><c:chart xmlns:c="urn:chart" r:id="c"/></a:graphicData>'
    "</a:graphic></p:graphicFrame>"
)
CHART = """<c:chartSpace xmlns:c="urn:chart"><c:ser><c:tx><c:v>Visitors</c:v></c:tx>
<c:cat><c:pt idx="0"><c:v>May</c:v></c:pt><c:pt idx="1"><c:v>June</c:v></c:pt></c:cat>
<c:val><c:pt idx="0"><c:v>120</c:v></c:pt><c:pt idx="1"><c:v>340</c:v></c:pt></c:val></c:ser>
</c:chartSpace>"""


def xlsx(
    path: Path,
    sheets: Mapping[str, str],
    *,
    hidden: str = "",
    before: str = "",
    formats: Sequence[str] = (),
    strings: Sequence[str] = (),
    since: str = "1900",
    after: str = "",
) -> Path:
    """Sheets as the XML of their rows, and what comes after; `formats` of styles from 1 on; the XML of
    shared `strings`.
    """
    names = list(sheets)
    state = {hidden: "hidden"}
    listed = "".join(
        f'<sheet name="{name}" sheetId="{n}" r:id="r{n}" state="{state.get(name, "visible")}"/>'
        for n, name in enumerate(names, 1)
    )
    types = "http://schemas.openxmlformats.org/package/2006/content-types"
    return package(
        path,
        {
            "[Content_Types].xml": f'<Types xmlns="{types}"/>',
            "_rels/.rels": relations(r1=("officeDocument", "xl/workbook.xml")),
            "xl/workbook.xml": (
                f'<workbook xmlns="{_S}" xmlns:r="{_R}"><workbookPr date1904="{int(since == "1904")}"/>'
                f"<sheets>{listed}</sheets></workbook>"
            ),
            "xl/_rels/workbook.xml.rels": relations(
                styles=("styles", "styles.xml"),
                strings=("sharedStrings", "strings.xml"),
                **{f"r{n}": ("worksheet", f"worksheets/sheet{n}.xml") for n in range(1, len(names) + 1)},
            ),
            "xl/styles.xml": _cell_styles(formats),
            "xl/strings.xml": f'<sst xmlns="{_S}">{"".join(f"<si>{each}</si>" for each in strings)}</sst>',
            **{
                f"xl/worksheets/sheet{n}.xml": (
                    f'{before}<worksheet xmlns="{_S}"><sheetData>{sheets[name]}</sheetData>'
                    f"{after}</worksheet>"
                )
                for n, name in enumerate(names, 1)
            },
        },
    )


def _cell_styles(formats: Sequence[str]) -> str:
    """The first style is that of cells without one."""
    numbered = list(enumerate(formats, 200))
    codes = "".join(f"<numFmt numFmtId={quoteattr(str(n))} formatCode={quoteattr(c)}/>" for n, c in numbered)
    used = "".join(f'<xf numFmtId="{number}"/>' for number in (0, *(number for number, _ in numbered)))
    return f'<styleSheet xmlns="{_S}"><numFmts>{codes}</numFmts><cellXfs>{used}</cellXfs></styleSheet>'


def row(number: int, *cells: str | float | tuple[float, int]) -> str:
    """A row of a sheet from column A on; a number may come with its style."""

    def cell(column: int, value: str | float | tuple[float, int]) -> str:
        place = f'r="{chr(65 + column)}{number}"'
        if isinstance(value, tuple):
            return f'<c {place} s="{value[1]}"><v>{value[0]}</v></c>'
        if isinstance(value, str):
            return f'<c {place} t="inlineStr"><is><t>{value}</t></is></c>'
        return f"<c {place}><v>{value}</v></c>"

    return f'<row r="{number}">{"".join(cell(n, value) for n, value in enumerate(cells))}</row>'


CONTAINER = (
    '<container xmlns="urn:c"><rootfiles><rootfile full-path="OEBPS/content.opf"/></rootfiles></container>'
)


def epub(path: Path, title: str, *, before: str = "", **chapters: str) -> Path:
    """Chapters are read in the order in which they are given; their HTML lies in the other order."""
    items = "".join(f'<item id="{name}" href="{name}.xhtml"/>' for name in reversed(chapters))
    spine = "".join(f'<itemref idref="{name}"/>' for name in chapters)
    return package(
        path,
        {
            "META-INF/container.xml": CONTAINER,
            "OEBPS/content.opf": (
                f'{before}<package xmlns="urn:o"><metadata><title>{title}</title></metadata>'
                f"<manifest>{items}</manifest><spine>{spine}</spine></package>"
            ),
            **{f"OEBPS/{name}.xhtml": f"<html><body>{html}</body></html>" for name, html in chapters.items()},
        },
    )


_SPACES = {"office": "o", "text": "t", "table": "b", "draw": "d", "presentation": "p", "style": "s"}
_O = " ".join(f'xmlns:{name}="urn:{short}"' for name, short in _SPACES.items())


def opendocument(path: Path, body: str, title: str = "", *, before: str = "", styles: str = "") -> Path:
    """The XML of a document's body, and of its own styles."""
    return package(
        path,
        {
            "content.xml": (
                f"{before}<office:document {_O}><office:automatic-styles>{styles}</office:automatic-styles>"
                f"<office:body>{body}</office:body></office:document>"
            ),
            "meta.xml": f'<office:meta xmlns:office="urn:o"><title>{title}</title></office:meta>',
        },
    )
