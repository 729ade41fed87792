"""The page's end of the live conversation, in a real browser; the server's end is played by the test."""

from __future__ import annotations

import base64
import itertools
import json
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, WebSocketRoute, expect
from starlette.responses import Response
from starlette.routing import Route

from tests.browser.conftest import TIMEOUT, chromium_path
from tests.browser.serving import serve
from tests.ui.scripted import Script
from ui.web import build_ui

pytestmark = pytest.mark.browser

RATE = 24_000
TURN = 1 << 20
FADE = 96
HEADER = struct.Struct("<III")
TALKING = {"type": "talking", "conversation": "c1", "notice": ""}
Ask = Callable[[Page, str], None]
Tap = Callable[[], "np.ndarray"]
TAP = """
registerProcessor("tap", class extends AudioWorkletProcessor {
  process([input], [output]) {
    if (input.length) { output[0].set(input[0]); this.port.postMessage(input[0].slice()); }
    return true;
  }
});
"""
INSTALL_TAP = """async () => {
  const { player } = await import("/parley/player.js");
  while (!player.output) await new Promise((next) => setTimeout(next, 5));
  await player.context.audioWorklet.addModule("/parley/tap.js");
  const tap = new AudioWorkletNode(player.context, "tap");
  window.tapped = [];
  tap.port.onmessage = ({ data }) => window.tapped.push(data);
  player.gain.connect(tap).connect(player.context.destination);
}"""
TAPPED = """() => {
  const all = new Float32Array(window.tapped.length * 128);
  window.tapped.forEach((piece, at) => all.set(piece, at * 128));
  let text = "";
  for (const byte of new Uint8Array(all.buffer)) text += String.fromCharCode(byte);
  return btoa(text);
}"""


