"""Sound → the bytes of a file, piece by piece, so that it can be sent while it is still being spoken.

The encoders are FFmpeg's, through PyAV. It does not know what is said, nor where the bytes go.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from speech.audio import Samples, to_int16

_UNKNOWN = 0xFFFFFFFF  # bytes of a WAV whose end is not known yet; readers go on to the end of the file


class EncodingError(Exception):
    """Sound cannot be written in this format; the message says why and what to do."""


class Encoder(Protocol):
    """For one recording and one thread."""

    def encode(self, samples: Samples) -> bytes:
        """The bytes that are sure after these samples (n,); there may be none yet."""

    def finish(self) -> bytes:
        """The last bytes."""


@dataclass(frozen=True)
class Format:
    media_type: str
    open: Callable[[int], Encoder]  # samples per second → an encoder


def open_encoder(name: str, rate: int) -> Encoder:
    """An encoder of one of `FORMATS`. Raises EncodingError."""
    if name not in FORMATS:
        raise EncodingError(f"There is no format {name!r}. Choose one of: {', '.join(FORMATS)}.")
    return FORMATS[name].open(rate)


class _Plain:
    """16-bit little-endian mono, after a header or none."""

    def __init__(self, header: bytes = b"") -> None:
        self._header = header

    def encode(self, samples: Samples) -> bytes:
        header, self._header = self._header, b""
        return header + to_int16(samples).astype("<i2").tobytes()

    def finish(self) -> bytes:
        return self._header


class _Compressed:
    """What FFmpeg writes with a codec into a container."""

    def __init__(self, rate: int, container: str, codec: str, **options: str) -> None:
        import av

        self._rate, self._codec = rate, codec
        self._file = _Pipe()
        try:
            self._container = av.open(self._file, "w", format=container, options=options)
            self._stream: Any = self._container.add_stream(codec, rate=rate, layout="mono")
        except (av.error.FFmpegError, ValueError) as error:
            raise EncodingError(
                f"This machine's FFmpeg cannot write {codec}. Choose the format wav or pcm."
            ) from error

    def encode(self, samples: Samples) -> bytes:
        import av

        frame = av.AudioFrame.from_ndarray(to_int16(samples)[None, :], format="s16", layout="mono")
        frame.sample_rate = self._rate
        self._container.mux(self._stream.encode(frame))
        return self._file.take()

    def finish(self) -> bytes:
        self._container.mux(self._stream.encode(None))
        self._container.close()
        return self._file.take()


class _Pipe:
    """Where FFmpeg writes to: as it cannot go back there, it writes what can be played from the beginning."""

    def __init__(self) -> None:
        self._buffer = io.BytesIO()

    def write(self, data: bytes) -> int:
        return self._buffer.write(data)

    def take(self) -> bytes:
        data = self._buffer.getvalue()
        self._buffer = io.BytesIO()
        return data


def _wav(rate: int) -> Encoder:
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16)
    head = b"RIFF" + struct.pack("<I", _UNKNOWN) + b"WAVE"
    return _Plain(head + form + b"data" + struct.pack("<I", _UNKNOWN))


FORMATS: dict[str, Format] = {
    "mp3": Format("audio/mpeg", lambda rate: _Compressed(rate, "mp3", "libmp3lame", write_xing="0")),
    "opus": Format("audio/ogg", lambda rate: _Compressed(rate, "ogg", "libopus")),
    "aac": Format("audio/aac", lambda rate: _Compressed(rate, "adts", "aac")),
    "flac": Format("audio/flac", lambda rate: _Compressed(rate, "flac", "flac")),
    "wav": Format("audio/wav", _wav),
    "pcm": Format("audio/pcm", lambda rate: _Plain()),
}
