"""Decoding real containers, whole and broken, made here with PyAV."""

from __future__ import annotations

import contextlib
import io
import struct
import wave
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speech.audio import (
    AudioChunk,
    AudioError,
    Samples,
    decode,
    from_int16,
    to_int16,
    wav_bytes,
    write_wav,
)

_FORMATS = [  # container, codec, sample format, rate: what browsers, phones and recorders write
    ("webm", "libopus", "flt", 48000),
    ("ogg", "libopus", "flt", 48000),
    ("matroska", "libopus", "flt", 48000),
    ("mp4", "aac", "fltp", 44100),
    ("adts", "aac", "fltp", 48000),
    ("mp3", "libmp3lame", "fltp", 44100),
    ("flac", "flac", "s16", 22050),
    ("wav", "pcm_u8", "u8", 8000),
    ("wav", "pcm_s16le", "s16", 44100),
    ("wav", "pcm_s24le", "s32", 48000),
    ("wav", "pcm_f32le", "flt", 16000),
    ("wav", "pcm_mulaw", "s16", 8000),
    ("aiff", "pcm_s16be", "s16", 44100),
]


def tone(seconds: float, rate: int, hertz: float = 440.0) -> Samples:
    times = np.arange(round(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * hertz * times)).astype(np.float32)


def encoded(container: str, codec: str, form: str, rate: int, seconds: float = 1.0) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as out:
        stream = out.add_stream(codec, rate=rate, layout="stereo")
        resampler = av.AudioResampler(format=form, layout="stereo", rate=rate, frame_size=stream.frame_size)
        mono = to_int16(tone(seconds, rate))
        frame = av.AudioFrame.from_ndarray(np.repeat(mono, 2)[None], format="s16", layout="stereo")
        frame.rate = rate
        for part in [*resampler.resample(frame), *resampler.resample(None), None]:
            out.mux(stream.encode(part))
    return buffer.getvalue()


def loudest_hertz(samples: Samples, rate: int = 16000) -> float:
    spectrum = np.abs(np.fft.rfft(samples))
    return float(np.argmax(spectrum) * rate / len(samples))


@pytest.mark.parametrize(("container", "codec", "form", "rate"), _FORMATS)
def test_every_usual_format_becomes_mono_at_16_khz(container: str, codec: str, form: str, rate: int) -> None:
    samples = decode(encoded(container, codec, form, rate))
    assert samples.dtype == np.float32
    assert samples.ndim == 1
    assert len(samples) / 16000 == pytest.approx(1.0, abs=0.08)
    assert loudest_hertz(samples) == pytest.approx(440, abs=5)
    assert 0.3 < np.abs(samples).max() < 0.7  # both channels carry the tone: neither added up nor halved


@pytest.mark.parametrize(("container", "codec", "form", "rate"), _FORMATS)
def test_a_recording_that_breaks_off_gives_a_result_or_a_reason(
    container: str, codec: str, form: str, rate: int
) -> None:
    whole = encoded(container, codec, form, rate, seconds=2.0)
    half = whole[: len(whole) // 2]
    if container == "mp4":  # its index stands at the end
        with pytest.raises(AudioError, match="broken"):
            decode(half)
    else:
        assert 0.5 < len(decode(half)) / 16000 < 1.6


def test_a_path_and_another_rate(tmp_path: Path) -> None:
    path = tmp_path / "tone.wav"
    assert write_wav(path, [AudioChunk(tone(0.5, 24000), 24000), AudioChunk(tone(0.5, 24000), 24000)]) == 1.0
    samples = decode(path, rate=8000)
    assert len(samples) == pytest.approx(8000, abs=20)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"Dear diary, today nobody sang.\n" * 50, "not a recording"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(500), "not a recording"),
        (b"#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1:9/secret.mp3\n#EXT-X-ENDLIST\n", "not a recording"),
        (b"ffconcat version 1.0\nfile /etc/hostname\n", "not a recording"),
    ],
)
def test_what_is_no_recording_is_refused_with_a_remedy(data: bytes, reason: str) -> None:
    with pytest.raises(AudioError, match=reason) as caught:
        decode(data)
    assert "ecord" in str(caught.value).split(". ", 1)[1]


def test_a_wav_without_samples_and_one_with_an_absurd_header() -> None:
    with pytest.raises(AudioError, match="no sound"):
        decode(wav_bytes(np.empty(0, np.float32), 16000))
    absurd = bytearray(wav_bytes(tone(0.1, 16000), 16000))
    absurd[24:28] = struct.pack("<I", 0xFFFFFFFF)  # four thousand million samples per second
    with pytest.raises(AudioError):
        decode(bytes(absurd))


def test_a_film_without_sound_says_so() -> None:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as out:
        stream = out.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
        for part in [picture, None]:
            out.mux(stream.encode(part))
    with pytest.raises(AudioError, match="holds no sound"):
        decode(buffer.getvalue())


def test_limits_of_length_and_time() -> None:
    data = wav_bytes(tone(3.0, 16000), 16000)
    with pytest.raises(AudioError, match="longer than"):
        decode(data, max_seconds=2.0)
    with pytest.raises(AudioError, match="too long to decode"):
        decode(data, timeout=0.0)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.wav", tmp_path):
        with pytest.raises(AudioError, match="cannot be opened"):
            decode(path)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damage_anywhere_never_escapes(data: st.DataObject) -> None:
    whole = bytearray(data.draw(st.sampled_from(_WHOLE)))
    for at, value in data.draw(st.lists(st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 255)))):
        whole[at] = value
    samples = np.zeros(1, np.float32)
    with contextlib.suppress(AudioError):  # anything else would fail the test
        samples = decode(bytes(whole))
    assert samples.size
    assert np.isfinite(samples).all()


_WHOLE = [encoded(*_FORMATS[number], seconds=0.2) for number in (0, 3, 5, 6, 8)]


def test_int16_there_and_back() -> None:
    values = np.arange(-32768, 32768, dtype=np.int16)
    assert np.array_equal(to_int16(from_int16(values)), values)


def test_what_a_16_bit_number_cannot_hold_is_clipped_or_silent() -> None:
    wild = np.array([2.0, -2.0, np.nan, np.inf, -np.inf], np.float32)
    assert to_int16(wild).tolist() == [32767, -32768, 0, 32767, -32768]


def test_a_written_wav_is_read_by_the_standard_library() -> None:
    with wave.open(io.BytesIO(wav_bytes(tone(0.25, 24000), 24000))) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 24000)
        assert file.getnframes() == 6000


def test_chunks_of_different_rates_leave_no_file(tmp_path: Path) -> None:
    path = tmp_path / "mixed.wav"
    with pytest.raises(ValueError, match="24000"):
        write_wav(path, [AudioChunk(tone(0.1, 16000), 16000), AudioChunk(tone(0.1, 24000), 24000)])
    assert not list(tmp_path.iterdir())
    with pytest.raises(AudioError, match="cannot be saved"):
        write_wav(tmp_path / "none" / "x.wav", [])