class Server:
    """The server's end of a page's socket."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.messages: list[dict[str, Any]] = []
        self.frames: list[bytes] = []
        self.connections: list[WebSocketRoute] = []
        self.open = True
        page.route_web_socket(re.compile("/voice/ws$"), self._connected)

    def _connected(self, socket: WebSocketRoute) -> None:
        if not self.open:
            socket.close(code=1011)
            return
        self.connections.append(socket)
        socket.on_message(self._got)
        self.tell(type="key", key=f"key {len(self.connections)}")

    def _got(self, message: str | bytes) -> None:
        if isinstance(message, bytes):
            self.frames.append(message)
        else:
            self.messages.append(json.loads(message))

    def tell(self, **message: object) -> None:
        self.connections[-1].send(json.dumps(message))

    def sound(self, samples: np.ndarray, turn: int = TURN, rate: int = RATE) -> None:
        """Samples as int16, in chunks of a tenth of a second."""
        step = rate // 10
        for at in range(0, len(samples), step):
            header = struct.pack("<II", turn, rate)
            self.connections[-1].send(header + samples[at : at + step].astype("<i2").tobytes())

    def until(self, wanted: Callable[[], object]) -> None:
        """Wait for what only the page's messages can bring about."""
        for _ in range(400):
            if wanted():
                return
            self.page.wait_for_timeout(25)
        raise AssertionError(f"it did not happen; the page said {self.messages[-5:]}")

    def said(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.messages if message["type"] == kind]

    def wait(self, kind: str, count: int = 1) -> dict[str, Any]:
        self.until(lambda: len(self.said(kind)) >= count)
        return self.said(kind)[count - 1]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One site for all: it is the page that is tested here."""
    app = build_ui(Script(tmp_path_factory.mktemp("talk")).services())
    tap = Route("/parley/tap.js", lambda _: Response(TAP, media_type="text/javascript"))
    app.router.routes.insert(0, tap)  # a browser does not let Playwright answer for a worklet's file
    with serve(app) as url:
        yield url


@pytest.fixture(scope="module")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """One for all, which loads the site's scripts but once."""
    context = browser.new_context()
    context.set_default_timeout(TIMEOUT)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page of somebody new, and at the end what it complained about."""
    complaints: list[str] = []
    page = context.new_page()

    def complain(kind: str, text: str) -> None:
        if kind in {"error", "warning"}:
            complaints.append(text)

    page.on("console", lambda message: complain(message.type, message.text))
    page.on("pageerror", lambda error: complain("error", str(error)))
    yield page
    page.evaluate("localStorage.clear()")
    page.close()
    context.clear_cookies()
    assert not complaints


@pytest.fixture
def server(served: str, page: Page) -> Server:
    server = Server(page)
    visit(page, served)
    page.wait_for_function("window.parleyPlayer.key !== ''")
    return server


def visit(page: Page, url: str) -> None:
    page.goto(url)
    page.locator("body.parley-ready").wait_for()


def begin(server: Server, **state: object) -> None:
    """Press Talk, and answer as the server does."""
    server.page.locator("#talk").click()
    server.wait("talk")
    server.tell(**TALKING)
    server.tell(**({"type": "state", "state": "listening", "hearing": False} | state))
    expect(server.page.locator("#talk")).not_to_have_attribute("data-state", "idle")


def header(frame: bytes) -> tuple[int, int, int]:
    number, turn, samples = HEADER.unpack_from(frame)
    return number, turn, samples


def noise(seconds: float, seed: int = 1) -> np.ndarray:
    """Samples that tell by themselves where they belong; the first is zero."""
    samples = np.random.default_rng(seed).integers(-9_000, 9_000, round(seconds * RATE)) | 1
    samples[0] = 0
    return samples


def begin_turn(page: Page, turn: int = TURN) -> None:
    page.evaluate("turn => window.parleyPlayer.begin(turn)", turn)


def play(server: Server, samples: np.ndarray, turn: int = TURN, rate: int = RATE) -> None:
    """Let the sound go on only when all of it has come, however slow this machine is at the moment."""
    page = server.page
    page.wait_for_function("window.parleyPlayer.output")
    page.evaluate("window.parleyPlayer.output.pause()")
    server.sound(samples, turn, rate)
    wanted = len(samples) * RATE / rate - 5
    page.wait_for_function("count => window.parleyPlayer.received >= count", arg=wanted)
    page.evaluate("window.parleyPlayer.output.resume()")


@pytest.fixture
def tap(server: Server) -> Tap:
    """Everything that has left the player so far, as int16 counts."""
    page = server.page
    page.keyboard.press("Shift")  # a gesture
    page.evaluate(INSTALL_TAP)

    def tapped() -> np.ndarray:
        return np.frombuffer(base64.b64decode(page.evaluate(TAPPED)), np.float32) * 32768

    return tapped


def find(where: np.ndarray, what: np.ndarray) -> int:
    """Where in the sound these samples begin, exactly; they must be there once."""
    starts = np.flatnonzero(where[: len(where) - len(what) + 1] == what[0])
    found = [int(at) for at in starts if np.array_equal(where[at : at + len(what)], what)]
    assert len(found) == 1, f"found {len(found)} times"
    return found[0]


def idle(page: Page) -> None:
    page.wait_for_function("window.parleyPlayer.state === 'idle'")
    page.wait_for_timeout(100)  # what the audio thread has still to report


# The microphone


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


# Why there is no microphone, and what to do


REFUSALS = [
    ("NotAllowedError", "Permission denied", "Allow it in the address bar's site settings."),
    ("NotAllowedError", "Permission denied by system", "privacy settings"),
    ("NotAllowedError", "Permission dismissed", "Choose Allow"),
    ("NotFoundError", "Requested device not found", "There is no microphone. Connect one."),
    ("NotReadableError", "Could not start audio source", "another program uses it"),
    ("StrangeError", "?", "cannot be used (StrangeError)"),
]


def test_a_refused_microphone_is_explained(server: Server) -> None:
    page = server.page
    for error, message, says in REFUSALS:
        page.evaluate(
            """([name, message]) => { navigator.mediaDevices.getUserMedia =
                 () => Promise.reject(new DOMException(message, name)); }""",
            [error, message],
        )
        page.locator("#talk").click()
        toast = page.locator(".toast")
        expect(toast).to_contain_text(says)
        expect(toast).to_contain_text("press Talk again")
        expect(page.locator("#talk")).to_have_attribute("data-state", "idle")
        expect(page.locator("#talk")).to_have_attribute("aria-pressed", "false")
        toast.get_by_role("button", name="Close").click()
    assert server.said("talk") == []


def test_a_press_takes_back_a_press_that_waits_for_the_microphone(server: Server) -> None:
    page = server.page
    page.evaluate(
        """() => { const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
                   const asked = new Promise((allow) => { window.allow = allow; });
                   navigator.mediaDevices.getUserMedia = async (wishes) => {
                     await asked;
                     return (window.stream = await ask(wishes)); }; }"""
    )
    page.locator("#talk").click()
    expect(page.locator("#talk")).to_have_text("Connecting")
    page.locator("#talk").click()
    expect(page.locator("#talk")).to_have_text("Talk")
    page.evaluate("window.allow()")
    page.wait_for_function("window.stream?.getTracks()[0].readyState === 'ended'")
    assert server.said("talk") == []


def test_a_permissions_policy_is_named(server: Server) -> None:
    page = server.page
    page.evaluate(
        """() => { Object.defineProperty(document, "permissionsPolicy",
                     {value: {allowsFeature: (name) => name !== "microphone"}});
                   navigator.mediaDevices.getUserMedia =
                     () => Promise.reject(new DOMException("Permission denied", "NotAllowedError")); }"""
    )
    page.locator("#talk").click()
    expect(page.locator(".toast")).to_contain_text("A Permissions-Policy forbids")


def test_a_microphone_that_is_taken_away_ends_the_conversation(server: Server) -> None:
    page = server.page
    begin(server)
    page.evaluate(
        """() => { const { track } = window.parleyTalk.microphone;
                   track.stop(); track.dispatchEvent(new Event("ended")); }"""
    )
    expect(page.locator(".toast.problem")).to_contain_text("The microphone was taken away")
    expect(page.locator("#talk")).to_have_attribute("data-state", "idle")
    server.wait("quiet")


@pytest.fixture
def elsewhere(browser: Browser, script: Script) -> Iterator[Page]:
    """The page over plain http, under a name that is not this machine's."""
    services = replace(script.services(), hosts=["parley.test"])
    path = chromium_path(cast("Playwright", SimpleNamespace(chromium=browser.browser_type)))
    flags = ["--no-sandbox", "--host-resolver-rules=MAP parley.test 127.0.0.1"]
    with serve(build_ui(services)) as url:
        other = browser.browser_type.launch(executable_path=path, args=flags)
        page = other.new_page()
        visit(page, url.replace("127.0.0.1", "parley.test"))
        page.wait_for_function("window.parleyPlayer.key !== ''")
        yield page
        other.close()


