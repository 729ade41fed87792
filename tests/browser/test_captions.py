"""What is being said, in sight: the words of a question, the spoken sentence, its source, how long it took.

The server of the voice socket is played by the test, so that each message comes when the test says so.
"""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from tests.browser.conftest import TIMEOUT, Site
from tests.browser.test_access import contrast
from ui.conversations import Conversations, Passage, Turn

pytestmark = pytest.mark.browser

RATE = 24_000
LIVE = 1 << 20  # the first turn of a live conversation
ID = "a-conversation"
ANSWER = (
    "Two things:\n\n"
    "1. **The lamp room** closes at half past five in winter. [1]\n"
    "2. It was built in *1869*\n   by local masons [2]. 🙂 Ask *again*.\n"
)
CLOSES = "**The lamp room** closes at half past five in winter."
BUILT = "It was built in *1869*\n   by local masons [2]."
SOURCES = [
    Passage(
        "lighthouse.pdf",
        2,
        0,
        90,
        0.9,
        "Visitors may climb.\nThe lamp room closes at\nhalf past five in winter.",
    ),
    Passage("masons.txt", None, 0, 40, 0.4, "The local masons were paid in fish."),
]
SHOWN = [passage.__dict__ | {"pieces": [[passage.text, False]]} for passage in SOURCES]
WITHOUT_HIGHLIGHTS = "Object.defineProperty(CSS, 'highlights', {value: undefined})"


class Server:
    """The other end of a page's voice socket."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.received: list[dict[str, Any]] = []
        page.route_web_socket("**/voice/ws", self._opened)

    def _opened(self, socket: WebSocketRoute) -> None:
        self.socket = socket
        socket.on_message(self._take)
        self.tell("key", key="the key")

    def _take(self, message: str | bytes) -> None:
        if isinstance(message, bytes):
            return
        self.received.append(json.loads(message))
        if self.received[-1]["type"] == "talk":
            self.tell("talking", conversation=self.received[-1]["conversation"] or ID, notice="")
            self.state("listening")

    def tell(self, type: str, **message: object) -> None:
        self.socket.send(json.dumps({"type": type, **message}))

    def state(self, state: str) -> None:
        self.tell("state", state=state, hearing=False)

    def line(self, kind: str, of: int = LIVE, **line: object) -> None:
        self.tell("line", turn=of, line={"type": kind, **line})

    def asked(self, question: str = "When?", turn: int = LIVE) -> None:
        self.tell("asked", turn=turn, conversation=ID, question=question)
        self.line("turn", turn, id=7, spoken=True, replaces=False)
        self.line("sources", turn, sources=SHOWN)

    def done(self, answer: str = ANSWER, turn: int = LIVE, **timings: float) -> None:
        kept = Turn(
            "When?", answer, "done", answered=True, confidence=0.9, engine="played", timings=timings, id=7
        )
        self.line("done", turn, turn=kept.__dict__ | {"sources": SHOWN})

    def sound(self, turn: int = LIVE, seconds: float = 10.0) -> None:
        tone = 3000 * np.sin(2 * np.pi * 330 * np.arange(int(RATE * seconds)) / RATE)
        self.socket.send(struct.pack("<II", turn, RATE) + tone.astype("<i2").tobytes())

    def mark(self, stretch: str, kind: str = "sentence", turn: int = LIVE, text: str = ANSWER) -> None:
        """From now on this stretch of the answer is spoken."""
        start = units(text[: text.index(stretch)])
        self.tell("mark", turn=turn, at=0.0, start=start, end=start + units(stretch), kind=kind)


def units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


class Stage:
    """Opens pages whose voice socket the test plays."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.errors: list[str] = []

    def open(self, script: str = "", **options: Any) -> tuple[Page, Server]:
        context = self.site.browser.new_context(**options)
        context.set_default_timeout(TIMEOUT)
        self.site.contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        if script:
            page.add_init_script(script)
        server = Server(page)
        return self.site.open(page), server

    def talking(self, script: str = "", **options: Any) -> tuple[Page, Server]:
        """A page in a live conversation."""
        page, server = self.open(script, **options)
        page.locator("#talk").click()
        expect(page.locator("#talk")).to_have_attribute("data-state", "listening")
        return page, server

    def speaking(self, answer: str = ANSWER, **options: Any) -> tuple[Page, Server]:
        """A page that speaks the answer."""
        page, server = self.talking(**options)
        server.asked()
        server.line("token", text=answer)
        server.done(answer, retrieval=0.01, total=0.2)
        server.sound()
        server.state("speaking")
        page.wait_for_function("window.parleyPlayer.state === 'playing'")
        return page, server


