"""Plays answers in real time and looks for gaps, clicks and uneven levels.

    python -m scripts.measure_speaking [--answers 30] [--together 6] [--rate 30] [--speed 1] [--slow SECONDS]

The answers are made from the sample documents, and their text arrives token by token. With --slow, the voice
takes so many seconds to the first sound of everything it is given and a quarter of the time it then speaks,
as a neural voice does on a processor.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from speech.audio import AudioChunk
from speech.measure import Smoothness, smoothness
from speech.sentences import split
from speech.tts import Synthesizer
from speech.tts_espeak import EspeakSynthesizer

DOCUMENTS = Path(__file__).parent.parent / "txt"
OPENINGS = ("", "Yes. ", "", "No, not on Mondays. ", "In short: ", "")
MADE_IN = 0.25  # seconds that a slow voice needs for a second of speech


class Slow:
    """espeak-ng, with the pace of another engine."""

    name, slow = "slow", True

    def __init__(self, engine: Synthesizer, first: float) -> None:
        self._engine, self._first = engine, first

    def synthesize(self, text: str, language: str = "en") -> Iterator[AudioChunk]:
        chunks = list(self._engine.synthesize(text, language))
        time.sleep(self._first + MADE_IN * sum(chunk.seconds for chunk in chunks))
        yield from chunks


def answers(count: int) -> list[str]:
    """Three to five sentences of the documents each, with citations; some begin with a very short one."""
    sentences = [
        sentence
        for path in sorted(DOCUMENTS.glob("*.*"))
        for sentence in split(path.read_text(encoding="utf-8"))
        if sentence[-1] in ".!?" and len(sentence) > 20
    ]
    made = []
    for number in range(count):
        begin, length = number * len(sentences) // count, 3 + number % 3
        cited = [
            f"{' '.join(sentence.split())} [{at % 3 + 1}]"
            for at, sentence in enumerate(sentences[begin : begin + length])
        ]
        made.append(OPENINGS[number % len(OPENINGS)] + " ".join(cited))
    return made


def report(found: Sequence[Smoothness]) -> str:
    jump, level = max(one.jump for one in found), max(one.level for one in found)
    return (
        f"{len(found)} answers, {sum(one.seconds for one in found):.0f} s of speech\n"
        f"longest gap: {max(one.gap for one in found) * 1000:.0f} ms "
        f"(late {max(one.late for one in found) * 1000:.0f}, "
        f"pause too long {max(one.long for one in found) * 1000:.0f}; "
        f"over 20 ms in {sum(one.gap > 0.02 for one in found)} answers)\n"
        f"largest jump between chunks: {jump:.3f} of full scale\n"
        f"largest difference of level between sentences: {level:.1f} dB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--answers", type=int, default=30)
    parser.add_argument("--together", type=int, default=6)
    parser.add_argument("--rate", type=float, default=30.0)
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--slow", type=float, default=0.0)
    options = parser.parse_args()
    voice: Synthesizer = EspeakSynthesizer(speed=options.speed)
    if options.slow:
        voice = Slow(voice, options.slow)
    with ThreadPoolExecutor(options.together) as pool:
        texts = answers(options.answers)
        found = list(pool.map(lambda text: smoothness(voice, text, rate=options.rate), texts))
    for text, one in zip(texts, found, strict=True):
        if one.gap > 0.02:
            print(f"{one.gap * 1000:.0f} ms: {text[:90]}…")
    print(report(found))


if __name__ == "__main__":
    main()
