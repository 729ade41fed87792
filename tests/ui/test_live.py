"""The live conversation over its real socket: real listening, scripted words and answers."""

from __future__ import annotations

import asyncio
import struct
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import NoReturn

import httpx
import numpy as np
import pytest
from langchain_core.messages import AIMessage
from websockets.exceptions import ConnectionClosed

from speech.audio import Samples
from tests.browser.serving import serve
from tests.speech.speaking import spoken
from tests.ui.scripted import ANSWER, QUOTE, Heard, Script
from tests.ui.talker import Talker
from ui.live import Microphone
from ui.receiving import SIGNED_OUT
from ui.web import build_ui

QUESTION = "When does the lamp room close?"
SHORT = "Who built it?"  # said where any words do: the recogniser is scripted
STAGES = ("endpoint", "transcript", "standalone", "retrieval", "first_token", "first_sentence", "audio_sent")


class House:
    """A server with scripted services, and what they said."""

    def __init__(self, url: str, script: Script) -> None:
        self.url, self.script = url, script

    def run(self, visit: Callable[[Talker], Awaitable[None]], **how: object) -> None:
        """One page visits."""

        async def inside() -> None:
            async with Talker(self.url, **how) as talker:  # type: ignore[arg-type]
                await visit(talker)

        asyncio.run(inside())


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    script = Script(tmp_path)
    with serve(build_ui(script.services())) as url:
        yield House(url, script)


def silence(seconds: float) -> Samples:
    return np.zeros(round(16_000 * seconds), np.float32)


async def asked(talker: Talker, sound: Samples | None = None) -> int:
    """Say something; the number of the turn that it begins."""
    since = len(talker.messages)
    talker.say(np.concatenate([silence(0.3), spoken(SHORT) if sound is None else sound]))
    message = await talker.until("asked", since=since)
    return int(message["turn"])


async def sounding(talker: Talker, turn: int, seconds: float = 0.5) -> None:
    """Wait until so much of the turn was played."""
    while talker.turns[turn].samples < seconds * 24_000:
        await asyncio.sleep(0.02)


def test_a_spoken_question_is_answered_aloud_and_timed(house: House) -> None:
    async def visit(talker: Talker) -> None:
        conversation = await talker.talk()
        turn = await asked(talker, spoken(QUESTION))
        end = await talker.said()
        latency = await talker.until("latency", lambda m: m["turn"] == turn)
        done = await talker.until("line", lambda m: m["line"]["type"] == "done")
        assert done["line"]["turn"]["answer"] == ANSWER
        assert done["line"]["turn"]["question"] == QUESTION
        await talker.until("state", lambda m: m["state"] == "speaking")
        states = [m["state"] for _, m in talker.messages if m["type"] == "state"]
        assert states[-1] == "speaking"
        assert "thinking" in states
        timings = latency["timings"]
        assert all(0 <= timings[stage] <= timings["first_audio"] for stage in STAGES)
        assert timings["first_audio"] == pytest.approx(talker.turns[turn].first_at - end, abs=0.2)  # type: ignore[operator]
        since = len(talker.messages)
        await talker.until("state", lambda m: m["state"] == "listening", since=since)
        assert talker.turns[turn].samples > len(talker.turns[turn].sound) - 2400 > 5 * 24_000
        assert conversation

    house.run(visit)
    assert house.script.requests[0].language == "en"


def test_a_voice_over_the_answer_silences_it_and_asks_the_next_question(house: House) -> None:
    house.script.assistant.text = "This goes on for a while, word after word, and so on. " * 4

    async def visit(talker: Talker) -> None:
        await talker.talk()
        turn = await asked(talker)
        await sounding(talker, turn, 1.0)
        house.script.heard = Heard("No, I meant the other one.")
        since = len(talker.messages)
        begun = time.monotonic()
        talker.say(spoken("no, I meant the other one"))
        await talker.until("pause", since=since)
        assert time.monotonic() - begun < 1.5
        interrupted = await talker.until("interrupted", since=since)
        heard = interrupted["answer"]
        assert house.script.assistant.text.startswith(heard)
        assert 0 < len(heard) < len(house.script.assistant.text) / 2
        second = await talker.until("asked", since=since)
        assert second["question"] == "No, I meant the other one."
        await sounding(talker, second["turn"])
        kinds = talker.kinds(since)
        assert kinds.index("pause") < kinds.index("interrupted") < kinds.index("asked")
        assert "resume" not in kinds
        _, answer = house.script.assistant.asked[-1][1]
        assert isinstance(answer, AIMessage)
        assert (answer.content, answer.additional_kwargs["interrupted"]) == (heard, True)
        assert house.script.assistant.answers[0].closed
        assert talker.stray == 0

    house.run(visit)


