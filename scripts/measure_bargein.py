"""How often an answer interrupts itself, and how surely and soon a person does.

    python -m scripts.measure_bargein FOLDER [--mixes 200] [--half 0|1] [--minimum 0.4] [--gain -10] [--bare]

FOLDER holds recordings of people who speak, at least two. Answers and voices are theirs and espeak-ng's; each
mix begins a conversation of its own, so that every canceller starts without having heard anything. `--half`
takes another half of the recordings, sentences, voices and random numbers: settle on values with one, believe
the other. `--bare` cancels no echo.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, lfilter

from speech.audio import RATE, AudioError, Samples, decode, from_int16, wav_bytes
from speech.bargein import Bargein
from speech.echo import DELAY, FRAME, EchoCanceller, open_echo_canceller
from speech.tts import open_synthesizer
from speech.vad import VadOptions, VadStream, speech_segments

DELAYS = (0.05, 0.1, 0.15, 0.2, 0.25)  # seconds from the loudspeaker to the microphone
LATE = 0.1  # seconds beyond the minimum in which an interruption has to be decided
BRIDGE = RATE * 6 // 100  # samples without sound that do not part two sounds

ANSWERS = (
    "The warranty covers the compressor for five years and every other part for two, counted from delivery.",
    "You will find the reset button behind the cover. Hold it for ten seconds, until the green light blinks.",
    "According to page twelve, guests may cancel free of charge up to forty eight hours before they arrive.",
    "The committee met on the third of March and decided, by eleven votes to four, to postpone the project.",
    "First unplug the machine. Then remove the two screws at the back, and lift the panel towards you.",
    "Most of the energy goes into heating the water, so a shorter programme at less heat saves the most.",
    "I could not find that in your documents. The closest passage speaks of maintenance, not of repairs.",
    "Her first novel appeared in eighteen forty seven, under a name nobody suspected to be that of a woman.",
    "The trains leave every twenty minutes on weekdays, and every half an hour on Sundays and holidays.",
    "Mix the flour with the butter, add a pinch of salt, and let the dough rest in a cool place for an hour.",
)
INTERRUPTIONS = (
    "No, I meant the other one.",
    "Wait, what about the second page?",
    "Stop, that is not what I asked.",
    "Can you say that again more slowly?",
    "Sorry, which button was it?",
    "How long does it take?",
    "Actually, tell me about the price first.",
    "Okay, and who wrote it?",
    "Hold on, I do not understand.",
    "Yes, but what does it cost?",
    "Thank you, that is enough.",
    "That cannot be right.",
)
# as espeak-ng's phonemes: written as words, most of these would be spelt
HUMS = ("m-h'm", "m:h'm:", "'Vh'V", "h@m", "h'm", "'Vm", "m'm", "@h'@", "h'V", "@h'V")
READERS = ("en-us", "en-gb+f3", "en-us+m3", "en-gb")
PEOPLE = ("en-us", "en-us+f2", "en-gb+m5", "en-us+f4", "en-gb", "en-us+m1")

_HUM = """
import ctypes, sys, espeakng_loader
lib = ctypes.CDLL(espeakng_loader.get_library_path())
collect = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
def take(samples, count, events):
    if samples and count > 0:
        sys.stdout.buffer.write(ctypes.string_at(samples, 2 * count))
    return 0
