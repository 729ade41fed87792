"""Sound as arrays: decode anything, mono, resample, int16 and float32. It does not know what is said.

Decoding is FFmpeg's, through PyAV, which carries its own libraries: no program on the PATH is needed.
"""

from __future__ import annotations

import io
import time
import wave
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]  # mono, -1.0 to 1.0

RATE = 16_000  # samples per second that every speech recogniser here expects
MAX_SECONDS = 2 * 3600.0
MAX_BYTES = 1 << 30
DECODE_SECONDS = 20.0

# What may be opened. Playlists, image sequences and scene descriptions are not here: they make FFmpeg read
# other files or call servers, and a recording is one file.
_CONTAINERS = (
    "aac,ac3,adts,aiff,amr,amrnb,amrwb,ape,asf,au,avi,caf,dsf,dts,eac3,flac,flv,gsm,iff,latm,loas,matroska,mov,mp3,"
    "mpc,mpc8,mpeg,mpegts,oga,ogg,rm,spx,tak,tta,voc,w64,wav,webm,wv,xwma"
)
_USUAL = "webm, ogg, mp3, m4a, wav or flac"


class AudioError(Exception):
    """A recording cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class Mark:
    """From this moment of a chunk on, this stretch of a text is spoken."""

    at: float  # seconds from the chunk's first sample
    start: int  # character offsets: from an engine in the text that it was given to say,
    end: int  # from a `speech.turn.Speaker` in the text that was fed to it since its last `replace`
    kind: Literal["word", "sentence"] = "word"


@dataclass(frozen=True)
class AudioChunk:
    """A piece of speech, ready to play."""

    samples: Samples  # (n,)
    rate: int  # samples per second
    text: str = ""  # what it says, as it is spoken (the sentence, normalised)
    marks: tuple[Mark, ...] = ()  # in order of time
    pause: int = 0  # of the samples, so many at the end are the pause after a sentence
    notice: str = ""  # what the person should know of this voice, such as that it is not the one chosen

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate


def decode(
    source: Path | bytes,
    rate: int = RATE,
    *,
    max_seconds: float = MAX_SECONDS,
    timeout: float = DECODE_SECONDS,
) -> Samples:
    """A recording in any usual format as mono samples (n,) at `rate` per second.

    A file that breaks off or is damaged in places gives what could be decoded. Raises `AudioError` when there
    is nothing to give, when it is longer than `max_seconds`, or when decoding takes more than `timeout`
    seconds.
    """
    return from_int16(np.concatenate(list(decoded(source, rate, max_seconds=max_seconds, timeout=timeout))))


def decoded(
    source: Path | bytes,
    rate: int = RATE,
    *,
    max_seconds: float = MAX_SECONDS,
    timeout: float = DECODE_SECONDS,
    max_bytes: int = MAX_BYTES,
) -> Iterator[NDArray[np.int16]]:
    """The same in pieces, for what is too long to be held at once; there is some sound in them."""
    deadline = time.monotonic() + timeout
    samples = 0
    with _opened(source, max_bytes) as file:
        for piece in _bounded(_pieces(file, rate), int(max_seconds * rate), max_seconds, deadline):
            samples += len(piece)
            yield piece
    if not samples:
        raise AudioError(f"The recording holds no sound that could be decoded. Record it again as {_USUAL}.")


def _opened(source: Path | bytes, most: int) -> BinaryIO:
    try:
        file: BinaryIO = io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
    except OSError as error:
        reason = error.strerror or str(error)
        raise AudioError(
            f"The recording cannot be opened: {reason}. Check its path and its permissions."
        ) from error
    if not size:
        raise AudioError("The recording is empty (0 bytes). Record it again.")
    if size > most:
        raise AudioError(f"The recording is larger than {most >> 20} MB. Split it, or save it as mp3 or m4a.")
    return file


def _bounded(
    pieces: Iterable[NDArray[np.int16]], most: int, max_seconds: float, deadline: float
) -> Iterator[NDArray[np.int16]]:
    """The same pieces, until there are more than `most` samples or it is later than `deadline`."""
    count = 0
    for piece in pieces:
        count += len(piece)
        if count > most:
            raise AudioError(
                f"The recording is longer than {max_seconds / 60:.0f} minutes. Split it into parts."
            )
        if time.monotonic() > deadline:
            raise AudioError(
                "The recording takes too long to decode. Split it into parts, or save it as wav."
            )
        yield piece


def _pieces(file: BinaryIO, rate: int) -> Iterator[NDArray[np.int16]]:
    """Decoded and resampled, a frame at a time; a packet without sound is an empty piece, to keep limits."""
    import av

    try:
        with av.open(
            file,
            metadata_errors="ignore",
            options={"format_whitelist": _CONTAINERS, "protocol_whitelist": "none"},
        ) as container:
            stream = next(iter(container.streams.audio), None)
            if stream is None:
                raise AudioError(f"The file holds no sound. Choose a recording, such as {_USUAL}.")
            yield from _resampled(_frames(container, stream), rate)
    except (av.error.FFmpegError, ValueError, OverflowError, MemoryError) as error:
        raise AudioError(
            f"This is not a recording that can be read, or it is broken ({_reason(error)}). "
            f"Record it again, or save it as {_USUAL}."
        ) from error


def _frames(container: Any, stream: Any) -> Iterator[Any]:
    """Frames of the stream, None for a packet without any. Damaged packets are passed over."""
    import av

    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except (av.error.FFmpegError, EOFError):
            packet = None  # broken off: what was decoded so far is the result
        if packet is None:
            return
        try:
            decoded = packet.decode()
        except (av.error.FFmpegError, EOFError):
            decoded = []
        yield from decoded or [None]


def _resampled(frames: Iterable[Any], rate: int) -> Iterator[NDArray[np.int16]]:
    """Mono 16-bit at `rate`: what Whisper's own loaders make, down to the sample."""
    from av.audio.resampler import AudioResampler

    resampler, form = None, None
    for frame in frames:
        if frame is None or not frame.samples:
            yield np.empty(0, np.int16)
            continue
        new_form = (frame.format.name, frame.layout.name, frame.sample_rate)
        if new_form != form:  # a stream may change its rate or channels on the way
            yield from _flushed(resampler)
            resampler, form = AudioResampler(format="s16", layout="mono", rate=rate), new_form
        frame.pts = None  # damaged time stamps must not become gaps
        assert resampler is not None
        for part in resampler.resample(frame):
            yield part.to_ndarray()[0]
    yield from _flushed(resampler)


