"""A page of one site for all tests here, and the server's end of its socket."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, Page
from starlette.responses import Response
from starlette.routing import Route

from tests.browser.conftest import TIMEOUT, forget
from tests.browser.serving import serve
from tests.browser.talk.server import Server, visit
from tests.ui.scripted import Script
from ui.web import build_ui

TAP = """
registerProcessor("tap", class extends AudioWorkletProcessor {
  process([input], [output]) {
    if (input.length) { output[0].set(input[0]); this.port.postMessage(input[0].slice()); }
    return true;
  }
});
"""


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One site for all: it is the page that is tested here."""
    app = build_ui(Script(tmp_path_factory.mktemp("talk")).services())
    tap = Route("/parley/tap.js", lambda _: Response(TAP, media_type="text/javascript"))
    app.router.routes.insert(0, tap)  # a browser does not let Playwright answer for a worklet's file
    with serve(app) as url:
        yield url


@pytest.fixture
def page(served: str, kept: BrowserContext) -> Iterator[Page]:
    """A page of somebody new, and at the end what it complained about."""
    complaints: list[str] = []
    kept.set_default_timeout(TIMEOUT)
    page = kept.new_page()

    def complain(kind: str, text: str) -> None:
        if kind in {"error", "warning"}:
            complaints.append(text)

    page.on("console", lambda message: complain(message.type, message.text))
    page.on("pageerror", lambda error: complain("error", str(error)))
    yield page
    forget(kept, served)
    assert not complaints


@pytest.fixture
def server(served: str, page: Page) -> Server:
    server = Server(page)
    visit(page, served)
    page.wait_for_function("window.parleyPlayer.key !== ''")
    return server