@pytest.mark.parametrize("words", ["", "Mm-hm."])
def test_a_voice_without_words_pauses_the_answer_and_it_goes_on_where_it_stopped(
    house: House, words: str
) -> None:
    house.script.assistant.text = f"{QUOTE} [1]"

    async def visit(talker: Talker) -> None:
        await talker.talk()
        turn = await asked(talker)
        await sounding(talker, turn)
        house.script.heard = Heard(words)
        since = len(talker.messages)
        talker.say(spoken("aah, well, aaah"))
        await talker.until("pause", since=since)
        at = talker.turns[turn].samples
        await talker.until("resume", since=since)
        assert talker.turns[turn].samples == at
        await talker.until("state", lambda m: m["state"] == "speaking", since=since)
        await talker.until("state", lambda m: m["state"] == "listening" and not m["hearing"], since=since + 3)
        while talker.turns[turn].samples < len(talker.turns[turn].sound):
            await asyncio.sleep(0.02)
        assert len(talker.turns) == 1
        assert talker.turns[turn].samples > 2.9 * 24_000
        assert "interrupted" not in talker.kinds()

    house.run(visit)
    assert len(house.script.assistant.asked) == 1


def test_stop_said_aloud_is_silence_and_no_question(house: House) -> None:
    async def visit(talker: Talker) -> None:
        await talker.talk()
        turn = await asked(talker)
        await sounding(talker, turn)
        house.script.heard = Heard("Stop.")
        since = len(talker.messages)
        talker.say(spoken("stop talking now"))
        await talker.until("interrupted", since=since)
        await talker.until("state", lambda m: m["state"] == "listening" and not m["hearing"], since=since)
        assert len(talker.turns) == 1

    house.run(visit)
    assert len(house.script.assistant.asked) == 1


def test_who_goes_on_before_the_answer_is_heard_goes_on_with_the_question(house: House) -> None:
    house.script.assistant.pause = 3.0  # it thinks

    async def visit(talker: Talker) -> None:
        await talker.talk()
        await asked(talker)
        house.script.heard = Heard("in winter")
        since = len(talker.messages)
        talker.say(spoken("in winter, and on holidays"))
        second = await talker.until("asked", since=since)
        assert second["question"] == f"{QUESTION} in winter"

    house.run(visit)


def test_a_silent_microphone_and_noise_ask_nothing(house: House) -> None:
    random = np.random.default_rng(1)

    async def visit(talker: Talker) -> None:
        await talker.talk()
        noise = (0.02 * random.standard_normal(3 * 16_000)).astype(np.float32)
        knock = np.zeros(16_000, np.float32)
        knock[:800] = np.exp(-np.arange(800) / 80) * random.standard_normal(800) * 0.8
        talker.say(np.concatenate([noise, knock, silence(1.0)]))
        await talker.said()

    house.run(visit)
    assert house.script.assistant.asked == []


def test_a_typed_question_ends_what_is_spoken(house: House) -> None:
    async def visit(talker: Talker) -> None:
        await talker.talk()
        turn = await asked(talker)
        await sounding(talker, turn)
        since = len(talker.messages)
        await talker.tell(type="ask", text="And who built it?")
        second = await talker.until("asked", since=since)
        assert second["question"] == "And who built it?"
        await sounding(talker, second["turn"])
        assert talker.kinds(since).index("interrupted") < talker.kinds(since).index("asked")

    house.run(visit)


def test_push_to_talk_ends_with_the_release(house: House) -> None:
    async def visit(talker: Talker) -> None:
        await talker.talk()
        await talker.tell(type="push", down=True)
        talker.say(np.concatenate([spoken("When does"), silence(2.5), spoken("the lamp room close?")]))
        await talker.said()
        assert "asked" not in talker.kinds()
        await asyncio.sleep(1.0)
        await talker.tell(type="push", down=False, ago=0.15)
        let_go = time.monotonic() - 0.15
        asked = await talker.until("asked", seconds=2)
        latency = await talker.until("latency")
        timings = latency["timings"]
        assert "endpoint" not in timings  # none was waited for
        assert 0.15 <= timings["release"] < 0.5  # not the seconds that it was held on
        first_audio = talker.turns[asked["turn"]].first_at - let_go  # type: ignore[operator]
        assert timings["first_audio"] == pytest.approx(first_audio, abs=0.2)

    house.run(visit)


