"""The recognisers: one contract for all, Whisper equal to its packages, PocketSphinx taught by documents."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from speech import asr_whisper
from speech.asr import (
    ENGINES,
    Documents,
    Stopped,
    Transcriber,
    TranscriberError,
    best,
    cached,
    download,
    megabytes,
    open_transcriber,
    weak_notice,
)
from speech.asr_sphinx import utterances
from speech.audio import RATE, Samples
from speech.vad import Segment
from tests.speech.speaking import spoken
from tests.speech_models import save_faster_whisper, save_openai_whisper, tiny_whisper

# openai-whisper leaves its token file to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file.*tiktoken:ResourceWarning")

_SENTENCE = "The printing press was invented in the middle of the fifteenth century."
_QUIET = np.zeros(2 * RATE, np.float32)


@pytest.fixture(scope="session")
def whispers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("whisper")
    return {
        "faster-whisper": f"faster-whisper:{save_faster_whisper(folder / 'tiny', tiny_whisper())}",
        "openai-whisper": f"openai-whisper:{save_openai_whisper(folder / 'tiny.pt')}",
    }


@pytest.fixture(scope="session")
def engines(whispers: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Transcriber]:
    documents = Documents(lambda: [_SENTENCE], lambda: "1", tmp_path_factory.mktemp("words"))
    names = whispers | {"pocketsphinx": "pocketsphinx"}
    return {name: open_transcriber(names[name], documents=documents, device="cpu") for name in ENGINES}


@pytest.mark.parametrize("name", ENGINES)
def test_contract(engines: dict[str, Transcriber], name: str) -> None:
    engine = engines[name]
    assert engine.name.startswith(name)
    voice = spoken(_SENTENCE)
    heard = engine.transcribe(voice, language="en-US", hint="Gutenberg")
    assert heard.text
    assert heard.text == heard.text.strip()
    assert (heard.language, heard.engine, heard.language_probability) == ("en", engine.name, None)
    assert heard.seconds == pytest.approx(len(voice) / RATE)
    assert heard.elapsed > 0
    assert (
        engine.transcribe(voice, language="en-US", hint="Gutenberg").text == heard.text
    )  # no state, no dice


@pytest.mark.parametrize("name", ENGINES)
def test_silence_and_noise_are_not_speech(engines: dict[str, Transcriber], name: str) -> None:
    noise = np.random.default_rng(0).normal(size=3 * RATE).astype(np.float32) * np.float32(0.1)
    for sound in (_QUIET, noise, np.empty(0, np.float32)):
        assert engines[name].transcribe(sound).text == ""


@pytest.mark.parametrize("name", ENGINES)
def test_stopping(engines: dict[str, Transcriber], name: str) -> None:
    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) > 1

    with pytest.raises(Stopped):
        engines[name].transcribe(np.tile(spoken(_SENTENCE), 12), language="en", should_stop=stop)
    assert engines[name].transcribe(spoken(_SENTENCE), language="en").text  # and it still works


@pytest.mark.parametrize("name", ENGINES)
def test_an_unknown_language_is_refused(engines: dict[str, Transcriber], name: str) -> None:
    with pytest.raises(TranscriberError, match="PARLEY_LANGUAGE"):
        engines[name].transcribe(spoken(_SENTENCE), language="xx")


def of_length(seconds: int) -> Samples:
    voice = spoken(_SENTENCE)
    return np.tile(voice, seconds * RATE // len(voice) + 1)[: seconds * RATE]


@pytest.mark.parametrize("seconds", [5, 65])
def test_faster_whisper_gives_what_its_package_gives(
    engines: dict[str, Transcriber], whispers: dict[str, str], seconds: int
) -> None:
    import ctranslate2
    from faster_whisper import WhisperModel

    audio = of_length(seconds)
    heard = engines["faster-whisper"].transcribe(audio)
    model = WhisperModel(whispers["faster-whisper"].partition(":")[2], device="cpu")
    ctranslate2.set_random_seed(0)
    parts, info = model.transcribe(audio)
    assert heard.text == "".join(part.text for part in parts).strip()
    assert (heard.language, heard.language_probability) == (info.language, info.language_probability)
    assert heard.text


@pytest.mark.parametrize("seconds", [5, 65])
def test_openai_whisper_gives_what_its_package_gives(
    engines: dict[str, Transcriber], whispers: dict[str, str], seconds: int
) -> None:
    import torch
    import whisper

    audio = of_length(seconds)
    heard = engines["openai-whisper"].transcribe(audio)
    model = whisper.load_model(whispers["openai-whisper"].partition(":")[2], device="cpu")
    torch.manual_seed(0)
    said = model.transcribe(audio, fp16=False)
    assert (heard.text, heard.language) == (said["text"].strip(), said["language"])
    assert heard.text


@pytest.mark.parametrize("name", ["faster-whisper", "openai-whisper"])
def test_long_recordings_are_heard_to_their_end(
    engines: dict[str, Transcriber], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    given: dict[str, Any] = {}
    model: Any = vars(engines[name])["_model"]
    original = model.transcribe

    def record(audio: Samples, **options: Any) -> Any:
        given.update(options, length=len(audio))
        return original(audio, **options)

    monkeypatch.setattr(model, "transcribe", record)
    long = np.concatenate([of_length(20), np.zeros(30 * RATE, np.float32), of_length(20)])
    engines[name].transcribe(long, language="en", hint="Ada Lovelace, Tyne")
    assert given["initial_prompt"] == "Ada Lovelace, Tyne"
    assert 40 * RATE < given["length"] < 43 * RATE  # all of the speech, and not the half minute of nothing


def test_pocketsphinx_hears_the_documents_words(engines: dict[str, Transcriber]) -> None:
    general = open_transcriber("pocketsphinx")
    taught = engines["pocketsphinx"]
    expected = set(_SENTENCE.lower().strip(".").split())

    def share(engine: Transcriber) -> float:
        return len(expected & set(engine.transcribe(spoken(_SENTENCE)).text.split())) / len(expected)

    assert share(taught) >= 0.4  # espeak-ng is harder to understand than a person
    assert share(taught) > share(general) + 0.1


def test_pocketsphinx_learns_new_documents_in_the_background(tmp_path: Path) -> None:
    state, may_read = ["1"], threading.Event()
    may_read.set()

    def texts() -> list[str]:
        assert may_read.wait(20)
        return ["Nothing to see here." if state[0] == "1" else _SENTENCE]

    engine: Any = open_transcriber("pocketsphinx", documents=Documents(texts, lambda: state[0], tmp_path))
    engine.load()
    old = engine._decoder
    state[0] = "2"
    may_read.clear()
    assert engine.transcribe(spoken(_SENTENCE)).text  # heard with the old words, without waiting for the new
    assert engine._decoder is old
    may_read.set()
    engine._renewing.join(20)
    assert engine._decoder is not old
    assert "fifteenth" in engine._words.dictionary.read_text()


def test_pocketsphinx_says_what_it_is() -> None:
    engine = open_transcriber("pocketsphinx")
    assert "PocketSphinx" in engine.notice
    assert "PARLEY_ASR=faster-whisper:base" in engine.notice
    with pytest.raises(TranscriberError, match="English only"):
        engine.transcribe(spoken(_SENTENCE), language="de")


def test_utterances_end_at_pauses_and_are_never_too_long() -> None:
    second = RATE
    close = [
        Segment(0, 5 * second),
        Segment(round(5.5 * second), 13 * second),
        Segment(14 * second - 9000, 15 * second),
    ]
    assert [round(u.end / second) for u in utterances(close, 16 * second)] == [13, 15]
    far = [Segment(second, 2 * second), Segment(8 * second, 9 * second)]
    assert len(list(utterances(far, 10 * second))) == 2
    endless = list(utterances([Segment(0, 100 * second)], 100 * second))
    assert max(u.end - u.start for u in endless) <= 30 * second
    assert sum(u.end - u.start for u in endless) == 100 * second


def test_names() -> None:
    with pytest.raises(TranscriberError, match="auto, faster-whisper, openai-whisper, pocketsphinx"):
        open_transcriber("sphynx")
    with pytest.raises(TranscriberError, match="no other"):
        open_transcriber("pocketsphinx:large")
    for engine in ("faster-whisper", "openai-whisper"):
        with pytest.raises(TranscriberError, match="large-v3-turbo"):
            cached(f"{engine}:enormous")
    assert cached("pocketsphinx")
    download("pocketsphinx")


def test_a_bare_path_names_its_engine(whispers: dict[str, str]) -> None:
    for engine, name in whispers.items():
        path = name.partition(":")[2]
        assert open_transcriber(path).name == name
        assert cached(path)
        assert engine in name


def test_a_missing_package_names_the_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(TranscriberError, match="pip install openai-whisper"):
        open_transcriber("openai-whisper:tiny")


def test_auto_without_a_model_is_pocketsphinx_and_says_how_to_get_whisper(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(asr_whisper, "find", lambda engine, model: None)
    engine = open_transcriber("auto", device="cpu", offline=True)
    assert engine.name == "pocketsphinx"
    how = "start once with PARLEY_ASR=faster-whisper:base and without PARLEY_OFFLINE (a download of 145 MB)"
    assert how in engine.notice


@pytest.mark.parametrize(
    ("better", "offline", "how"),
    [
        ("faster-whisper:base", False, "set PARLEY_ASR=faster-whisper:base (a download of 145 MB, once)"),
        ("faster-whisper:base", True, "without PARLEY_OFFLINE (a download of 145 MB), or name a folder"),
        (
            "faster-whisper:large-v3-turbo",
            False,
            "-turbo and PARLEY_DOWNLOAD=1 (a download of 1620 MB, once)",
        ),
    ],
)
def test_the_way_to_whisper_is_one_that_works(better: str, offline: bool, how: str) -> None:
    notice = weak_notice(better, offline=offline)
    assert how in notice
    assert "send" not in notice  # in a live conversation nothing is sent by hand
    assert ("PARLEY_OFFLINE" in open_transcriber("pocketsphinx", offline=offline).notice) == offline


def test_auto_takes_the_best_that_is_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(asr_whisper, "find", lambda engine, model: tmp_path)
    assert open_transcriber("auto", device="cuda").name == "faster-whisper:large-v3-turbo"
    assert open_transcriber("auto", device="cpu").name == best("cpu") == "faster-whisper:base"
    monkeypatch.setattr(asr_whisper, "find", lambda engine, model: tmp_path if model == "base" else None)
    assert open_transcriber("auto", device="cuda").name == "faster-whisper:base"
    assert megabytes("faster-whisper:large-v3-turbo") == 1620


def test_offline_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asr_whisper, "find", lambda engine, model: None)
    engine = open_transcriber("faster-whisper:base", offline=True)
    with pytest.raises(TranscriberError, match="PARLEY_OFFLINE"):
        engine.load()


@pytest.mark.parametrize("name", ["faster-whisper", "openai-whisper"])
def test_a_broken_model_is_named(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "model.bin").write_bytes(b"nonsense")
    (folder / "tokenizer.json").write_text("{}")
    path = folder if name == "faster-whisper" else folder / "model.bin"
    with pytest.raises(TranscriberError, match="cannot be loaded"):
        open_transcriber(f"{name}:{path}").load()


def test_a_model_without_tokenizer_is_refused_before_it_asks_the_hub(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"x")
    with pytest.raises(TranscriberError, match="copy_files"):
        open_transcriber(f"faster-whisper:{tmp_path}").load()


def test_many_threads_share_one_engine(engines: dict[str, Transcriber]) -> None:
    engine = engines["pocketsphinx"]
    expected = engine.transcribe(spoken(_SENTENCE)).text
    heard: list[str] = []
    threads = [
        threading.Thread(target=lambda: heard.append(engine.transcribe(spoken(_SENTENCE)).text))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert heard == [expected] * 4


def test_nothing_heavy_is_loaded_by_importing_or_opening() -> None:
    code = (
        "import sys, speech.asr as a;"
        "a.open_transcriber('pocketsphinx'); a.open_transcriber('faster-whisper:tiny');"
        "heavy = {'torch', 'whisper', 'faster_whisper', 'ctranslate2', 'pocketsphinx', 'onnxruntime', 'av'};"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