@pytest.mark.alone
def test_over_plain_http_talk_says_what_to_do_and_answers_are_still_heard(elsewhere: Page, ask: Ask) -> None:
    page = elsewhere
    assert not page.evaluate("window.isSecureContext")
    for button in ("#talk", "#mic"):
        page.locator(button).click()
        toast = page.locator(".toast").last
        expect(toast).to_contain_text("PARLEY_HTTPS=auto")
        expect(toast).to_contain_text(page.url.replace("http:", "https:").rstrip("/"))
        expect(toast).to_contain_text("http://localhost:")
        toast.get_by_role("button", name="Close").click()
    ask(page, "When does it close?")
    page.wait_for_function("window.parleyPlayer.state === 'playing' && window.parleyPlayer.rms() > 0.02")
    assert page.evaluate("window.parleyPlayer.context.audioWorklet === undefined")
    page.wait_for_function("window.parleyPlayer.played > 0.3")
    page.locator("#stop").click()
    page.wait_for_function("window.parleyPlayer.rms() < 0.001")
    assert page.evaluate("window.parleyPlayer.underruns") == 0


# The connection


def test_a_lost_connection_comes_back_and_the_conversation_with_it(server: Server) -> None:
    page = server.page
    begin(server)
    server.until(lambda: server.frames)
    server.connections[-1].close(code=1011)
    expect(page.locator(".toast", has_text="The connection is lost")).to_be_visible()
    again = server.wait("talk", 2)
    assert again == server.said("talk")[0] | {"conversation": "c1"}
    before = len(server.frames)
    page.wait_for_timeout(100)
    assert len(server.frames) == before  # nothing is sent to a server that does not listen yet
    server.tell(**TALKING)
    expect(page.locator(".toast", has_text="say it again")).to_be_visible()
    expect(page.locator(".toast.problem")).to_have_count(0)  # it is none any more
    server.until(lambda: len(server.frames) > before + 5)
    assert [header(frame)[0] for frame in server.frames[before:]] == list(range(len(server.frames) - before))
    expect(page.locator("#talk")).to_have_attribute("data-state", "listening")


def test_where_no_socket_can_be_opened_the_page_says_so(served: str, page: Page, ask: Ask) -> None:
    server = Server(page)
    server.open = False
    visit(page, served)
    says = "A live conversation is not possible through this connection"
    expect(page.locator(".toast")).to_contain_text(says)
    page.locator(".toast").get_by_role("button", name="Close").click()
    expect(page.locator("#talk")).to_have_attribute("title", re.compile(says))
    page.locator("#talk").click()
    expect(page.locator(".toast")).to_contain_text(says)
    expect(page.locator("#talk")).to_have_attribute("aria-pressed", "false")
    ask(page, "When does it close?")
    expect(page.locator("#chat .answer-done")).to_have_count(1)
    page.locator(".replay").click()  # the whole answer as one sound
    expect(page.locator("#stop")).to_be_enabled()
    page.locator("#stop").click()
    expect(page.locator("#stop")).to_be_disabled()
    server.open = True
    page.wait_for_function("window.parleyPlayer.key !== ''")
    expect(page.locator("#talk")).to_have_attribute("title", re.compile("begin a conversation"))


