from __future__ import annotations

import asyncio
import json
import re
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from speech.audio import AudioChunk, Mark
from speech.loudspeaker import Loudspeaker
from speech.turn import Speaker
from ui.spoken import SOUNDS_AHEAD, Outbox, Spoken

WAIT = 20.0


class Words:
    """A synthesizer whose sound is as many chunks as the text has letters, of the first letter's number."""

    name = "words"

    def __init__(self) -> None:
        self.made = 0

    def synthesize(self, text: str, language: str = "en") -> Iterator[AudioChunk]:
        for _ in text:
            self.made += 1
            yield AudioChunk(np.full(24_000, ord(text[0]) / 256, np.float32), 24_000, text)


async def rest(outbox: Outbox, spoken: Spoken, played: int = 0) -> list[str]:
    """What is sent until the turn has ended: "flush", "end", …, or the letter that is heard.

    The page plays at once what it gets; `played`: samples that it has played before.
    """
    found: list[str] = []
    while not found or found[-1] != "end":
        message = await asyncio.wait_for(outbox.take(), WAIT)
        if isinstance(message, str):
            found.append(json.loads(message)["type"])
            if found[-1] == "flush":
                played = 0
            continue
        (sample,) = struct.unpack_from("<h", message, 8)
        found.append(chr(round(sample / 32767 * 256)))
        played += (len(message) - 8) // 2
        spoken.played(played)
    return [name for name in found if name != "mark"]


async def first_sound(outbox: Outbox) -> bytes:
    while isinstance(message := await asyncio.wait_for(outbox.take(), WAIT), str):
        pass
    return message


def run(test: Callable[[Outbox], object]) -> None:
    async def inside() -> None:
        await test(Outbox())  # type: ignore[misc]

    asyncio.run(inside())


def test_a_slow_page_makes_the_voice_wait() -> None:
    words = Words()

    async def test(outbox: Outbox) -> None:
        spoken = Spoken(1, lambda: Speaker(words), outbox)
        spoken.start()
        spoken.feed("a" * 200)
        spoken.finish()
        await first_sound(outbox)
        assert words.made < 200
        spoken.played(24_000)
        assert (await rest(outbox, spoken, 24_000)).count("a") == 199

    run(test)


def test_nothing_of_a_stopped_turn_is_sent() -> None:
    async def test(outbox: Outbox) -> None:
        spoken = Spoken(1, lambda: Speaker(Words()), outbox)
        spoken.start()
        spoken.feed("a" * 100)
        spoken.finish()
        await first_sound(outbox)
        spoken.stop()
        assert await rest(outbox, spoken) == ["clear", "end"]

    run(test)


def test_of_a_replaced_text_nothing_more_is_heard() -> None:
    async def test(outbox: Outbox) -> None:
        spoken = Spoken(1, lambda: Speaker(Words()), outbox)
        spoken.start()
        spoken.feed("A first sentence is here, and it is rather long. Then comes another one. And more. ")
        await first_sound(outbox)
        spoken.replace()
        spoken.feed("bbb")
        spoken.finish()
        assert await rest(outbox, spoken) == ["flush", "b", "b", "b", "end"]

    run(test)


def test_text_does_not_wait_for_a_voice_that_opens_slowly() -> None:
    async def test(outbox: Outbox) -> None:
        opened = threading.Event()

        def open_voice() -> Speaker:
            opened.wait(WAIT)
            return Speaker(Words())

        spoken = Spoken(1, open_voice, outbox)
        spoken.start()
        spoken.feed("a")
        spoken.feed("a")
        spoken.finish()
        opened.set()
        assert await rest(outbox, spoken) == ["a", "a", "end"]

    run(test)


@pytest.mark.parametrize("stopped", [False, True])
def test_a_voice_that_cannot_be_opened_ends_its_turn(stopped: bool) -> None:
    def broken() -> Speaker:
        raise RuntimeError("no voice")

    async def test(outbox: Outbox) -> None:
        spoken = Spoken(1, broken, outbox)
        if stopped:
            spoken.stop()
        spoken.start()
        assert await rest(outbox, spoken) == ["clear", "notice", "end"]

    run(test)


def test_a_page_that_leaves_holds_no_thread() -> None:
    async def test(outbox: Outbox) -> None:
        spoken = Spoken(1, lambda: Speaker(Words()), outbox)
        spoken.start()
        spoken.feed("a" * (3 * SOUNDS_AHEAD))
        spoken.finish()
        await first_sound(outbox)
        outbox.close()
        spoken.stop()
        assert (await rest(outbox, spoken))[-1] == "end"

    run(test)


