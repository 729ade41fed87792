"""A conversation without hands, as a person has it: asked, answered, interrupted, and gone on with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from speech.audio import Samples, wav_bytes
from tests.browser.real import FACTS, PAGE_WAIT, opened
from tests.browser.serving import serve
from tests.speech.speaking import spoken
from tests.ui.scripted import Heard, Script
from ui.web import build_ui

pytestmark = pytest.mark.browser

LATE = 20_000  # milliseconds that a step may take on a busy machine
QUESTION = "When does the garden open?"
LONG = "This answer goes on for a good while, word after word, so that somebody can speak over it. " * 2


def silence(seconds: float) -> Samples:
    return np.zeros(round(16_000 * seconds), np.float32)


@pytest.fixture
def hearing(launch: Callable[[Path], Browser], tmp_path: Path) -> Callable[..., Browser]:
    """A browser whose microphone hears these sounds once, and then nothing for a minute."""

    def start(*sounds: Samples) -> Browser:
        path = tmp_path / "microphone.wav"
        path.write_bytes(wav_bytes(np.concatenate([*sounds, silence(60)]), 16_000))
        return launch(path)

    return start


def talk(page: Page) -> None:
    page.locator("#talk").click()
    expect(page.locator("#talk")).to_have_attribute("data-state", "listening")


@pytest.mark.alone
def test_a_person_asks_hears_interrupts_and_goes_on(hearing: Callable[..., Browser], writing: str) -> None:
    person = hearing(silence(2), spoken(QUESTION), silence(4), spoken("No, I meant the library"), silence(1))
    with opened(person, writing) as page:
        expect(page.locator("#engines")).to_contain_text("pocketsphinx", timeout=PAGE_WAIT)
        talk(page)
        page.locator(".asked.live").wait_for()  # words while they are spoken
        first = page.locator("#chat .turn").first
        expect(first.locator(".asked")).not_to_be_empty(timeout=LATE)
        expect(page.locator("#talk")).to_have_attribute("data-state", "speaking", timeout=LATE)
        page.wait_for_function("window.parleyPlayer.rms() > 0.02")
        expect(page.locator(".captions .said")).not_to_be_empty()
        assert page.evaluate("CSS.highlights.get('spoken-sentence').size > 0")
        expect(page.locator("#sources .card").first).to_be_visible()
        for stage in ("endpoint", "transcript", "first_audio"):
            expect(page.locator(f"#latency [data-name={stage}]")).to_be_visible()

        expect(first.locator(".state")).to_have_text("Interrupted", timeout=LATE)
        heard = first.locator(".body").inner_text()
        assert 0 < len(heard) < len(FACTS) / 2
        page.wait_for_function("document.querySelectorAll('#chat .turn').length === 2")
        page.wait_for_function("window.parleyPlayer.rms() > 0.02")  # it answers what was said last
        page.locator("#talk").click()
        expect(page.locator("#talk")).to_have_attribute("data-state", "idle")

        page.reload()
        expect(page.locator("#chat .turn")).to_have_count(2)
        expect(page.locator("#chat .turn .state").first).to_have_text("Interrupted")
        assert page.locator("#chat .turn .body").first.inner_text() == heard


@pytest.mark.alone
def test_a_sound_without_words_only_pauses_the_answer(
    hearing: Callable[..., Browser], tmp_path: Path
) -> None:
    script = Script(tmp_path)
    script.assistant.text = LONG

    def hear(samples: Samples, language: str | None, should_stop: Callable[[], bool]) -> Heard:
        return Heard("" if script.assistant.answers else QUESTION)

    script.hear = hear  # type: ignore[method-assign]
    person = hearing(silence(1.5), spoken(QUESTION), silence(2.5), spoken("aah, well, aaah"))
    with serve(build_ui(script.services())) as url:
        page = person.new_page()
        page.goto(url)
        page.locator("body.parley-ready").wait_for()
        page.wait_for_function("window.parleyPlayer.key !== ''")
        talk(page)
        page.wait_for_function("window.parleyPlayer.state === 'paused'")
        position = page.evaluate("window.parleyPlayer.position")
        page.wait_for_function("window.parleyPlayer.state === 'playing'")
        resumed = page.evaluate("window.parleyPlayer.position")
        assert 24_000 < position <= resumed < position + 24_000
        expect(page.locator("#talk")).to_have_attribute("data-state", "speaking")
        page.wait_for_function("window.parleyPlayer.state === 'idle'", timeout=40_000)
        expect(page.locator("#chat .answer-done")).to_have_count(1)
        expect(page.locator("#chat .answer-stopped")).to_have_count(0)
        assert page.evaluate("window.parleyPlayer.played") > 0.9 * 0.06 * len(LONG)  # all of the hum
        expect(page.locator("#talk")).to_have_attribute("data-state", "listening")
    assert len(script.assistant.asked) == 1


def test_the_same_conversation_without_a_microphone_says_why(site_without_microphone: Page) -> None:
    page = site_without_microphone
    page.locator("#talk").click()
    expect(page.locator(".toast")).to_contain_text("microphone")
    expect(page.locator("#talk")).to_have_attribute("data-state", "idle")


@pytest.fixture
def site_without_microphone(hearing: Callable[..., Browser], tmp_path: Path) -> Iterator[Page]:
    with serve(build_ui(Script(tmp_path).services())) as url:
        page = hearing().new_page()
        page.add_init_script(
            "navigator.mediaDevices.getUserMedia = () =>"
            " Promise.reject(new DOMException('', 'NotFoundError'))"
        )
        page.goto(url)
        page.locator("body.parley-ready").wait_for()
        page.wait_for_function("window.parleyPlayer.key !== ''")
        yield page