@pytest.fixture
def stage(site: Site) -> Iterator[Stage]:
    made = Stage(site)
    yield made
    assert not made.errors


def highlighted(page: Page, name: str, text: str) -> None:
    """Wait until this text is highlighted under this name, and no other; its parts are joined by bars."""
    page.wait_for_function(
        """([name, text]) => {
             const ranges = CSS.highlights ? [...(CSS.highlights.get(name) ?? [])]
               : [...document.querySelectorAll(`mark.${name}`)];
             return ranges.map((one) => one.textContent ?? one.toString()).join("|") === text;
           }""",
        arg=[name, text],
    )


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


@pytest.mark.parametrize(("width", "height"), [(390, 844), (800, 740), (1280, 800)])
def test_a_message_covers_nothing(stage: Stage, width: int, height: int) -> None:
    page, server = stage.speaking(viewport={"width": width, "height": height})
    server.mark(CLOSES)
    server.tell("notice", turn=0, message="What you said cannot be written down. Say it again.")
    toast = page.locator(".toast.problem")
    expect(toast).to_be_in_viewport(ratio=1)
    covered = toast.evaluate(
        """(toast) => {
             const own = toast.getBoundingClientRect();
             const meets = (node) => {
               const { left, right, top, bottom } = node.getBoundingClientRect();
               return left < own.right && own.left < right && top < own.bottom && own.top < bottom;
             };
             const others = "#top, .log, .captions, #composer, #latency, #sources";
             return [...document.querySelectorAll(others)].filter(meets)
               .filter((node) => node.checkVisibility({visibilityProperty: true}))
               .map((node) => node.id || node.className); }"""
    )
    assert covered == []
    if width < 860:
        page.locator(".drawer-sources").click()
        expect(page.locator("#right")).to_be_visible()
        page.wait_for_function(
            """() => document.querySelector("#right").getBoundingClientRect().top
                 >= document.querySelector(".toast").getBoundingClientRect().bottom"""
        )


def test_what_is_only_information_goes_when_it_has_been_read(site: Site) -> None:
    page = site.open()
    page.clock.install()
    page.evaluate(
        """async () => { const { toast } = await import("/parley/dom.js");
                         toast("A problem."); toast("A problem."); toast("Information.", "hint"); }"""
    )
    problem, hint = page.locator(".toast.problem"), page.locator(".toast.hint")
    hint.hover()
    page.clock.run_for(60_000)
    expect(hint).to_be_visible()
    hint.get_by_role("button", name="Close").focus()
    page.mouse.move(1, 1)
    page.clock.run_for(60_000)
    expect(hint).to_be_visible()
    page.locator("#question textarea").focus()
    page.clock.run_for(2_000)
    expect(hint).to_have_count(0)
    page.clock.run_for(60_000)
    expect(problem).to_have_count(1)  # though it was said twice
    problem.get_by_role("button", name="Close").click()
    expect(page.locator(".toast")).to_have_count(0)


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


@pytest.mark.parametrize("without", ["", WITHOUT_HIGHLIGHTS], ids=["highlights", "elements"])
def test_the_sentence_and_the_word_that_are_spoken_stand_out(stage: Stage, without: str) -> None:
    page, server = stage.talking(without)
    server.asked()
    server.line("token", text=ANSWER[:58])
    server.sound()
    server.mark(CLOSES)
    highlighted(page, "spoken-sentence", "The lamp room| closes at half past five")
    server.line("token", text=ANSWER[58:])
    highlighted(page, "spoken-sentence", "The lamp room| closes at half past five in winter.")
    server.mark("room", "word")
    highlighted(page, "spoken-word", "room")
    expect(page.locator(".captions .said")).to_have_text("The lamp room closes at half past five in winter.")
    expect(page.locator(".captions .word")).to_have_text("room")
    server.done()
    highlighted(page, "spoken-word", "room")
    expect(page.locator("#chat .cite.spoken")).to_have_text("[1]")
    server.mark(BUILT)
    highlighted(page, "spoken-sentence", "It was built in |1869| by local masons |.")
    highlighted(page, "spoken-word", "")
    expect(page.locator("#chat .cite.spoken")).to_have_text("[2]")
    server.mark("1869", "word")
    highlighted(page, "spoken-word", "1869")
    expect(page.locator(".captions .said")).to_have_text("It was built in 1869 by local masons .")
    server.mark("🙂 Ask *again*.")
    highlighted(page, "spoken-sentence", "🙂 Ask |again|.")
    expect(page.locator("#chat .cite.spoken")).to_have_count(0)
    shown = page.locator("#chat .body").inner_text()
    server.tell("clear", turn=LIVE)
    highlighted(page, "spoken-sentence", "")
    expect(page.locator(".captions")).to_be_hidden()
    assert page.locator("#chat .body").inner_text() == shown
    expect(page.locator("#chat .body mark")).to_have_count(0)


