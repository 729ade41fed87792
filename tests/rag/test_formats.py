"""Each format: what is kept of a file, what is left out, and what its pages are called."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from rag.chunks import split_documents
from rag.documents import SUFFIXES, DocumentError
from rag.formats import READERS
from rag.formats.tables import render
from tests.rag.made import (
    CHART,
    CHART_FRAME,
    docx,
    epub,
    opendocument,
    package,
    paragraph,
    pptx,
    row,
    shape,
    slide,
    table,
    xlsx,
)
from tests.rag.reading import load, places, text_of


def test_a_word_document(tmp_path: Path) -> None:
    deleted = "<w:del><w:r><w:delText>Gone.</w:delText></w:r></w:del>"
    inserted = "<w:ins><w:r><w:t>And free</w:t><w:tab/><w:t>on Sundays.</w:t></w:r></w:ins>"
    body = (
        paragraph("Opening hours", "berschrift1")
        + f"<w:p><w:r><w:t>Ten to six. </w:t></w:r>{deleted}{inserted}</w:p>"
        + paragraph("first", "Points")
        + paragraph("second", "Points")
        + table(("Day", "Hours"), ("Monday", "closed"))
        + f"<w:sdt><w:sdtContent>{paragraph('In a form.')}</w:sdtContent></w:sdt>"
        + paragraph("Garden", "Own")
        + "<w:p><w:r><w:txbxContent>"
        + paragraph("In a box.")
        + "</w:txbxContent></w:r></w:p>"
    )
    space = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    note = f'<w:footnote w:id="1">{paragraph("A note.")}</w:footnote>'
    notes = f'<w:footnotes xmlns:w="{space}">{note}</w:footnotes>'
    [page] = load(docx(tmp_path / "a.docx", body, footnotes=notes))
    assert page.page_content == (
        "Opening hours\n\nTen to six. And free\ton Sundays.\n\n- first\n- second\n\n"
        "| Day | Hours |\n| --- | --- |\n| Monday | closed |\n\nIn a form.\n\nGarden\n\nIn a box.\n\nA note."
    )
    assert [name for _, name in page.metadata["headings"]] == ["Opening hours", "Garden"]
    assert (page.metadata["title"], page.metadata["page"]) == ("Opening hours", None)


def test_cells_of_a_word_table_that_span_others(tmp_path: Path) -> None:
    def cell(text: str, properties: str = "") -> str:
        return f"<w:tc><w:tcPr>{properties}</w:tcPr>{paragraph(text)}</w:tc>"

    rows = (
        cell("Season", '<w:gridSpan w:val="2"/>') + cell("Price"),
        cell("summer", '<w:vMerge w:val="restart"/>') + cell("child") + cell("3"),
        cell("repeated", "<w:vMerge/>") + cell("adult") + cell("5"),
    )
    body = f"<w:tbl>{''.join(f'<w:tr>{cells}</w:tr>' for cells in rows)}</w:tbl>"
    text = text_of(docx(tmp_path / "a.docx", body))
    assert text.split("\n")[0::2] == ["| Season |  | Price |", "| summer | child | 3 |"]
    assert text.endswith("| summer | adult | 5 |"), "what spans rows stands in each"


def test_a_presentation(tmp_path: Path) -> None:
    prices = slide(
        shape("7", "sldNum"),
        shape("Adults five.\nChildren three.", "body"),
        shape("Prices", "title"),
        CHART_FRAME,
        f"<p:grpSp>{shape('In a group.')}</p:grpSp>",
    )
    path = pptx(tmp_path / "a.pptx", prices, slide(), slide(shape("The end")), notes="Smile.", chart=CHART)
    found = load(path)
    assert [page.page_content for page in found] == [
        "Prices\n\nAdults five.\nChildren three.\n\nVisitors: May 120; June 340\n\nIn a group.\n\n"
        "Notes: Smile.",
        "",
        "The end",
    ]
    assert places(found) == ["slide 1", "slide 2", "slide 3"]
    assert [page.metadata["page"] for page in found] == [1, 2, 3]
    assert found[0].metadata["title"] == "Prices"


def test_a_workbook(tmp_path: Path) -> None:
    sheets = {
        "Costs": row(1, "Item", "Euro") + row(2, "Rent", 1200) + row(3, "A|B", 0.5),
        "Secret": row(1, "hidden", "value"),
        "Staff": row(1, "Everybody") + row(2, "Name", "Role") + row(3, "Ada", "Guide"),
    }
    found = load(xlsx(tmp_path / "a.xlsx", sheets, hidden="Secret"))
    assert [page.page_content for page in found] == [
        "| Item | Euro |\n| --- | --- |\n| Rent | 1200 |\n| A\\|B | 0.5 |",
        "Everybody\n\n| Name | Role |\n| --- | --- |\n| Ada | Guide |",
    ]
    assert places(found) == ["sheet Costs", "sheet Staff"]
    assert split_documents(found)[1].header == "a · Everybody · sheet Staff"


def test_cells_of_a_workbook_are_as_people_see_them(tmp_path: Path) -> None:
    phonetic = "<r><t>Tokyo </t></r><r><t>branch</t></r><rPh sb='0' eb='1'><t>toukyou</t></rPh>"
    shared = '<c r="A2" t="s"><v>0</v></c><c r="D2" t="b"><v>1</v></c><c r="E2" t="e"><v>#N/A</v></c>'
    computed = '<c r="B2" s="1"><f>1/8</f><v>0.125</v></c><c r="C2" s="2"><v>45000</v></c>'
    rows = (
        row(1, "Branch", "Share", "Since")
        + f'<row r="2">{shared}{computed}</row>'
        + row(3, "Rome", (0.1 + 0.2, 1), (44927.75, 3))
        + row(4, "Oslo", (1234.5, 4), 0.1 + 0.2)
    )
    path = xlsx(
        tmp_path / "a.xlsx",
        {"A": rows},
        formats=["0.0%", "dd.mm.yyyy", "m/d/yyyy h:mm AM/PM", '#,##0.00\\ "€"'],
        strings=[phonetic],
    )
    assert text_of(path).split("\n") == [
        "| Branch | Share | Since |  |  |",
        "| --- | --- | --- | --- | --- |",
        "| Tokyo branch | 12.5% | 2023-03-15 | yes | #N/A |",
        "| Rome | 30.0% | 2023-01-01 18:00 |  |  |",
        "| Oslo | 1234.50 € | 0.3 |  |  |",
    ]
    other = xlsx(
        tmp_path / "b.xlsx", {"A": row(1, "Day") + row(2, (43538, 1))}, formats=["yyyy-mm-dd"], since="1904"
    )
    assert text_of(other) == "Day\n\n2023-03-15"


def test_a_workbook_of_libreoffice(tmp_path: Path) -> None:
    def cell(text: str, more: str = "") -> str:
        return f"<table:table-cell {more}><text:p>{text}</text:p></table:table-cell>"

    remark = "<office:annotation><text:p>Ask Ada.</text:p></office:annotation>"
    cells = (
        cell("Item") + cell("Share"),
        cell("Rent").replace("<text:p>", f"{remark}<text:p>") + cell("12.5 %"),
    )
    empty = '<table:table-cell table:number-columns-repeated="16382"/>'
    rows = "".join(f"<table:table-row>{each}{empty}</table:table-row>" for each in cells)
    last = f'<table:table-row table:number-rows-repeated="1048570">{empty}</table:table-row>'
    style = '<style:style style:name="off"><style:table-properties table:display="false"/></style:style>'
    sheets = (
        f'<table:table table:name="Costs">{rows}{last}</table:table>'
        f'<table:table table:name="Secret" table:style-name="off">{rows}</table:table>'
    )
    path = opendocument(
        tmp_path / "a.ods", f"<office:spreadsheet>{sheets}</office:spreadsheet>", styles=style
    )
    [page] = load(path)
    assert page.page_content == "| Item | Share |\n| --- | --- |\n| Rent | 12.5 % |"
    assert page.metadata["place"] == "sheet Costs"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_separated_values(tmp_path: Path, delimiter: str) -> None:
    lines = [("Item", "Price"), ('"Rent, office; and | more"', "1200"), ('"two\nlines"', "5")]
    path = tmp_path / "a.csv"
    path.write_text("\n".join(delimiter.join(line) for line in lines), "cp1252")
    assert text_of(path) == (
        "| Item | Price |\n| --- | --- |\n| Rent, office; and \\| more | 1200 |\n| two lines | 5 |"
    )


def test_every_chunk_of_a_long_table_has_its_header(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("Lamp,Height in metres\n" + "".join(f"lamp number {n},{n * 3}\n" for n in range(400)))
    chunks = split_documents(load(path))
    assert len(chunks) > 10
    assert all("| Lamp | Height in metres |" in chunk.text for chunk in chunks)


def test_rows_that_are_long_are_lines_of_names_and_values() -> None:
    header = ["Name", "About", "", "Remark"]
    long = "x" * 300
    assert list(render([header, ["Ada", long, "", "old"], ["Ben", "", "", "new"], ["Cy", long]])) == [
        f"Name: Ada\nAbout: {long}\nRemark: old",
        "Name: Ben\nRemark: new",
        f"Name: Cy\nAbout: {long}",
    ]


def test_cells_that_reach_down_stand_in_every_row(tmp_path: Path) -> None:
    html = (
        "<h1>Prices</h1><table><tr><th>Season</th><th colspan=2>Price</th></tr>"
        "<tr><td rowspan='2'>summer</td><td>child</td><td>3</td></tr><tr><td>adult</td><td>5</td></tr>"
        "<tr><td>winter</td><td rowspan=9>all</td><td rowspan=x>1</td></tr><tr></tr></table>"
    )
    rows = ["| summer | child | 3 |", "| summer | adult | 5 |", "| winter | all | 1 |"]
    [chapter] = load(epub(tmp_path / "a.epub", "Book", one=html))
    assert chapter.page_content.split("\n")[2:] == ["| Season | Price |  |", "| --- | --- | --- |", *rows]
    cells = row(1, "Season", "Who", "Price") + row(2, "summer", "child", 3) + row(3, "", "adult", 5)
    merged = '<mergeCells><mergeCell ref="A2:A3"/><mergeCell ref="A9:XFD9"/></mergeCells>'
    text = text_of(xlsx(tmp_path / "a.xlsx", {"A": cells + row(4, "winter", "all", 1)}, after=merged))
    assert text.split("\n")[2:] == rows


def test_a_long_cell_that_reaches_down_stands_there_once() -> None:
    rows: list[list[str | None]] = [["Name", "About"], ["Ada", "x" * 150], ["Ben", None]]
    assert next(iter(render(rows))).count("x" * 150) == 1


def test_tables_below_each_other_on_one_sheet() -> None:
    rows = [["Year", "Sum"], ["2023", "5"], [], ["2024", "6"], [], ["Name", "Role"], ["Ada", "Guide"]]
    assert list(render(rows)) == [
        "| Year | Sum |\n| --- | --- |\n| 2023 | 5 |\n| 2024 | 6 |",
        "| Name | Role |\n| --- | --- |\n| Ada | Guide |",
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"plan": {"rent": 1200.5, "paid": True, "tags": ["a", "b"]}},
         "plan.rent: 1200.5\nplan.paid: yes\nplan.tags: a, b"),
        ([{"a": 1}, {"a": 2, "c": "x"}], "| a | c |\n| --- | --- |\n| 1 |  |\n| 2 | x |"),
        ({"rows": [{"n": 1}, {"n": {"m": 2}}]}, "rows 1.n: 1\n\nrows 2.n.m: 2"),
        ("only a text", "only a text"),
    ],
)  # fmt: skip
def test_json_reads_like_a_list(tmp_path: Path, value: object, text: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(value))
    assert text_of(path) == text


def test_json_lines_and_what_is_not_json_after_all(tmp_path: Path) -> None:
    lines = tmp_path / "a.jsonl"
    lines.write_text('{"day": "Monday", "open": false}\n{"day": "Sunday", "open": true}\n')
    assert text_of(lines) == "| day | open |\n| --- | --- |\n| Monday | no |\n| Sunday | yes |"
    broken = tmp_path / "a.json"
    broken.write_text('{"day": "Monday", // closed\n}')
    assert text_of(broken) == broken.read_text()


def test_an_e_book_in_its_reading_order(tmp_path: Path) -> None:
    path = epub(
        tmp_path / "a.epub",
        "The Lamp",
        first="<h1>Dusk</h1><p>The lamp<br/>is <b>lit</b>.</p><ul><li>oil</li><li>wick</li></ul>",
        cover="<img src='cover.png'/>",
        second="<h2>Dawn</h2><table><tr><th>Hour</th><th>Light</th></tr><tr><td>5</td><td>grey</td></tr></table>",
    )
    found = load(path)
    assert [page.page_content for page in found] == [
        "Dusk\n\nThe lamp\nis lit.\n- oil\n- wick",
        "Dawn\n\n| Hour | Light |\n| --- | --- |\n| 5 | grey |",
    ]
    assert places(found) == ["chapter 1", "chapter 2"]
    assert found[0].metadata["title"] == "The Lamp"
    assert split_documents(found)[1].header == "a · The Lamp · Dawn · chapter 2"


def test_a_libreoffice_text_and_presentation(tmp_path: Path) -> None:
    cell = "<table:table-cell><text:p>{}</text:p></table:table-cell>"
    rows = "".join(
        f"<table:table-row>{cell.format(left)}{cell.format(right)}</table:table-row>"
        for left, right in (("Day", "Hours"), ("Monday", "closed"))
    )
    body = (
        "<text:h>Opening <text:span>hours</text:span></text:h><text:p>Ten<text:s text:c='2'/>to six.</text:p>"
        "<text:list><text:list-item><text:p>first</text:p></text:list-item></text:list>"
        f"<table:table>{rows}</table:table>"
    )
    text = opendocument(tmp_path / "a.odt", f"<office:text>{body}</office:text>", "The Hours")
    [page] = load(text)
    assert page.page_content == (
        "Opening hours\n\nTen  to six.\n- first\n\n| Day | Hours |\n| --- | --- |\n| Monday | closed |"
    )
    assert page.metadata["title"] == "The Hours"
    frame = "<draw:frame><draw:text-box><text:p>{}</text:p></draw:text-box></draw:frame>"
    slides = "".join(
        f"<draw:page>{frame.format(text)}<presentation:notes>{frame.format('Smile.')}</presentation:notes></draw:page>"
        for text in ("Welcome", "Goodbye")
    )
    found = load(opendocument(tmp_path / "a.odp", f"<office:presentation>{slides}</office:presentation>"))
    assert [page.page_content for page in found] == ["Welcome\n\nNotes: Smile.", "Goodbye\n\nNotes: Smile."]
    assert places(found) == ["slide 1", "slide 2"]


@pytest.mark.parametrize(
    ("suffix", "make"),
    [
        (".docx", lambda path: docx(path, "")),
        (".pptx", lambda path: pptx(path, slide())),
        (".xlsx", lambda path: xlsx(path, {"Empty": ""})),
        (".epub", lambda path: epub(path, "Empty", one="<p> </p>")),
        (".odt", lambda path: opendocument(path, "<office:text/>")),
        (".json", lambda path: path.write_text("{}")),
        (".zip", lambda path: package(path, {"a.exe": "x"})),
        (".eml", lambda path: path.write_text("no mail")),
    ],
)
def test_a_file_with_nothing_to_read_says_so(
    tmp_path: Path, suffix: str, make: Callable[[Path], object]
) -> None:
    make(tmp_path / f"a{suffix}")
    with pytest.raises(DocumentError, match=r"blank|Nothing in the archive|no e-mail") as caught:
        load(tmp_path / f"a{suffix}")
    assert not caught.value.passing


@pytest.mark.parametrize("suffix", sorted(READERS))
@pytest.mark.parametrize("data", [b"PK\x03\x04 and then nothing", b"\x00\x01\x02" * 50])
def test_what_is_no_such_file_is_refused(tmp_path: Path, suffix: str, data: bytes) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(data)
    with pytest.raises(DocumentError) as caught:
        load(path)
    assert str(caught.value).count(".") >= 2, "a reason and a remedy"
    assert "Error" not in str(caught.value)


def test_every_type_has_a_reader_and_is_in_the_readme() -> None:
    assert set(READERS) < SUFFIXES
    readme = Path(__file__, "../../../README.md").resolve().read_text("utf-8")
    named = {
        ".docx",
        ".odt",
        ".epub",
        ".pptx",
        ".odp",
        ".ods",
        ".xlsx",
        ".xlsm",
        ".xls",
        ".xlsb",
        ".eml",
        ".zip",
    }
    assert named <= SUFFIXES
    assert all(f"`{suffix}`" in readme for suffix in named)
