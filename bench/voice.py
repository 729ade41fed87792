"""`app.py bench --voice`: the live conversation as a person meets it, in Chromium.

The browser's microphone is a recording of somebody who asks, waits and asks again; what is measured is the
way from the last sample that the page sends of a question to the first sample that its loudspeaker gets of
the answer, and from the first sample of an interrupting voice to silence. It judges nothing.
"""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from speech.audio import RATE, AudioError, Samples, decode, wav_bytes

ROOT = Path(__file__).parents[1]
Figures = dict[str, Any]
Progress = Callable[[int, int, str], None]
STAGES = (
    "endpoint",
    "transcript",
    "standalone",
    "retrieval",
    "first_token",
    "first_sentence",
    "audio_sent",
    "first_audio",
)
QUESTIONS = (
    "When does the garden open?",
    "How much does a ticket for the pool cost?",
    "Who may use the reading room?",
    "Where can I park my car?",
    "How long can I borrow a book?",
    "What must I do before I light a fire?",
    "When is the library closed?",
    "How do I rent the hall?",
    "What happens when it rains?",
    "Which animals live in the park?",
)
VOICES = ("en-us", "en-gb", "en-us+f3", "en-gb+m3")
LEAD, WAIT = 2.0, 9.0  # seconds of silence before the first question, and for each answer
REMARK = "No, I meant the other one."
PLAYED_FIRST = 0.6  # seconds of an answer that are heard before anybody interrupts
MINIMUM = 0.4  # seconds of speech that count as an interruption, by default
_CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")

WATCH = Path(__file__).with_name("voice.js")


class VoiceBenchError(Exception):
    """The live conversation cannot be measured here; the message says what to do."""


def bench_voice(
    *,
    recordings: Path | None = None,
    questions: int = 30,
    interruptions: int = 100,
    progress: Progress | None = None,
) -> Figures:
    """Milliseconds, p50 and p95, with the embedded engines and with scripted ones, and of interruptions.

    `recordings`: a folder of spoken questions to use instead of espeak-ng's.
    """
    spoken = list(_recorded(recordings)) if recordings else list(_said(QUESTIONS))
    if not spoken:
        raise VoiceBenchError(f"{recordings} holds no recording. Name a folder of WAV or FLAC files.")
    asked = [spoken[number % len(spoken)] for number in range(questions)]
    parts: list[tuple[str, Callable[[], Figures]]] = [
        ("embedded engines", lambda: _conversation(_embedded, asked, "voice")),
        ("scripted engines", lambda: _conversation(_scripted(1), asked, "scripted")),
        ("interruptions", lambda: _interruptions(interruptions)),
    ]
    figures: Figures = {}
    for number, (name, measure) in enumerate(parts):
        if progress:
            progress(number, len(parts), name)
        figures |= measure()
    if progress:
        progress(len(parts), len(parts), "done")
    return figures


# What is said


def _said(texts: Sequence[str]) -> Iterator[Samples]:
    """The texts aloud, each by another voice of espeak-ng's."""
    from speech.tts import open_synthesizer

    voices = [open_synthesizer("espeak-ng", voice=name, speed=0.9) for name in VOICES]
    for number, text in enumerate(texts):
        chunks = list(voices[number % len(voices)].synthesize(text, "en"))
        whole = np.concatenate([chunk.samples for chunk in chunks])
        yield _trimmed(decode(wav_bytes(whole, chunks[0].rate)))


def _recorded(folder: Path) -> Iterator[Samples]:
    for path in sorted(folder.iterdir()):
        try:
            yield _trimmed(decode(path))
        except AudioError:
            continue


def _trimmed(samples: Samples) -> Samples:
    """From the first sound to the last, as loud as a voice near a microphone."""
    loud = np.flatnonzero(np.abs(samples) > 0.01 * np.abs(samples).max())
    voice = samples[loud[0] : loud[-1] + 1]
    return np.asarray(voice * (0.5 / np.abs(voice).max()), np.float32)


def _silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE), np.float32)


# The conversation


def _conversation(serve: Callable[[], Any], asked: Sequence[Samples], name: str) -> Figures:
    parts = [_silence(LEAD)]
    for question in asked:
        parts += [question, _silence(WAIT)]
    watch = _talk(serve, np.concatenate(parts))
    latencies = {one["turn"]: one["timings"] for one in watch["latencies"]}
    totals, own, stages = [], [], dict[str, list[float]]()
    for turn in watch["turns"]:
        timings = latencies.get(turn["turn"])
        if timings is None or turn["said"] is None:
            continue
        totals.append(turn["at"] - turn["said"])
        known = max(timings["endpoint"], timings["transcript"])
        own.append(1000 * (timings["first_audio"] - known))
        for stage in STAGES:
            stages.setdefault(stage, []).append(1000 * timings[stage])
    figures: Figures = {f"{name}_questions": len(asked), f"{name}_answers": len(totals)}
    figures |= _spread(f"{name}_total", totals) | _spread(f"{name}_own", own)
    for stage, values in stages.items():
        figures |= _spread(f"{name}_{stage}", values)
    return figures


