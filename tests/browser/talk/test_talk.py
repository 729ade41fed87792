"""The page's controls of the live conversation, and what it sends, in a real browser."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest
from playwright.sync_api import expect

from tests.browser.talk.server import RATE, TALKING, TURN, Server, begin, begin_turn, header, noise, play

pytestmark = pytest.mark.browser


@pytest.mark.alone
def test_talk_sends_the_microphone_in_order_at_16_khz(server: Server) -> None:
    begin(server)
    server.until(lambda: len(server.frames) >= 70)
    talk = server.said("talk")[0]
    assert (talk["rate"], talk["speak"], talk["speed"], talk["voice"]) == (16_000, True, 1, "")
    frames = server.frames[:70]
    assert [header(frame) for frame in frames] == [(number, 0, 0) for number in range(70)]
    assert {len(frame) for frame in frames} == {12 + 2 * 512}
    heard = np.concatenate([np.frombuffer(frame, "<i2", offset=12) for frame in frames]) / 32768
    assert abs(heard).max() > 0.02
    spectrum = abs(np.fft.rfft(heard))
    peak = np.fft.rfftfreq(len(heard), 1 / 16_000)[spectrum.argmax()]
    assert abs(peak - 440) < 5  # the right rate, and nothing missing
    page = server.page
    assert page.evaluate("window.parleyTalk.frames") >= 70
    assert page.evaluate("window.parleyTalk.lost") == 0
    page.locator("#talk").click()
    server.wait("quiet")
    expect(page.locator("#talk")).to_have_attribute("data-state", "idle")
    sent = len(server.frames)
    page.wait_for_timeout(150)
    assert len(server.frames) == sent


def test_states_are_shown_and_announced(server: Server) -> None:
    page = server.page
    talk, live = page.locator("#talk"), page.locator("[role=status][aria-live=polite].unseen")
    expect(talk).to_have_attribute("data-state", "idle")
    expect(talk).to_have_attribute("aria-pressed", "false")
    expect(talk).to_have_text("Talk")
    begin(server)
    expect(live).to_have_text("Listening.")
    for state, text, said in (
        ("thinking", "Thinking", "Thinking."),
        ("speaking", "Speaking", "Speaking."),
        ("listening", "Listening", "Listening."),
    ):
        server.tell(type="state", state=state, hearing=False)
        expect(talk).to_have_attribute("data-state", state)
        expect(talk).to_have_text(text)
        expect(talk).to_have_attribute("aria-label", re.compile("Press to end"))
        expect(live).to_have_text(said)
    server.tell(type="state", state="listening", hearing=True)
    server.tell(type="words", text="when does", final=False)
    expect(talk).to_have_text("Hearing you")
    page.wait_for_function("window.parleyTalk.hearing && window.parleyTalk.words === 'when does'")
    expect(page.locator("meter.level")).to_be_visible()
    page.wait_for_function("document.querySelector('meter.level').value > 0.3")
    talk.click()
    expect(live).to_have_text("The conversation by voice has ended.")
    expect(page.locator("meter.level")).to_be_hidden()


def test_announcements_wait_for_the_person_and_for_each_other(server: Server) -> None:
    page = server.page
    begin(server)
    live = page.locator("[role=status][aria-live=polite].unseen")
    expect(live).to_have_text("Listening.")
    page.evaluate(
        """() => { const live = document.querySelector("[role=status][aria-live=polite].unseen");
                   window.said = [];
                   const note = () => window.said.push([performance.now(), live.textContent]);
                   new MutationObserver(note).observe(live, {childList: true}); }"""
    )
    server.tell(type="state", state="thinking", hearing=True)
    page.wait_for_timeout(1200)
    assert page.evaluate("window.said") == []
    for state in ("listening", "thinking", "speaking"):
        server.tell(type="state", state=state, hearing=False)
    expect(live).to_have_text("Speaking.")
    said = page.evaluate("window.said")
    assert "Listening." not in [text for _, text in said]  # which was said before
    assert all(later - earlier > 900 for (earlier, _), (later, _) in itertools.pairwise(said))


def test_mute_by_button_and_key(server: Server) -> None:
    page = server.page
    mute = page.locator(".mute-mic")
    expect(mute).to_be_hidden()
    begin(server)
    expect(mute).to_have_accessible_name("Mute the microphone")
    mute.click()
    assert server.wait("mute") == {"type": "mute", "on": True}
    expect(page.locator("#talk")).to_have_attribute("data-state", "muted")
    expect(page.locator("#talk")).to_have_text("Muted")
    ends = "Microphone muted. Press to end the conversation; M unmutes"
    expect(page.locator("#talk")).to_have_accessible_name(ends)
    expect(mute).to_have_accessible_name("Unmute the microphone")
    page.wait_for_timeout(60)
    sent = len(server.frames)
    page.wait_for_timeout(200)
    assert len(server.frames) == sent
    page.keyboard.press("m")
    assert server.wait("mute", 2) == {"type": "mute", "on": False}
    server.until(lambda: len(server.frames) > sent + 5)
    assert [header(frame)[0] for frame in server.frames] == list(range(len(server.frames)))
    page.locator("#question textarea").press("m")
    expect(page.locator("#question textarea")).to_have_value("m")
    assert len(server.said("mute")) == 2


@pytest.mark.parametrize("by", ["key", "button", "button by key"])
def test_push_to_talk(server: Server, by: str) -> None:
    page = server.page
    hold = page.locator(".push")
    if by == "button":
        hold.hover()
    elif by == "button by key":
        hold.focus()

    def press() -> None:
        page.mouse.down() if by == "button" else page.keyboard.down("Space")

    def let_go() -> None:
        page.mouse.up() if by == "button" else page.keyboard.up("Space")

    press()
    server.wait("talk")
    server.tell(**TALKING)
    assert server.wait("push") == {"type": "push", "down": True}
    server.until(lambda: len(server.frames) > 10)
    expect(hold).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#talk")).to_have_attribute("data-state", "listening")
    let_go()
    up = server.wait("push", 2)
    assert up["down"] is False
    assert 0.14 < up["ago"] < 2  # the last sound is waited for
    expect(page.locator("#talk")).to_have_attribute("data-state", "muted")
    expect(page.locator("#talk")).to_have_text("Hold to talk · press to end")
    sent = len(server.frames)
    page.wait_for_timeout(150)
    assert len(server.frames) == sent  # it hears only while it is held
    press()
    server.wait("push", 3)
    server.until(lambda: len(server.frames) > sent + 10)
    let_go()
    server.wait("push", 4)
    assert len(server.said("talk")) == 1
    assert [header(frame)[0] for frame in server.frames] == list(range(len(server.frames)))


def test_a_tap_says_how_to_hold_and_typing_does_not_talk(server: Server) -> None:
    page = server.page
    page.locator("#question textarea").press_sequentially("a b")
    expect(page.locator("#question textarea")).to_have_value("a b")
    page.locator("#new").focus()
    page.keyboard.press("Space")
    assert not page.evaluate("window.parleyTalk.on")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Space")
    expect(page.locator(".toast")).to_contain_text("Hold the space bar")
    page.wait_for_timeout(300)
    assert server.said("push") == []


@pytest.mark.parametrize("told", [True, False])
def test_a_hold_without_words_says_that_nothing_was_heard(server: Server, told: bool) -> None:
    page = server.page
    page.keyboard.down("Space")
    server.wait("talk")
    server.tell(**TALKING)
    server.wait("push")
    if told:  # a breath; without anything the server has nothing to tell
        server.tell(type="state", state="listening", hearing=True)
    page.keyboard.up("Space")
    server.wait("push", 2)
    if told:
        server.tell(type="unheard")
    nothing = page.locator(".toast", has_text="I heard nothing.")
    expect(nothing).to_have_count(1)
    page.keyboard.down("Space")
    server.wait("push", 3)
    nothing.get_by_role("button", name="Close").click()
    server.tell(type="words", text="When does it close", final=False)
    page.keyboard.up("Space")
    server.wait("push", 4)
    server.tell(type="asked", turn=TURN, conversation="c1", question="When does it close?")
    page.wait_for_timeout(1100)
    expect(nothing).to_have_count(0)


def test_a_weak_recogniser_is_named_once_a_page(server: Server) -> None:
    page = server.page
    expect(page.locator("#engines")).to_contain_text("weak")
    weak = page.locator(".toast.hint", has_text="It often mishears. For Whisper, connect once.")
    begin(server)
    expect(weak).to_be_visible()
    weak.get_by_role("button", name="Close").click()
    page.locator("#talk").click()
    begin_again = len(server.said("talk")) + 1
    page.locator("#talk").click()
    server.wait("talk", begin_again)
    server.tell(**TALKING)
    expect(page.locator("#talk")).to_have_attribute("data-state", "listening")
    expect(weak).to_have_count(0)


def test_record_keeps_its_place_while_a_conversation_has_the_microphone(server: Server) -> None:
    page = server.page
    names = ("#talk", ".push", "#mic", "#stop", "#send")
    before = [page.locator(name).bounding_box() for name in names]
    begin(server)
    expect(page.locator("#mic")).to_be_disabled()
    assert [page.locator(name).bounding_box() for name in names] == before
    page.locator("#talk").click()
    expect(page.locator("#mic")).to_be_enabled()


def test_the_voice_says_a_thing_about_itself_once_in_ten_minutes(server: Server) -> None:
    page = server.page
    notice = "gTTS cannot be reached. Another voice speaks."
    page.clock.install()
    for turn in (TURN, TURN + 1):
        begin_turn(page, turn)
        server.tell(type="notice", turn=turn, message=notice)
        server.tell(type="notice", turn=turn, message=f"That was turn {turn}.")
        expect(page.locator(".toast", has_text=f"That was turn {turn}.")).to_be_visible()
        expect(page.locator(".toast", has_text=notice)).to_have_count(TURN + 1 - turn)
        page.clock.run_for(6000)  # it has been read, and goes
        expect(page.locator(".toast")).to_have_count(0)
    page.clock.run_for(10 * 60 * 1000)
    server.tell(type="notice", turn=TURN + 1, message=notice)
    expect(page.locator(".toast")).to_have_text(notice)


def test_a_question_typed_meanwhile_goes_to_the_conversation(server: Server) -> None:
    page = server.page
    asking = "async () => (await import('/parley/talk.js')).asking('And on Sunday?')"
    assert not page.evaluate(asking)
    begin(server)
    assert page.evaluate(asking)
    assert server.wait("ask") == {"type": "ask", "text": "And on Sunday?"}


def test_what_is_wished_anew_is_told_when_nobody_is_disturbed(server: Server) -> None:
    page = server.page
    begin(server, state="speaking")
    page.locator(".mute").click()  # the loudspeaker: now no text shall go to a voice
    server.tell(type="state", state="listening", hearing=True)
    page.wait_for_function("window.parleyTalk.hearing")
    assert len(server.said("talk")) == 1
    server.tell(type="state", state="listening", hearing=False)
    assert server.wait("talk", 2) == server.said("talk")[0] | {"speak": False, "conversation": "c1"}


def test_a_browser_that_keeps_the_microphones_rate_tells_it(server: Server) -> None:
    page = server.page
    page.evaluate(
        """() => { const { createMediaStreamSource: create } = AudioContext.prototype;
                   AudioContext.prototype.createMediaStreamSource = function (stream) {
                     if (this.sampleRate === 16000) throw new DOMException("no", "NotSupportedError");
                     return create.call(this, stream); }; }"""
    )
    begin(server)
    rate = server.said("talk")[0]["rate"]
    assert rate in {44_100, 48_000}
    server.until(lambda: len(server.frames) > 3)
    assert {len(frame) for frame in server.frames} == {12 + 2 * round(0.032 * rate)}


@pytest.mark.alone
def test_frames_carry_what_the_loudspeaker_plays(server: Server) -> None:
    page = server.page
    begin(server, state="speaking")
    begin_turn(page)
    play(server, noise(2.5))
    server.until(lambda: sum(header(frame)[1] == TURN for frame in server.frames) >= 30)
    server.tell(type="pause", turn=TURN)
    paused = server.wait("paused")["samples"]
    while_playing = [header(frame)[2] for frame in server.frames if header(frame)[1] == TURN]
    page.wait_for_timeout(150)
    assert header(server.frames[-1])[1:] == (0, 0)  # held, nothing is on the loudspeaker
    steps = np.diff(while_playing)
    assert np.median(steps) == 768  # 32 ms
    assert (
        abs(steps - 768).max() <= 1 + RATE * 0.006 + 384
    )  # the clocks' distance is taken anew at most by little
    assert while_playing[-1] <= paused
    server.tell(type="resume", turn=TURN)
    server.until(lambda: header(server.frames[-1])[1] == TURN)
    assert header(server.frames[-1])[2] >= paused
    page.locator(".mute").click()  # the loudspeaker
    server.until(lambda: header(server.frames[-1])[1] == 0)
