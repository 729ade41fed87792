"""What is being said, in sight: the spoken sentence and word, and the source that they rest on."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Site
from tests.browser.live.stage import ANSWER, BUILT, CLOSES, LIVE, SHOWN, Stage, highlighted

pytestmark = pytest.mark.browser
WITHOUT_HIGHLIGHTS = "Object.defineProperty(CSS, 'highlights', {value: undefined})"


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
