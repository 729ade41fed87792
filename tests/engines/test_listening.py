"""What a person is told of the recogniser, above all once its better was tried for and not to be had."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import speech.asr
from engines import Engines
from engines.listening import Recordings, caution
from engines.loading import Loading
from serving.server import Serving
from speech.asr import TranscriberError, Transcript, weak_notice
from speech.audio import Samples, wav_bytes
from tests.engines.test_engines import settings
from tests.speech.speaking import spoken

__all__ = ["settings"]  # the fixture


class Weak:
    """Hears one word in everything, and says that it does not hear well."""

    name = "pocketsphinx"
    notice = weak_notice("faster-whisper:base", offline=False)

    def load(self) -> None: ...

    def transcribe(self, audio: Samples, *_: Any, **__: Any) -> Transcript:
        return Transcript("peace", "en", self.name, len(audio) / 16_000)


def refused(name: str) -> None:
    raise TranscriberError(f"{name} cannot be fetched (ConnectError). Check the network and its name.")


@pytest.fixture
def engines(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Engines:
    monkeypatch.setattr(speech.asr, "cached", lambda name: False)
    monkeypatch.setattr(speech.asr, "download", refused)
    engines = Engines(settings.model_copy(update={"offline": False, "asr": "auto"}))
    engines.hearing.transcriber = Loading("the recogniser", Weak)
    return engines


def test_a_download_that_failed_is_not_advised_again(engines: Engines) -> None:
    engines.hearing.transcriber.get()
    assert caution(engines.hearing).endswith(
        "set PARLEY_ASR=faster-whisper:base (a download of 145 MB, once)."
    )
    engines.hearing.fetch_whisper()
    shown = next(state for state in Serving(engines).services().engines() if state.kind == "asr")
    assert (shown.state, shown.why) == ("weak", caution(engines.hearing))
    assert "could not be downloaded: faster-whisper:base cannot be fetched (ConnectError). Check" in shown.why
    assert "145 MB" not in shown.why


def test_what_it_heard_of_a_recording_is_doubtful(engines: Engines, tmp_path: Path) -> None:
    (tmp_path / "talk.wav").write_bytes(wav_bytes(spoken("When does the garden open?"), 16_000))
    recordings = Recordings(engines.hearing)
    assert not recordings.hears_well(), "nobody knows yet"
    heard = recordings.hear(tmp_path / "talk.wav", lambda: False)
    assert ([text for *_, text in heard.said], heard.doubtful_by) == (["peace"], "PocketSphinx")
    assert not recordings.hears_well()
