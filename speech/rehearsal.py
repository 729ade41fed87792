"""A text said by a voice, perhaps in noise, as a recogniser would get it; and how many words it got wrong.

It does not know what the text is for, nor which voice or recogniser is measured.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np

from speech.audio import RATE, Samples, decode, wav_bytes
from speech.speakable import speakable
from speech.tts import SynthesisError, Synthesizer

_AROUND = RATE // 3  # samples of silence before and after what is said
_QUIET = 0.02  # of the loudest sample; what is quieter is a pause, and does not count for the level


def say(text: str, synthesizer: Synthesizer, language: str) -> Samples:
    """The text aloud, (n,) at 16 kHz, with a moment of silence before and after. Raises SynthesisError."""
    chunks = list(synthesizer.synthesize(speakable(text, language), language))
    if not chunks:
        raise SynthesisError(f"{synthesizer.name} says nothing for “{text[:60]}”. Reword it.")
    said = decode(wav_bytes(np.concatenate([chunk.samples for chunk in chunks]), chunks[0].rate))
    return np.pad(said, _AROUND)


def with_noise(samples: Samples, decibels: float, seed: int = 0) -> Samples:
    """The same in pink noise, the voice so many dB above it while it speaks; never beyond full scale."""
    speech = samples[np.abs(samples) > _QUIET * np.abs(samples).max(initial=0.0)]
    if not speech.size:
        return samples
    noise = _pink(len(samples), seed)
    wanted = _level(speech) / 10 ** (decibels / 20)
    mixed = samples + noise * np.float32(wanted / _level(noise))
    return np.asarray(mixed / max(1.0, float(np.abs(mixed).max())), np.float32)


def _pink(count: int, seed: int) -> Samples:
    """Noise whose power falls with the frequency, as that of rooms and streets does."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).normal(size=count))
    spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), 1))
    return np.asarray(np.fft.irfft(spectrum, count), np.float32)


def _level(samples: Samples) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


def word_errors(said: str, heard: str, language: str) -> tuple[int, int]:
    """(words wrong, missing or too many; words said), both texts normalised as Whisper's own evaluation does.

    So "£5" and "five pounds" are the same in English. The word error rate is the first by the second, over
    all texts together.
    """
    normalise = _normaliser(language)
    one, other = normalise(said).split(), normalise(heard).split()
    return _distance(one, other), len(one)


@cache
def _normaliser(language: str) -> Callable[[str], str]:
    from whisper.normalizers import BasicTextNormalizer, EnglishTextNormalizer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves its list of spellings open
        made: Callable[[str], str] = EnglishTextNormalizer() if language == "en" else BasicTextNormalizer()
    return made


def _distance(one: Sequence[str], other: Sequence[str]) -> int:
    """Levenshtein's, in words."""
    row = list(range(len(other) + 1))
    for at, word in enumerate(one, 1):
        before, row[0] = row[0], at
        for column, heard in enumerate(other, 1):
            before, row[column] = (
                row[column],
                min(before + (word != heard), row[column] + 1, row[column - 1] + 1),
            )
    return row[-1]
