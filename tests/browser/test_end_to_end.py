"""The whole of it as a person meets it: `app.py serve` on real documents, in a browser that has a voice.

Nothing is scripted but the language model of the last tests, a loopback server that writes at a steady pace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, expect

from speech.audio import wav_bytes
from tests.browser.real import PAGE_WAIT, app_served, ask, opened
from tests.browser.test_model import settings_of
from tests.rag.test_documents import make_pdf
from tests.speech.speaking import spoken

pytestmark = pytest.mark.browser

SPOKEN = "When does the garden open?"


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


def test_the_sample_documents_are_evaluated_with_two_settings(visitor: Browser, quoting: str) -> None:
    sample = Path("docs/sample-questions.jsonl").read_text(encoding="utf-8").splitlines()
    with opened(visitor, quoting) as page:
        page.get_by_role("tab", name="Evaluate").click()
        expect(page.get_by_label("Set of questions")).to_have_value("Sample questions")
        page.get_by_label("Set of questions").select_option("")
        file = {"name": "some.jsonl", "mimeType": "text/plain", "buffer": "\n".join(sample[:6]).encode()}
        page.get_by_label("Upload questions").set_input_files(file)  # type: ignore[arg-type]
        expect(page.locator(".questions li")).to_have_count(6)
        page.get_by_role("button", name="Propose some").click()
        expect(page.locator(".offered li")).to_have_count(10, timeout=PAGE_WAIT)
        page.get_by_role("button", name="Drop all").click()
        page.get_by_text("Compare with other settings").click()
        page.get_by_label("How probable an answer must be").fill("1")
        page.get_by_role("button", name="Run the evaluation").click()
        answered = "6 questions, answered by quotations"
        expect(page.locator(".result .summary")).to_contain_text(answered, timeout=PAGE_WAIT)
        refused = page.locator(".figures tr", has_text="Refused, though answerable")
        expect(refused.locator("td")).to_have_text(["0 % of 6", "100 % of 6"])
        page.get_by_label("Misses of").select_option("1")
        page.locator(".miss").first.click()
        expect(page.locator(".look dl").first).to_contain_text("I could not find this in your documents.")
        expect(page.locator("#page-view mark").first).to_contain_text("10:00")


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


def test_another_model_is_chosen_and_answers_until_quotations_are_chosen_again(
    visitor: Browser, quoting: str
) -> None:
    with opened(visitor, quoting) as page:
        model = page.locator(".model")
        settings_of(page)
        model.locator("select").select_option("smollm2")
        page.get_by_role("button", name="What would it mean?").click()
        expect(model.locator(".prospect")).to_contain_text("Nothing is downloaded.", timeout=PAGE_WAIT)
        page.get_by_role("button", name="Use it").click()
        expect(model.locator(".coming")).to_contain_text("smollm2: Load", timeout=PAGE_WAIT)
        expect(model.locator(".answers-now")).to_contain_text("smollm2 on CPU", timeout=PAGE_WAIT)
        expect(page.locator("#engines")).to_contain_text("smollm2", timeout=PAGE_WAIT)
        page.evaluate(  # as if it had been there when it was looked at
            """fetch("/api/model", {method: "POST", headers: {"Content-Type": "application/json"},
                 body: JSON.stringify({name: "/no/such/folder"})})"""
        )
        goes_on = page.locator("#engines .panel")
        expect(goes_on).to_contain_text("There is no model '/no/such/folder'", timeout=PAGE_WAIT)
        expect(goes_on).to_contain_text("smollm2 goes on answering")
        page.keyboard.press("Escape")
        assert ask(page, "When does the garden open?")
        expect(page.locator("#chat")).to_contain_text("smollm2")  # how it was answered names the model
        settings_of(page)
        model.locator("select").select_option("extractive")
        page.get_by_role("button", name="What would it mean?").click()
        page.get_by_role("button", name="Use it").click()
        expect(model.locator(".answers-now")).to_contain_text("quotations", timeout=PAGE_WAIT)


@pytest.mark.alone
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


@pytest.mark.alone
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