def test_frames_are_dropped_and_counted_where_the_connection_is_slow(server: Server) -> None:
    page = server.page
    begin(server)
    server.until(lambda: len(server.frames) > 5)
    waits = """bytes => Object.defineProperty(window.parleyPlayer.socket.raw, "bufferedAmount",
                 {get: () => bytes, configurable: true})"""
    page.evaluate(waits, 16_000)
    expect(page.locator(".toast.problem")).to_contain_text("The connection is slow")
    page.wait_for_function("window.parleyTalk.lost > 5")
    page.evaluate(waits, 0)
    sent = len(server.frames)
    server.until(lambda: len(server.frames) > sent + 5)
    numbers = [header(frame)[0] for frame in server.frames]
    lost = page.evaluate("window.parleyTalk.lost")
    gaps = np.diff(numbers) - 1
    assert (gaps > 0).sum() == 1
    assert gaps.sum() == lost


def test_a_server_that_refuses_is_quoted(server: Server) -> None:
    page = server.page
    page.locator("#talk").click()
    server.wait("talk")
    server.tell(type="refused", message="Too many conversations. Try later.")
    expect(page.locator(".toast")).to_contain_text("Too many conversations.")
    expect(page.locator("#talk")).to_have_attribute("data-state", "idle")


# What is played


@pytest.mark.alone
def test_every_sample_is_played_once_and_in_order(server: Server, tap: Tap) -> None:
    page, samples = server.page, noise(1.0)
    begin_turn(page)
    play(server, samples)
    server.tell(type="end", turn=TURN)
    idle(page)
    heard = tap()
    at = find(heard, samples)
    assert not heard[:at].any()
    assert not heard[at + len(samples) + FADE :].any()
    assert page.evaluate("window.parleyPlayer.underruns") == 0
    assert server.said("playing")[-1] == {"type": "playing", "turn": TURN, "samples": len(samples)}
    assert len(server.said("playing")) >= 4
    first = server.said("first")
    assert len(first) == 1
    assert first[0]["turn"] == TURN
    assert 0 <= first[0]["latency"] < 1


@pytest.mark.alone
def test_it_pauses_at_once_and_goes_on_at_the_very_sample(server: Server, tap: Tap) -> None:
    page, samples = server.page, noise(1.5)
    begin_turn(page)
    play(server, samples)
    server.tell(type="end", turn=TURN)
    stops = [0]
    for seconds in (0.2, 0.5, 0.9):
        page.wait_for_function("seconds => window.parleyPlayer.played > seconds", arg=seconds)
        server.tell(type="pause", turn=TURN)
        stops.append(server.wait("paused", len(stops))["samples"])
        assert page.evaluate("window.parleyPlayer.state") == "paused"
        page.wait_for_timeout(60)
        server.tell(type="resume", turn=TURN)
    idle(page)
    heard = tap()
    for begin, end in zip(stops, [*stops[1:], len(samples)], strict=True):
        skipped = FADE if begin else 0  # which are smoothed
        at = find(heard, samples[begin + skipped : end]) - skipped
        assert not heard[at - 200 : at + 1].any()
        assert not heard[at + end - begin + FADE : at + end - begin + FADE + 200].any()
        assert abs(np.diff(heard[at + end - begin - 1 : at + end - begin + FADE])).max() < 9_000 / FADE + 1
    assert page.evaluate("window.parleyPlayer.underruns") == 0


def test_clear_drops_all_and_nothing_of_an_earlier_turn_is_played(server: Server, tap: Tap) -> None:
    page = server.page
    told: dict[int, np.ndarray] = {}
    for number in range(12):
        turn = TURN + number
        told[turn] = noise(1.0, seed=number)
        begin_turn(page, turn)
        play(server, told[turn], turn)
        page.wait_for_function("seconds => window.parleyPlayer.played > seconds", arg=0.05 + 0.017 * number)
        server.tell(type="clear", turn=turn)
        server.sound(told[turn], turn)  # what was under way
    server.wait("cleared", 12)
    page.wait_for_timeout(100)
    heard = tap()
    end = 0
    for answer in server.said("cleared"):
        count = answer["samples"]
        begin = find(heard, told[answer["turn"]][FADE:count]) - FADE
        assert begin >= end
        end = begin + count
    assert not heard[end + FADE :].any()
    played = sum(answer["samples"] for answer in server.said("cleared"))
    assert np.count_nonzero(heard) <= played + 12 * FADE  # and nothing else
    assert page.evaluate("window.parleyPlayer.state") == "idle"