class Marked:
    """A speaker that says each word of its text in a second, with its voice events."""

    def __init__(self) -> None:
        self.text = ""
        self.calls: list[str] = []
        self._finished = threading.Event()

    def feed(self, piece: str, remark: str = "") -> None:
        self.text += piece

    def finish(self) -> None:
        self._finished.set()

    def pause(self) -> None:
        self.calls.append("pause")

    def resume(self) -> None:
        self.calls.append("resume")

    def stop(self) -> None:
        self._finished.set()

    def __iter__(self) -> Iterator[AudioChunk]:
        self._finished.wait(WAIT)
        whole = Mark(0.0, 0, len(self.text), "sentence")
        for number, word in enumerate(re.finditer(r"\S+", self.text)):
            marks = (Mark(0.0, word.start(), word.end(), "word"),)
            yield AudioChunk(
                np.ones(24_000, np.float32), 24_000, "", ((whole,) if not number else ()) + marks
            )


async def messages(outbox: Outbox, count: int) -> list[dict[str, Any]]:
    """The next messages; sound as {"type": "sound"}."""
    taken = [await asyncio.wait_for(outbox.take(), WAIT) for _ in range(count)]
    return [json.loads(one) if isinstance(one, str) else {"type": "sound"} for one in taken]


def test_what_was_played_says_what_was_heard() -> None:
    async def test(outbox: Outbox) -> None:
        spoken = Spoken(1, Marked, outbox)
        spoken.start()
        spoken.feed("One 😀 three four. [1]")
        spoken.finish()
        first = await messages(outbox, 3)
        assert [(m["type"], m.get("kind"), m.get("start"), m.get("end")) for m in first] == [
            ("mark", "sentence", 0, 22),  # as JavaScript counts
            ("mark", "word", 0, 3),
            ("sound", None, None, None),
        ]
        assert (spoken.heard, spoken.sounding) == (0, False)
        await messages(outbox, 4)  # two more words
        spoken.played(30_000)
        assert (spoken.heard, spoken.sounding) == (len("One 😀"), True)
        spoken.played(3 * 24_000)
        while (await messages(outbox, 1))[0]["type"] != "end":
            pass
        spoken.played(5 * 24_000)
        assert (spoken.heard, spoken.over, spoken.sounding) == (len("One 😀 three four. [1]"), True, False)

    run(test)


def test_a_guess_is_made_but_not_heard_before_its_release() -> None:
    async def test(outbox: Outbox) -> None:
        spoken = Spoken(1, Marked, outbox, held=True)
        spoken.start()
        spoken.feed("Word")
        spoken.finish()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(outbox.take(), 0.2)
        spoken.release()
        assert (await messages(outbox, 3))[-1]["type"] == "sound"

    run(test)


def test_a_guess_that_was_wrong_says_nothing() -> None:
    async def test(outbox: Outbox) -> None:
        spoken = Spoken(1, Marked, outbox, held=True)
        spoken.start()
        spoken.feed("Word")
        spoken.stop()
        assert [m["type"] for m in await messages(outbox, 1)] == ["end"]

    run(test)


def test_a_pause_holds_the_voice_and_a_resume_lets_it_go_on() -> None:
    async def test(outbox: Outbox) -> None:
        speaker = Marked()
        spoken = Spoken(1, lambda: speaker, outbox)
        spoken.start()
        spoken.feed("one two three four five six")
        spoken.finish()
        assert (await messages(outbox, 3))[-1]["type"] == "sound"
        spoken.played(24_000)
        spoken.pause()
        spoken.pause()
        while (await messages(outbox, 1))[0]["type"] != "pause":
            pass
        before = spoken.heard
        assert not spoken.over
        spoken.resume()
        while (await messages(outbox, 1))[0]["type"] != "resume":
            pass  # a chunk that was on its way
        assert spoken.heard == before
        assert speaker.calls == ["pause", "resume"]

    run(test)


def test_a_voice_without_word_events_is_heard_in_proportion() -> None:
    loudspeaker = Loudspeaker()
    text = "Ten words are in this text of one sentence, exactly. And more."
    sound = AudioChunk(
        np.ones(240_000, np.float32),
        24_000,
        "",
        (Mark(0.0, 0, 52, "sentence"), Mark(8.0, 53, 62, "sentence")),
    )
    assert loudspeaker.add(sound) == 0
    loudspeaker.played_to(4 * 24_000)
    assert text[: loudspeaker.heard(text)] == "Ten words are in this text"
    loudspeaker.played_to(8 * 24_000)
    assert loudspeaker.heard(text) == 52


def test_the_sound_to_expect_is_what_was_sent_at_16_khz() -> None:
    loudspeaker = Loudspeaker()
    time_axis = np.arange(48_000) / 24_000
    tone = np.sin(2 * np.pi * 440 * time_axis).astype(np.float32)
    for piece in np.split(tone, 8):
        loudspeaker.add(AudioChunk(piece, 24_000))
    window = loudspeaker.window(24_000, 512)
    expected = np.sin(2 * np.pi * 440 * (1.0 + np.arange(512) / 16_000))
    assert np.abs(window - expected).max() < 0.02
    assert not loudspeaker.window(10 * 24_000, 512).any()
