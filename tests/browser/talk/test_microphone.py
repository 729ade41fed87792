"""Why the page has no microphone, and what a person can do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect

from tests.browser.conftest import chromium_path
from tests.browser.serving import serve
from tests.browser.talk.server import Server, begin, visit
from tests.ui.scripted import Script
from ui.web import build_ui

pytestmark = pytest.mark.browser

Ask = Callable[[Page, str], None]


REFUSALS = [
    ("NotAllowedError", "Permission denied", "Allow it in the address bar's site settings."),
    ("NotAllowedError", "Permission denied by system", "privacy settings"),
    ("NotAllowedError", "Permission dismissed", "Choose Allow"),
    ("NotFoundError", "Requested device not found", "There is no microphone. Connect one."),
    ("NotReadableError", "Could not start audio source", "another program uses it"),
    ("StrangeError", "?", "cannot be used (StrangeError)"),
]


def test_a_refused_microphone_is_explained(server: Server) -> None:
    page = server.page
    for error, message, says in REFUSALS:
        page.evaluate(
            """([name, message]) => { navigator.mediaDevices.getUserMedia =
                 () => Promise.reject(new DOMException(message, name)); }""",
            [error, message],
        )
        page.locator("#talk").click()
        toast = page.locator(".toast")
        expect(toast).to_contain_text(says)
        expect(toast).to_contain_text("press Talk again")
        expect(page.locator("#talk")).to_have_attribute("data-state", "idle")
        expect(page.locator("#talk")).to_have_attribute("aria-pressed", "false")
        toast.get_by_role("button", name="Close").click()
    assert server.said("talk") == []


def test_a_press_takes_back_a_press_that_waits_for_the_microphone(server: Server) -> None:
    page = server.page
    page.evaluate(
        """() => { const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
                   const asked = new Promise((allow) => { window.allow = allow; });
                   navigator.mediaDevices.getUserMedia = async (wishes) => {
                     await asked;
                     return (window.stream = await ask(wishes)); }; }"""
    )
    page.locator("#talk").click()
    expect(page.locator("#talk")).to_have_text("Connecting")
    page.locator("#talk").click()
    expect(page.locator("#talk")).to_have_text("Talk")
    page.evaluate("window.allow()")
    page.wait_for_function("window.stream?.getTracks()[0].readyState === 'ended'")
    assert server.said("talk") == []


def test_a_permissions_policy_is_named(server: Server) -> None:
    page = server.page
    page.evaluate(
        """() => { Object.defineProperty(document, "permissionsPolicy",
                     {value: {allowsFeature: (name) => name !== "microphone"}});
                   navigator.mediaDevices.getUserMedia =
                     () => Promise.reject(new DOMException("Permission denied", "NotAllowedError")); }"""
    )
    page.locator("#talk").click()
    expect(page.locator(".toast")).to_contain_text("A Permissions-Policy forbids")


def test_a_microphone_that_is_taken_away_ends_the_conversation(server: Server) -> None:
    page = server.page
    begin(server)
    page.evaluate(
        """() => { const { track } = window.parleyTalk.microphone;
                   track.stop(); track.dispatchEvent(new Event("ended")); }"""
    )
    expect(page.locator(".toast.problem")).to_contain_text("The microphone was taken away")
    expect(page.locator("#talk")).to_have_attribute("data-state", "idle")
    server.wait("quiet")


@pytest.fixture
def elsewhere(browser: Browser, script: Script) -> Iterator[Page]:
    """The page over plain http, under a name that is not this machine's."""
    services = replace(script.services(), hosts=["parley.test"])
    path = chromium_path(cast("Playwright", SimpleNamespace(chromium=browser.browser_type)))
    flags = ["--no-sandbox", "--host-resolver-rules=MAP parley.test 127.0.0.1"]
    with serve(build_ui(services)) as url:
        other = browser.browser_type.launch(executable_path=path, args=flags)
        page = other.new_page()
        visit(page, url.replace("127.0.0.1", "parley.test"))
        page.wait_for_function("window.parleyPlayer.key !== ''")
        yield page
        other.close()


@pytest.mark.alone
def test_over_plain_http_talk_says_what_to_do_and_answers_are_still_heard(elsewhere: Page, ask: Ask) -> None:
    page = elsewhere
    assert not page.evaluate("window.isSecureContext")
    for button in ("#talk", "#mic"):
        page.locator(button).click()
        toast = page.locator(".toast").last
        expect(toast).to_contain_text("PARLEY_HTTPS=auto")
        expect(toast).to_contain_text(page.url.replace("http:", "https:").rstrip("/"))
        expect(toast).to_contain_text("http://localhost:")
        toast.get_by_role("button", name="Close").click()
    ask(page, "When does it close?")
    page.wait_for_function("window.parleyPlayer.state === 'playing' && window.parleyPlayer.rms() > 0.02")
    assert page.evaluate("window.parleyPlayer.context.audioWorklet === undefined")
    page.wait_for_function("window.parleyPlayer.played > 0.3")
    page.locator("#stop").click()
    page.wait_for_function("window.parleyPlayer.rms() < 0.001")
    assert page.evaluate("window.parleyPlayer.underruns") == 0
