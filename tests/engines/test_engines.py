"""Engines from settings: which one answers when, what is said of it, and a change of the embedder."""

from __future__ import annotations

import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from commands import doctor
from commands.indexing import index
from engines import EngineError, Engines
from engines.loading import Loading
from rag import llms
from rag.assistant import Done, Notice
from rag.embeddings import Embedder, EmbedderError, bundled_folder
from rag.store_local import stored_embedder
from serving.live_library import LiveLibrary
from serving.server import GOOGLE, Serving
from settings import Settings
from speech.asr import TranscriberError
from speech.tts import SynthesisError
from speech.tts_gtts import GttsSynthesizer
from tests.models import tiny_mistral
from tests.rag.llms import servers
from tests.rag.remote_models import Models
from tests.speech.servers import mp3, tone
from ui.services import SpeakRequest

TEXT = "Rules\n\nThe lantern boat returns at eleven. It carries forty people.\n"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    corpus = tmp_path / "docs"
    corpus.mkdir()
    (corpus / "rules.txt").write_text(TEXT)
    return varied(data=tmp_path / "data", corpus=(corpus,), offline=True, llm="extractive", tts="espeak-ng")


def varied(**fields: Any) -> Settings:
    build: Any = Settings
    made: Settings = build(_env_file=None, **fields)
    return made


def ask(engines: Engines, question: str, *, wait: bool = False) -> tuple[Done, list[str]]:
    events = list(engines.assistant(wait=wait).answer(question))
    done = events[-1]
    assert isinstance(done, Done)
    return done, [event.message for event in events if isinstance(event, Notice)]


