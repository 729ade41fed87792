"""The page with a scripted recogniser and model, to measure what is Parley's own: `python -m bench.scripted`.

The recogniser knows at once what was said, the model writes at once; listening, the conversation, the voice
and the page are the real ones. The language that a page wishes says who it is, so that each can be told from
the others by what they are answered.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from langchain_core.documents import Document
from langchain_core.messages import BaseMessage

from rag.assistant import Answer, Done, Event, Sources, Standalone, Token
from rag.questions import Row
from speech.audio import AudioChunk, Samples
from speech.tts import Synthesizer
from speech.turn import Speaker, warm
from ui.services import (
    Choice,
    EngineState,
    LibraryItem,
    ModelOffer,
    ModelProspect,
    ModelState,
    Progress,
    Services,
    SpeakRequest,
    Told,
    Trial,
    Voice,
)

QUESTION = "When does the garden open?"
SENTENCE = "The garden opens every day at eight in the morning, and closes when the sun goes down. "
PASSAGE = Document(
    SENTENCE, metadata={"source": "garden.txt", "start": 0, "end": len(SENTENCE), "score": 0.9}
)
RATE = 24_000


@dataclass(frozen=True)
class Heard:
    text: str = QUESTION
    language: str | None = "en"
    engine: str = "scripted"


class AtOnce:
    """Writes `sentences` sentences without thinking."""

    def __init__(self, sentences: int) -> None:
        self._text = SENTENCE * sentences

    def answer(
        self,
        question: str,
        history: Sequence[BaseMessage] = (),
        *,
        language: str | None = None,
        collection: str = "",
    ) -> Answer:
        def work(emit: Callable[[Event], None]) -> None:
            emit(Standalone(question))
            emit(Sources((PASSAGE,)))
            for word in self._text.split(" "):
                emit(Token(f"{word} "))
            emit(Done(self._text, answered=True, confidence=0.9, engine="scripted"))

        return Answer(work)


class Tone:
    """A voice that hums each sentence at a pitch of its own, 50 ms a character."""

    name = "tone"

    def __init__(self, pitch: float) -> None:
        self._pitch = pitch

    def synthesize(self, text: str, language: str = "en") -> Iterator[AudioChunk]:
        for number in range(max(1, len(text) // 4)):
            moments = (np.arange(RATE // 5) + number * RATE // 5) / RATE
            yield AudioChunk((0.2 * np.sin(2 * np.pi * self._pitch * moments)).astype(np.float32), RATE, text)


def pitch_of(person: str) -> float:
    """The tone that answers `person`, in Hz: whole periods in every chunk, so that it never clicks."""
    return 200.0 + 25.0 * (int(person) % 40)


class _Library:
    def items(self) -> list[LibraryItem]:
        return [LibraryItem("garden.txt", "ready", pages=1)]

    def progress(self) -> Progress | None:
        return None

    def collections(self) -> list[str]:
        return []

    def watching(self) -> str:
        return ""

    def add_file(self, path: Path, name: str) -> object:
        raise RuntimeError("There is nothing to add to.")

    def add_url(self, url: str) -> object:
        raise RuntimeError("There is nothing to add to.")

    def remove(self, source: str) -> object:
        raise RuntimeError("There is nothing to remove.")


class _Evaluation:
    def choices(self) -> Sequence[Choice]:
        return ()

    def mute(self) -> str:
        return "Nothing is measured here."

    def sample(self) -> Sequence[Row]:
        return ()

    def run(self, trial: Trial, told: Told, busy: Callable[[], bool]) -> dict[str, Any]:
        raise RuntimeError("There is nothing to measure.")

    def propose(self, count: int, without: Collection[str], told: Told) -> Sequence[Row]:
        raise RuntimeError("There is nothing to ask about.")


class _Models:
    def state(self) -> ModelState:
        return ModelState("scripted")

    def offers(self) -> Sequence[ModelOffer]:
        return ()

    def look(self, name: str) -> ModelProspect:
        raise RuntimeError("There is no other model here.")

    def choose(self, name: str, agreed: int) -> None:
        raise RuntimeError("There is no other model here.")

    def agree(self) -> None:
        pass

    def cancel(self) -> None:
        pass


def scripted_services(data: Path, *, sentences: int = 2) -> Services:
    """Services with espeak-ng's voice, or a tone of their own for pages that wish a number as language."""
    from speech.tts import open_synthesizer

    voice: Synthesizer = open_synthesizer("espeak-ng")
    warm()

    def hear(samples: Samples, language: str | None, should_stop: Callable[[], bool]) -> Heard:
        return Heard(language=language or "en")

    def speak(request: SpeakRequest) -> Speaker:
        language = request.language or "en"
        return Speaker(Tone(pitch_of(language)) if language.isdecimal() else voice, language="en")

    return Services(
        assistant=AtOnce(sentences),
        library=_Library(),
        pages=lambda source: (),
        transcribe=lambda recording, language, should_stop: Heard(),
        hear=hear,
        live=lambda on_text, language: None,
        speak=speak,
        voices=lambda: [Voice("", "espeak-ng")],
        engines=lambda: [EngineState("asr", "scripted", "ready")],
        suggestions=lambda: [QUESTION],
        data=data,
        evaluation=_Evaluation(),
        models=_Models(),
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.scripted", description=__doc__)
    parser.add_argument("--port", type=int, default=7861)
    parser.add_argument("--sentences", type=int, default=2, help="sentences of each answer")
    arguments = parser.parse_args()
    from serving.server import uvicorn_config
    from ui.web import build_ui

    with tempfile.TemporaryDirectory(prefix="parley-scripted-") as folder:
        app = build_ui(scripted_services(Path(folder), sentences=arguments.sentences))
        config = uvicorn_config(app, host="127.0.0.1", port=arguments.port)
        uvicorn.Server(config).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
