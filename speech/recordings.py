"""A recording of hours → what is said in it and when, without haste: a person who speaks now goes first.

It is decoded in a process of its own, for files from anywhere meet FFmpeg's decoders there, and lies on disk
meanwhile. It does not know who asks, nor what the text is for.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speech.asr import Stopped, Transcriber
from speech.audio import RATE, AudioError, from_int16
from speech.vad import FRAME, Segment, VadStream, segments_of

MAX_SECONDS = 4 * 3600.0
MAX_BYTES = 2 << 30
DECODE_SECONDS = 600.0
_STRETCH = 28 * RATE  # samples that are transcribed at once; Whisper hears half a minute
_LONGEST = 60 * RATE  # where nobody pauses for breath
_PAUSE = 2 * RATE  # samples of silence that end a stretch which is long enough
_ENOUGH = 10 * RATE
_WAIT = 0.5  # seconds until it is tried again after giving way

ShouldStop = Callable[[], bool]
Said = tuple[float, float, str]  # seconds from, to; what was said


def hear(
    path: Path, transcriber: Transcriber, *, language: str | None = None, should_stop: ShouldStop
) -> Iterator[Said]:
    """What is said, a stretch of up to half a minute at a time; nothing where nobody speaks.

    Raises `AudioError` and `TranscriberError`, and `Stopped` soon after `should_stop` is true.
    """
    with tempfile.TemporaryDirectory(prefix="parley-") as folder:
        sound = _decoded_apart(path, Path(folder, "sound"), should_stop)
        for stretch in _stretches(segments_of(_probabilities(sound, should_stop), len(sound))):
            text = _transcribed(sound[stretch.start : stretch.end], transcriber, language, should_stop)
            if text:
                yield stretch.start / RATE, stretch.end / RATE, text


def _transcribed(
    sound: NDArray[np.int16], transcriber: Transcriber, language: str | None, should_stop: ShouldStop
) -> str:
    while True:
        try:
            return transcriber.transcribe(from_int16(sound), language, None, should_stop, urgent=False).text
        except Stopped:
            if should_stop():
                raise
        time.sleep(_WAIT)  # somebody speaks now


def _probabilities(sound: NDArray[np.int16], should_stop: ShouldStop) -> Iterator[float]:
    stream = VadStream()
    for at in range(0, len(sound), FRAME):
        if should_stop():
            raise Stopped
        frame = sound[at : at + FRAME]
        yield stream.feed(from_int16(np.pad(frame, (0, FRAME - len(frame)))))


def _stretches(segments: Iterable[Segment]) -> Iterator[Segment]:
    """Speech joined to stretches of about half a minute, cut at pauses."""
    start, end = 0, 0
    for segment in segments:
        for at in range(segment.start, segment.end, _LONGEST):
            piece = Segment(at, min(at + _LONGEST, segment.end))
            long = piece.end - start > _STRETCH
            paused = end - start > _ENOUGH and piece.start - end > _PAUSE
            if end and (long or paused):
                yield Segment(start, end)
                end = 0
            start, end = (start if end else piece.start), piece.end
    if end:
        yield Segment(start, end)


def _decoded_apart(path: Path, target: Path, should_stop: ShouldStop) -> NDArray[np.int16]:
    """The samples at 16 kHz, mapped from the file `target`; decoded in a process of its own."""
    script = Path(__file__).with_name("decode_apart.py")
    limits = (str(MAX_SECONDS), str(DECODE_SECONDS), str(MAX_BYTES))
    process = subprocess.Popen(
        [sys.executable, "-P", str(script), str(path), str(target), *limits],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
        start_new_session=True,
    )
    try:
        said = _wait(process, should_stop)
    finally:
        process.kill()
        process.wait()
        assert process.stdout
        process.stdout.close()
    if process.returncode or not target.is_file():
        raise AudioError(said.strip() or "The recording made its decoder crash. Save it again as mp3 or wav.")
    return np.memmap(target, np.int16, "r")


def _wait(process: subprocess.Popen[str], should_stop: ShouldStop) -> str:
    """What it prints: why there is no sound."""
    deadline = time.monotonic() + DECODE_SECONDS + 30
    while True:
        try:
            return process.communicate(timeout=0.2)[0]
        except subprocess.TimeoutExpired:
            if should_stop():
                raise Stopped from None
            if time.monotonic() > deadline:
                raise AudioError("The recording takes too long to decode. Split it into parts.") from None
