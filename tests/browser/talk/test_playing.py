"""What the page plays of a turn, to the sample, and what it tells of it."""

from __future__ import annotations

import base64
from collections.abc import Callable

import numpy as np
import pytest
from playwright.sync_api import Page

from tests.browser.talk.server import RATE, TURN, Server, begin_turn, noise, play

pytestmark = pytest.mark.browser

FADE = 96
Tap = Callable[[], "np.ndarray"]
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
