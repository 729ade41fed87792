"""An utterance that may be complete: what was said in it, and the reply to it, in advance.

It does not know when the person has finished, nor whether the reply is let out.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from speech.outside import Heard, Reply


@dataclass
class Guess:
    """One such utterance."""

    end: int  # sample of the stream after its last speech
    since: float = 0.0  # once decided, when the person had finished (`time.monotonic`)
    stopped: bool = False
    heard: Heard | None = None
    error: Exception | None = None
    reply: Reply | None = None
    moments: dict[str, float] = field(default_factory=dict)  # stage → time.monotonic()

    @property
    def known(self) -> bool:
        return self.heard is not None or self.error is not None

    def drop(self) -> None:
        self.stopped = True
        if self.reply is not None:
            self.reply.drop()
            self.reply = None

    def transcribe(self, by: Callable[[], Heard], done: Callable[[], None]) -> None:
        """Have what was said, or why nobody knows it, in a thread of its own; then call `done` there."""

        def work() -> None:
            try:
                heard = by()
                self.moments["transcript"] = time.monotonic()
                self.heard = heard
            except Exception as error:  # whatever the recogniser says goes to the person, unless nobody waits
                self.error = error
            done()

        threading.Thread(target=work, name="transcribe", daemon=True).start()