callback = collect(take)
assert lib.espeak_Initialize(2, 0, espeakng_loader.get_data_path().encode(), 0) == 22050
lib.espeak_SetSynthCallback(callback)
lib.espeak_SetVoiceByName(sys.argv[1].encode())
lib.espeak_SetParameter(1, int(sys.argv[2]), 0)
text = ("[[" + sys.argv[3] + "]]").encode()
lib.espeak_Synth(text, len(text) + 1, 0, 1, 0, 0x101, None, None)
lib.espeak_Synchronize()
"""


@dataclass
class Mix:
    """What one microphone hears while an answer is played."""

    played: Samples
    heard: Samples
    begins: int | None = None  # sample at which a voice begins
    spoken: float = 0.0  # seconds of speech in the voice's first half second (`minimum` + LATE)
    what: str = ""


@dataclass
class Outcome:
    decided: list[int]  # samples fed when an interruption was decided, for each
    began: list[int]  # … and where it is said to have begun
    seconds: float  # of computing, without the VAD's
    frames: int


class Material:
    """Sounds to mix, of one half of everything."""

    def __init__(self, folder: Path, half: int, rng: np.random.Generator) -> None:
        self.rng = rng
        self.recorded = [sound for sound in map(decode, _files(folder)) if speech_segments(sound)][half::2]
        texts = ANSWERS[half::2]
        self.answers = [say(text, reader) for text in texts for reader in READERS[half::2]]
        self.voices = [say(text, who) for text in INTERRUPTIONS[half::2] for who in PEOPLE[half::2]]
        self.hums = [
            hum(sound, who, pace) for sound in HUMS[half::2] for who in PEOPLE[half::2] for pace in (140, 180)
        ]

    def answer(self) -> Samples:
        """5 to 15 s of somebody reading, recorded every second time, with silence around."""
        source = self.recorded if self.rng.random() < 0.5 else self.answers
        parts = [source[at] for at in self.rng.integers(len(source), size=8)]
        sound = np.concatenate(parts)[: int(self.rng.uniform(5, 15) * RATE)]
        sound = np.concatenate([_nothing(0.3), sound * 0.1 / loudness(sound), _nothing(0.5)])
        return whole(sound.astype(np.float32))

    def echo(self, played: Samples, gain: float) -> Samples:
        """What of it comes back: late, weaker, and every second time through a small room."""
        late = round((self.rng.choice(DELAYS) + self.rng.uniform(-0.005, 0.005)) * RATE)
        back = np.concatenate([np.zeros(late, np.float32), played])
        if self.rng.random() < 0.5:
            back = np.convolve(back, self.room())
        echo: Samples = (back[: len(played)] * 10 ** (gain / 20)).astype(np.float32)
        return echo

    def room(self) -> Samples:
        """A response with a quarter of its power after the first sound, gone (-60 dB) in a quarter second."""
        count = RATE // 4
        tail = self.rng.standard_normal(count) * np.exp(-6.9 * np.arange(count) / count)
        tail *= 0.5 / np.sqrt(np.sum(tail**2))
        tail[0] = 1.0
        room: Samples = (tail / np.sqrt(np.sum(tail**2))).astype(np.float32)
        return room

    def voice(self) -> Samples:
        source = self.recorded if self.rng.random() < 0.5 else self.voices
        sound = source[self.rng.integers(len(source))]
        return sound[onset(sound) :]

    def floor(self, count: int) -> Samples:
        noise: Samples = (self.rng.standard_normal(count) * 10 ** (-65 / 20)).astype(np.float32)
        return noise

    def cough(self) -> Samples:
        """One or two bursts of breath, and some voice, through an open mouth; the second one weaker."""
        bursts = [self._burst(self.rng.uniform(0.15, 0.35))]
        if self.rng.random() < 0.3:
            bursts += [_nothing(self.rng.uniform(0.1, 0.3)), 0.6 * self._burst(self.rng.uniform(0.15, 0.25))]
        return np.concatenate(bursts)

    def _burst(self, seconds: float) -> Samples:
        count = int(seconds * RATE)
        pulses = np.diff(np.floor(np.arange(count) * self.rng.uniform(90, 250) / RATE), prepend=0)
        noise = self.rng.standard_normal(count) + self.rng.uniform(0, 8) * pulses
        sound = 0.1 * noise
        formants = ((self.rng.uniform(500, 900), 200), (self.rng.uniform(1200, 1800), 300), (2800, 500))
        for formant, width in formants:
            low, high = (formant - width) / RATE * 2, (formant + width) / RATE * 2
            sound += lfilter(*butter(2, [low, high], "band"), noise)
        at = np.arange(count) / count
        return (sound * np.minimum(at / 0.05, 1) * np.exp(-3 * at)).astype(np.float32)

    def door(self) -> Samples:
        """A bang that dies away, with the low tones of a panel."""
        count = int(self.rng.uniform(0.2, 0.6) * RATE)
        at = np.arange(count) / RATE
        sound = self.rng.standard_normal(count) * np.exp(-at / 0.015)
        for pitch in self.rng.uniform(60, 500, 4):
            sound += np.sin(2 * np.pi * pitch * at) * np.exp(-at / self.rng.uniform(0.03, 0.12))
        return sound.astype(np.float32)

    def keys(self) -> Samples:
        """Two seconds of typing: clicks of 5 to 15 ms, five to ten in a second."""
        sound = np.zeros(2 * RATE, np.float32)
        at = 0
        while (at := at + int(self.rng.uniform(0.1, 0.2) * RATE)) < len(sound) - 400:
            count = int(self.rng.uniform(0.005, 0.015) * RATE)
            sound[at : at + count] += self.rng.standard_normal(count) * np.exp(-5 * np.arange(count) / count)
        return sound

    def clink(self) -> Samples:
        """Glass: high tones that ring."""
        at = np.arange(int(0.4 * RATE)) / RATE
        tones = [np.sin(2 * np.pi * pitch * at) for pitch in self.rng.uniform(1500, 6500, 4)]
        sound = np.sum(tones, axis=0) * np.exp(-at / self.rng.uniform(0.04, 0.12))
        return np.asarray(sound, np.float32)

    def buzz(self) -> Samples:
        """ "mm-hm" out of pulses and two resonances of the nose."""
        count = int(self.rng.uniform(0.35, 0.58) * RATE)
        at = np.arange(count) / count
        pitch = self.rng.uniform(90, 220) * (1 + self.rng.uniform(-0.1, 0.3) * at)
        pulses = np.diff(np.floor(np.cumsum(pitch) / RATE), prepend=0)
        sound = sum(
            level * lfilter(*butter(1, [(tone - 60) / RATE * 2, (tone + 60) / RATE * 2], "band"), pulses)
            for tone, level in ((270, 1.0), (1000, 0.1), (2200, 0.05))
        )
        dip = 1 - 0.9 * np.exp(-(((at - self.rng.uniform(0.35, 0.5)) / 0.08) ** 2))
        sound = sound * dip * np.minimum(1, np.minimum(at, 1 - at) / 0.1)
        return np.asarray(sound, np.float32)

    def hum(self) -> Samples:
        return self.hums[self.rng.integers(len(self.hums))]


@cache
def say(text: str, who: str) -> Samples:
    """The text aloud by espeak-ng as it answers, at 16 kHz."""
    sound = list(open_synthesizer("espeak-ng", voice=who).synthesize(text))
    return decode(wav_bytes(np.concatenate([chunk.samples for chunk in sound]), sound[0].rate))


@cache
def hum(phonemes: str, who: str, pace: int) -> Samples:
    """espeak-ng's phonemes as they are, at 16 kHz."""
    command = [sys.executable, "-c", _HUM, who, str(pace), phonemes]
    raw = np.frombuffer(subprocess.run(command, capture_output=True, check=True).stdout, np.int16)
    sound = decode(wav_bytes(from_int16(raw), 22050))
    return sound[: np.flatnonzero(loud(sound))[-1]]


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix in (".wav", ".flac", ".mp3", ".ogg"))