def test_every_shown_character_knows_where_it_was_written(site: Site) -> None:
    marks = ["**bold**", "*it [1] alic*", "`code`", "[2]", "[9]", "[a](b)", "**", "*", "```", "#", ">", "1."]
    parts = [*marks, "word", "🙂", "é,", "<b>", "\n", "\n\n", "\n  and", "\n- ", "\n> ", "\n```\n"]
    dice = random.Random(5)
    texts = [dice.choice(["", "\n"]) + " ".join(dice.choices(parts, k=30)) for _ in range(400)]
    wrong = site.open().evaluate(
        """async (texts) => {
             const { render } = await import("/parley/markdown.js");
             const cite = (number) => {
               const node = document.createElement("button");
               node.textContent = `[${number}]`;
               return number < 5 ? node : null;
             };
             const wrong = [];
             for (const text of texts) {
               const places = [];
               const shown = render(text, cite, places).textContent;
               const known = places.map(({ node }) => node.data).join("");
               const misplaced = places.some(({ node, at }) => node.length !== at.length
                 || at.some((place, unit) => node.data[unit] !== text[place] && !/\\s/.test(node.data[unit]))
                 || at.some((place, unit) => unit && place < at[unit - 1]));
               if (shown !== known || misplaced) wrong.push(text);
             }
             return wrong;
           }""",
        texts,
    )
    assert wrong == []


def test_a_voice_that_tells_words_alone_has_sentences_too(stage: Stage) -> None:
    page, server = stage.speaking()
    server.mark("half", "word")
    highlighted(page, "spoken-word", "half")
    expect(page.locator(".captions .said")).to_contain_text(
        "The lamp room closes at half past five in winter."
    )
    server.mark("again", "word")
    expect(page.locator(".captions .said")).to_have_text("🙂 Ask again.")


def test_a_typed_answer_is_followed_until_its_sound_ends(
    site: Site, ask: Callable[[Page, str], None]
) -> None:
    site.script.assistant.text = "It **closes** at half past five. [1]"
    page = site.open()
    ask(page, "When does it close?")
    highlighted(page, "spoken-sentence", "It |closes| at half past five. ")
    expect(page.locator("#sources .card.spoken .number")).to_have_text("1")
    expect(page.locator(".captions .said")).to_have_text("It closes at half past five.")
    page.wait_for_function("window.parleyPlayer.state === 'idle'")
    highlighted(page, "spoken-sentence", "")
    expect(page.locator(".captions")).to_be_hidden()
    expect(page.locator("#sources .card.spoken")).to_have_count(0)
    expect(page.locator("#chat .cite.spoken")).to_have_count(0)
    page.locator(".replay").click()
    highlighted(page, "spoken-sentence", "It |closes| at half past five. ")
    page.locator("#stop").click()
    highlighted(page, "spoken-sentence", "")


def test_the_source_of_what_is_spoken_is_shown_beside_it(stage: Stage) -> None:
    long = [passage | {"text": "A line.\n" * 40, "pieces": [["A line.\n" * 40, False]]} for passage in SHOWN]
    page, server = stage.speaking(viewport={"width": 1280, "height": 500})
    page.locator("#question textarea").focus()
    server.mark(CLOSES)
    card = page.locator("#sources .card").first
    expect(page.locator("#sources .card.spoken .number")).to_have_text("1")
    expect(card.locator(".now")).to_have_text("spoken now")
    highlighted(page, "spoken-source", "The lamp room closes at\nhalf past five in winter.")
    expect(page.locator(".captions .from")).to_have_text("lighthouse.pdf, page 2")
    server.mark(BUILT)
    expect(page.locator("#sources .card.spoken .number")).to_have_text("2")
    expect(card.locator(".now")).to_be_hidden()
    highlighted(page, "spoken-source", "")
    expect(page.locator(".captions .from")).to_have_text("masons.txt")
    assert page.evaluate("document.activeElement.tagName") == "TEXTAREA"
    server.asked("And?", LIVE + 1)
    server.line("sources", LIVE + 1, sources=[*long, *long])
    server.line("token", LIVE + 1, text="The last line is said. [4]")
    server.sound(LIVE + 1)
    server.mark("The last line is said.", turn=LIVE + 1, text="The last line is said. [4]")
    expect(page.locator("#sources .card").last).to_have_class("card spoken")
    expect(page.locator("#sources .card").last.locator(".head")).to_be_in_viewport()


