"""Documents in a real browser: adding, state, failure, removal; and text that wants to be more than text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from langchain_core.documents import Document
from playwright.sync_api import Page, expect

from rag.store import Page as TextPage
from tests.browser.conftest import Site
from ui.services import LibraryItem, Progress

pytestmark = pytest.mark.browser

Ask = Callable[[Page, str], None]
NAME = '<img src=x onerror="document.title=1"> id=send.pdf'
HOSTILE = """![tracker](http://example.org/pixel.png) <img src="http://example.org/a.png" onerror="alert(1)">
<script>document.title = "taken"</script><form action="http://example.org"><input name="q"></form>
<iframe src="http://example.org"></iframe><svg onload="alert(1)"><script>alert(1)</script></svg>
<style>body{display:none}</style><div id="send" style="position:fixed">x</div> [click](javascript:alert(1))
[data](data:text/html,hello) <a href="http://example.org">a</a> <object data="http://example.org"></object>
`<b id="mic">` **<i id="chat">bold</i>** [1] [77]
- <img src="http://example.org/b.png">
# <video src="http://example.org/c.mp4">
> <link rel="stylesheet" href="http://example.org/d.css">
```
<meta http-equiv="refresh" content="0;url=http://example.org">
```"""


def test_a_file_is_added_and_listed_with_its_state(site: Site) -> None:
    page = site.open()
    site.script.library.gate.clear()
    field = page.locator("#upload input[type=file]")
    files = [
        {"name": name, "mimeType": "application/pdf", "buffer": b"%PDF-1.7"}
        for name in ("mine.pdf", "bad.pdf")
    ]
    field.set_input_files(files)  # type: ignore[arg-type]
    row = page.locator("#library [data-source='mine.pdf']")
    expect(row).to_have_attribute("data-state", "reading")
    expect(page.locator("#library [data-source='bad.pdf']")).to_have_attribute("data-state", "waiting")
    site.script.library.gate.set()
    expect(row).to_have_attribute("data-state", "ready")
    bad = page.locator("#library [data-source='bad.pdf']")
    expect(bad).to_have_attribute("data-state", "failed")
    expect(bad).to_contain_text("bad.pdf is encrypted. Save it without a password")
    assert site.script.library.contents["mine.pdf"] == b"%PDF-1.7"
    assert list((site.script.data / "incoming").iterdir()) == []
    page.get_by_role("button", name="Remove mine.pdf").click()
    expect(row).to_have_count(0)
    page.get_by_role("button", name="Remove bad.pdf").click()
    expect(bad).to_have_count(0)


def test_only_what_the_page_added_can_be_removed_there(site: Site) -> None:
    page = site.open()
    folders_own = page.locator("#library [data-source='lighthouse.pdf']")
    expect(folders_own).to_have_attribute("data-state", "ready")
    expect(folders_own.get_by_role("button")).to_have_count(0)


def test_what_can_be_removed_says_that_it_is_ready_below_the_others(site: Site) -> None:
    page = site.open()
    site.script.library.known["mine.txt"] = LibraryItem("mine.txt", "ready", origin="upload")
    page.reload()
    own, other = (page.locator(f"#library [data-source='{name}']") for name in ("mine.txt", "lighthouse.pdf"))
    expect(own.get_by_role("button", name="Remove mine.txt")).to_be_attached()
    ends = [
        row.locator(".what").evaluate("node => node.getBoundingClientRect().right") for row in (own, other)
    ]
    assert ends[0] == ends[1]
    own.hover()
    expect(own.get_by_role("button", name="Remove mine.txt")).to_have_css("opacity", "1")
    expect(own.locator(".what")).to_be_hidden()


def test_nobody_waits_for_an_upload(site: Site, ask: Ask) -> None:
    site.script.library.gate.clear()
    one, two = site.open(), site.open()
    one.locator("#upload input[type=file]").set_input_files(
        {"name": "slow.txt", "mimeType": "text/plain", "buffer": b"x"}
    )
    expect(one.locator("#library [data-source='slow.txt']")).to_have_attribute("data-state", "reading")
    for page in (one, two):
        ask(page, "When does it close?")
        expect(page.locator("#chat .answer-done")).to_have_count(1)
    site.script.library.gate.set()


def test_a_dropped_file_and_a_web_page_are_added(site: Site) -> None:
    page = site.open()
    page.evaluate(
        """() => {
             const data = new DataTransfer();
             data.items.add(new File(["dropped"], "dropped.txt", {type: "text/plain"}));
             for (const kind of ["dragover", "drop"])
               document.querySelector("#chat").dispatchEvent(
                 new DragEvent(kind, {dataTransfer: data, bubbles: true, cancelable: true}));
           }"""
    )
    expect(page.locator("#library [data-source='dropped.txt']")).to_have_attribute("data-state", "ready")
    page.get_by_label("Address of a web page").fill("https://example.org/page")
    page.keyboard.press("Enter")
    expect(page.locator("#library [data-source='https://example.org/page']")).to_be_visible()
    page.get_by_label("Address of a web page").fill("file:///etc/passwd")
    page.get_by_role("button", name="Add the web page").click()
    expect(page.locator(".toast")).to_contain_text("begins with http:// or https://")
    page.get_by_label("Address of a web page").fill("https://example.org/other")
    page.keyboard.press("Enter")
    expect(page.locator("#library [data-source='https://example.org/other']")).to_be_visible()
    expect(page.locator(".toast")).to_have_count(0)
    site.complaints.clear()  # the browser reports the refusal


def test_indexing_shows_how_far_it_is(site: Site) -> None:
    progress = site.script.library.indexing = Progress(12, 4000, "handbook.pdf", seconds_left=170.0)
    page = site.open()
    shown = page.locator("#library .progress")
    expect(shown).to_contain_text("12 of 4,000 files, about 3 minutes left")
    expect(shown).to_contain_text("handbook.pdf")
    assert shown.locator("progress").evaluate("bar => [bar.value, bar.max]") == [12, 4000]
    site.script.library.indexing = replace(progress, done=3999, seconds_left=2.0)
    expect(shown).to_contain_text("3,999 of 4,000 files, less than a minute left")
    site.script.library.indexing = None
    expect(shown).to_be_hidden()


def fill(site: Site, count: int) -> None:
    """So many documents in a folder, in all states."""
    library = site.script.library
    for number in range(count):
        name = f"report-{number:04}.pdf"
        library.known[name] = LibraryItem(name, "ready", pages=3, origin="/docs")
    library.known["late.pdf"] = LibraryItem("late.pdf", "waiting", origin="/docs")
    library.known["now.pdf"] = LibraryItem("now.pdf", "reading", origin="/docs")
    library.known["bad.pdf"] = LibraryItem("bad.pdf", "failed", reason="It is broken.", origin="/docs")
    copy = LibraryItem("same.pdf", "ready", origin="/docs", copy_of="report-0007.pdf")
    library.known["same.pdf"] = copy


def test_a_document_that_is_read_in_part_says_what_is_missing(site: Site) -> None:
    notice = "3 of 12 pages are pictures without text and were not read. Install <b>Tesseract</b>."
    site.script.library.known["a.pdf"] = LibraryItem(
        "a.pdf", "ready", pages=12, origin="/docs", notice=notice
    )
    row = site.open().locator("#library [data-source='a.pdf']")
    expect(row.locator(".partly")).to_have_text(notice)
    expect(row).to_have_attribute("data-state", "ready")
    expect(row.locator(".reason")).to_have_count(0)


def test_thousands_of_documents_are_shown_in_parts_and_found(site: Site) -> None:
    fill(site, 3000)
    page = site.open()
    rows = page.locator("#library .documents li")
    expect(rows).to_have_count(100)
    states = [row.get_attribute("data-state") for row in rows.all()[:4]]
    assert states == ["reading", "failed", "waiting", "ready"]
    expect(page.locator("#library .pages")).to_contain_text("1–100 of 3,005")
    page.get_by_role("button", name="Later").click()
    expect(page.locator("#library .pages")).to_contain_text("101–200 of 3,005")
    expect(page.locator("#library [data-source='report-0098.pdf']")).to_be_visible()
    page.get_by_label("Find a document").fill("REPORT-2")
    expect(page.locator("#library .pages")).to_contain_text("1–100 of 1,000")
    page.get_by_label("Find a document").fill("same")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("The same as report-0007.pdf")
    page.get_by_label("Find a document").fill("nowhere")
    expect(rows).to_have_text("None of the documents.")
    page.get_by_label("Find a document").fill("")
    page.get_by_role("button", name="Failed 1").click()
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("It is broken.")
    expect(page.get_by_role("button", name="Failed 1")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="All 3,005").click()
    expect(rows).to_have_count(100)


def test_few_documents_need_neither_search_nor_filters(site: Site) -> None:
    page = site.open()
    expect(page.locator("#library [data-source='lighthouse.pdf']")).to_be_visible()
    expect(page.get_by_label("Find a document")).to_be_hidden()
    expect(page.locator("#library .filters")).to_be_hidden()
    expect(page.locator("#library .pages")).to_be_hidden()
    expect(page.locator(".collections")).to_be_hidden()


def test_a_row_stays_the_same_while_others_change(site: Site) -> None:
    """Else a press on its button, or the focus in it, is lost whenever something else happens."""
    site.script.library.known["mine.pdf"] = LibraryItem("mine.pdf", "ready", origin="upload")
    site.script.library.known["now.pdf"] = LibraryItem("now.pdf", "reading", origin="/docs")
    page = site.open()
    button = page.get_by_role("button", name="Remove mine.pdf")
    button.focus()
    site.script.library.known["now.pdf"] = LibraryItem("now.pdf", "ready", origin="/docs")
    expect(page.locator("#library [data-source='now.pdf']")).to_have_attribute("data-state", "ready")
    expect(button).to_be_focused()


def test_that_changes_are_noticed_late_is_said(site: Site) -> None:
    page = site.open()
    expect(page.locator("#library .watching")).to_be_hidden()
    site.script.library.problem = "Changes in the folders are noticed only now and then."
    page.reload()
    expect(page.locator("#library .watching")).to_have_text(site.script.library.problem)


def test_a_question_is_limited_to_a_collection(site: Site, ask: Ask) -> None:
    site.script.library.collected = ["handbooks", "papers", "Uploads"]
    page = site.open()
    picker = page.get_by_role("combobox", name="Ask", exact=True)
    expect(picker).to_have_value("")
    ask(page, "When does it close?")
    expect(page.locator("#chat .answer-done")).to_have_count(1)
    picker.select_option("papers")
    ask(page, "When does it close?")
    expect(page.locator("#chat .answer-done")).to_have_count(2)
    site.open(page)
    expect(picker).to_have_value("papers")
    site.script.library.collected = ["handbooks", "Uploads"]
    site.open(page)
    expect(picker).to_have_value("papers")  # no question goes to other documents unnoticed
    picker.select_option("")
    ask(page, "When does it close?")
    expect(page.locator("#chat .answer-done")).to_have_count(3)
    assert site.script.assistant.collections == ["", "papers", ""]


def test_many_files_at_once_are_sent_as_the_server_takes_them(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ui.intake.MAX_WAITING", 2)
    page = site.open()
    names = [f"{number}.txt" for number in range(12)]
    files = [{"name": name, "mimeType": "text/plain", "buffer": name.encode()} for name in names]
    site.script.library.gate.clear()
    page.locator("#upload input[type=file]").set_input_files(files)  # type: ignore[arg-type]
    expect(page.locator("#library [data-state=sending]").last).to_contain_text("wait to be sent")
    site.script.library.gate.set()
    for name in names:
        expect(page.locator(f"#library [data-source='{name}']")).to_have_attribute("data-state", "ready")
    expect(page.locator(".toast")).to_have_count(0)
    site.complaints.clear()  # the browser reports each refusal


def test_too_many_files_are_refused_in_so_many_words(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ui.api.MAX_UPLOADS", 2)
    page = site.open()
    files = [{"name": f"{n}.txt", "mimeType": "text/plain", "buffer": b"x"} for n in range(3)]
    page.locator("#upload input[type=file]").set_input_files(files)  # type: ignore[arg-type]
    expect(page.locator(".toast")).to_contain_text("3 files are more than can be added here, which is 2.")
    assert list(site.script.library.contents) == []


def test_hostile_text_stays_text(site: Site, ask: Ask) -> None:
    metadata = {
        "source": NAME,
        "title": HOSTILE,
        "section": HOSTILE,
        "page": 1,
        "start": 0,
        "end": len(HOSTILE),
    }
    site.script.assistant.documents = (Document(HOSTILE, metadata=metadata | {"score": 0.8}),)
    site.script.assistant.text = HOSTILE
    site.script.assistant.notices = (HOSTILE,)
    site.script.pages[:] = [TextPage(HOSTILE, 0, 1)]
    site.script.library.known[NAME] = type(site.script.library.known["lighthouse.pdf"])(
        NAME, "failed", title=HOSTILE, reason=HOSTILE
    )
    page = site.open()
    ask(page, HOSTILE)
    expect(page.locator("#chat .answer-done")).to_contain_text("<script>document.title")
    page.evaluate("window.parleyPlayer.stop()")
    page.locator("#chat .cite").click()
    expect(page.locator("#page-view")).to_be_visible()
    site.open(page)
    expect(page.locator("#chat .answer-done")).to_contain_text("![tracker](http://example.org/pixel.png)")
    inside = "#chat, #sources, #page-view, #library, #history"
    for tag in (
        "img",
        "script",
        "form",
        "iframe",
        "object",
        "embed",
        "video",
        "style",
        "link",
        "meta",
        "[id] [id]",
    ):
        for place in inside.split(", "):
            assert page.locator(f"{place} {tag}").count() == 0, (place, tag)
    assert page.locator("[onerror], [onload], [href^='javascript:'], [href^='data:']").count() == 0
    for name in ("send", "mic", "chat"):
        assert page.locator(f"[id='{name}']").count() == 1
    assert page.locator("#chat .cite").count() == 1  # there is no source 77
    assert page.title() == "Parley"
