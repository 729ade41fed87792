"""The whole of it as a person meets it: `app.py serve` on real documents, in a browser that has a voice.

Nothing is scripted but the language model of the last tests, a loopback server that writes at a steady pace.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from speech.audio import wav_bytes
from tests.rag.llms import servers
from tests.rag.test_documents import make_pdf
from tests.speech.speaking import spoken

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
SPOKEN = "When does the garden open?"
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


@pytest.fixture(scope="module")
def visitor(launch: Callable[[Path], Browser], tmp_path_factory: pytest.TempPathFactory) -> Browser:
    """A browser whose microphone hears a question about the sample documents."""
    silence = np.zeros(16_000 // 2, np.float32)
    path = tmp_path_factory.mktemp("voice") / "question.wav"
    path.write_bytes(wav_bytes(np.concatenate([silence, spoken(SPOKEN), silence, silence]), 16_000))
    return launch(path)


@pytest.fixture(scope="module")
def quoting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with app_served(tmp_path_factory.mktemp("quoting") / "data") as url:
        yield url


@pytest.fixture(scope="module")
def writing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with ExitStack() as stack:
        model = stack.enter_context(servers.scripted(write_slowly))
        data = tmp_path_factory.mktemp("writing") / "data"
        yield stack.enter_context(app_served(data, "--llm", "remote", "--llm-url", model))


@contextmanager
def opened(browser: Browser, url: str) -> Iterator[Page]:
    """The page, once the documents are indexed; it must not complain, nor ask any other host for anything."""
    context = browser.new_context(permissions=["microphone"])
    context.set_default_timeout(PAGE_WAIT)
    page = context.new_page()
    complaints: list[str] = []
    requests: list[str] = []
    page.on("console", lambda m: complaints.append(m.text) if m.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(url)
    page.locator("body.parley-ready").wait_for()
    expect(page.locator("#library")).to_contain_text("larkmoor-handbook.pdf", timeout=PAGE_WAIT)
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


def test_typed_questions_follow_ups_and_a_reload(visitor: Browser, quoting: str) -> None:
    with opened(visitor, quoting) as page:
        assert "08:00" in ask(page, "When does the garden open?")
        page.locator("#chat .answer-done .cite").first.click()
        expect(page.locator("#page-view")).to_contain_text("The garden opens every day at 08:00")
        assert "20:00" in ask(page, "And when does it close?")
        page.goto(quoting)
        expect(page.locator("#chat .answer-done")).to_have_count(2)
        expect(page.locator("#chat .answer-done").first).to_contain_text("08:00")
        expect(page.locator("#engines")).to_contain_text("quotations")


def test_a_question_that_the_documents_do_not_answer(visitor: Browser, quoting: str) -> None:
    with opened(visitor, quoting) as page:
        answer = ask(page, "Which enzyme splits lactose in the small intestine of mammals?")
        assert answer == "I could not find this in your documents."
        expect(page.locator("#chat .answer-done .cite")).to_have_count(0)


def test_a_spoken_question_is_written_down_answered_and_spoken(visitor: Browser, quoting: str) -> None:
    with opened(visitor, quoting) as page:
        expect(page.locator("#engines")).to_contain_text("pocketsphinx", timeout=PAGE_WAIT)
        page.locator("#mic").click()
        expect(page.locator("#mic")).to_have_attribute("data-state", "recording")
        seconds = len(spoken(SPOKEN)) / 16_000 + 1
        page.wait_for_function(
            f"b => performance.now() - b > {seconds * 1000}", arg=page.evaluate("performance.now()")
        )
        page.locator("#mic").click()
        box = page.locator("#question textarea")
        expect(box).not_to_have_value("", timeout=PAGE_WAIT)
        assert "garden" in box.input_value().casefold()
        box.fill(SPOKEN)  # PocketSphinx may have misheard the rest: the person corrects it
        box.press("Enter")
        expect(page.locator("#chat .answer-done")).to_contain_text("08:00")
        page.wait_for_function("window.parleyPlayer.rms() > 0.02")
        expect(page.locator("#latency [data-name=transcript]")).to_be_visible()
        expect(page.locator("#latency [data-name=first_audio]")).to_be_visible()


def test_an_own_pdf_is_answered_from_a_moment_later(visitor: Browser, quoting: str, tmp_path: Path) -> None:
    from reportlab.pdfgen.canvas import Canvas

    def page_of(text: str) -> Callable[[Canvas], None]:
        return lambda canvas: canvas.drawString(72, 700, text)

    pdf = make_pdf(
        tmp_path / "bicycle.pdf",
        page_of("This page is about bells."),
        page_of("The warranty of the Zephyr bicycle lasts seven years."),
    )
    with opened(visitor, quoting) as page:
        page.locator("#upload input[type=file]").set_input_files(str(pdf))
        expect(page.locator("#library")).to_contain_text("bicycle.pdf")
        row = page.locator("#library [data-state=ready]", has_text="bicycle.pdf")
        row.wait_for()
        assert "seven years" in ask(page, "How long is the warranty of the Zephyr bicycle?")
        first = page.locator("#sources .card").first
        expect(first).to_contain_text("bicycle.pdf")
        expect(first).to_contain_text("page 2")


def test_a_hostile_document_asks_for_nothing_and_becomes_nothing(
    visitor: Browser, quoting: str, tmp_path: Path
) -> None:
    hostile = tmp_path / "hostile.md"
    hostile.write_text(
        "# Quagga ledger\n\nThe quagga ledger is kept ![pixel](http://example.org/q.png) in the red safe "
        '<form id="send" action="http://example.org/"><input name="q"></form>'
        "<script>document.title = 'taken'</script><img src=x onerror=\"document.title='taken'\"> of the "
        "office.\n"
    )
    with opened(visitor, quoting) as page:
        page.locator("#upload input[type=file]").set_input_files(str(hostile))
        page.locator("#library [data-state=ready]", has_text="hostile.md").wait_for()
        assert "quagga" in ask(page, "Where is the quagga ledger kept?").casefold()
        page.locator("#chat .answer-done .cite").first.click()
        expect(page.locator("#page-view")).to_contain_text("red safe")
        for place in ("#chat", "#sources", "#page-view", "#library"):
            for element in ("img", "form", "script", "iframe", "input[name=q]"):
                assert page.locator(f"{place} {element}").count() == 0, (place, element)
        assert page.locator("#send").count() == 1
        assert page.title() == "Parley"


def test_the_voice_begins_while_the_model_still_writes(visitor: Browser, writing: str) -> None:
    with opened(visitor, writing) as page:
        expect(page.locator("#engines")).to_contain_text("remote")
        page.locator("#question textarea").fill("When does the garden open?")
        page.locator("#send").click()
        page.wait_for_function(
            "() => window.parleyPlayer.rms() > 0.02 && !document.querySelector('#chat .answer-done')"
        )
        early = page.locator("#chat .body").inner_text()
        done = page.locator("#chat .answer-done")
        done.wait_for()
        assert 0 < len(early) < len(done.inner_text())
        assert (
            done.locator(".cite").count() >= 2
        )  # the model's own, and what was found for its other sentences
        assert "falling branches" in done.inner_text()


def test_stop_is_silence_and_no_further_token(visitor: Browser, writing: str) -> None:
    with opened(visitor, writing) as page:
        page.locator("#question textarea").fill("When does the garden open?")
        page.locator("#send").click()
        page.wait_for_function("window.parleyPlayer.rms() > 0.02")
        took = page.evaluate(
            """async () => {
                 const frame = () => new Promise((next) => requestAnimationFrame(next));
                 const text = () => document.querySelector("#chat .body").textContent;
                 const begun = performance.now();
                 let [changed, loud, before] = [begun, begun, text()];
                 document.querySelector("#stop").click();
                 while (performance.now() - begun < 1000) {
                   await frame();
                   if (text() !== before) [before, changed] = [text(), performance.now()];
                   if (window.parleyPlayer.rms() > 0.001) loud = performance.now();
                 }
                 return { text: changed - begun, sound: loud - begun };
               }"""
        )
        assert took["text"] <= 150
        assert took["sound"] <= 150
        assert "falling branches" not in page.locator("#chat .body").inner_text()