def test_an_interrupted_turn_is_silent_within_a_moment(server: Server) -> None:
    page = server.page
    begin_turn(page)
    page.keyboard.press("Shift")
    server.sound(noise(3.0))
    page.wait_for_function("window.parleyPlayer.rms() > 0.02")
    server.tell(type="pause", turn=TURN)
    server.wait("paused")
    server.tell(type="interrupted", turn=TURN, answer="")
    page.wait_for_function("window.parleyPlayer.state === 'idle'")
    page.wait_for_function("window.parleyPlayer.rms() === 0")


def test_what_is_replaced_is_dropped_and_the_turn_counts_anew(server: Server, tap: Tap) -> None:
    page, wrong, right = server.page, noise(2.0, seed=1), noise(0.4, seed=2)
    begin_turn(page)
    server.sound(wrong)
    page.wait_for_function("window.parleyPlayer.played > 0.1")
    server.tell(type="flush", turn=TURN)
    page.wait_for_function("window.parleyPlayer.played === 0")
    play(server, right)
    server.tell(type="end", turn=TURN)
    idle(page)
    heard = tap()
    at = find(heard, right[FADE:])
    assert not heard[at + len(right) :].any()
    assert server.said("playing")[-1]["samples"] == len(right)


@pytest.mark.alone
def test_a_gap_within_a_turn_is_counted(server: Server) -> None:
    page = server.page
    page.keyboard.press("Shift")
    begin_turn(page)
    server.sound(noise(0.1))
    page.wait_for_function("window.parleyPlayer.played > 0.09 && window.parleyPlayer.state === 'waiting'")
    assert page.evaluate("window.parleyPlayer.underruns") == 0
    server.sound(noise(0.1))
    server.tell(type="end", turn=TURN)
    idle(page)
    assert page.evaluate("window.parleyPlayer.underruns") == 1
    assert page.evaluate("window.parleyPlayer.gaps[0]") > 0


def test_sound_at_another_rate_is_resampled_without_a_seam(server: Server, tap: Tap) -> None:
    page = server.page
    for turn, rate in enumerate((16_000, 22_050, 48_000), start=TURN):
        begin_turn(page, turn)
        play(server, tone(np.arange(rate // 2) / rate), turn, rate)
        server.tell(type="end", turn=turn)
        idle(page)
        assert abs(server.said("playing")[-1]["samples"] - RATE // 2) < 5
    heard = tap()
    loud = np.flatnonzero(abs(heard) > 1)
    begins = [loud[0], *(loud[1:][np.diff(loud) > 1000])]
    assert len(begins) == 3
    for begin in begins:
        played = heard[begin : begin + RATE // 2 - 10]
        wanted = (tone(np.arange(at, at + len(played)) / RATE) for at in np.arange(-1, 3, 0.25))
        assert min(abs(played - one).max() for one in wanted) < 250  # no step between the chunks


def tone(seconds: np.ndarray) -> np.ndarray:
    return np.asarray(np.round(8_000 * np.sin(2 * np.pi * 500 * seconds)))


@pytest.mark.alone
def test_marks_come_when_they_are_heard(server: Server) -> None:
    page = server.page
    page.keyboard.press("Shift")
    page.evaluate(
        """() => { window.marks = [];
                   window.parleyPlayer.addEventListener("mark", ({detail}) =>
                     window.marks.push({...detail, played: window.parleyPlayer.played})); }"""
    )
    begin_turn(page)
    for number, at in enumerate((0.0, 0.2, 0.5)):
        server.tell(type="mark", turn=TURN, at=at, start=number, end=number + 1, kind="word")
    server.tell(type="mark", turn=TURN + 1, at=0.0, start=9, end=10, kind="word")
    server.sound(noise(0.6))
    page.wait_for_function("window.marks.length === 2")
    server.tell(type="pause", turn=TURN)
    server.wait("paused")
    page.wait_for_timeout(400)
    assert page.evaluate("window.marks.length") == 2  # what is not heard is not marked
    server.tell(type="resume", turn=TURN)
    page.wait_for_function("window.marks.length === 3")
    marks = page.evaluate("window.marks")
    assert [(mark["turn"], mark["start"], mark["end"], mark["kind"]) for mark in marks] == [
        (TURN, number, number + 1, "word") for number in range(3)
    ]
    latency = page.evaluate("window.parleyPlayer.latency")
    for mark, at in zip(marks, (0.0, 0.2, 0.5), strict=True):
        assert at <= mark["played"] <= at + latency + 0.15


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
