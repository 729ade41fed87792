"""Documents in a real browser: adding, state, failure, removal; and text that wants to be more than text."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from langchain_core.documents import Document
from playwright.sync_api import Page, expect

from rag.store import Page as TextPage
from tests.browser.conftest import Site
from ui.services import Progress

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
    site.complaints.clear()  # the browser reports the refusal


def test_indexing_shows_how_far_it_is(site: Site) -> None:
    site.script.library.indexing = Progress(7, 19, "handbook.pdf")
    page = site.open()
    expect(page.locator("#library .progress")).to_contain_text("Indexing 7 of 19: handbook.pdf")
    site.script.library.indexing = None
    expect(page.locator("#library .progress")).to_be_hidden()


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