def _nothing(seconds: float) -> Samples:
    return np.zeros(int(seconds * RATE), np.float32)


def whole(sound: Samples) -> Samples:
    """Without what does not fill a frame."""
    return sound[: len(sound) // FRAME * FRAME]


def loudness(sound: Samples) -> float:
    """Root mean square of where there is sound."""
    powers = np.mean(whole(sound).reshape(-1, FRAME) ** 2, axis=1)
    return float(np.sqrt(np.mean(powers[powers >= powers.max() * 1e-3])))


def loud(sound: Samples) -> NDArray[np.bool_]:
    """Where the 20 ms around a sample reach -22 dB of how loud the whole is."""
    level = np.sqrt(np.convolve(sound**2, np.full(320, 1 / 320), "same"))
    found: NDArray[np.bool_] = level > 0.08 * loudness(sound)
    return found


def bridged(voice: Samples) -> NDArray[np.bool_]:
    """Where there is sound, or was in the 60 ms before."""
    here: NDArray[np.bool_] = np.convolve(loud(voice), np.ones(BRIDGE), "full")[: len(voice)] > 0
    return here


def onset(voice: Samples) -> int:
    """The sample at which speech begins: where the sound that Silero hears first comes out of silence."""
    heard = speech_segments(voice, VadOptions(pad=0))[0].start + FRAME
    silent = np.flatnonzero(~bridged(voice)[:heard])
    return int(silent[-1]) + 1 if len(silent) else int(np.flatnonzero(loud(voice))[0])


def spoken(voice: Samples, seconds: float) -> float:
    """How many of the first seconds of a voice are speech, with stops as short as those of consonants."""
    speech = bridged(voice) & bridged(voice[::-1])[::-1]
    return float(np.sum(speech[: round(seconds * RATE)])) / RATE


def listen(mix: Mix, minimum: float, *, bare: bool = False) -> Outcome:
    """One conversation; the answer goes on whatever is decided, but nothing is asked after the first time."""
    echo: EchoCanceller = open_echo_canceller()
    vad, bargein = VadStream(), Bargein(minimum)
    decided, began, spent = [], [], 0.0
    for at in range(0, len(mix.played), FRAME):
        frame, played = mix.heard[at : at + FRAME], mix.played[at : at + FRAME]
        start = time.thread_time()
        cleaned = frame if bare else echo.clean(frame, played)
        spent += time.thread_time() - start
        probability = vad.feed(cleaned)
        start = time.thread_time()
        ago = bargein.feed(cleaned, probability, played)
        spent += time.thread_time() - start
        if ago is not None:
            decided.append(at + FRAME)
            began.append(at + FRAME - ago - (0 if bare else DELAY))
    return Outcome(decided, began, spent, len(mix.played) // FRAME)


def alone(material: Material, count: int, gain: float) -> Iterator[Mix]:
    for _ in range(count):
        played = material.answer()
        yield Mix(played, material.echo(played, gain) + material.floor(len(played)))


def interrupted(material: Material, count: int, gain: float | None, minimum: float) -> Iterator[Mix]:
    """A voice at a random moment of an answer, -5 to 10 dB to the echo at `gain`; None: no echo."""
    rng = material.rng
    for _ in range(count):
        played, voice = material.answer(), material.voice()
        heard = material.floor(len(played))
        level = 0.1 * 10 ** ((-10 if gain is None else gain) / 20)
        if gain is not None:
            heard += material.echo(played, gain)
        at = int(rng.integers(round(0.3 * RATE), len(played) - 2 * RATE))
        part = voice[: len(played) - at]
        heard[at : at + len(part)] += part / loudness(voice) * level * 10 ** (rng.uniform(-5, 10) / 20)
        yield Mix(played, heard, begins=at, spoken=spoken(voice, minimum + LATE))


def disturbed(material: Material, count: int, gain: float | None) -> Iterator[Mix]:
    """Sounds that are no interruption, one in each answer, at 0.01 to 0.15 of full scale."""
    rng = material.rng
    kinds = {
        "cough": material.cough,
        "door": material.door,
        "keyboard": material.keys,
        "clink": material.clink,
        "hum": material.hum,
        "buzz": material.buzz,
    }
    for number in range(count):
        what = list(kinds)[number % len(kinds)]
        played, sound = material.answer(), kinds[what]()
        heard = material.floor(len(played))
        if gain is not None:
            heard += material.echo(played, gain)
        at = int(rng.integers(RATE // 2, len(played) - len(sound)))
        level = 10 ** (rng.uniform(-40, -16) / 20)
        heard[at : at + len(sound)] += sound / np.sqrt(np.mean(sound**2)) * level
        yield Mix(played, heard, begins=at, what=what)


def report_false(name: str, mixes: Sequence[Mix], outcomes: Sequence[Outcome]) -> None:
    false = [bool(outcome.decided) for outcome in outcomes]
    print(f"{name}: {sum(false)} of {len(false)} ({np.mean(false):.1%}) interrupt")
    for kind in sorted({mix.what for mix in mixes} - {""}):
        of = [wrong for wrong, mix in zip(false, mixes, strict=True) if mix.what == kind]
        print(f"    {kind}: {sum(of)} of {len(of)}")


def report_caught(name: str, mixes: Sequence[Mix], outcomes: Sequence[Outcome], minimum: float) -> None:
    """Caught is what was decided for the voice, not for the echo before it, within two seconds.

    How soon is told of all, and of those who have spoken for `minimum` when it should be decided: somebody
    who says "Stop", and waits a moment, has not.
    """
    waits, offsets, early = [], [], 0
    for mix, outcome in zip(mixes, outcomes, strict=True):
        assert mix.begins is not None
        early += any(at < mix.begins for at in outcome.decided)
        after = [n for n, at in enumerate(outcome.decided) if at >= mix.begins]
        waits.append((outcome.decided[after[0]] - mix.begins) / RATE if after else np.inf)
        offsets.append((outcome.began[after[0]] - mix.begins) / RATE if after else np.nan)
    caught = np.array(waits) <= 2
    print(
        f"{name}: {sum(caught)} of {len(caught)} ({np.mean(caught):.1%}) caught within two seconds, "
        f"{early} too early"
    )
    steady = np.array([mix.spoken >= minimum for mix in mixes])
    latest = minimum + LATE
    for who, these in (("all of them", caught), (f"those who speak {minimum} s at once", caught & steady)):
        of = np.array(waits)[these]
        print(
            f"    {who} ({len(of)}): decided after p50 {np.quantile(of, 0.5):.3f}, "
            f"p95 {np.quantile(of, 0.95):.3f} s, {np.mean(of <= latest):.1%} within {latest:.2f} s"
        )
    found = np.array(offsets)[caught]
    print(
        f"    begin found p5 {np.quantile(found, 0.05):+.3f}, p50 {np.quantile(found, 0.5):+.3f} s "
        "after the true one"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--mixes", type=int, default=200)
    parser.add_argument("--half", type=int, choices=(0, 1), default=1)
    parser.add_argument("--minimum", type=float, default=0.4)
    parser.add_argument("--gain", type=float, default=-10.0)
    parser.add_argument("--bare", action="store_true")
    asked = parser.parse_args()
    try:
        material = Material(asked.folder, asked.half, np.random.default_rng(asked.half))
    except (AudioError, OSError) as error:
        sys.exit(str(error))
    outcomes: list[Outcome] = []

    def heard(mixes: Sequence[Mix]) -> list[Outcome]:
        found = [listen(mix, asked.minimum, bare=asked.bare) for mix in mixes]
        outcomes.extend(found)
        return found

    mixes = list(alone(material, asked.mixes, asked.gain))
    report_false(f"Answers alone, echo at {asked.gain:.0f} dB", mixes, heard(mixes))
    for name, gain in ((f"over echo at {asked.gain:.0f} dB", asked.gain), ("without echo", None)):
        mixes = list(interrupted(material, asked.mixes, gain, asked.minimum))
        report_caught(f"Interruptions {name}", mixes, heard(mixes), asked.minimum)
        mixes = list(disturbed(material, asked.mixes, gain))
        report_false(f"Other sounds {name}", mixes, heard(mixes))
    each = [outcome.seconds / outcome.frames * 1000 for outcome in outcomes]
    print(f"Cancelling and deciding: {np.median(each):.3f} ms of CPU for each frame of 32 ms")


if __name__ == "__main__":
    main()