def _flushed(resampler: Any) -> Iterator[NDArray[np.int16]]:
    if resampler is not None:
        for part in resampler.resample(None):
            yield part.to_ndarray()[0]


def _reason(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or type(error).__name__)


def from_int16(samples: NDArray[np.int16]) -> Samples:
    """16-bit samples as float32, -1.0 to 1.0."""
    return samples.astype(np.float32) / np.float32(32768.0)


def to_int16(samples: Samples) -> NDArray[np.int16]:
    """float32 samples as 16 bits; what is beyond -1.0 to 1.0 is clipped, what is not a number is silence."""
    scaled = np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0).astype(np.float32) * np.float32(32768.0)
    whole: NDArray[np.int16] = np.clip(np.rint(scaled), -32768, 32767).astype(np.int16)
    return whole


def wav_bytes(samples: Samples, rate: int) -> bytes:
    """A 16-bit mono WAV file of the samples."""
    buffer = io.BytesIO()
    _write(buffer, [AudioChunk(samples, rate)])
    return buffer.getvalue()


def write_wav(path: Path, chunks: Iterable[AudioChunk]) -> float:
    """Write the chunks one after another as a 16-bit mono WAV file; returns its seconds.

    All chunks need the rate of the first. The file is written beside and renamed: `path` is whole or
    untouched.
    """
    partial = path.with_name(path.name + ".part")
    try:
        with partial.open("wb") as file:
            seconds = _write(file, chunks)
        partial.replace(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise AudioError(
            f"The sound cannot be saved: {reason}. Choose a folder that can be written."
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    return seconds


def _write(file: BinaryIO, chunks: Iterable[AudioChunk]) -> float:
    rate, frames = 0, 0
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        for chunk in chunks:
            if not rate:
                rate = chunk.rate
                out.setframerate(rate)
            elif chunk.rate != rate:
                raise ValueError(f"a chunk of {chunk.rate} samples per second among chunks of {rate}")
            out.writeframesraw(to_int16(chunk.samples).astype("<i2").tobytes())
            frames += len(chunk.samples)
        if not rate:
            out.setframerate(RATE)
    return frames / (rate or RATE)