def test_a_push_without_words_is_nothing(house: House) -> None:
    async def visit(talker: Talker) -> None:
        await talker.talk()
        turn = await asked(talker)
        await sounding(talker, turn)
        since = len(talker.messages)
        await talker.tell(type="push", down=True)
        await talker.until("pause", since=since)
        await talker.tell(type="push", down=False)
        await talker.until("resume", since=since)

    house.run(visit)


def test_muting_forgets_what_was_being_said(house: House) -> None:
    async def visit(talker: Talker) -> None:
        await talker.talk()
        talker.say(np.concatenate([silence(0.3), spoken(QUESTION)]))
        await talker.until("state", lambda m: bool(m["hearing"]))
        talker._speech.clear()
        await talker.tell(type="mute", on=True)
        await talker.until("unheard")

    house.run(visit)
    assert house.script.assistant.asked == []


def test_a_conversation_goes_on_after_a_reconnect(house: House) -> None:
    async def visit(talker: Talker) -> None:
        conversation = await talker.talk()
        turn = await asked(talker)
        await sounding(talker, turn)
        async with Talker(house.url, cookie=talker.cookie) as again:
            await talker.leave()
            assert await again.talk(conversation) == conversation
            second = await asked(again)
            await sounding(again, second)
        question, answer = house.script.assistant.asked[-1][1]
        assert question.content == QUESTION
        assert answer.additional_kwargs["interrupted"]

    house.run(visit)


def test_a_page_that_leaves_frees_everything_at_once(house: House) -> None:
    house.script.assistant.text = "word " * 5000

    async def visit(talker: Talker) -> None:
        await talker.talk()
        turn = await asked(talker)
        await sounding(talker, turn)
        assert threads()
        talker.socket.transport.abort()
        begun = time.monotonic()
        while threads() and time.monotonic() - begun < 10:
            await asyncio.sleep(0.02)
        assert threads() == []
        assert time.monotonic() - begun < 2

    house.run(visit)
    assert house.script.assistant.answers[0].closed


def threads() -> list[str]:
    """Threads that work for a conversation."""
    names = ("conversation", "voice", "page-answer", "speaker", "answer", "transcribe")
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(names)]


def test_garbage_ends_its_own_socket_alone(house: House) -> None:
    async def visit(talker: Talker) -> None:
        await talker.talk()
        for frame in (b"", b"abc", b"\0" * 12, b"\0" * 13, b"\0" * 60_000):
            async with Talker(house.url) as other:
                await other.talk()
                await other.socket.send(frame)
                assert await ended(other), frame
        turn = await asked(talker)
        await sounding(talker, turn)

    house.run(visit)


async def ended(talker: Talker) -> bool:
    """Whether the server closes the socket within ten seconds."""
    try:
        await asyncio.wait_for(closed(talker), 10)
    except ConnectionClosed:
        return True
    except TimeoutError:
        return False


async def closed(talker: Talker) -> NoReturn:
    while True:
        await talker.socket.ping()
        await asyncio.sleep(0.05)


def test_messages_without_sense_do_nothing(house: House) -> None:
    senseless = ("", "{", "[]", '"talk"', '{"type": 7}', '{"type": "talk", "rate": "x"}', "{}")

    async def visit(talker: Talker) -> None:
        for text in senseless:
            await talker.socket.send(text)
        await talker.tell(type="playing", turn="x", samples=[])
        await talker.tell(type="first", turn=None)
        await talker.talk()
        for text in senseless:
            await talker.socket.send(text)
        await talker.tell(type="first", turn=1 << 40, latency="late")
        await asked(talker)

    house.run(visit)


def test_a_flood_ends_its_socket(house: House) -> None:
    async def visit(talker: Talker) -> None:
        await talker.talk()
        frame = struct.pack("<III", 0, 0, 0) + b"\0" * 1024

        async def flood() -> None:
            for _ in range(2000):
                await talker.socket.send(frame)
            await closed(talker)

        with pytest.raises(ConnectionClosed) as ended:
            await asyncio.wait_for(flood(), 20)
        assert ended.value.rcvd is not None
        assert ended.value.rcvd.code in {1003, 1008}

    house.run(visit)


