"""The conversation in a real browser: streaming, citations, the page view, stop, keeping."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from langchain_core.documents import Document
from playwright.sync_api import Page, expect

from rag.assistant import Queued
from rag.store import Page as TextPage
from tests.browser.conftest import Site
from tests.ui.scripted import ANSWER, QUOTE
from ui.services import EngineState

pytestmark = pytest.mark.browser

Ask = Callable[[Page, str], None]


def test_an_answer_streams_and_names_its_sources(site: Site, ask: Ask) -> None:
    site.script.assistant.pause = 0.05
    page = site.open()
    page.locator("#question textarea").fill("When does the lamp room close?")
    page.locator("#send").click()
    page.wait_for_function(
        """() => { const body = document.querySelector("#chat .body");
                   return body && body.textContent.length > 5 && !body.classList.contains("answer-done"); }"""
    )
    expect(page.locator("#sources .card")).to_have_count(2)  # they come before the answer is complete
    expect(page.locator("#chat .answer-done")).to_have_text(ANSWER)
    expect(page.locator("#chat .cite")).to_have_text(["[1]", "[2]"])
    first = page.locator("#sources .card").first
    expect(first).to_contain_text("lighthouse.pdf")
    expect(first).to_contain_text("page 2")
    expect(first).to_contain_text("strong match · 92 %")
    expect(first.locator("mark")).to_have_text(QUOTE)
    for name in ("retrieval", "first_token", "total"):
        expect(page.locator(f"#latency [data-name={name}]")).to_be_visible()
    expect(page.locator("#latency")).to_contain_text("scripted")


def test_a_sentence_that_nothing_supports_is_marked(site: Site, ask: Ask) -> None:
    doubted = "**Penguins** nest there [1]."
    site.script.assistant.text = f"{QUOTE} [1] {doubted} So it is. [2]"
    site.script.assistant.doubted = doubted
    page = site.open()
    ask(page, "Who lives there?")
    answer = page.locator("#chat .answer-done")
    marked = "getComputedStyle(document.querySelector('#chat .unsupported')).textDecorationStyle"

    def check() -> None:
        expect(answer.locator(".unsupported")).to_have_text(["Penguins", " nest there ", "."])
        expect(answer.locator(".doubt")).to_have_text("not in the documents")
        expect(answer).to_have_text(f"{QUOTE} [1] Penguins nest there [1].not in the documents So it is. [2]")
        assert page.evaluate(marked) == "dotted"

    check()
    page.reload()  # it is kept
    check()


def test_a_citation_shows_its_page(site: Site, ask: Ask) -> None:
    page = site.open()
    ask(page, "When was it built?")
    page.locator("#chat .answer-done .cite", has_text="[2]").click()
    view = page.locator("#page-view")
    expect(view).to_contain_text("page 1")
    expect(view.locator(".page-text > mark")).to_contain_text("It was built in 1869")
    expect(page.locator("#sources .card.selected .number")).to_have_text("2")
    view.get_by_role("button", name="Next page").click()
    expect(view).to_contain_text("Visitors may climb the tower.")
    view.get_by_role("button", name="Previous page").click()
    expect(view.locator(".page-text > mark")).to_contain_text("It was built in 1869")
    view.get_by_role("button", name="Close the page").click()
    expect(view).to_be_hidden()


def test_a_quotation_deep_in_a_long_page_is_scrolled_to(site: Site, ask: Ask) -> None:
    before, quote = "A line that says little.\n" * 150, "The old mill grinds again since last spring."
    text = f"{before}{quote}\n{'Another line that says little.' * 50}"
    metadata = {"source": "lighthouse.pdf", "page": 1, "start": 0, "end": len(text), "score": 0.3}
    site.script.assistant.documents = (Document(text, metadata=metadata),)
    site.script.assistant.text = f"{quote} [1]"
    site.script.pages[:] = [TextPage(text, 0, 1)]
    page = site.open()
    ask(page, "What about the mill?")
    expect(page.locator("#sources .passage mark")).to_be_in_viewport()
    page.locator("#chat .answer-done .cite").click()
    expect(page.locator("#page-view mark mark")).to_have_text(quote)
    expect(page.locator("#page-view mark mark")).to_be_in_viewport()


@pytest.mark.alone
def test_stop_freezes_text_and_sound_at_once(site: Site, ask: Ask) -> None:
    site.script.assistant.pause = 0.05
    site.script.assistant.text = " ".join(f"Sentence number {n} is said." for n in range(60))
    page = site.open()
    ask(page, "Tell me everything")
    page.wait_for_function("window.parleyPlayer.state === 'playing' && window.parleyPlayer.rms() > 0.02")
    took = page.evaluate(
        """async () => {
             const frame = () => new Promise((next) => requestAnimationFrame(next));
             const length = () => document.querySelector("#chat .body").textContent.length;
             const begun = performance.now();
             let changed = begun, before = length(), loud = begun;
             document.querySelector("#stop").click();
             while (performance.now() - begun < 600) {
               await frame();
               if (length() !== before) { before = length(); changed = performance.now(); }
               if (window.parleyPlayer.rms() > 0.001) loud = performance.now();
             }
             return {text: changed - begun, sound: loud - begun};
           }"""
    )
    assert took["text"] <= 150
    assert took["sound"] <= 150
    expect(page.locator("#chat .answer-stopped")).to_be_visible()
    expect(page.locator("#chat .answer-done")).to_have_count(0)
    answer = site.script.assistant.answers[0]
    assert answer.closed
    assert answer.wait_stopped(5)
    shown = page.locator("#chat .body").inner_text()
    site.open(page)
    expect(page.locator("#chat .answer-stopped")).to_have_text(shown)


def test_a_closed_tab_closes_the_answer(site: Site, ask: Ask) -> None:
    site.script.assistant.text = "word " * 4000
    page = site.open()
    ask(page, "Tell me everything")
    expect(page.locator("#chat .body")).to_contain_text("word")
    page.close()
    assert site.script.assistant.answers[0].wait_stopped(10)


def test_a_follow_up_carries_the_history_of_this_conversation(site: Site, ask: Ask) -> None:
    page = site.open()
    ask(page, "When does it close?")
    expect(page.locator("#chat .answer-done")).to_have_count(1)
    ask(page, "And in summer?")
    expect(page.locator("#chat .answer-done")).to_have_count(2)
    assert [message.content for message in site.script.assistant.asked[1][1]] == [
        "When does it close?",
        ANSWER,
    ]
    page.locator(".understood summary").click()
    expect(page.locator(".understood")).to_contain_text("And in summer? (of the lighthouse)")
    page.get_by_role("button", name="New conversation").click()
    expect(page.locator("#chat .turn")).to_have_count(0)
    ask(page, "And now?")
    expect(page.locator("#chat .answer-done")).to_have_count(1)
    assert site.script.assistant.asked[2][1] == []


def test_a_reload_keeps_the_conversation_and_it_can_be_exported(site: Site, ask: Ask) -> None:
    page = site.open()
    ask(page, "When does it close?")
    expect(page.locator("#chat .answer-done")).to_have_count(1)
    site.open(page)
    expect(page.locator("#chat .answer-done")).to_have_text(ANSWER)
    expect(page.locator("#sources .card")).to_have_count(2)
    expect(page.locator("#latency")).to_contain_text("retrieval")
    with page.expect_download() as download:
        page.locator("#history .export").click()
    text = download.value.path().read_text(encoding="utf-8")
    assert "## When does it close?" in text
    assert ANSWER in text
    assert "**[1]** lighthouse.pdf, page 2 (match 92%)" in text
    assert "> Visitors may climb the tower." in text
    page.get_by_role("button", name="Delete the conversation").click()
    expect(page.locator("#chat .welcome")).to_be_visible()
    expect(page.locator("#history li")).to_have_count(0)


def test_regenerate_replaces_the_answer(site: Site, ask: Ask) -> None:
    page = site.open()
    ask(page, "When does it close?")
    expect(page.locator("#chat .answer-done")).to_have_text(ANSWER)
    site.script.assistant.text = "At six. [1]"
    page.locator(".regenerate").click()
    expect(page.locator("#chat .answer-done")).to_have_text("At six. [1]")
    site.open(page)
    expect(page.locator("#chat .turn")).to_have_count(1)


def test_an_answer_again_that_is_not_given_keeps_the_good_one(site: Site, ask: Ask) -> None:
    page = site.open()
    ask(page, "When does it close?")
    expect(page.locator("#chat .answer-done")).to_have_text(ANSWER)
    site.script.assistant.text = "word " * 2000
    page.locator(".regenerate").click()
    expect(page.locator("#chat .turn:not([hidden]) .body")).to_contain_text("word")
    expect(page.locator("#chat .answer-done")).to_be_hidden()
    page.keyboard.press("Escape")
    for _ in range(2):
        expect(page.locator("#chat .answer-done")).to_have_text(ANSWER)
        expect(page.locator("#chat .answer-stopped")).to_be_visible()
        site.open(page)


def test_copying_works_without_a_clipboard_of_the_pages_own(site: Site, ask: Ask) -> None:
    page = site.open(permissions=["clipboard-read"])
    ask(page, "When does it close?")
    page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    page.get_by_role("button", name="Copy the answer").click()
    expect(page.locator(".toast.done")).to_have_text("Copied.")


def test_a_conversation_is_not_forgotten_because_the_server_failed(site: Site, ask: Ask) -> None:
    page = site.open()
    ask(page, "When does it close?")
    expect(page.locator("#chat .answer-done")).to_have_count(1)
    pattern = "**/api/conversations/*"
    page.route(pattern, lambda route: route.fulfill(status=503, json={"error": "Too busy. Try again."}))
    site.open(page)
    expect(page.locator(".toast")).to_contain_text("Too busy")
    page.unroute(pattern)
    site.open(page)
    expect(page.locator("#chat .answer-done")).to_have_text(ANSWER)
    site.complaints.clear()  # the browser reports the failure


def test_a_bad_answer_is_kept_for_eval(site: Site, ask: Ask) -> None:
    page = site.open()
    ask(page, "When does it close?")
    page.locator(".rate-down").click()
    expect(page.locator(".rate-down")).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".toast")).to_contain_text("feedback.jsonl")
    row = json.loads((site.script.data / "feedback.jsonl").read_text(encoding="utf-8"))
    assert row["question"] == "When does it close?"
    assert row["id"]
    site.open(page)
    expect(page.locator(".rate-down")).to_have_attribute("aria-pressed", "true")


def test_a_failure_is_said_and_can_be_tried_again(site: Site, ask: Ask) -> None:
    page = site.open()
    ask(page, "a broken question")
    expect(page.locator("#chat .problem")).to_contain_text("The model is gone. Ask again.")
    expect(page.locator("#chat .answer-done")).to_have_count(0)
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#chat .problem")).to_contain_text("The model is gone. Ask again.")
    expect(page.locator("#chat .turn")).to_have_count(1)


def test_two_people_see_only_their_own(site: Site, ask: Ask) -> None:
    site.script.assistant.pause = 0.15
    one, two = site.open(), site.open()
    ask(one, "A question of the first")
    ask(two, "A question of the second")
    both = "() => document.querySelectorAll('#chat .answer-done').length === 1"
    one.wait_for_function(both)
    two.wait_for_function(both)
    begun = sorted(turn[0] for turn in site.script.assistant.asked)  # who is quicker is chance
    assert begun == ["A question of the first", "A question of the second"]
    expect(two.locator("#chat")).not_to_contain_text("of the first")
    expect(two.locator("#history")).not_to_contain_text("of the first")
    foreign = one.evaluate("JSON.parse(localStorage['parley.conversation'])")
    statuses = two.evaluate(
        """async (id) => Promise.all([
             fetch(`/api/conversations/${id}`), fetch(`/api/conversations/${id}/export`),
             fetch(`/api/conversations/${id}`, {method: "DELETE"}),
           ].map(async (answer) => (await answer).status))""",
        foreign,
    )
    assert statuses == [404, 404, 404]
    site.complaints.clear()  # the browser reports the three refusals


def test_whoever_just_types_writes_a_question(site: Site) -> None:
    page = site.open()
    page.keyboard.type("When?")
    expect(page.locator("#question textarea")).to_have_value("When?")


def test_suggestions_begin_a_conversation(site: Site) -> None:
    page = site.open()
    page.get_by_role("button", name="Who built the lighthouse?").click()
    expect(page.locator("#chat .asked")).to_have_text("Who built the lighthouse?")
    expect(page.locator("#chat .answer-done")).to_have_text(ANSWER)


def test_the_voice_that_speaks_is_named_with_the_reason(site: Site) -> None:
    page = site.open()
    engines = page.locator("#engines")
    expect(engines).to_contain_text("Speaks tone")
    page.locator("#tools summary").click()
    page.get_by_label("Voice", exact=True).select_option("Off")
    expect(engines).to_contain_text("Speaks off")
    page.get_by_label("Voice", exact=True).select_option("Other")
    expect(engines).to_contain_text("Speaks whistle")
    site.script.why = "Other cannot be reached. whistle speaks for now."
    page.evaluate(  # what a voice that fails brings
        """import("/parley/socket.js").then(({ socket }) =>
             socket.dispatchEvent(new CustomEvent("notice", { detail: { turn: 0, message: "Oh!" } })))"""
    )
    expect(engines.locator(".panel")).to_contain_text("whistle speaks for now")
    expect(page.locator("#tools .note")).to_have_text(site.script.why)
    page.get_by_label("Voice", exact=True).select_option("Tone")
    expect(engines).to_contain_text("Speaks tone")


def test_an_engine_that_loads_is_named_once(site: Site) -> None:
    site.script.states[1] = EngineState("embedder", "", "loading")
    page = site.open(ready=False)
    expect(page.locator("#engines .engine").nth(1)).to_have_text("Search loading")
    expect(page.locator("#engines .panel strong").nth(1)).to_have_text("Search")


def test_notices_and_engines_are_said(site: Site, ask: Ask) -> None:
    site.script.assistant.notices = ("One passage was dropped.",)
    page = site.open()
    expect(page.locator("#engines")).to_contain_text("PocketSphinx weak")
    page.locator("#engines summary").click()
    expect(page.locator("#engines .panel")).to_contain_text("For Whisper, connect once.")
    page.keyboard.press("Escape")
    expect(page.locator("#engines .panel")).to_be_hidden()
    ask(page, "When does it close?")
    expect(page.locator("#chat .notices")).to_contain_text("One passage was dropped.")


def test_who_waits_for_the_model_sees_for_how_long(site: Site, ask: Ask) -> None:
    site.script.assistant.queue = (Queued(3, 12.4), Queued(1, 4.2))
    site.script.assistant.pause = 0.15
    page = site.open()
    page.locator("#question textarea").fill("When does the lamp room close?")
    page.locator("#send").click()
    place = page.locator("#chat .waiting .place")
    expect(place).to_have_text("3 before you, about 12 s")
    expect(place).to_have_text("1 before you, about 4 s")
    expect(page.locator("#chat .answer-done")).to_have_text(ANSWER)
    expect(place).to_have_count(0)


SEEN = """() => {
  window.draws = []; // milliseconds since 1970, and when each token was made that it shows for the first time
  let shown = 0;
  new MutationObserver(() => {
    const body = [...document.querySelectorAll("#chat .body")].at(-1);
    if (body.classList.contains("answer-done")) return;
    const made = body.textContent.trim().split(" ").filter((text) => text.length === 13).map(Number);
    if (made.length > shown) window.draws.push([Date.now(), ...made.slice(shown)]);
    shown = made.length;
  }).observe(document.querySelector("#chat"), { subtree: true, childList: true, characterData: true });
}"""


@pytest.mark.alone
def test_tokens_are_seen_soon_and_the_page_is_not_drawn_too_often(site: Site, ask: Ask) -> None:
    assistant, page = site.script.assistant, site.open()
    for number in range(30):
        ask(page, f"Question {number}?")
        expect(page.locator("#chat .answer-done")).to_have_count(number + 1)
    assistant.text, assistant.pause, assistant.stamped = "x " * 400, 0.01, True
    page.evaluate(SEEN)
    ask(page, "And now fast?")
    expect(page.locator("#chat .answer-done")).to_have_count(31)
    draws = page.evaluate("window.draws")
    late = sorted(drawn - made for drawn, *tokens in draws for made in tokens)
    seconds = (draws[-1][0] - draws[0][0]) / 1000
    assert len(draws) / seconds <= 26
    assert late[round(0.95 * (len(late) - 1))] <= 80
