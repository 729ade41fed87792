"""Measures when Parley thinks that somebody has finished.

    python -m scripts.measure_endpoint FOLDER [--mixes 336] [--questions 72] [--seed 1]
                                              [--quickest 0.4] [--longest 1.8] [--room 0.001]

FOLDER holds recordings and `transcripts.jsonl`, with `{"file", "text", "language"}` a line. Pauses are put
into them, at word gaps and in the middle of the sentence, with and without noise; questions about the sample
documents are spoken by espeak-ng. A `Listener` is fed frame by frame, with the words that PocketSphinx has by
then. `--room` adds the hiss of a quiet room (its level, of 1), without which the silence between the words is
digital zeros. It takes ten minutes with OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rag.documents import load_file
from speech.asr import FinalLive, Live
from speech.asr_sphinx import Sphinx
from speech.asr_vocabulary import Documents
from speech.audio import RATE, Samples, decode, to_int16, wav_bytes
from speech.endpoint import Began, Dropped, Ended, Event, Listener, ListenOptions, Paused
from speech.live import StableText
from speech.tts_espeak import EspeakSynthesizer
from speech.vad import FRAME, VadStream, speech_segments

HOP = RATE // 100
LEAD, TAIL = 1.5, 3.0  # seconds before and after the speech
SNR = 10.0  # dB
NOISES = ("none", "pink", "babble")
ONSET = 0.05  # seconds from the decision to the first sound
SHORT = 0.5  # a pause below is short
ROLL = 0.1  # seconds before the first speech that have to be kept
ALONE = 30.0  # seconds of noise without speech
QUESTIONS = Path("docs/sample-questions.jsonl")
DOCUMENTS = ("txt", "pdfs")
VOICES = (
    ("en-us", 1.0),
    ("en-gb", 0.9),
    ("en-us+f3", 1.0),
    ("en-gb-scotland", 1.1),
    ("en-us+m3", 0.85),
    ("en-gb+f2", 1.2),
)


@dataclass(frozen=True)
class Clip:
    name: str
    audio: Samples  # from its first to its last speech
    text: str
    language: str

    @property
    def finished(self) -> bool:
        return self.text.rstrip('"').endswith((".", "?", "!"))


@dataclass(frozen=True)
class Pause:
    length: float  # seconds put in
    begin: int  # sample after the speech before it
    end: int  # first sample of the speech after it


@dataclass(frozen=True)
class Mix:
    name: str
    audio: Samples
    noise: str
    first: int  # first and, exclusively, last sample of speech
    last: int
    pauses: tuple[Pause, ...] = ()
    finished: bool = True
    text: str = ""


def levels(audio: Samples) -> NDArray[np.float64]:
    """Level in dB of each 10 ms."""
    whole = audio[: len(audio) // HOP * HOP].astype(np.float64).reshape(-1, HOP)
    return np.asarray(10 * np.log10((whole**2).mean(1) + 1e-10))


def loud(audio: Samples) -> NDArray[np.bool_]:
    """Which 10 ms hold speech, of a clean recording."""
    level = levels(audio)
    heard = np.zeros(len(level), bool)
    for segment in speech_segments(audio):
        heard[segment.start // HOP : segment.end // HOP] = True
    return np.asarray(heard & (level > max(np.percentile(level, 95) - 35, np.percentile(level, 5) + 8)))


def trimmed(audio: Samples) -> Samples:
    at = np.flatnonzero(loud(audio))
    return np.asarray(audio[at[0] * HOP : (at[-1] + 1) * HOP])


def read_clips(folder: Path) -> list[Clip]:
    rows = [json.loads(line) for line in (folder / "transcripts.jsonl").read_text("utf-8").splitlines()]
    return [
        Clip(row["file"], trimmed(decode(folder / row["file"])), row["text"], row["language"]) for row in rows
    ]


def gaps(audio: Samples) -> list[int]:
    """Samples in the middle of gaps between words: at least 40 ms, 25 dB below the loud parts."""
    level = levels(audio)
    quiet = np.concatenate([[False], level < np.percentile(level, 95) - 25, [False]])
    edges = np.flatnonzero(np.diff(quiet.astype(int)))
    runs = edges.reshape(-1, 2)
    return [int((a + b) // 2 * HOP) for a, b in runs if b - a >= 4 and inside(int(a + b) // 2 * HOP, audio)]


def inside(at: int, audio: Samples) -> bool:
    return RATE // 2 <= at <= len(audio) - RATE // 4


def boundaries(clip: Clip) -> list[int]:
    """Samples at which a word ends and the next begins, by aligning the transcript (English only)."""
    if clip.language != "en":
        return []
    from pocketsphinx import Decoder

    decoder = Decoder(loglevel="FATAL", lm=None)
    words = [word.strip('.,?!"').lower() for word in clip.text.replace("-", " ").split()]
    words = [word for word in words if decoder.lookup_word(word)]
    decoder.set_align_text(" ".join(words))
    decoder.start_utt()
    decoder.process_raw(to_int16(clip.audio).tobytes(), full_utt=True)
    decoder.end_utt()
    if decoder.hyp() is None:
        return []
    ends = [each.end_frame + 1 for each in decoder.seg() if not each.word.startswith("<")]
    return [end * HOP for end in ends if inside(end * HOP, clip.audio)]


def pink(count: int, random: np.random.Generator) -> Samples:
    spectrum = np.fft.rfft(random.normal(size=count))
    spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), 1))
    return np.asarray(np.fft.irfft(spectrum, count), np.float32)


def babble(count: int, clips: Sequence[Clip], random: np.random.Generator) -> Samples:
    """Three to six of the clips at once, equally loud, each repeated from a random place on."""
    chosen = random.choice(len(clips), size=int(random.integers(3, 7)), replace=False)
    total = np.zeros(count, np.float32)
    for each in chosen:
        voice = clips[each].audio
        start = int(random.integers(len(voice)))
        total += np.resize(np.roll(voice, -start), count) / rms(voice)
    return total


def rms(audio: Samples) -> float:
    return float(np.sqrt((audio.astype(np.float64) ** 2).mean()))


def with_pauses(clip: Clip, places: Sequence[int], lengths: Sequence[float]) -> tuple[Samples, list[Pause]]:
    parts: list[Samples] = []
    pauses: list[Pause] = []
    speech = loud(clip.audio)
    done = at = 0
    for place, length in zip(places, lengths, strict=True):
        parts += [clip.audio[done:place], np.zeros(round(length * RATE), np.float32)]
        before = np.flatnonzero(speech[: place // HOP])[-1] + 1
        after = np.flatnonzero(speech[place // HOP :])[0] + place // HOP
        pauses.append(Pause(length, int(before) * HOP + at, int(after) * HOP + at + round(length * RATE)))
        done, at = place, at + round(length * RATE)
    return np.concatenate([*parts, clip.audio[done:]]), pauses


def noisy(
    speech: Samples, noise: str, level: float, others: Sequence[Clip], random: np.random.Generator
) -> Samples:
    """`speech` with silence around it, and noise throughout, `SNR` below `level`."""
    lead, tail = round(LEAD * RATE), round(TAIL * RATE)
    whole = np.concatenate([np.zeros(lead, np.float32), speech, np.zeros(tail, np.float32)])
    if noise != "none":
        sound = background(noise, len(whole), others, random)
        whole = whole + sound * np.float32(level / 10 ** (SNR / 20) / rms(sound))
    return np.asarray(np.clip(whole, -1, 1), np.float32)


def background(noise: str, count: int, clips: Sequence[Clip], random: np.random.Generator) -> Samples:
    return pink(count, random) if noise == "pink" else babble(count, clips, random)


def make_mixes(clips: Sequence[Clip], count: int, seed: int) -> Iterator[Mix]:
    """`count` mixes: the clips in turn, with one to three pauses each, every kind of noise equally often."""
    random = np.random.default_rng(seed)
    places = {clip.name: (gaps(clip.audio), boundaries(clip)) for clip in clips}
    for number in range(count):
        noise = NOISES[number % len(NOISES)]
        clip = clips[number // len(NOISES) % len(clips)]
        others = [each for each in clips if each is not clip]
        at = chosen_places(*places[clip.name], random)
        lengths = [float(random.uniform(0.2, 1.5)) for _ in at]
        speech, pauses = with_pauses(clip, at, lengths)
        audio = noisy(speech, noise, rms(clip.audio), others, random)
        lead = round(LEAD * RATE)
        moved = tuple(Pause(p.length, p.begin + lead, p.end + lead) for p in pauses)
        name = f"{number:03d}-{clip.name}-{noise}"
        yield Mix(name, audio, noise, lead, lead + len(speech), moved, clip.finished, clip.text)


def chosen_places(quiet: list[int], ends: list[int], random: np.random.Generator) -> list[int]:
    """One to three places, at gaps or at word ends with equal chance, half a second apart."""
    chosen: list[int] = []
    for _ in range(int(random.integers(1, 4))):
        pool = quiet if quiet and (not ends or random.random() < 0.5) else ends
        free = [at for at in pool if all(abs(at - other) > RATE // 2 for other in chosen)]
        if free:
            chosen.append(int(random.choice(free)))
    return sorted(chosen)


def make_questions(clips: Sequence[Clip], count: int, seed: int) -> Iterator[Mix]:
    """`count` questions, each by one of the voices and with every kind of noise."""
    random = np.random.default_rng(seed)
    voices = [EspeakSynthesizer(voice=voice, speed=speed) for voice, speed in VOICES]
    rows = [json.loads(line) for line in QUESTIONS.read_text("utf-8").splitlines()[-count:]]
    for number, row in enumerate(rows):
        chunks = list(voices[(number + seed) % len(voices)].synthesize(row["question"]))
        sound = np.concatenate([chunk.samples for chunk in chunks])
        speech = trimmed(decode(wav_bytes(sound, chunks[0].rate)))
        for noise in NOISES:
            audio = noisy(speech, noise, rms(speech), clips, random)
            lead = round(LEAD * RATE)
            yield Mix(row["id"], audio, noise, lead, lead + len(speech), text=row["question"])


def make_empty(folder: Path, clips: Sequence[Clip], seed: int) -> Iterator[Mix]:
    """Sound without anybody near who speaks."""
    random = np.random.default_rng(seed)
    yield Mix("silence", np.zeros(120 * RATE, np.float32), "none", 0, 0)
    for path in sorted(folder.glob("empty.*")):
        yield Mix(path.name, decode(path), "none", 0, 0)
    for number, clip in enumerate(clips):
        noise = NOISES[1 + number % 2]
        sound = background(noise, round(ALONE * RATE), clips, random)
        sound *= np.float32(rms(clip.audio) / 10 ** (SNR / 20) / rms(sound))
        yield Mix(f"{noise} alone", sound, noise, 0, 0)


class Words:
    """What PocketSphinx makes of one utterance while it goes on."""

    def __init__(self, engine: Sphinx) -> None:
        self.engine = engine
        self._live: Live | None = None

    def begin(self, audio: Samples) -> None:
        self.end()
        while (live := self.engine.live()) is None:
            time.sleep(0.02)
        self._live, self._stable, self.text = live, StableText(), ""
        self.feed(audio)

    def feed(self, frame: Samples) -> bool:
        """Whether there are new words."""
        heard = self._live.hear(frame, lambda: False) if self._live else None
        before = self.text if self._live else ""
        if heard is not None:
            self.text = self._stable.update(heard)
        return self._live is not None and self.text != before

    def transcript(self) -> str:
        """All that was said so far, which a pause asks for."""
        return self._live.transcript().text if isinstance(self._live, FinalLive) else ""

    def end(self) -> None:
        if self._live:
            self._live.close()
        self._live = None


def follow(audio: Samples, options: ListenOptions, words: Words | None, told: str = "") -> list[Event]:
    """All events of a listener; `told` are the words of a recogniser that knows them at once."""
    listener, vad = Listener(options), VadStream()
    events: list[Event] = []
    for start in range(0, len(audio) - FRAME + 1, FRAME):
        frame = audio[start : start + FRAME]
        if words and words.feed(frame):
            listener.heard(words.text)
        for event in listener.feed(frame, vad.feed(frame)):
            events.append(event)
            if not words:
                listener.heard(told)
            elif isinstance(event, Began):
                words.begin(audio[event.start : listener.position])
            elif isinstance(event, Paused):
                listener.heard(words.transcript())
            elif isinstance(event, Ended | Dropped):
                words.end()
    if words:
        words.end()
    return events


@dataclass
class Tally:
    """What became of the mixes of one kind of noise."""

    mixes: int = 0
    lost: int = 0  # utterances that lose some of their first 100 ms
    unended: int = 0
    cut: int = 0  # decisions while somebody speaks, the clips' own pauses included
    short: tuple[int, int] = (0, 0)  # pauses spoken into, of all
    long: tuple[int, int] = (0, 0)

    def count(self, mix: Mix, events: Sequence[Event]) -> None:
        ended = [event for event in events if isinstance(event, Ended)]
        self.mixes += 1
        self.unended += not any(event.decided > mix.last for event in ended)
        firsts = [event.start for event in ended if event.end > mix.first]
        self.lost += not firsts or firsts[0] > mix.first - ROLL * RATE
        for pause in mix.pauses:
            into = any(pause.begin < each.decided < pause.end - ONSET * RATE for each in ended)
            if pause.length < SHORT:
                self.short = (self.short[0] + into, self.short[1] + 1)
            else:
                self.long = (self.long[0] + into, self.long[1] + 1)
        self.cut += sum(
            mix.first < each.decided < mix.last
            and not any(pause.begin < each.decided < pause.end for pause in mix.pauses)
            for each in ended
        )

    def __str__(self) -> str:
        return (
            f"spoken into {_share(*self.short)} of the short pauses, {_share(*self.long)} of the longer "
            f"ones; {self.lost} of {self.mixes} lose their beginning; {self.cut} decisions between pauses; "
            f"{self.unended} never end"
        )


def _share(part: int, whole: int) -> str:
    return f"{part}/{whole} ({100 * part / max(whole, 1):.1f} %)"


def silence_before(mix: Mix, events: Sequence[Event]) -> float | None:
    """Seconds from the last sample of speech to the decision; None where its end was not heard as one."""
    decided = [
        event.decided
        for event in events
        if isinstance(event, Ended) and event.decided > mix.last and event.end > mix.last - RATE // 2
    ]
    return (decided[0] - mix.last) / RATE if decided else None


def summary(silences: Sequence[float | None]) -> str:
    known = [each for each in silences if each is not None]
    if not known:
        return "none"
    p50, p95 = np.percentile(known, [50, 95])
    within = np.mean([each <= 1.0 for each in known])
    return (
        f"p50 {p50:.2f} s, p95 {p95:.2f} s, {within:.0%} within 1 s "
        f"({len(known)}, and {len(silences) - len(known)} whose end was missed)"
    )


def recogniser(folder: Path) -> Sphinx:
    """PocketSphinx with the words of the sample documents."""

    def texts() -> list[str]:
        paths = [path for name in DOCUMENTS for path in sorted(Path(name).iterdir()) if path.is_file()]
        return [page.page_content for path in paths for page in load_file(path, path.name)]

    engine = Sphinx(Documents(texts, lambda: "1", folder))
    engine.load()
    return engine


def report(title: str, rows: Sequence[tuple[Mix, list[Event]]]) -> None:
    print(title)
    for noise in NOISES:
        of_noise = [row for row in rows if row[0].noise == noise]
        print(f"  {noise:7}", summary([silence_before(*row) for row in of_noise]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--mixes", type=int, default=336)
    parser.add_argument("--questions", type=int, default=72)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quickest", type=float, default=ListenOptions.quickest)
    parser.add_argument("--longest", type=float, default=ListenOptions.longest)
    parser.add_argument("--room", type=float, default=0.0)
    args = parser.parse_args()
    options = ListenOptions(quickest=args.quickest, longest=args.longest)
    clips = read_clips(args.folder)
    with tempfile.TemporaryDirectory() as place:
        words = Words(recogniser(Path(place)))
        measure(args, clips, options, words)


def hissing(mix: Mix, args: argparse.Namespace) -> Mix:
    if not args.room:
        return mix
    hiss = np.random.default_rng(args.seed).normal(0, args.room, len(mix.audio)).astype(np.float32)
    return replace(mix, audio=mix.audio + hiss)


def measure(args: argparse.Namespace, clips: list[Clip], options: ListenOptions, words: Words) -> None:
    empty = [(mix, follow(mix.audio, options, None)) for mix in make_empty(args.folder, clips, args.seed)]
    turns = [mix.name for mix, events in empty for event in events if isinstance(event, Ended)]
    print(f"turns in {len(empty)} recordings without speech: {len(turns)} {turns or ''}")

    questions = [hissing(mix, args) for mix in make_questions(clips, args.questions, args.seed)]
    asked = [(mix, follow(mix.audio, options, words)) for mix in questions]
    report(f"silence after {args.questions} questions", asked)
    known = [(mix, follow(mix.audio, options, None, mix.text)) for mix in questions if mix.noise == "none"]
    report("the same with a recogniser that knows the words at once", known)

    tallies = {noise: Tally() for noise in NOISES}
    mixed = []
    for quiet in make_mixes(clips, args.mixes, args.seed):
        mix = hissing(quiet, args)
        events = follow(mix.audio, options, words)
        tallies[mix.noise].count(mix, events)
        mixed.append((mix, events))
    report("silence after clips that end a sentence", [row for row in mixed if row[0].finished])
    report("silence after clips that do not", [row for row in mixed if not row[0].finished])
    print(f"pauses put into {args.mixes} mixes")
    for noise, tally in tallies.items():
        print(f"  {noise:7}", tally)
    shorts, longs = ([getattr(tally, name) for tally in tallies.values()] for name in ("short", "long"))
    for name, pairs in (("short", shorts), ("longer", longs)):
        print(
            f"  of all {name} ones", _share(sum(into for into, _ in pairs), sum(every for _, every in pairs))
        )


if __name__ == "__main__":
    main()
