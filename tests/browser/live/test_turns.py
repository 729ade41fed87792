"""The turns of a live conversation: words, question and answer, how they end, and how long each step took."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.live.stage import ANSWER, ID, LIVE, SHOWN, SOURCES, Stage
from ui.conversations import Conversations, Turn

pytestmark = pytest.mark.browser


def test_the_words_fill_a_bubble_that_becomes_the_question(stage: Stage) -> None:
    page, server = stage.open()
    bubble = page.locator("#chat .asked.live")
    announced = page.locator("[role=status][aria-live=polite].unseen")
    server.tell("talking", conversation=ID, notice="")
    server.tell("words", text="When does", final=False)
    expect(bubble).to_have_text("When does")
    expect(page.locator("#chat .welcome")).to_have_count(0)
    server.tell("words", text="When does it close", final=True)
    expect(bubble).to_have_text("When does it close")
    expect(bubble).to_have_attribute("aria-hidden", "true")
    expect(announced).not_to_contain_text("When does")
    server.asked("When does it close?")
    expect(bubble).to_have_count(0)
    expect(page.locator("#chat .asked")).to_have_text("When does it close?")
    expect(announced).to_contain_text("You asked: When does it close?")
    server.tell("words", text="Hm", final=False)
    expect(bubble).to_have_text("Hm")
    assert page.evaluate("document.querySelector('.log').lastElementChild.textContent") == "Hm"
    server.tell("unheard")
    expect(bubble).to_have_count(0)


def test_a_live_turn_looks_like_a_typed_one_and_is_cut_to_what_was_heard(stage: Stage) -> None:
    page, server = stage.talking()
    server.asked()
    server.line("standalone", question="When does the lamp room close?")
    server.line("notice", message="One passage was dropped.")
    server.line("token", text=ANSWER[:60])
    expect(page.locator("#chat .body")).to_contain_text("The lamp room")
    expect(page.locator("#sources .card")).to_have_count(2)
    expect(page.locator("#chat .understood")).to_contain_text("When does the lamp room close?")
    expect(page.locator("#chat .notices")).to_contain_text("dropped")
    server.line("token", text=ANSWER[60:])
    server.done()
    expect(page.locator("#chat .answer-done li")).to_have_count(2)
    server.tell("interrupted", turn=LIVE, answer="Two things:")
    expect(page.locator("#chat .answer-stopped")).to_have_text("Two things:")
    expect(page.locator("#chat .answer-done")).to_have_count(0)
    expect(page.locator("#chat .foot .state")).to_have_text("Interrupted")
    server.asked("And now?", LIVE + 1)  # and again before the answer is complete
    server.line("token", LIVE + 1, text="It closes at half past")
    server.tell("interrupted", turn=LIVE + 1, answer="It closes")
    server.line("token", LIVE + 1, text=" five.")  # too late
    expect(page.locator("#chat .turn").last.locator(".answer-stopped")).to_have_text("It closes")
    expect(page.locator("#stop")).to_be_disabled()


def test_sources_mark_only_what_was_heard_of_an_interrupted_answer(stage: Stage) -> None:
    page, server = stage.talking()
    quoted = [
        {**SHOWN[0], "pieces": [["Visitors may climb.\n", False], [SOURCES[0].text[20:], True]]},
        {**SHOWN[1], "pieces": [[SOURCES[1].text, True]]},
    ]
    said = "The lamp room closes at half past five in winter. [1] The local masons were paid in fish. [2]"
    server.asked()
    server.line("sources", sources=quoted)
    server.line("token", text=said)
    marks = page.locator("#sources mark")
    expect(marks).to_have_text(["The lamp room closes at half past five in winter.", SOURCES[1].text])
    server.tell("interrupted", turn=LIVE, answer=said[:53])
    expect(marks).to_have_text(["The lamp room closes at half past five in winter."])
    server.tell("interrupted", turn=LIVE, answer="The lamp room closes at half")
    expect(marks).to_have_text(["The lamp room closes at half"])
    server.tell("interrupted", turn=LIVE, answer="The lamp")
    expect(marks).to_have_count(0)
    expect(page.locator("#sources .card")).to_have_count(2)


def test_an_interrupted_answer_is_marked_after_a_reload(stage: Stage) -> None:
    page, _ = stage.open()
    new = "async () => (await (await fetch('/api/conversations', {method: 'POST'})).json()).id"
    conversation = page.evaluate(new)
    store = Conversations(stage.site.script.data / "parley.db")
    store.add(conversation, Turn("When?", "Two things:", "interrupted", sources=tuple(SOURCES)))
    store.close()
    page.evaluate("(id) => localStorage.setItem('parley.conversation', JSON.stringify(id))", conversation)
    stage.site.open(page)
    expect(page.locator("#chat .answer-stopped")).to_have_text("Two things:")
    expect(page.locator("#chat .foot .state")).to_have_text("Interrupted")


def test_each_step_of_the_last_turn_is_shown_with_its_time(stage: Stage) -> None:
    page, server = stage.talking()
    server.asked()
    server.done("At five.", retrieval=0.55, first_token=0.6, total=2.3456)
    server.tell("latency", turn=LIVE, timings={"endpoint": 0.4, "transcript": 0.52, "first_sentence": 0.61})
    server.tell("latency", turn=LIVE, timings={"audio_sent": 0.62, "first_audio": 0.996})
    figures = page.locator("#latency .figure")
    expect(figures).to_have_text(
        [
            "total 2.3 s",
            "endpoint 400 ms",
            "transcript 520 ms",
            "first token 600 ms",
            "first audio 1.0 s",
            "retrieval 550 ms",
            "first sentence 610 ms",
            "audio sent 620 ms",
        ]
    )
    rest = page.locator("#latency details .figure")
    expect(rest).to_have_count(3)
    expect(rest.first).to_be_hidden()
    page.locator("#latency summary").click()
    expect(rest.first).to_be_visible()
    strip = page.get_by_role("img", name="Step by step")
    expect(strip.locator(".segment")).to_have_count(7)
    expect(strip.locator("[data-step=transcript]")).to_have_attribute("title", "Transcript: 120 ms")
    expect(page.locator("#latency [data-name=first_audio]")).to_have_attribute(
        "title", "1.0 s after the end of speech; 380 ms after the step before"
    )
    widths = strip.evaluate("node => [...node.children].map((one) => one.getBoundingClientRect().width)")
    assert widths[0] > widths[1]
    whole = strip.bounding_box()
    assert whole is not None
    assert sum(widths) > 0.95 * whole["width"]
    assert widths[1] > 3 * widths[4]
    backgrounds = strip.evaluate("node => [...node.children].map((one) => getComputedStyle(one).background)")
    assert len(set(backgrounds)) == 7
    page.locator("#chat .how summary").click()
    expect(page.locator("#chat .how dl")).to_contain_text("First audio")


def test_the_steps_of_push_to_talk_count_from_letting_go(stage: Stage) -> None:
    page, server = stage.talking()
    server.asked()
    server.done("At five.", release=0.16, transcript=0.0, first_token=0.2, total=0.9, first_audio=0.25)
    figures = page.locator("#latency > .figures > .figure")
    expect(figures).to_have_text(
        ["total 900 ms", "release 160 ms", "transcript 0 ms", "first token 200 ms", "first audio 250 ms"]
    )
    expect(figures.nth(1)).to_have_attribute("title", "160 ms after you let go; 160 ms after the step before")
    page.locator("#chat .how summary").click()
    expect(page.locator("#chat .how dl")).to_contain_text("Letting go noticed")


def test_a_question_is_typed_into_the_live_conversation(stage: Stage) -> None:
    page, server = stage.talking()
    page.locator("#question textarea").fill("And in summer?")
    page.keyboard.press("Enter")
    expect(page.locator("#question textarea")).to_have_value("")
    page.wait_for_function("true")
    assert {"type": "ask", "text": "And in summer?"} in server.received
    expect(page.locator("#chat .turn")).to_have_count(0)  # until the server says that it is asked
    server.asked("And in summer?")
    expect(page.locator("#chat .asked")).to_have_text("And in summer?")
    server.line("token", text="In summer it closes")
    expect(page.locator("#chat .body")).to_have_text("In summer it closes")
    page.keyboard.press("Escape")
    expect(page.locator("#chat .answer-stopped")).to_have_text("In summer it closes")
    expect(page.locator("#chat .foot .state")).to_have_text("Stopped")
    assert {"type": "stop", "turn": LIVE} in server.received


def test_the_live_conversation_ends_with_the_one_that_is_shown(stage: Stage) -> None:
    page, server = stage.talking()
    server.asked()
    server.tell("words", text="What", final=False)
    expect(page.locator("#chat .asked.live")).to_have_text("What")
    page.get_by_role("button", name="New conversation").click()
    expect(page.locator("#talk")).to_have_attribute("data-state", "idle")
    expect(page.locator("#chat .asked")).to_have_count(0)
    expect(page.locator("#chat .welcome")).to_be_visible()
    assert server.received[-1] == {"type": "quiet"}
    server.asked("A question of the one before", LIVE + 1)
    server.tell("notice", turn=0, message="All of it has arrived.")
    expect(page.locator("#chat")).not_to_contain_text("of the one before")


@pytest.mark.parametrize("frames", ["", "window.requestAnimationFrame = (draw) => setTimeout(draw, 1000)"])
def test_an_answer_that_a_lost_connection_ends_says_so(stage: Stage, frames: str) -> None:
    page, server = stage.open(frames)
    server.tell("talking", conversation=ID, notice="")
    server.asked()
    server.line("token", text="It closes")
    server.tell("words", text="What", final=False)
    expect(page.locator("#chat .asked.live")).to_have_text("What")
    server.socket.close()
    expect(page.locator("#chat .problem")).to_contain_text("The connection was lost")
    expect(page.locator("#chat .body")).to_have_text("It closes")
    expect(page.locator("#chat .asked.live")).to_have_count(0)
    expect(page.locator("#stop")).to_be_disabled()
