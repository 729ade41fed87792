"""`app.py serve`: the page at once, and behind it everything else as it becomes ready.

The page answers before any model is loaded; what is still loading says so there. It knows the page and the
engines, and nothing of what is inside either.
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines import EngineError, Engines
from serving.certificates import certificate, invitation, links, near
from serving.evaluating import PageEvaluation
from serving.live_library import LiveLibrary
from serving.switching import PageModels
from settings import Settings

if TYPE_CHECKING:
    import uvicorn
    from fastapi import FastAPI

    from rag.store import Page, Source
    from speech.turn import Speaker
    from ui.services import EngineState, Services, SpeakRequest, Voice

log = logging.getLogger(__name__)

SWITCH = 0.0005  # seconds after which a thread that computes lets another one go on; Python's own: 0.005
LAST_WAIT = 5.0  # seconds that indexing gets to stop between two documents
GOOGLE = "sends the text of each answer to Google"


def run(settings: Settings) -> int:
    """Serve until interrupted."""
    _refuse_open_host(settings)
    files = certificate(settings.https, settings.data, settings.host, settings.hosts)
    with bind(settings) as listener, Engines(settings, can_ask=True) as engines:
        import uvicorn

        from ui.web import build_ui

        serving = Serving(engines)
        app = build_ui(serving.services())
        serving.start()
        server = uvicorn.Server(uvicorn_config(app, files))
        _announce(listener, settings)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uvicorn raises it again when it has closed
        try:
            server.run(sockets=[listener])
        except KeyboardInterrupt:
            pass
        finally:
            log.info("Stopping.")
            serving.stop()
    return 0


def uvicorn_config(app: FastAPI, files: tuple[Path, Path] | None = None, **more: Any) -> uvicorn.Config:
    """How the page is served: sound is not compressed, and a connection that is gone is noticed soon.

    Whoever listens to many conversations computes in many threads, for each of which the event loop waits up
    to Python's switch interval, so that is made shorter for the whole process.

    `files`: certificate and key, for HTTPS.
    """
    import uvicorn

    from ui.protocol import WebSockets

    sys.setswitchinterval(SWITCH)
    certificate_file, key_file = files or (None, None)
    return uvicorn.Config(
        app,
        ws=WebSockets,
        ssl_certfile=certificate_file,
        ssl_keyfile=key_file,
        log_level="warning",
        timeout_graceful_shutdown=3,
        ws_max_size=1 << 16,
        ws_per_message_deflate=False,
        ws_ping_interval=10,
        ws_ping_timeout=10,
        **more,
    )


def bind(settings: Settings) -> socket.socket:
    """The socket to serve on; bound before anything is loaded, so that a wrong address is said at once."""
    try:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        return socket.create_server((settings.host, settings.port), family=family, backlog=256)
    except OSError as error:
        raise EngineError(
            f"Parley cannot serve on {settings.host} port {settings.port} ({error.strerror}). "
            "Choose another port with --port, or stop what uses this one."
        ) from error


def _refuse_open_host(settings: Settings) -> None:
    if _is_loopback(settings.host) or settings.users or settings.open_to_all:
        return
    raise EngineError(
        f"Serving on {settings.host} lets others on the network in. Say who may sign in with "
        "PARLEY_AUTH=user:password, or allow everyone with PARLEY_AUTH=none."
    )


def serves_only_here(settings: Settings) -> bool:
    """Whether all who can reach the page are on this machine, and need not sign in."""
    return _is_loopback(settings.host) and not settings.users and not settings.hosts


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _announce(listener: socket.socket, settings: Settings) -> None:
    """Say where a browser finds the page: here, and on other devices."""
    port, scheme = listener.getsockname()[1], "https" if settings.https else "http"
    here = near(settings.host, port, scheme) or links(settings.host, port, scheme)[0]
    log.info("Parley is on %s (stop it with Ctrl-C)", here)
    if line := invitation(settings.https, settings.host, port):
        log.info("%s", line)


def say_plan(settings: Settings) -> None:
    """Log what will run where, before anything large is downloaded."""
    from planning.arrangement import outline
    from planning.reporting import headline
    from rag.llms import LLMError
    from rag.llms.machine import this_machine

    with contextlib.suppress(LLMError):  # opening the model says it
        for line in headline(outline(settings, this_machine())):
            log.info("%s", line)


class Serving:
    """The engines as the page needs them."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines
        self._settings = engines.settings
        self._library = LiveLibrary(engines)
        self._models = PageModels(engines.llm)
        self._suggested: list[str] = []
        self._stopping = threading.Event()
        self._loaders = [
            threading.Thread(target=work, name=work.__name__, daemon=True)
            for work in (self._open_documents, self._open_voice_and_model)
        ]

    def start(self) -> None:
        """Load everything in the background, in the order in which a person needs it."""
        self._library.opening()
        for loader in self._loaders:
            loader.start()

    def stop(self) -> None:
        """Stop loading and indexing; what is indexed stays, and the rest goes on at the next start."""
        self._stopping.set()
        self._library.stop()
        for loader in self._loaders:
            if loader.is_alive():
                loader.join(LAST_WAIT)

    def _open_documents(self) -> None:
        """The documents first: without them nothing can be answered."""
        self._each(
            self._engines.library.get,
            self._engines.retriever,
            self._library.start,
            self._suggest,
            self._engines.hearing.transcriber.get,  # it learns the documents' words
            self._engines.hearing.fetch_whisper,
        )

    def _open_voice_and_model(self) -> None:
        self._each(self._warm_voice, partial(say_plan, self._settings), self._engines.llm.start)

    def _each(self, *steps: Callable[[], object]) -> None:
        for step in steps:
            if self._stopping.is_set():
                return
            try:
                step()
            except Exception as error:  # the page shows it at the engine or the document; the rest goes on
                log.warning("%s", error)

    def services(self) -> Services:
        from ui.services import Listening, Services

        settings, engines = self._settings, self._engines
        return Services(
            assistant=engines.assistant(),
            library=self._library,
            pages=self._pages,
            transcribe=engines.hearing.transcribe,
            hear=engines.hearing.hear,
            live=engines.hearing.live_words,
            speak=self._speak,
            voices=self._voices,
            engines=self._states,
            suggestions=lambda: self._suggested,
            data=settings.data,
            ocr=settings.ocr,
            record=self._record,
            evaluation=PageEvaluation(engines),
            models=self._models,
            users=settings.users,
            local_only=_is_loopback(settings.host),
            listening=Listening(settings.endpoint_min, settings.endpoint_max, settings.interrupt),
            hosts=settings.hosts,
            api_key=settings.api_key.get_secret_value(),
        )

    def _pages(self, source: str) -> Sequence[Page]:
        library = self._engines.library.ready()
        return library[0].pages(source) if library else ()

    def _record(self, source: str) -> Source | None:
        library = self._engines.library.ready()
        return library[0].find_source(source) if library else None

    def _warm_voice(self) -> None:
        from speech.turn import warm

        self._engines.voices.synthesizer.get()
        warm()

    def _suggest(self) -> None:
        from rag.suggest import suggest

        store, _ = self._engines.library.get()
        self._suggested = suggest(store, self._engines.quoting().chain)

    # Voice

    def _voices(self) -> list[Voice]:
        from ui.services import Voice

        if self._settings.tts == "none":
            return []
        default = self._engines.voices.synthesizer.ready()
        name = default.name if default else self._settings.tts
        voices = [
            Voice(
                "", name, GOOGLE if name == "gtts" else "", *self._engines.voices.speaks(self._settings.tts)
            )
        ]
        if name != "espeak-ng":
            voices.append(Voice("espeak-ng", "espeak-ng (offline)", "", "espeak-ng"))
        if name != "gtts" and not self._settings.offline:
            voices.append(Voice("gtts", "gTTS", GOOGLE, *self._engines.voices.speaks("gtts")))
        return voices

    def _speak(self, request: SpeakRequest) -> Speaker:
        from speech.language import guess_language
        from speech.turn import Speaker

        name = request.voice or self._settings.tts
        if name not in {voice.name or self._settings.tts for voice in self._voices()}:
            raise EngineError(f"There is no voice {name}. Choose another one in the page's settings.")
        synthesizer = self._engines.voices.named(name, request.speed)
        if synthesizer is None:
            raise EngineError("There is no voice: PARLEY_TTS is none. Set it to auto or espeak-ng.")
        likely = self._settings.language if self._settings.language != "auto" else "en"
        return Speaker(
            synthesizer,
            on_notice=request.on_notice,
            otherwise=request.language or guess_language(request.question, otherwise=likely),
        )

    # What is active

    def _states(self) -> list[EngineState]:
        return [self._models.line(), self._embedder_state(), self._asr_state(), self._tts_state()]

    def _embedder_state(self) -> EngineState:
        from ui.services import EngineState

        loading, change = self._engines.embedder, "Another one: PARLEY_EMBEDDER."
        if self._engines.library.state == "failed":
            return EngineState("embedder", "", "failed", str(self._engines.library.error), change)
        if loading.state == "failed":
            return EngineState("embedder", "", "failed", str(loading.error), change)
        embedder = loading.ready()
        if embedder is None or self._engines.library.ready() is None:
            return EngineState("embedder", "", "loading", self._engines.reembedding)
        return EngineState("embedder", embedder.name.rpartition("/")[2], "ready", embedder.notice, change)

    def _asr_state(self) -> EngineState:
        from engines.listening import caution
        from speech.asr import best, megabytes
        from ui.services import EngineState

        loading, change = self._engines.hearing.transcriber, "Another one: PARLEY_ASR."
        if loading.state == "failed":
            return EngineState("asr", "", "failed", str(loading.error), change)
        if loading.state != "ready":
            return EngineState("asr", "", "loading")
        transcriber = self._engines.hearing.in_force()
        if notice := caution(self._engines.hearing):
            return EngineState("asr", transcriber.name, "weak", notice)
        better = best()
        if self._settings.asr == "auto" and better != transcriber.name:
            size = f"{(megabytes(better) or 0) / 1000:.1f} GB"
            how = "started once without PARLEY_OFFLINE and " if self._settings.offline else ""
            change = f"Better here: PARLEY_ASR={better}, {how}with PARLEY_DOWNLOAD=1 (a download of {size})."
        return EngineState("asr", transcriber.name, "ready", "", change)

    def _tts_state(self) -> EngineState:
        from ui.services import EngineState

        loading, change = self._engines.voices.synthesizer, "Another one: PARLEY_TTS."
        if loading.state == "failed":
            return EngineState("tts", "", "failed", str(loading.error), change)
        synthesizer = loading.ready()
        if synthesizer is None:
            off = loading.state == "ready"
            return EngineState("tts", "no voice" if off else "", "ready" if off else "loading", "", change)
        active, why = self._engines.voices.speaks(self._settings.tts)
        return EngineState("tts", active, "ready", why or (GOOGLE if active == "gtts" else ""), change)
