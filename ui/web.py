"""The page: Gradio's Blocks for the controls, our routes for the work, one app for both.

Gradio draws the controls and their theme. What is said streams over routes of our own, because Gradio's queue
cannot be cut within a moment, and its chat reads text as HTML. It knows neither settings nor engines.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from rag.originals import PageImages
from ui.api import state_routes
from ui.chat import Chat, chat_routes
from ui.conversations import Conversations
from ui.evaluation import Evaluating, evaluation_routes
from ui.guard import Guard
from ui.library import Documents, library_routes
from ui.live import talk_on
from ui.metrics import Metrics
from ui.models import model_routes
from ui.openai_api import Programs, api_routes
from ui.pages import page_routes
from ui.services import Services
from ui.voice import Voices, voice_routes

if TYPE_CHECKING:
    import gradio

ASSETS = Path(__file__).parent / "assets"
_HEAD = (
    '<link rel="stylesheet" href="/parley/parley.css"><link rel="stylesheet" href="/parley/evaluation.css">'
    '<link rel="stylesheet" href="/parley/model.css">'
    '<script type="module" src="/parley/main.js"></script>'
)


def build_ui(services: Services) -> FastAPI:
    """The whole page as an ASGI app; nothing is served from any other origin."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    services.data.mkdir(parents=True, exist_ok=True)
    store = Conversations(services.data / "parley.db")
    images = PageImages(ocr=services.ocr)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        evaluating.cancel()
        images.close()
        store.close()

    app = FastAPI(title="Parley", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    voices, documents = Voices(services), Documents(services)
    metrics = Metrics()
    chat = Chat(services, store, voices, metrics)
    talk_on(voices, chat, services, metrics)
    app.include_router(chat_routes(chat))
    app.include_router(library_routes(documents))
    app.include_router(page_routes(services, images))
    app.include_router(voice_routes(services, voices))
    app.include_router(state_routes(services, documents, metrics))
    app.include_router(model_routes(services))
    programs = Programs(services, metrics)
    app.include_router(api_routes(programs))
    evaluating = Evaluating(
        services, busy=lambda: chat.answering or voices.talking > 0 or programs.answering > 0
    )
    app.include_router(evaluation_routes(services, evaluating, chat.feedback))
    app.mount("/parley", StaticFiles(directory=ASSETS))
    _with_loop(lambda: _mount(app))
    app.add_middleware(
        Guard,
        users=services.users,
        local_only=services.local_only,
        hosts=services.hosts,
        api_key=services.api_key,
    )
    return app


def _mount(app: FastAPI) -> None:
    import gradio

    gradio.mount_gradio_app(
        app,
        _blocks(),
        path="/",
        ssr_mode=False,
        footer_links=[],
        run_history=False,
        show_error=False,
        theme=_theme(),
        head=_HEAD,
    )


def _with_loop(work: Callable[[], None]) -> None:
    """Do `work` where an event loop runs: where none does, Gradio makes several and closes none."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:

        async def run() -> None:
            work()

        asyncio.run(run())
    else:
        work()


def _theme() -> gradio.themes.Base:
    """System fonts: Gradio's own themes fetch theirs from another origin."""
    import gradio

    sans = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "sans-serif")
    mono = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")
    return gradio.themes.Base(primary_hue="teal", neutral_hue="stone", font=sans, font_mono=mono)


def _blocks() -> Any:
    """Places and controls, with the ids that are part of the contract; the scripts fill and connect them."""
    import gradio as gr

    with gr.Blocks(title="Parley", analytics_enabled=False, fill_width=True) as blocks:
        with gr.Row(elem_id="top"):
            gr.Column(elem_id="brand")
            gr.Column(elem_id="engines")
            gr.Column(elem_id="tools")
        with gr.Row(elem_id="main"):
            with gr.Column(elem_id="left"):
                gr.Button("New conversation", elem_id="new")
                gr.Column(elem_id="upload")
                gr.Column(elem_id="library")
                gr.Column(elem_id="history")
            with gr.Column(elem_id="middle"):
                gr.Column(elem_id="chat")
                with gr.Column(elem_id="composer"):
                    gr.Column(elem_id="hint")
                    gr.Textbox(
                        elem_id="question",
                        label="Question",
                        placeholder="Ask your documents…",
                        lines=1,
                        max_lines=8,
                        container=False,
                    )
                    with gr.Row(elem_id="actions"):
                        gr.Button("Talk", elem_id="talk")
                        gr.Button("Record", elem_id="mic")
                        gr.Button("Stop", elem_id="stop", interactive=True)
                        gr.Button("Send", elem_id="send", variant="primary")
                gr.Column(elem_id="latency")
            with gr.Column(elem_id="right"):
                gr.Column(elem_id="sources")
                gr.Column(elem_id="page-view")
    return blocks
