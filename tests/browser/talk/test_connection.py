"""When the page's connection is lost, impossible or slow, or the server refuses."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from tests.browser.talk.server import TALKING, Server, begin, header, visit

pytestmark = pytest.mark.browser

Ask = Callable[[Page, str], None]


def test_a_lost_connection_comes_back_and_the_conversation_with_it(server: Server) -> None:
    page = server.page
    begin(server)
    server.until(lambda: server.frames)
    server.connections[-1].close(code=1011)
    expect(page.locator(".toast", has_text="The connection is lost")).to_be_visible()
    again = server.wait("talk", 2)
    assert again == server.said("talk")[0] | {"conversation": "c1"}
    before = len(server.frames)
    page.wait_for_timeout(100)
    assert len(server.frames) == before  # nothing is sent to a server that does not listen yet
    server.tell(**TALKING)
    expect(page.locator(".toast", has_text="say it again")).to_be_visible()
    expect(page.locator(".toast.problem")).to_have_count(0)  # it is none any more
    server.until(lambda: len(server.frames) > before + 5)
    assert [header(frame)[0] for frame in server.frames[before:]] == list(range(len(server.frames) - before))
    expect(page.locator("#talk")).to_have_attribute("data-state", "listening")


def test_where_no_socket_can_be_opened_the_page_says_so(served: str, page: Page, ask: Ask) -> None:
    server = Server(page)
    server.open = False
    visit(page, served)
    says = "A live conversation is not possible through this connection"
    expect(page.locator(".toast")).to_contain_text(says)
    page.locator(".toast").get_by_role("button", name="Close").click()
    expect(page.locator("#talk")).to_have_attribute("title", re.compile(says))
    page.locator("#talk").click()
    expect(page.locator(".toast")).to_contain_text(says)
    expect(page.locator("#talk")).to_have_attribute("aria-pressed", "false")
    ask(page, "When does it close?")
    expect(page.locator("#chat .answer-done")).to_have_count(1)
    page.locator(".replay").click()  # the whole answer as one sound
    expect(page.locator("#stop")).to_be_enabled()
    page.locator("#stop").click()
    expect(page.locator("#stop")).to_be_disabled()
    server.open = True
    page.wait_for_function("window.parleyPlayer.key !== ''")
    expect(page.locator("#talk")).to_have_attribute("title", re.compile("begin a conversation"))


def test_frames_are_dropped_and_counted_where_the_connection_is_slow(server: Server) -> None:
    page = server.page
    begin(server)
    server.until(lambda: len(server.frames) > 5)
    waits = """bytes => Object.defineProperty(window.parleyPlayer.socket.raw, "bufferedAmount",
                 {get: () => bytes, configurable: true})"""
    page.evaluate(waits, 16_000)
    expect(page.locator(".toast.problem")).to_contain_text("The connection is slow")
    page.wait_for_function("window.parleyTalk.lost > 5")
    page.evaluate(waits, 0)
    sent = len(server.frames)
    server.until(lambda: len(server.frames) > sent + 5)
    numbers = [header(frame)[0] for frame in server.frames]
    lost = page.evaluate("window.parleyTalk.lost")
    gaps = np.diff(numbers) - 1
    assert (gaps > 0).sum() == 1
    assert gaps.sum() == lost


def test_a_server_that_refuses_is_quoted(server: Server) -> None:
    page = server.page
    page.locator("#talk").click()
    server.wait("talk")
    server.tell(type="refused", message="Too many conversations. Try later.")
    expect(page.locator(".toast")).to_contain_text("Too many conversations.")
    expect(page.locator("#talk")).to_have_attribute("data-state", "idle")