def test_nobody_gets_into_the_conversation_of_another(house: House) -> None:
    async def visit(talker: Talker) -> None:
        conversation = await talker.talk()
        async with Talker(house.url, cookie="") as other:
            await other.tell(type="talk", conversation=conversation, rate=16_000)
            refused = await other.until("refused")
            assert "not here any more" in refused["message"]

    house.run(visit)


def test_a_rate_that_no_microphone_has_is_refused(house: House) -> None:
    async def visit(talker: Talker) -> None:
        await talker.tell(type="talk", conversation="", rate=1)
        await talker.until("refused")

    house.run(visit)


def test_two_people_hear_their_own_answers_only(house: House) -> None:
    async def inside() -> None:
        async with Talker(house.url) as one, Talker(house.url) as two:
            await one.talk()
            await two.talk()
            turns = await asyncio.gather(asked(one), asked(two))
            await asyncio.gather(sounding(one, turns[0]), sounding(two, turns[1]))
            assert one.stray == two.stray == 0
            questions = [m for _, m in one.messages if m["type"] == "asked"]
            assert len(questions) == 1

    asyncio.run(inside())


def test_a_failing_recogniser_says_so_and_the_conversation_goes_on(house: House) -> None:
    def broken(*_: object) -> Heard:
        raise RuntimeError("The recogniser is gone. Choose another: PARLEY_ASR.")

    async def visit(talker: Talker) -> None:
        await talker.talk()
        hear = house.script.hear
        house.script.hear = broken  # type: ignore[method-assign, assignment]
        talker.say(np.concatenate([silence(0.3), spoken(QUESTION)]))
        notice = await talker.until("notice")
        assert "PARLEY_ASR" in notice["message"]
        house.script.hear = hear  # type: ignore[method-assign]
        turn = await asked(talker)
        await sounding(talker, turn)

    house.run(visit)


def test_signing_out_ends_the_conversation_within_a_moment(tmp_path: Path) -> None:
    script = Script(tmp_path)
    script.users = {"ada": "engine"}
    with serve(build_ui(script.services())) as url:
        signed_in = httpx.post(f"{url}/login", data={"username": "ada", "password": "engine"})
        cookie = signed_in.headers["set-cookie"].partition(";")[0]

        async def visit() -> None:
            async with Talker(url, cookie=cookie) as talker, httpx.AsyncClient(base_url=url) as browser:
                await talker.talk()
                turn = await asked(talker)
                await sounding(talker, turn)
                await browser.post("/logout", headers={"cookie": cookie})
                begun = time.monotonic()
                await talker.socket.wait_closed()
                assert time.monotonic() - begun < 1
                assert talker.socket.close_code == SIGNED_OUT

        asyncio.run(visit())
        begun = time.monotonic()
        while not script.assistant.answers[0].closed:
            assert time.monotonic() - begun < 2
            time.sleep(0.02)


def frame(number: int, samples: np.ndarray, turn: int = 0, position: int = 0) -> bytes:
    return struct.pack("<III", number, turn, position) + samples.astype("<i2").tobytes()


def test_a_lost_frame_is_silence_and_counted() -> None:
    microphone = Microphone(16_000)
    ones = np.full(512, 16_384)
    sent = [*microphone.frames(frame(0, ones)), *microphone.frames(frame(3, ones, 7, 5000))]
    assert [float(samples.max()) for samples, *_ in sent] == [0.5, 0.0, 0.0, 0.5]
    assert sent[-1][1:] == (7, 5000)
    assert sent[-2][1:] == (7, 5000 - 768)
    assert microphone.lost == 2


def test_a_microphone_at_another_rate_is_resampled() -> None:
    microphone = Microphone(48_000)
    tone = 16_384 * np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000)
    parts = np.split(tone, 48_000 // 1200)  # 25 ms each
    found = [one for number, part in enumerate(parts) for one, *_ in microphone.frames(frame(number, part))]
    sound = np.concatenate(found)
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(len(sound)) / 16_000)
    assert 14_000 < len(sound) <= 16_000
    assert np.abs(sound[500:-500] - expected[500:-500]).max() < 0.02