def _interruptions(count: int) -> Figures:
    """A voice over a long answer, again and again, at random moments."""
    generator = random.Random(3)
    remarks = list(_said([REMARK, "And when does the library open?", "What about the pool, please?"]))
    parts = [_silence(LEAD), next(_said(QUESTIONS))]
    for number in range(count):
        parts += [_silence(generator.uniform(1.0 + PLAYED_FIRST, 4.5)), remarks[number % len(remarks)]]
    watch = _talk(_scripted(12), np.concatenate([*parts, _silence(2.0)]))
    delays = [cut["loud"] - cut["began"] for cut in watch["cuts"]]
    beyond = [delay - 1000 * MINIMUM for delay in delays]
    return {
        "interruptions": len(watch["cuts"]),
        "interruptions_tried": count,
        "interruptions_resumed": watch["resumed"],
        "interrupted_turns_heard_again": watch["leaks"],
        **_spread("interruption_to_silence", delays),
        **_spread("interruption_beyond_minimum", beyond),
        "interruption_beyond_minimum_max_ms": round(max(beyond, default=0.0), 1),
    }


def _talk(serve: Callable[[], Any], microphone: Samples) -> Mapping[str, Any]:
    """What the page's watch saw while the recording was spoken into it once."""
    seconds = len(microphone) / RATE
    with serve() as url, _chromium(microphone) as page:
        page.add_init_script(path=WATCH)
        page.goto(url)
        page.locator("body.parley-ready").wait_for()
        page.wait_for_function("window.parleyPlayer.key !== ''")
        page.locator("#talk").click()
        page.locator("#talk[data-state=listening]").wait_for()
        page.wait_for_timeout(1000 * seconds)
        found: Mapping[str, Any] = page.evaluate("window.watch")
        page.locator("#talk").click()  # which silences an answer, too
        return found


@contextmanager
def _chromium(microphone: Samples) -> Iterator[Any]:
    """A page of a Chromium that hears the recording."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise VoiceBenchError(
            "Playwright is missing. Install it: pip install -r requirements-dev.txt"
        ) from error
    with tempfile.TemporaryDirectory(prefix="parley-bench-") as folder, sync_playwright() as playwright:
        path = Path(folder) / "microphone.wav"
        path.write_bytes(wav_bytes(microphone, RATE))
        flags = ["--no-sandbox", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
        browser = playwright.chromium.launch(
            executable_path=_browser_path(playwright),
            args=[
                *flags,
                f"--use-file-for-fake-audio-capture={path}",
                "--autoplay-policy=no-user-gesture-required",
            ],
        )
        try:
            yield browser.new_context().new_page()
        finally:
            browser.close()


def _browser_path(playwright: Any) -> str:
    own = Path(playwright.chromium.executable_path)
    found = str(own) if own.exists() else next(filter(None, map(shutil.which, _CHROMIUM)), None)
    if found is None:
        raise VoiceBenchError(
            "There is no Chromium. Install it: python -m playwright install --with-deps chromium"
        )
    return found


# Servers, each in a process of its own


@contextmanager
def _embedded() -> Iterator[str]:
    """`app.py serve` with the default settings and nothing but what packages carry, its documents indexed."""
    with tempfile.TemporaryDirectory(prefix="parley-bench-") as data:
        own = {"PARLEY_DATA": data, "PARLEY_OFFLINE": "1"}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
        with _served(["app.py", "serve"], kept | own) as url:
            yield url


def _scripted(sentences: int) -> Callable[[], Any]:
    return lambda: _served(["-m", "bench.scripted", "--sentences", str(sentences)], dict(os.environ))


@contextmanager
def _served(command: Sequence[str], environment: Mapping[str, str]) -> Iterator[str]:
    """The address of a server that is started for this, as soon as it is ready."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, *command, "--port", str(port)],
        cwd=ROOT,
        env=dict(environment),
        stderr=subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_until_ready(url, process)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], seconds: float = 180.0) -> None:
    """Until nothing loads or is indexed any more."""
    import httpx

    until = time.monotonic() + seconds
    with httpx.Client(base_url=url, timeout=5) as client:
        while time.monotonic() < until and process.poll() is None:
            try:
                client.get("/")
                if not client.get("/api/state").json().get("busy", True):
                    return
            except (httpx.HTTPError, ValueError):
                pass
            time.sleep(0.3)
    raise VoiceBenchError(
        "The server does not become ready. Start it by hand to see why: python app.py serve"
    )


def _spread(name: str, milliseconds: Sequence[float]) -> Figures:
    if not milliseconds:
        return {}
    p50, p95 = np.percentile(milliseconds, [50, 95])
    return {f"{name}_p50_ms": round(float(p50), 1), f"{name}_p95_ms": round(float(p95), 1)}
