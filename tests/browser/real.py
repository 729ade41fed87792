"""`app.py serve` in a process of its own, a model that writes at a steady pace, and a page of both."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect

from tests.rag.llms import servers

ROOT = Path(__file__).parents[2]
FACTS = (
    "The garden opens every day at eight. [1] Dogs are welcome only before ten, on a short lead. "
    "The glasshouses open at half past nine and close one hour before the garden does. A bell is rung twenty "
    "minutes before the gates are locked. The kitchen takes its last order for hot food at half past three. "
    "In a storm warning the garden is shut at once, because of falling branches."
)
PAUSE = 1 / 30  # seconds between two tokens
PAGE_WAIT = 60_000  # milliseconds that a model or an index may take on a busy machine


@contextmanager
def app_served(data: Path, *flags: str) -> Iterator[str]:
    """The real application in a process of its own, as soon as its page answers."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
    command = [sys.executable, "app.py", "serve", "--offline", "--port", str(port), "--data", str(data)]
    with (data.parent / f"{data.name}.log").open("wb") as log:
        process = subprocess.Popen([*command, *flags], cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        while not _answers(f"{url}/health"):
            assert process.poll() is None, Path(log.name).read_text()
            time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(20)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def write_slowly(connection: socket.socket, request: str) -> None:
    """An OpenAI-compatible server that says `FACTS`, or gives a follow-up back as a whole question."""
    if request.startswith("GET"):
        body = json.dumps({"object": "list", "data": [{"id": "steady", "max_model_len": 8192}]})
        connection.sendall(servers.reply("200 OK", body))
        return
    connection.sendall(servers.EVENTS)
    for word in FACTS.split(" "):
        connection.sendall(servers.event(f"{word} "))
        time.sleep(PAUSE)
    connection.sendall(servers.event(finish="stop") + b"data: [DONE]\n\n")


@contextmanager
def opened(
    browser: Browser, url: str, known: str = "larkmoor-handbook.pdf", **options: Any
) -> Iterator[Page]:
    """The page, once the documents are indexed, `known` among them.

    It must not complain, nor ask any other host for anything.
    """
    context = browser.new_context(permissions=["microphone"], **options)
    context.set_default_timeout(PAGE_WAIT)
    page = context.new_page()
    complaints: list[str] = []
    requests: list[str] = []
    page.on("console", lambda m: complaints.append(m.text) if m.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(url)
    page.locator("body.parley-ready").wait_for()
    expect(page.locator("#library")).to_contain_text(known, timeout=PAGE_WAIT)
    expect(page.locator("#library .progress")).to_be_hidden(timeout=PAGE_WAIT)
    page.wait_for_function("window.parleyPlayer.key !== ''")
    yield page
    context.close()
    assert not complaints
    assert [address for address in requests if not address.startswith((url, "data:", "blob:"))] == []


def ask(page: Page, question: str) -> str:
    """Ask by keyboard; returns the finished answer."""
    before = page.locator("#chat .answer-done").count()
    page.locator("#question textarea").fill(question)
    page.keyboard.press("Enter")
    answer = page.locator("#chat .answer-done").nth(before)
    answer.wait_for()
    return answer.inner_text()
