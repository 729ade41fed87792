"""The browser, a server with scripted services, and a page of it, for the browser tests."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, sync_playwright

from speech.audio import wav_bytes
from tests.browser.real import app_served, write_slowly
from tests.browser.serving import serve
from tests.rag.llms import servers
from tests.ui.scripted import Script
from ui.web import build_ui

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
TIMEOUT = 20_000  # milliseconds that a condition may take on a busy machine
HOW = "No Chromium was found. Install it: python -m playwright install --with-deps chromium"


def chromium_path(playwright: Playwright) -> str | None:
    """Playwright's own Chromium, else one on the PATH."""
    own = playwright.chromium.executable_path
    if Path(own).exists():
        return own
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the fake microphone hears, over and over: half a second of a tone, half a second of silence."""
    path = tmp_path_factory.mktemp("microphone") / "tone.wav"
    tone = 0.4 * np.sin(2 * np.pi * 440 * np.arange(24_000) / 48_000)
    path.write_bytes(wav_bytes(np.concatenate([tone, np.zeros(24_000)]).astype(np.float32), 48_000))
    return path


@pytest.fixture(scope="session")
def launch() -> Iterator[Callable[[Path], Browser]]:
    """Starts a Chromium whose microphone hears a WAV file, over and over."""
    with sync_playwright() as playwright:
        path = chromium_path(playwright)
        if path is None:
            if os.environ.get("CI") or os.environ.get("BROWSER_TESTS") == "required":
                pytest.fail(HOW)
            pytest.skip(HOW)
        flags = ["--no-sandbox", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
        started: list[Browser] = []

        def start(microphone: Path) -> Browser:
            heard = f"--use-file-for-fake-audio-capture={microphone}"
            started.append(playwright.chromium.launch(executable_path=path, args=[*flags, heard]))
            return started[-1]

        yield start
        for browser in started:
            browser.close()


@pytest.fixture(scope="session")
def browser(launch: Callable[[Path], Browser], recording: Path) -> Browser:
    return launch(recording)


@pytest.fixture(scope="session")
def writing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Parley with a model that writes its answer at 30 tokens a second; one for whoever asks it."""
    with ExitStack() as stack:
        model = stack.enter_context(servers.scripted(write_slowly))
        data = tmp_path_factory.mktemp("writing") / "data"
        yield stack.enter_context(app_served(data, "--llm", "remote", "--llm-url", model))


@pytest.fixture(scope="session")
def listener() -> Iterator[socket.socket]:
    """Where one site after another is served: to a browser they are one, whose scripts it may keep."""
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        yield listener


@pytest.fixture(scope="session")
def kept(browser: Browser) -> BrowserContext:
    """A context that keeps the scripts it has loaded; `forget` makes it another person's."""
    context = browser.new_context()
    context.new_page()
    return context


def forget(kept: BrowserContext, url: str) -> None:
    """Close what somebody has open, and clear what the page keeps of them."""
    first, *pages = kept.pages
    for page in pages:
        page.close()
    kept.clear_cookies()
    clear = {"origin": url, "storageTypes": "local_storage"}
    kept.new_cdp_session(first).send("Storage.clearDataForOrigin", clear)


@dataclass
class Site:
    """A served page, and what its browser complained about."""

    url: str
    script: Script
    browser: Browser
    kept: BrowserContext | None = None
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    contexts: list[BrowserContext] = field(default_factory=list)

    def open(self, page: Page | None = None, *, ready: bool = True, **options: object) -> Page:
        """The page in a browser of somebody new, or in `page` once more."""
        if page is None:
            page = self.context(**options).new_page()
            self._watch(page)
        page.goto(self.url)
        if ready:
            page.locator("body.parley-ready").wait_for()
            page.wait_for_function("window.parleyPlayer.key !== ''")
        return page

    def context(self, **options: object) -> BrowserContext:
        """Of somebody new: `kept`, once, where nothing is asked of it."""
        context = self.kept if not options and self.kept not in self.contexts else None
        context = context or self.browser.new_context(**options)  # type: ignore[arg-type]
        context.set_default_timeout(TIMEOUT)
        self.contexts.append(context)
        return context

    def leave(self) -> None:
        for context in self.contexts:
            if context is self.kept:
                forget(context, self.url)
            else:
                context.close()

    def _watch(self, page: Page) -> None:
        def complain(kind: str, text: str) -> None:
            if kind in {"error", "warning"}:
                self.complaints.append(text)

        page.on("console", lambda message: complain(message.type, message.text))
        page.on("pageerror", lambda error: complain("error", str(error)))
        page.on("request", lambda request: self.requests.append(request.url))


@pytest.fixture
def script(tmp_path: Path) -> Script:
    return Script(tmp_path)


@pytest.fixture
def site(browser: Browser, kept: BrowserContext, listener: socket.socket, script: Script) -> Iterator[Site]:
    """The page with the scripted services, which a test may change at any time."""
    with serve(build_ui(script.services()), listener=listener) as url:
        site = Site(url, script, browser, kept)
        yield site
        site.leave()
        assert not site.complaints
        own = (site.url, "data:", "blob:")
        assert [address for address in site.requests if not address.startswith(own)] == []


@pytest.fixture
def ask() -> Callable[[Page, str], None]:
    """Type a question and press Enter."""

    def asked(page: Page, text: str) -> None:
        page.locator("#question textarea").fill(text)
        page.keyboard.press("Enter")

    return asked