def test_captions_are_there_when_the_answer_is_scrolled_away_and_on_a_phone(stage: Stage) -> None:
    long = f"{ANSWER}\n" + "A further paragraph that is read later.\n\n" * 40
    page, server = stage.speaking(long, viewport={"width": 360, "height": 640}, color_scheme="dark")
    server.mark(CLOSES)
    server.mark("room", "word")
    expect(page.locator(".captions .word")).to_have_text("room")
    page.evaluate("document.querySelector('.log').scrollTop = 1e6")
    expect(page.locator("#chat .body strong")).not_to_be_in_viewport()
    expect(page.locator(".captions .said")).to_be_in_viewport(ratio=1)
    assert page.evaluate("document.body.dataset.drawer") is None
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for selector in (
        "#question",
        "#talk",
        ".push",
        ".mute-mic",
        "#stop",
        "#send",
        ".captions",
        "#latency",
    ):
        box = page.locator(selector).bounding_box()
        assert box is not None, selector
        assert box["x"] >= 0, selector
        assert box["x"] + box["width"] <= 360, selector
        assert box["y"] + box["height"] <= 640, selector
    log = page.locator(".log").bounding_box()
    assert log is not None
    assert log["height"] > 120


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


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_state_can_be_seen_read_and_told_apart(stage: Stage, scheme: str) -> None:
    page, server = stage.speaking(color_scheme=scheme, reduced_motion="reduce")
    server.mark(CLOSES)
    server.mark("room", "word")
    server.tell("words", text="No, I meant", final=False)
    for selector in (".captions .word", "#chat .asked.live"):
        expect(page.locator(selector)).to_be_visible()
    for selector in (
        ".captions .said",
        ".captions .word",
        ".captions .from",
        "#chat .asked.live",
        "#chat .cite.spoken",
        "#sources .now",
        "#latency .figure",
    ):
        assert contrast(page, selector) >= 4.5, selector
    looks = set()
    for state in ("idle", "listening", "thinking", "speaking", "muted"):
        page.locator("#talk").evaluate("(node, state) => { node.dataset.state = state; }", state)
        assert contrast(page, "#talk") >= 4.5, state
        looks.add(
            page.locator("#talk").evaluate(
                """(node) => { const style = getComputedStyle(node);
                     return [style.borderStyle, style.borderRadius, style.boxShadow].join(); }"""
            )
        )
    assert len(looks) == 5  # by more than their colours
    assert page.evaluate("document.getAnimations().length") == 0
    assert page.locator(".captions").get_attribute("aria-label") == "Captions"
    assert page.evaluate("document.querySelectorAll('.captions [aria-live]').length") == 0


def test_the_pulse_is_slow(stage: Stage) -> None:
    page, _ = stage.talking()
    lasts = page.locator("#talk").evaluate(
        """(node) => node.getAnimations().filter((one) => one.animationName)
             .map((one) => one.effect.getTiming().duration)"""
    )
    assert len(lasts) == 1
    assert lasts[0] >= 2000  # milliseconds


def test_on_a_phone_notices_leave_the_question_and_its_answer_in_sight(
    site: Site, ask: Callable[[Page, str], None]
) -> None:
    page = site.open(viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
    ask(page, "When does it close?")
    expect(page.locator("#chat .answer-done")).to_be_visible()
    page.evaluate(
        """async () => { const { toast } = await import("/parley/dom.js");
                         for (const name of ["A", "B"]) toast(`${name} ${"long notice ".repeat(20)}`); }"""
    )
    notices = page.locator(".toast")
    expect(notices).to_have_count(2)
    for node in (page.locator("#chat .asked"), page.locator("#chat .answer-done")):
        expect(node).to_be_in_viewport(ratio=1)
    low = "nodes => Math.max(...nodes.map((node) => node.getBoundingClientRect().bottom))"
    assert notices.evaluate_all(low) <= 0.25 * 844
    notices.last.locator("span").tap()
    whole = notices.last.locator("span").evaluate("node => node.scrollHeight <= node.clientHeight")
    assert whole, "all of it is read at a touch"
