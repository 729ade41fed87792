"""A citation opens the page itself: an image with the words marked, a text, or the moment of a sound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.documents import Document
from playwright.sync_api import Locator, Page, expect

from rag.documents import load_file
from rag.folders import hash_file
from rag.store import Page as TextPage
from rag.store import Source
from scripts.measure_highlights import Printed, enclosed, letters_of, printed
from speech.audio import wav_bytes
from tests.browser.conftest import TIMEOUT, Site
from tests.pdfs import draw_pdf, lines
from tests.ui.scripted import Script
from ui.services import LibraryItem

pytestmark = pytest.mark.browser

Ask = Callable[[Page, str], None]
SAMPLE = Path(__file__).parents[2] / "pdfs" / "larkmoor-handbook.pdf"
NUMBER = 4  # the page that is cited
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 780},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
}


def keep(script: Script, path: Path, pages: list[TextPage]) -> None:
    """The file is in the index, with these pages."""
    status = path.stat()
    script.records[path.name] = Source(
        path.name,
        hash_file(path),
        location=str(path),
        size=status.st_size,
        mtime_ns=status.st_mtime_ns,
    )
    script.library.known[path.name] = LibraryItem(path.name, "ready", pages=len(pages))
    script.pages[:] = pages


def cite(script: Script, source: str, page: TextPage, quote: str) -> None:
    """What is answered is this quotation of a whole page."""
    place = {"source": source, "page": page.page, "start": page.start, "end": page.start + len(page.text)}
    script.assistant.documents = (Document(page.text, metadata={**place, "score": 0.8}),)
    script.assistant.text = f"{quote} [1]"


@pytest.fixture
def handbook(site: Site) -> Site:
    """The sample PDF is indexed, and a sentence of its fourth page is what every answer says."""
    pages = [
        TextPage(page.page_content, page.metadata["start"], page.metadata["page"])
        for page in load_file(SAMPLE, SAMPLE.name)
    ]
    keep(site.script, SAMPLE, pages)
    found = pages[NUMBER - 1]
    start = found.text.index("The clock in the stair")
    quote = found.text[start : found.text.index("coins.", start) + 6]
    cite(site.script, SAMPLE.name, found, quote)
    return site


def open_source(page: Page, ask: Ask) -> Locator:
    """Ask, and click the citation; the page view."""
    ask(page, "What is it?")
    expect(page.locator("#chat .answer-done")).to_be_visible()
    page.locator("#chat .cite").first.click()
    return page.locator("#page-view")


def is_marked(view: Locator) -> None:
    """The image is drawn, and the quotation in it is marked and in sight."""
    expect(view.locator(".marked-quote i")).to_have_count(1, timeout=TIMEOUT)
    expect(view.locator(".marked-quote i")).to_be_in_viewport()


def boxes_of(page: Page, kind: str) -> list[tuple[float, float, float, float]]:
    """Where the browser draws the boxes, in shares of the image that it draws."""
    found: list[list[float]] = page.evaluate(
        """(kind) => {
             const frame = document.querySelector("#page-view img").getBoundingClientRect();
             return [...document.querySelectorAll(`#page-view .${kind} i`)].map((box) => {
               const { left, top, right, bottom } = box.getBoundingClientRect();
               return [(left - frame.left) / frame.width, (top - frame.top) / frame.height,
                       (right - frame.left) / frame.width, (bottom - frame.top) / frame.height];
             });
           }""",
        kind,
    )
    return [(left, top, right, bottom) for left, top, right, bottom in found]


def opacity(view: Locator, kind: str) -> float:
    """How strongly this kind of mark is drawn while nothing is spoken, to which the quotation gives way."""
    return float(
        view.evaluate(
            """(view, kind) => {
                 view.querySelector(".marked-said").replaceChildren();
                 return getComputedStyle(view.querySelector(`.${kind}`)).opacity;
               }""",
            kind,
        )
    )


def test_no_line_of_a_passage_is_cut_at_its_top(handbook: Site, ask: Ask) -> None:
    handbook.script.assistant.text = "It is a fish hook of bone, nine millimetres long, in room 03. [1]"
    page = handbook.open()
    ask(page, "What is it?")
    expect(page.locator("#chat .answer-done")).to_be_visible()
    passage = page.locator("#sources .passage")
    scrolled, line, height = passage.evaluate(
        "(box) => [box.scrollTop, parseFloat(getComputedStyle(box).lineHeight), box.clientHeight]"
    )
    assert scrolled > 0  # to the quotation
    assert (scrolled % line, height % line) == (0, 0)


@pytest.fixture(scope="module")
def letters() -> list[Printed]:
    return printed(SAMPLE, NUMBER)


@pytest.mark.parametrize("options", [{}, {"color_scheme": "dark"}, PHONE])
def test_a_citation_opens_the_page_with_the_very_words_marked(
    handbook: Site, ask: Ask, letters: list[Printed], options: dict[str, Any]
) -> None:
    page = handbook.open(**options)
    view = open_source(page, ask)
    is_marked(view)
    expect(view.get_by_role("img", name="page 4 of 12 of larkmoor-handbook.pdf")).to_be_visible()
    quote = handbook.script.assistant.text.removesuffix(" [1]")
    assert enclosed(letters, boxes_of(page, "marked-quote")) == letters_of(quote)
    passage = handbook.script.assistant.documents[0].page_content
    assert enclosed(letters, boxes_of(page, "marked-passage")) == letters_of(passage)
    expect(view.locator(".unseen")).to_contain_text("Marked on this page: 3 Ten objects")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert opacity(view, "marked-quote") > 3 * opacity(view, "marked-passage")
    if options == PHONE:  # no sliver of the chat is left beside it
        assert view.evaluate("(node) => node.getBoundingClientRect().width === innerWidth")
    width = page.evaluate("document.querySelector('#page-view img').naturalWidth / devicePixelRatio")
    assert width >= page.evaluate("document.querySelector('#page-view img').clientWidth")


def test_pages_turn_by_button_and_by_key(handbook: Site, ask: Ask) -> None:
    page = handbook.open()
    view = open_source(page, ask)
    is_marked(view)
    view.get_by_role("button", name="Next page").click()
    expect(view.locator(".place")).to_have_text("page 5 of 12")
    expect(view.get_by_role("button", name="Next page")).to_be_focused()
    expect(view.get_by_role("img")).to_have_js_property("complete", True)
    expect(view.locator(".marks i")).to_have_count(0)  # the passage is on another page
    view.get_by_role("button", name="Previous page").click()
    is_marked(view)
    view.locator(".page-image").focus()
    for _ in range(12):  # to the end of this page, and on
        page.keyboard.press("PageDown")
        page.wait_for_timeout(50)
        if view.locator(".place").inner_text() == "page 5 of 12":
            break
    expect(view.locator(".place")).to_have_text("page 5 of 12")
    page.keyboard.press("PageUp")
    expect(view.locator(".place")).to_have_text("page 4 of 12")
    assert view.get_by_role("button", name="Next page").get_attribute("title") == "Next page (→)"
    page.keyboard.press("ArrowRight")
    expect(view.locator(".place")).to_have_text("page 5 of 12")
    page.keyboard.press("ArrowLeft")
    expect(view.locator(".place")).to_have_text("page 4 of 12")
    view.get_by_role("button", name="Enlarge the page").click()
    page.keyboard.press("ArrowRight")  # moves the page, which is wider than the window now
    expect(view.locator(".place")).to_have_text("page 4 of 12")
    view.get_by_role("button", name="Fit the page to the width").click()
    expect(page.locator("#stop")).to_be_disabled(timeout=30_000)  # nothing is spoken any more
    page.keyboard.press("Escape")
    expect(view).to_be_hidden()
    expect(page.locator("#chat .cite").first).to_be_focused()


def test_a_page_is_enlarged_and_is_text_too(handbook: Site, ask: Ask, letters: list[Printed]) -> None:
    page = handbook.open()
    view = open_source(page, ask)
    is_marked(view)
    before = view.get_by_role("img").bounding_box()
    view.get_by_role("button", name="Enlarge the page").click()
    is_marked(view)
    after = view.get_by_role("img").bounding_box()
    assert before
    assert after
    assert after["width"] == pytest.approx(2 * before["width"], abs=2)
    quote = handbook.script.assistant.text.removesuffix(" [1]")
    assert enclosed(letters, boxes_of(page, "marked-quote")) == letters_of(quote)
    view.get_by_role("button", name="Text", exact=True).click()
    expect(view.locator("mark mark")).to_have_text(quote)
    expect(view.locator("mark mark")).to_be_in_viewport()
    view.get_by_role("button", name="Page", exact=True).click()
    view.get_by_role("button", name="Fit the page to the width").click()
    is_marked(view)


def test_what_is_spoken_is_marked_on_the_page(handbook: Site, ask: Ask, letters: list[Printed]) -> None:
    page = handbook.open()
    page.mouse.click(5, 5)  # a browser plays nothing before
    view = open_source(page, ask)
    expect(view.locator(".marked-said i")).to_have_count(1, timeout=TIMEOUT)
    quote = handbook.script.assistant.text.removesuffix(" [1]")
    assert enclosed(letters, boxes_of(page, "marked-said")) == letters_of(quote)
    page.locator("#stop").click()
    expect(view.locator(".marked-said i")).to_have_count(0)
    is_marked(view)


def test_a_file_that_changed_is_shown_as_text_and_says_so(handbook: Site, ask: Ask) -> None:
    record = handbook.script.records[SAMPLE.name]
    handbook.script.records[SAMPLE.name] = replace(record, size=record.size + 1)
    view = open_source(handbook.open(), ask)
    expect(view.get_by_role("note")).to_contain_text("was changed after it was indexed")
    expect(view.locator(".page-text mark mark")).to_contain_text("80 silver coins.")
    expect(view.get_by_role("img")).to_have_count(0)
    expect(view.get_by_role("button", name="Page", exact=True)).to_have_count(0)


def test_a_page_that_cannot_be_drawn_is_text_and_says_so(site: Site, ask: Ask, tmp_path: Path) -> None:
    path = tmp_path / "bad.pdf"
    path.write_bytes(b"%PDF-1.7\n<script>alert(1)</script>")
    text = TextPage("A page that nobody can draw, for its file is broken.", 0, 1)
    keep(site.script, path, [text])
    cite(site.script, path.name, text, text.text)
    view = open_source(site.open(), ask)
    expect(view.get_by_role("note")).to_contain_text("This page cannot be drawn", timeout=TIMEOUT)
    expect(view.locator(".page-text mark mark")).to_have_text(text.text)
    site.complaints.clear()  # the browser reports the refusal


def test_words_that_are_only_a_picture_are_told_of(site: Site, ask: Ask, tmp_path: Path) -> None:
    path = draw_pdf(tmp_path / "scan.pdf", lines("."))
    text = TextPage("What was read from a scan has no place in the file.", 0, 1)
    keep(site.script, path, [text])
    cite(site.script, path.name, text, text.text)
    view = open_source(site.open(), ask)
    expect(view.get_by_role("note")).to_contain_text("cannot be marked on the page", timeout=TIMEOUT)
    expect(view.get_by_role("img")).to_be_visible()


@pytest.fixture
def interview(site: Site, tmp_path: Path) -> Site:
    """A recording is indexed, and what is said in it at twelve and a half seconds is the answer."""
    path = tmp_path / "interview.wav"
    tone = 0.2 * np.sin(2 * np.pi * 220 * np.arange(8000 * 30) / 8000)
    path.write_bytes(wav_bytes(tone.astype(np.float32), 8000))
    text = TextPage("The bells of the tower were cast in the year of the flood.", 0, 1)
    keep(site.script, path, [text])
    cite(site.script, path.name, text, text.text)
    site.script.assistant.documents[0].metadata |= {"place": "0:12", "at": 12.5}
    return site


def test_a_recording_starts_at_the_moment_that_is_cited(interview: Site, ask: Ask) -> None:
    page = interview.open()
    view = open_source(page, ask)
    expect(page.locator("#sources .card .place")).to_have_text("0:12")
    expect(page.locator("#chat .cite")).to_have_attribute("title", "interview.wav, 0:12")
    page.wait_for_function("document.querySelector('#page-view audio')?.currentTime === 12.5")
    assert page.evaluate("document.querySelector('#page-view audio').paused")
    page.evaluate("document.querySelector('#page-view audio').play()")
    page.wait_for_function("document.querySelector('#page-view audio').currentTime > 12.6")
    expect(view.locator(".page-text mark mark")).to_contain_text("The bells of the tower")
    ask(page, "And then?")  # the answer is not spoken over it, nor it over the answer
    page.wait_for_function("document.querySelector('#page-view audio')?.paused ?? true")


def test_no_recording_plays_into_an_open_microphone(interview: Site, ask: Ask) -> None:
    page = interview.open(permissions=["microphone"])
    open_source(page, ask)
    page.wait_for_function("document.querySelector('#page-view audio')?.currentTime === 12.5")
    play = "document.querySelector('#page-view audio').play().catch(() => {})"
    page.evaluate(play)
    page.locator("#talk").click()
    page.wait_for_function("document.querySelector('#page-view audio').paused")
    expect(page.locator("#talk")).not_to_have_attribute("data-state", "idle")
    page.evaluate(play)
    expect(page.locator(".toast").filter(has_text="the microphone would hear it")).to_be_visible()
    assert page.evaluate("document.querySelector('#page-view audio').paused")


def test_where_the_documents_do_not_say_the_nearest_page_is_a_click_away(handbook: Site, ask: Ask) -> None:
    assistant = handbook.script.assistant
    assistant.nearest, assistant.documents = assistant.documents, ()
    assistant.text = "I could not find that in the documents."
    page = handbook.open()
    ask(page, "Who painted the ceiling?")
    expect(page.locator("#chat .answer-done")).to_have_text(assistant.text)
    expect(page.locator("#chat .how summary")).to_have_text("not in the documents")
    for _ in range(2):  # once more after a reload
        expect(page.locator("#sources .nearest")).to_contain_text("The documents do not say.")
        page.locator("#sources .card .head").click()
        expect(page.locator("#page-view .marked-passage i").first).to_be_visible(timeout=TIMEOUT)
        handbook.open(page)


def test_a_web_page_is_cited_by_its_title_and_its_address_opens_in_a_new_tab(site: Site, ask: Ask) -> None:
    url = "https://example.org/bees?a=1&b=2"
    text = TextPage("Bees sleep at night.", 0)
    site.script.library.known[url] = LibraryItem(url, "ready", origin="url")
    site.script.pages[:] = [text]
    cite(site.script, url, text, text.text)
    site.script.assistant.documents[0].metadata["title"] = "All about bees"
    page = site.open()
    view = open_source(page, ask)
    expect(page.locator("#sources .card .file")).to_have_text("All about bees")
    expect(view.locator(".file")).to_have_text("All about bees")
    link = view.get_by_role("link", name=url)
    attributes = [link.get_attribute(name) for name in ("href", "target", "rel")]
    assert attributes == [url, "_blank", "noopener noreferrer"]
    site.script.library.known["javascript:alert(1)"] = LibraryItem("javascript:alert(1)", "ready")
    cite(site.script, "javascript:alert(1)", text, text.text)
    view = open_source(site.open(), ask)
    expect(view.locator(".file")).to_have_text("javascript:alert(1)")
    expect(view.get_by_role("link")).to_have_count(0)


def test_an_image_that_took_too_long_is_tried_again(handbook: Site, ask: Ask) -> None:
    page = handbook.open()
    reason = "This page takes too long to draw. This is its text."
    page.route("**/api/page/image*", lambda route: route.fulfill(status=202, json={"reason": reason}))
    view = open_source(page, ask)
    expect(view.locator(".page-note")).to_contain_text(reason)
    expect(view.locator(".page-text")).to_be_visible()
    page.unroute("**/api/page/image*")
    view.get_by_role("button", name="Try again").click()
    is_marked(view)


def test_the_page_finds_a_row_that_is_quoted_with_its_columns_names(site: Site) -> None:
    page = site.open()
    table = "| Part | Name | Note | In stock |\n| --- | --- | --- | --- |\n| BM-3310 | burr set | | 0 |\n"
    said = "Part: BM-3310; Name: burr set; In stock: 0 [1]"
    pieces = page.evaluate(
        """async ([text, said]) => (await import("/parley/quotes.js")).piecesOf(text, said)""", [table, said]
    )
    assert [text for text, is_quoted in pieces if is_quoted] == ["BM-3310 | burr set | | 0"]
