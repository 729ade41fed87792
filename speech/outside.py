"""What a live conversation needs of the world outside: a recogniser, replies, and a page to tell.

It does not know who has the floor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from speech.audio import Samples


@dataclass(frozen=True)
class Heard:
    """What a person said. An empty text: nothing."""

    text: str
    language: str | None = None
    typed: bool = False


class Words(Protocol):
    """The words of one utterance while it is spoken (`speech.live.LiveTranscript`)."""

    def feed(self, samples: Samples) -> None: ...

    def transcript(self) -> Callable[[Callable[[], bool]], Said | None] | None:
        """Ask for all that was fed so far; None where a transcript of the recording is better.

        The result waits for it, also after `close`; None if there is none after all.
        """

    def close(self) -> None: ...


class Said(Protocol):
    """What a recogniser understood."""

    @property
    def text(self) -> str: ...

    @property
    def language(self) -> str | None: ...


class Reply(Protocol):
    """One answer and its voice. It is held back until `commit`. Every method is quick."""

    turn: int

    @property
    def begun(self) -> bool:
        """Whether the person has got any of it: heard or, without a voice, read."""

    @property
    def sounding(self) -> bool:
        """Whether some of its sound has been played, and not yet all."""

    @property
    def over(self) -> bool:
        """Whether nothing more of it will be heard."""

    def commit(self, since: float, times: Mapping[str, float]) -> None:
        """Let it out. `since`: when the person had finished (`time.monotonic`), `times`: stages, in seconds.

        Without hands that is the end of speech, and a stage "endpoint" says when it was noticed; in
        push-to-talk it is the moment of letting go, and the stage "release" says when that was known.
        Raises what the person should read when that cannot be; then it is dropped.
        """

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def played(self, samples: int) -> None:
        """The loudspeaker has got that many samples of it."""

    def interrupt(self) -> None:
        """It is over; what was played is what was heard. Nothing changes if all of it was."""

    def drop(self) -> None:
        """It was a wrong guess, never let out; it never was."""

    def window(self, position: int, count: int) -> Samples:
        """What it sounds like, `count` samples at 16 kHz from `position` (samples as in `played`) on."""


@dataclass(frozen=True)
class Outside:
    """What a conversation needs. `transcribe` takes its time, `reply` looks things up, the rest is quick."""

    transcribe: Callable[[Samples, Callable[[], bool]], Heard]  # raises what the person should read
    live: Callable[[Callable[[str], None]], Words | None]  # words while they are spoken
    reply: Callable[[Heard], Reply]  # begins an answer, held back
    tell: Callable[..., None]  # a message for the page: tell(type=…, …)
    interrupted: Callable[[Literal["real", "resumed"]], None] = lambda kind: None
    ended: Callable[[], None] = lambda: None  # the conversation is over, and nothing of it at work
