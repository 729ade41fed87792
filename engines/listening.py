"""What listening costs in trust: recordings as documents, and what a person should know of the recogniser.

It knows the recogniser in force; it does not know how speech is recognised, nor how a document is indexed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from engines.errors import EngineError

if TYPE_CHECKING:
    from engines.hearing import Hearing
    from rag.recordings import Heard


class Recordings:
    """Hears the library's recordings; whoever speaks meanwhile goes first."""

    def __init__(self, hearing: Hearing) -> None:
        self._hearing = hearing

    def hear(self, path: Path, should_stop: Callable[[], bool]) -> Heard:
        """What is said in a file, and when, and whether that may be misheard."""
        from rag.documents import DocumentError
        from rag.recordings import Heard
        from speech.asr import Stopped, TranscriberError
        from speech.audio import AudioError
        from speech.recordings import hear

        try:
            engine = self._hearing.in_force()
            spoken = self._hearing.settings.language  # auto: each stretch's own
            said = list(hear(path, engine, language=spoken, should_stop=should_stop))
            return Heard(said, doubtful_by="PocketSphinx" if engine.notice else "")
        except Stopped:
            return Heard([])
        except AudioError as error:
            raise DocumentError(str(error)) from error
        except (TranscriberError, EngineError) as error:
            raise DocumentError(f"The recording cannot be heard: {error}", passing=True) from error

    def hears_well(self) -> bool:
        """Whether what is heard now may be trusted; quick, and False while nobody knows yet."""
        return self._hearing.transcriber.ready() is not None and not self._hearing.in_force().notice


def caution(hearing: Hearing) -> str:
    """What is amiss with the recogniser in force, and what to do; "" where nothing is."""
    from speech.asr import WEAK, failed_download

    notice, failure = hearing.in_force().notice, hearing.whisper_failure
    return f"{WEAK} {failed_download(failure)}" if notice and failure else notice
