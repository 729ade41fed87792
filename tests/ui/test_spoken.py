from __future__ import annotations

import asyncio
import json
import struct
import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from speech.audio import AudioChunk
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


async def rest(outbox: Outbox) -> list[str]:
    """What is sent until the turn has ended: "flush", "end", …, or the letter that is heard."""
    found: list[str] = []
    while not found or found[-1] != "end":
        message = await asyncio.wait_for(outbox.take(), WAIT)
        if isinstance(message, str):
            found.append(json.loads(message)["type"])
        else:
            (sample,) = struct.unpack_from("<h", message, 8)
            found.append(chr(round(sample / 32767 * 256)))
    return found


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
        await asyncio.wait_for(outbox.take(), WAIT)
        before = words.made
        assert before < 200
        assert (await rest(outbox)).count("a") == 199

    run(test)


def test_nothing_of_a_stopped_turn_is_sent() -> None:
    async def test(outbox: Outbox) -> None:
        spoken = Spoken(1, lambda: Speaker(Words()), outbox)
        spoken.start()
        spoken.feed("a" * 100)
        spoken.finish()
        await asyncio.wait_for(outbox.take(), WAIT)
        spoken.stop()
        assert await rest(outbox) == ["end"]

    run(test)


def test_of_a_replaced_text_nothing_more_is_heard() -> None:
    async def test(outbox: Outbox) -> None:
        spoken = Spoken(1, lambda: Speaker(Words()), outbox)
        spoken.start()
        spoken.feed("A first sentence is here, and it is rather long. Then comes another one. And more. ")
        await asyncio.wait_for(outbox.take(), WAIT)
        spoken.replace()
        spoken.feed("bbb")
        spoken.finish()
        assert await rest(outbox) == ["flush", "b", "b", "b", "end"]

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
        assert await rest(outbox) == ["a", "a", "end"]

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
        assert await rest(outbox) == ["notice", "end"]

    run(test)


def test_a_page_that_leaves_holds_no_thread() -> None:
    async def test(outbox: Outbox) -> None:
        spoken = Spoken(1, lambda: Speaker(Words()), outbox)
        spoken.start()
        spoken.feed("a" * (3 * SOUNDS_AHEAD))
        spoken.finish()
        await asyncio.wait_for(outbox.take(), WAIT)
        outbox.close()
        spoken.stop()
        assert (await rest(outbox))[-1] == "end"

    run(test)
