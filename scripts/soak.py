"""Many people talk at once, for minutes: `make soak`. Exits with 1 when a promise is broken.

A server in a process of its own, with a scripted recogniser and model (`bench.scripted`), and pages without a
browser (`tests/ui/talker.py`) that ask, listen, interrupt, leave in the middle and come back. Each is
answered in a tone of its own, so that anybody else's sound would be noticed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
import psutil  # type: ignore[import-untyped]

HERE = Path(__file__).parent.parent
sys.path.insert(0, str(HERE))

from bench.scripted import QUESTION, pitch_of  # noqa: E402
from speech.audio import Samples  # noqa: E402
from tests.speech.speaking import spoken  # noqa: E402
from tests.ui.talker import Talker  # noqa: E402

RATE = 24_000
GROWTH = 0.10  # of the server's memory, from the first third to the end
OWN_P95 = 0.250  # seconds of Parley's share
FREED = 2.0  # seconds after which nothing of a page that left may be at work


@dataclass
class Seen:
    """What all pages saw."""

    answers: int = 0
    interrupted: int = 0
    left: int = 0
    own: list[float] = field(default_factory=list)  # seconds of Parley's share
    strange: int = 0  # turns in which another tone was heard
    stray: int = 0  # samples of another turn than the current one
    late: list[float] = field(default_factory=list)  # seconds that a frame was sent after its time
    problems: list[str] = field(default_factory=list)


async def person(url: str, number: int, until: float, seen: Seen) -> None:
    """Ask until it is time to go; now and then interrupt, or drop the connection and come back."""
    generator = random.Random(number)
    question = np.concatenate([np.zeros(4800, np.float32), spoken(QUESTION)])
    remark = spoken("No, I meant the other one.")
    conversation = cookie = ""
    await asyncio.sleep(generator.uniform(0, 8))
    while time.monotonic() < until:
        async with Talker(url, cookie=cookie) as talker:
            cookie = talker.cookie
            conversation = await talker.talk(conversation, language=str(number))
            while time.monotonic() < until:
                try:
                    await ask(talker, question, remark, generator, seen)
                except TimeoutError:
                    seen.problems.append(f"{conversation}: no answer; last: {talker.kinds()[-5:]}")
                if generator.random() < 0.08:
                    seen.left += 1
                    talker.socket.transport.abort()
                    break
            seen.strange += sum(
                not is_tone(played.sound, pitch_of(str(number)))
                for played in talker.turns.values()
                if len(played.sound) >= RATE
            )
            seen.stray += talker.stray
            seen.late += talker.late


async def ask(
    talker: Talker, question: Samples, remark: Samples, generator: random.Random, seen: Seen
) -> None:
    since = len(talker.messages)
    talker.say(question)
    latency = await talker.until("latency", since=since)
    timings = latency["timings"]
    seen.own.append(timings["first_audio"] - max(timings["endpoint"], timings["transcript"]))
    if generator.random() < 0.3:
        await asyncio.sleep(generator.uniform(0.5, 2.0))
        talker.say(remark)
        await talker.until("interrupted", since=since)
        seen.interrupted += 1
        return
    await talker.until("end", since=since)
    await talker.until("state", lambda m: m["state"] == "listening" and not m["hearing"], since=since + 4)
    seen.answers += 1


def is_tone(sound: Samples, pitch: float) -> bool:
    """Whether the loudest frequency of every second is `pitch`."""
    for second in np.array_split(sound, max(1, len(sound) // RATE)):
        spectrum = np.abs(np.fft.rfft(second * np.hanning(len(second))))
        if abs(np.fft.rfftfreq(len(second), 1 / RATE)[int(spectrum.argmax())] - pitch) > 8:
            return False
    return len(sound) > 0


@contextmanager
def server() -> Iterator[tuple[str, psutil.Process]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "bench.scripted", "--port", str(port)]
    process = subprocess.Popen(command, cwd=HERE)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(200):
            try:
                httpx.get(f"{url}/health", timeout=1)
                break
            except httpx.HTTPError:
                time.sleep(0.2)
        yield url, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(20)


async def watch(process: psutil.Process, until: float, memory: list[int]) -> None:
    while time.monotonic() < until:
        memory.append(process.memory_info().rss)
        await asyncio.sleep(2)


def freed(url: str) -> float:
    """Seconds until no conversation is at work any more, after everybody has left."""
    begun = time.monotonic()
    while metric(url, "parley_live_conversations") and time.monotonic() - begun < 10:
        time.sleep(0.05)
    return time.monotonic() - begun


def metric(url: str, name: str) -> float:
    lines = httpx.get(f"{url}/metrics", timeout=5).text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} "))


async def everybody(url: str, people: int, seconds: float, process: psutil.Process) -> tuple[Seen, list[int]]:
    seen, memory = Seen(), list[int]()
    until = time.monotonic() + seconds
    await asyncio.gather(
        watch(process, until, memory), *(person(url, number, until, seen) for number in range(people))
    )
    return seen, memory


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=10.0)
    arguments = parser.parse_args()
    spoken(QUESTION)
    with server() as (url, process):
        asyncio.run(everybody(url, 1, 5, process))  # everything is loaded
        seen, memory = asyncio.run(everybody(url, arguments.people, 60 * arguments.minutes, process))
        took = freed(url)
        lost = metric(url, "parley_frames_lost_total")
    if not seen.own:
        print(f"BROKEN nobody was answered: {seen.problems}")
        return 1
    third = len(memory) // 3
    before, after = np.median(memory[third : third + 10]), np.median(memory[-10:])
    figures = {
        "people": arguments.people,
        "minutes": arguments.minutes,
        "answers": seen.answers,
        "interrupted": seen.interrupted,
        "connections_dropped": seen.left,
        "frames_lost": lost,
        "strange_sound": seen.strange,
        "stray_samples": seen.stray,
        "own_p50_ms": round(float(np.percentile(seen.own, 50)) * 1000, 1),
        "own_p95_ms": round(float(np.percentile(seen.own, 95)) * 1000, 1),
        "pages_late_p95_ms": round(float(np.percentile(seen.late, 95)) * 1000, 1),
        "memory_mb": [round(before / 1e6), round(float(after) / 1e6)],
        "freed_s": round(took, 2),
        "problems": seen.problems[:10],
    }
    print(json.dumps(figures, indent=2))
    kept = {
        "no frame is lost": lost == 0,
        "nobody hears anybody else": seen.strange == 0,
        "memory is flat": after <= before * (1 + GROWTH),
        "Parley's share": np.percentile(seen.own, 95) <= OWN_P95,
        "everything is freed": took <= FREED,
        "everybody is answered": not seen.problems,
    }
    for promise, held in kept.items():
        print(f"{'kept  ' if held else 'BROKEN'} {promise}")
    return 0 if all(kept.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
