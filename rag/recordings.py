"""What is said in a recording → stretches of about half a minute, each with its moment.

It does not know how speech is recognised: that is the caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_SOUND = "aac ac3 aif aiff amr ape au caf eac3 flac m4a m4b mp3 oga ogg opus tta wav wma wv"
_VIDEO = "3gp avi m4v mkv mov mp4 mpeg mpg webm wmv"  # of which the sound is heard
RECORDINGS = frozenset(f".{kind}" for kind in f"{_SOUND} {_VIDEO}".split())
LENGTH = 30.0  # seconds of a stretch
_PAUSE = 8.0  # seconds of silence that end one

Said = tuple[float, float, str]  # seconds from, to; what was said
DOUBTFUL = ", perhaps misheard"  # ends the place of what is cited from such a recording
WEAKLY_HEARD = "heard weakly"  # what is recorded of it, until it can be heard better


@dataclass(frozen=True)
class Heard:
    """What is said in a recording."""

    said: Sequence[Said]
    doubtful_by: str = ""  # the recogniser that heard it, where that often mishears

    @property
    def notice(self) -> str:
        """What a person should know of it."""
        if not self.doubtful_by:
            return ""
        return (
            f"Heard by {self.doubtful_by}, which misunderstands much: listen to what is cited from it. "
            "It is heard again as soon as Whisper listens here (PARLEY_ASR=faster-whisper:base)."
        )


Hear = Callable[[Path, Callable[[], bool]], Heard]
"""What is said in a file, in order; stops soon after the second argument says so. Raises `DocumentError`."""


def stretches(said: Iterable[Said]) -> Iterator[tuple[float, str, str]]:
    """(seconds, the moment as a person reads it, text); a stretch is cut where something said has ended."""
    texts: list[str] = []
    begin = last = 0.0
    for start, end, text in said:
        if texts and (end - begin > LENGTH or start - last > _PAUSE):
            yield begin, moment(begin), " ".join(texts)
            texts = []
        if not texts:
            begin = start
        if text.strip():
            texts.append(text.strip())
            last = end
    if texts:
        yield begin, moment(begin), " ".join(texts)


def moment(seconds: float) -> str:
    """12:30, or 1:02:03."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