def test_loading_opens_once_for_everyone_who_waits() -> None:
    opened, release = [], threading.Event()

    def load() -> str:
        release.wait(5)
        opened.append(1)
        return "engine"

    loading = Loading("it", load)
    assert (loading.state, loading.ready()) == ("waiting", None)
    got: list[str] = []
    threads = [threading.Thread(target=lambda: got.append(loading.get())) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert loading.ready() is None
    release.set()
    for thread in threads:
        thread.join(5)
    assert (got, opened, loading.state) == (["engine"] * 4, [1], "ready")


def test_loading_that_fails_says_why_each_time() -> None:
    def load() -> str:
        raise EngineError("It is not there. Fetch it.")

    loading = Loading("it", load)
    for _ in range(2):
        with pytest.raises(EngineError, match="Fetch it"):
            loading.get()
    assert loading.state == "failed"


def test_a_local_model_answers_and_quotations_until_it_is_there(settings: Settings, tmp_path: Path) -> None:
    model = str(tiny_mistral(tmp_path / "mistral"))
    with Engines(settings.model_copy(update={"llm": model, "max_new_tokens": 8})) as engines:
        index(engines, settings.corpus, ())
        before, _ = ask(engines, "When does the lantern boat return?")
        assert (before.engine, before.answered) == ("quotations", True)
        assert "eleven" in before.text
        after, _ = ask(engines, "When does the lantern boat return?", wait=True)
        assert after.engine == model


def test_a_model_that_cannot_be_had_is_said_and_quotations_answer(settings: Settings) -> None:
    with Engines(settings.model_copy(update={"llm": "no/such-model"}), can_ask=True) as engines:
        index(engines, settings.corpus, ())
        engines.llm.start()
        with pytest.raises(llms.LLMError):
            engines.llm.get()
        done, notices = ask(engines, "When does the lantern boat return?")
        assert "eleven" in done.text
        assert any("no/such-model" in notice for notice in notices)
        state = next(state for state in Serving(engines).services().engines() if state.kind == "llm")
        assert (state.name, state.state) == ("quotations", "failed")


def test_a_model_server_that_comes_up_later_answers_then(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engines.language_model.RETRY", 0.0)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    remote = {"llm": "remote", "llm_url": f"http://127.0.0.1:{port}/v1"}
    with Engines(settings.model_copy(update=remote), can_ask=True) as engines:
        index(engines, settings.corpus, ())
        engines.llm.start()
        with pytest.raises(llms.LLMError):
            engines.llm.get()
        assert ask(engines, "When does the lantern boat return?")[0].engine == "quotations"
        with servers.scripted(says_eleven, port=port):
            deadline = time.monotonic() + 10
            while ask(engines, "When does the lantern boat return?")[0].engine == "quotations":
                assert time.monotonic() < deadline


def says_eleven(connection: socket.socket, request: str) -> None:
    if request.startswith("GET"):
        body = '{"object": "list", "data": [{"id": "late", "max_model_len": 4096}]}'
        connection.sendall(servers.reply("200 OK", body))
    else:
        connection.sendall(servers.EVENTS + servers.event("At eleven.") + servers.event(finish="stop"))
        connection.sendall(b"data: [DONE]\n\n")


def test_a_large_download_waits_for_consent(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = str(tiny_mistral(tmp_path / "mistral"))
    large_one = llms.Outlook("large", "GPU 0", 4_000_000_000, 8192, download_bytes=14_500_000_000)
    monkeypatch.setattr(llms, "outlook", lambda *_, **__: large_one)
    large = settings.model_copy(update={"llm": model, "max_new_tokens": 8})
    with Engines(large) as engines, pytest.raises(llms.LLMError, match=r"14.5 GB. Add --download"):
        engines.llm.get()  # where nobody can be asked, it is not waited for
    with Engines(large, can_ask=True) as engines:
        index(engines, settings.corpus, ())
        engines.llm.start()
        while not engines.llm.asking:
            assert engines.llm.state == "loading"
        services = Serving(engines).services()
        state = next(state for state in services.engines() if state.kind == "llm")
        assert (state.state, "14.5 GB" in state.why) == ("asking", True)
        done, notices = ask(engines, "When does the lantern boat return?")
        assert done.engine == "quotations"
        assert any("14.5 GB" in notice for notice in notices)
        services.models.agree()
        assert engines.llm.get() is not None
        assert not engines.llm.asking


def test_a_reranker_that_cannot_be_had_is_said_and_left_out(settings: Settings) -> None:
    with Engines(settings.model_copy(update={"reranker": "no/such-reranker"})) as engines:
        index(engines, settings.corpus, ())
        engines.retriever()
        done, notices = ask(engines, "When does the lantern boat return?")
        assert "eleven" in done.text
        assert any("no/such-reranker" in notice for notice in notices)


def test_a_question_waits_for_an_index_that_is_filled_for_the_first_time(settings: Settings) -> None:
    with Engines(settings) as engines:
        library = LiveLibrary(engines)
        library.opening()
        answer = engines.assistant().answer("When does the lantern boat return?")
        library.sync()
        done = list(answer)[-1]
        assert isinstance(done, Done)
        assert "eleven" in done.text


def test_what_is_not_indexed_yet_is_said(settings: Settings) -> None:
    with Engines(settings) as engines:
        index(engines, settings.corpus, ())
        engines.indexing = True
        _, notices = ask(engines, "When does the lantern boat return?")
        assert any("not finished" in notice for notice in notices)


def test_an_index_keeps_its_embedder_until_the_setting_names_another(
    settings: Settings, tmp_path: Path
) -> None:
    with Engines(settings) as engines:
        index(engines, settings.corpus, ())
        first = engines.embedder.get().name
    other = tmp_path / "other-embedder"
    bundled = bundled_folder()
    assert bundled is not None
    shutil.copytree(bundled, other)
    with Engines(settings.model_copy(update={"embedder": str(other)})) as engines:
        assert engines.library.get()[0].count() == 1
        assert ask(engines, "When does the lantern boat return?")[0].answered
        assert engines.embedder.get().name == str(other) != first
    with Engines(settings) as engines:  # auto
        assert engines.embedder.get().name == str(other)


def test_the_sample_documents_make_room_for_own_folders(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("txt", "pdfs"):
        (tmp_path / folder).mkdir()
    (tmp_path / "txt" / "sample.txt").write_text("The sample says hello.")
    with Engines(varied(data=settings.data, offline=True, llm="extractive")) as engines:
        LiveLibrary(engines).sync()
        assert [item.source for item in LiveLibrary(engines).items()] == ["sample.txt"]
    with Engines(settings) as engines:
        LiveLibrary(engines).sync()
        assert [item.source for item in LiveLibrary(engines).items()] == ["rules.txt"]


def test_a_corpus_folder_that_is_missing_is_said(settings: Settings, tmp_path: Path) -> None:
    both = settings.model_copy(update={"corpus": (*settings.corpus, tmp_path / "gone")})
    with Engines(both) as engines:
        LiveLibrary(engines).sync()
        _, notices = ask(engines, "When does the lantern boat return?")
        assert any("gone" in notice for notice in notices)


def test_an_own_prompt_is_checked_before_anybody_asks(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "prompt.txt").write_text("Context: context. Question: question.")
    engines = Engines(settings.model_copy(update={"prompt": tmp_path / "prompt.txt"}))
    with pytest.raises(ValueError, match="context"):
        engines.own_prompt()
    refining = {"prompt": tmp_path / "prompt.txt", "chain": "refine"}
    with pytest.raises(EngineError, match="stuff"):
        Engines(settings.model_copy(update=refining)).own_prompt()


@pytest.mark.parametrize("offline", [True, False])
def test_what_a_language_model_can_be_depends_on_the_network(settings: Settings, offline: bool) -> None:
    with Engines(settings.model_copy(update={"offline": offline})) as engines:
        _, remedy = engines.llm.opening.describe()
        assert ("that is on this disk" in remedy) == offline
        engines.llm.get()
        state = Serving(engines).services().engines()[0]
        assert engines.llm.opening.choices in state.remedy


def test_offline_no_consent_is_asked_for_a_download(settings: Settings) -> None:
    with (
        Engines(settings.model_copy(update={"asr": "faster-whisper:large-v3"})) as engines,
        pytest.raises(TranscriberError, match="PARLEY_OFFLINE forbids to fetch it"),
    ):
        engines.hearing.transcriber.get()


def test_the_page_is_told_which_voice_speaks_and_why(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = [True]

    def fetch(self: GttsSynthesizer, body: str) -> bytes:
        if dead[0]:
            raise SynthesisError("gTTS cannot be reached (ConnectionError).")
        return mp3(tone(1.0))

    monkeypatch.setattr(GttsSynthesizer, "_fetch", fetch)
    monkeypatch.setattr("speech.tts.REST_SECONDS", 0.0)
    with Engines(settings.model_copy(update={"tts": "auto", "offline": False})) as engines:
        services = Serving(engines).services()

        def speak(speed: float) -> tuple[str, str]:
            speaker = services.speak(SpeakRequest("", speed, "Hello?", lambda notice: None))
            speaker.feed("Hello.")
            speaker.finish()
            assert sum(chunk.seconds for chunk in speaker) > 0.3
            state = services.engines()[3]
            assert (services.voices()[0].speaks, services.voices()[0].note) == (state.name, GOOGLE)
            return state.name, state.why

        engines.voices.synthesizer.get()
        failed = ("espeak-ng", "gTTS cannot be reached (ConnectionError). espeak-ng speaks for now.")
        assert services.engines()[3].name == "gtts"
        assert speak(1.5) == failed  # at another speed than the settings'
        assert doctor._voice(engines).remedy == f"{failed[1]} To leave it at that: PARLEY_TTS=espeak-ng."
        assert services.engines()[3].name == "espeak-ng"  # after its rest, too, until it has spoken
        dead[0] = False
        assert speak(1.0) == ("gtts", GOOGLE)


def test_a_voice_that_the_network_would_need_says_so_offline(settings: Settings) -> None:
    with Engines(settings.model_copy(update={"tts": "gtts"})) as engines:
        engines.voices.synthesizer.get()
        state = Serving(engines).services().engines()[3]
        assert state.name == "espeak-ng"
        assert "PARLEY_OFFLINE forbids" in state.why
        assert "PARLEY_OFFLINE forbids" in doctor._voice(engines).remedy


def test_the_page_is_told_how_every_engine_is(settings: Settings) -> None:
    with Engines(settings) as engines:
        services = Serving(engines).services()
        assert {state.state for state in services.engines()} == {"loading"}
        assert [state.name for state in services.engines()[1:]] == ["", "", ""], (
            "what is not known has no name"
        )
        engines.library.get()
        engines.llm.get()
        engines.voices.synthesizer.get()
        engines.hearing.transcriber.get()
        states = {state.kind: (state.name, state.state) for state in services.engines()}
        assert states == {
            "llm": ("quotations", "ready"),
            "embedder": ("all-MiniLM-L6-v2", "ready"),
            "asr": ("pocketsphinx", "weak"),
            "tts": ("espeak-ng", "ready"),
        }


# Embeddings and reranking from the model server


@pytest.fixture(scope="module")
def models(embedder: Embedder) -> Models:
    return Models(embedder)


@pytest.fixture
def remote_search(settings: Settings, models: Models) -> Iterator[Settings]:
    models.requests.clear()
    models.fault = lambda path, body: None
    remote = {"embedder": "remote:minilm", "reranker": "remote:words"}
    with servers.scripted(models) as url:
        yield settings.model_copy(update=remote | {"llm_url": url})


def test_search_and_reranking_from_the_server(remote_search: Settings, models: Models) -> None:
    question = "When does the lantern boat return?"
    with Engines(remote_search) as engines:
        index(engines, remote_search.corpus, ())
        done, notices = ask(engines, question)
        assert "eleven" in done.text
        assert not notices
        assert [body["query"] for body in models.asked("/rerank")] == [question]
        state = next(each for each in Serving(engines).services().engines() if each.kind == "embedder")
        assert (state.name, state.state) == ("remote:minilm", "ready")
    assert stored_embedder(remote_search.data) == ("remote:minilm", 384)
    models.requests.clear()
    with Engines(remote_search.model_copy(update={"embedder": "auto"})) as engines:
        index(engines, remote_search.corpus, ())
        assert not models.requests  # nothing changed: the index opens without the server
        assert engines.embedder.get().name == "remote:minilm"


def test_a_reranker_that_fails_in_an_answer_is_said_with_that_answer(
    remote_search: Settings, models: Models
) -> None:
    with Engines(remote_search) as engines:
        index(engines, remote_search.corpus, ())
        models.fault = lambda path, body: servers.reply("500 Oops", "") if path.endswith("rerank") else None
        done, notices = ask(engines, "When does the lantern boat return?")
        assert "eleven" in done.text
        assert [notice for notice in notices if "ranked without it" in notice]
        assert next(each for each in doctor.examine(remote_search) if each.name == "reranker").mark == "note"


def test_a_server_of_embeddings_that_is_down_is_said_and_asked_again(
    remote_search: Settings, models: Models
) -> None:
    with Engines(remote_search) as engines:
        index(engines, remote_search.corpus, ())
        models.fault = lambda path, body: servers.reply("401 Unauthorized", "")
        with pytest.raises(EmbedderError, match="PARLEY_LLM_KEY"):
            ask(engines, "When does the lantern boat return?")
        models.fault = lambda path, body: None
        assert "eleven" in ask(engines, "When does the lantern boat return?")[0].text
