"""What is heard and said, in a real browser: the fake microphone, the player, mute, replay."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from speech.audio import decode
from tests.browser.conftest import Site
from tests.ui.scripted import ANSWER, Heard

pytestmark = pytest.mark.browser

Ask = Callable[[Page, str], None]
LOUD = "window.parleyPlayer.state === 'playing' && window.parleyPlayer.rms() > 0.02"


def record(page: Page) -> None:
    page.locator("#mic").click()
    expect(page.locator("#mic")).to_have_attribute("data-state", "recording")
    page.wait_for_function(  # long enough that there is something to decode
        "begun => performance.now() - begun > 700", arg=page.evaluate("performance.now()")
    )
    page.locator("#mic").click()


def test_speech_becomes_a_question_that_can_be_corrected(site: Site) -> None:
    page = site.open()
    record(page)
    box = page.locator("#question textarea")
    expect(box).to_have_value("When does the lamp room close?")
    sound = decode(site.script.recordings[0])
    assert abs(sound).max() > 0.05
    box.press("End")
    box.press_sequentially(" Today?")
    box.press("Enter")
    expect(page.locator("#chat .asked")).to_have_text("When does the lamp room close? Today?")
    expect(page.locator("#chat .answer-done")).to_have_text(ANSWER)
    expect(page.locator("#latency [data-name=transcript]")).to_be_visible()
    expect(page.locator("#latency [data-name=first_audio]")).to_be_visible()


def test_speech_is_sent_at_once_where_that_is_wished(site: Site) -> None:
    page = site.open()
    page.locator("#tools summary").click()
    page.get_by_label("Send what I say at once").check()
    site.open(page)
    record(page)
    expect(page.locator("#chat .answer-done")).to_have_text(ANSWER)


def test_silence_and_a_refused_microphone_are_explained(site: Site) -> None:
    site.script.heard = Heard("")
    page = site.open()
    record(page)
    expect(page.locator(".toast")).to_contain_text("I heard nothing.")
    expect(page.locator("#question textarea")).to_have_value("")
    page.evaluate(
        """() => { navigator.mediaDevices.getUserMedia =
                     () => Promise.reject(new DOMException("no", "NotAllowedError")); }"""
    )
    page.locator("#mic").click()
    expect(page.locator(".toast", has_text="Allow it")).to_be_visible()
    expect(page.locator("#mic")).to_have_attribute("data-state", "idle")


def test_the_voice_begins_before_the_text_is_complete(site: Site, ask: Ask) -> None:
    site.script.assistant.pause = 0.15
    site.script.assistant.text = "A first sentence is here. " + "Then come many more words. " * 10
    page = site.open()
    ask(page, "Tell me")
    page.wait_for_function(f"{LOUD} && !document.querySelector('.answer-done')")
    page.locator("#stop").click()
    assert site.script.tone.spoken[0].startswith("A first sentence")


def test_nothing_of_an_earlier_turn_is_heard(site: Site, ask: Ask) -> None:
    site.script.assistant.text = "This one goes on and on for a long time, sentence after sentence. " * 5
    page = site.open()
    ask(page, "First")
    page.wait_for_function(LOUD)
    site.script.assistant.text = ""
    site.script.assistant.documents = ()
    ask(page, "Second")
    expect(page.locator("#chat .answer-done, #chat .answer-stopped")).to_have_count(2)
    page.wait_for_function("window.parleyPlayer.state === 'idle'")
    assert page.evaluate("window.parleyPlayer.played") == 0


def test_mute_is_remembered_and_replay_speaks_again(site: Site, ask: Ask) -> None:
    page = site.open()
    page.locator(".mute").click()
    site.open(page)
    expect(page.locator(".mute")).to_have_accessible_name("Unmute the voice")
    ask(page, "When does it close?")
    expect(page.locator("#chat .answer-done")).to_have_text(ANSWER)
    assert site.script.requests == []  # muted, no text goes to a voice at all
    page.locator(".replay").click()
    page.wait_for_function(LOUD)
    expect(page.locator(".mute")).to_have_accessible_name("Mute the voice")
    page.locator(".mute").click()
    page.wait_for_function("window.parleyPlayer.rms() < 0.001")
    page.locator(".mute").click()
    page.wait_for_function(LOUD)
    page.keyboard.press("Escape")
    page.wait_for_function("window.parleyPlayer.state === 'idle'")


def test_voice_and_speed_are_chosen_and_their_price_is_said(site: Site, ask: Ask) -> None:
    page = site.open()
    page.locator("#tools summary").click()
    expect(page.locator("#tools .note")).to_contain_text("sent to Google")
    page.get_by_label("Voice", exact=True).select_option(label="Other")
    expect(page.locator("#tools .note")).to_be_hidden()
    page.get_by_label("Speed").fill("1.5")
    ask(page, "When does it close?")
    expect(page.locator("#chat .answer-done")).to_have_count(1)
    assert [(request.voice, request.speed) for request in site.script.requests] == [("b", 1.5)]
    page.locator("#stop").click()
    page.locator("#tools summary").click()
    page.get_by_label("Voice", exact=True).select_option(label="Off")
    ask(page, "And now?")
    expect(page.locator("#chat .answer-done")).to_have_count(2)
    assert len(site.script.requests) == 1


def test_the_voice_socket_comes_back(site: Site) -> None:
    page = site.open()
    key = page.evaluate("window.parleyPlayer.key")
    page.evaluate("window.parleyPlayer.socket.close()")
    page.wait_for_function("key => window.parleyPlayer.key && window.parleyPlayer.key !== key", arg=key)


def test_escape_ends_a_transcription_that_nobody_waits_for(site: Site) -> None:
    gone = threading.Event()

    def transcribe(recording: bytes, language: str | None, should_stop: Callable[[], bool]) -> Heard:
        until = time.monotonic() + 20
        while not should_stop() and time.monotonic() < until:
            time.sleep(0.01)
        gone.set()
        return Heard()

    site.script.transcribe = transcribe  # type: ignore[method-assign]
    page = site.open()
    record(page)
    expect(page.locator("#mic")).to_have_attribute("data-state", "writing")
    page.keyboard.press("Escape")
    expect(page.locator("#mic")).to_have_attribute("data-state", "idle")
    assert gone.wait(10)
    expect(page.locator("#question textarea")).to_have_value("")
    expect(page.locator("#stop")).to_be_disabled()


def test_a_browser_that_cannot_record_says_so(site: Site) -> None:
    page = site.open()
    page.evaluate(
        """() => { window.MediaRecorder = function () {
                     throw new DOMException("no", "NotSupportedError"); }; }"""
    )
    page.locator("#mic").click()
    expect(page.locator(".toast")).to_contain_text("cannot record (NotSupportedError)")
    expect(page.locator("#mic")).to_have_attribute("data-state", "idle")
