"""The page over HTTPS with Parley's own certificate: its socket, microphone and worklets, and its policy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from serving.certificates import certificate
from tests.browser.conftest import Site
from tests.browser.serving import serve
from tests.ui.scripted import Script
from ui.web import build_ui

pytestmark = pytest.mark.browser


@pytest.fixture
def site(browser: Browser, script: Script, tmp_path: Path) -> Iterator[Site]:
    files = certificate("auto", tmp_path / "data", "127.0.0.1")
    with serve(build_ui(script.services()), files) as url:
        site = Site(url, script, browser)
        yield site
        site.leave()


def test_the_page_has_its_socket_the_microphone_and_its_worklets(site: Site) -> None:
    page = site.open(ignore_https_errors=True)  # which waits for the socket's key
    assert page.evaluate("isSecureContext && location.protocol") == "https:"
    assert [entry for entry in page.context.cookies() if not entry["secure"]] == []
    tracks = "navigator.mediaDevices.getUserMedia({audio: true}).then((heard) => heard.getTracks().length)"
    assert page.evaluate(tracks) == 1
    for name in ("player-worklet.js", "capture-worklet.js"):
        page.evaluate(f"new OfflineAudioContext(1, 1, 16000).audioWorklet.addModule('/parley/{name}')")
    assert site.complaints == []


def test_a_worklet_from_anywhere_else_is_refused(site: Site) -> None:
    page = site.open(ignore_https_errors=True)
    ended = page.evaluate(
        """() => {
             const url = URL.createObjectURL(new Blob(["0"], {type: "text/javascript"}));
             const added = new OfflineAudioContext(1, 1, 16000).audioWorklet.addModule(url);
             return added.then(() => "added", (error) => error.name);
           }"""
    )
    assert ended == "AbortError"
