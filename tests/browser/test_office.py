"""What a person does with a folder of documents of every kind: `app.py serve` on it, and its page."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.office import GERMAN, office
from tests.browser.real import PAGE_WAIT, app_served, ask, opened
from tests.browser.test_pages import PHONE

pytestmark = pytest.mark.browser

FACTS = [  # a question, what the answer has, its document, and the place there
    ("What does the roof repair cost?", "23750", "budget.xlsx", "sheet Costs"),
    ("When is the Heron kettle launched?", "14 May", "kettle-launch.pptx", "slide 3"),
    ("When is sage cut?", "in June", "herbal.epub", "chapter 1"),
    ("When is the piano delivered?", "at 9:15", "delivery.eml", "message"),
    ("Who paints the fence?", "Matteo Bianchi", "minutes.docx", ""),
    ("Who was elected tresurer, Ingrid Halvorsn?", "Ingrid Halvorsen", "minutes.docx", ""),
    ("Which instrument does Jun Sato play?", "oboe", "members.csv", ""),
    ("What does the ferry to Skerry cost?", "7 crowns", "archive.zip", "notes/ferry.txt"),
    ("What is KX-4410-B?", "seal ring", "parts.csv", ""),
    ("Wann wird die Kaffeemaschine entkalkt?", "jeden Freitag", "kaffee.txt", ""),
    ("How long is the warranty of the Aurora kettle?", "two years", "aurora-kettle.pdf", "page 2"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return office(tmp_path_factory.mktemp("office") / "papers")


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[str]:
    with app_served(folder.parent / "data", "--llm", "extractive", "--corpus", str(folder)) as url:
        yield url


@pytest.fixture
def page(browser: Browser, served: str) -> Iterator[Page]:
    with opened(browser, served, "minutes.docx") as page:
        yield page


def row(page: Page, source: str, state: str = "ready") -> None:
    """The list shows the document in this state."""
    expect(page.locator(f"#library [data-source='{source}'][data-state='{state}']")).to_be_visible(
        timeout=PAGE_WAIT
    )


def test_every_kind_of_document_answers_with_its_place(page: Page) -> None:
    row(page, "broken.pdf", "failed")
    expect(page.locator("#library [data-source='broken.pdf'] .reason")).to_contain_text("The PDF is broken")
    expect(page.locator("#library [data-source='minutes.docx'] .what")).to_have_text("ready")
    expect(page.locator("#library [data-source='aurora-kettle.pdf'] .what")).to_have_text("2 pages")
    for question, answer, source, place in FACTS:
        assert answer in ask(page, question)
        page.locator("#chat .turn").last.locator(".cite").first.click()
        card = page.locator("#sources .card.selected .head")
        expect(card).to_contain_text(source)
        expect(card.locator(".place")).to_have_text(place)
        view = page.locator("#page-view")
        expect(view.locator(".head .file")).to_have_text(source)
        shown = view.locator(".marked-quote i" if source.endswith(".pdf") else ".page-text mark mark")
        expect(shown.first).to_be_in_viewport()
        page.get_by_role("button", name="Close the page").click()
        expect(view).to_be_hidden()


def test_a_table_is_shown_without_its_rule_and_a_text_of_one_part_without_arrows(page: Page) -> None:
    ask(page, "Which instrument does Jun Sato play?")
    page.locator("#chat .cite").click()
    view = page.locator("#page-view")
    expect(view.locator("mark mark")).to_have_text("Jun Sato | 2021 | oboe")
    assert "---" not in view.inner_text()
    expect(view.get_by_role("button", name="Next page")).to_have_count(0)


@pytest.mark.skipif(not shutil.which("tesseract"), reason="needs Tesseract: apt install tesseract-ocr")
def test_the_words_of_a_scan_are_marked_on_a_phone_and_closing_it_goes_back(
    browser: Browser, served: str
) -> None:
    with opened(browser, served, "minutes.docx", **PHONE) as page:
        assert "1,850 euros" in ask(page, "What is the rent of the boat house?")
        page.locator("#chat .cite").click()
        view = page.locator("#page-view")
        expect(view.locator(".marked-quote i")).to_be_in_viewport(timeout=PAGE_WAIT)
        page.get_by_role("button", name="Close the page").click()
        expect(page.locator("#right")).to_be_hidden()
        page.get_by_role("button", name="Sources", exact=True).click()
        page.locator("#sources .card .head").click()
        expect(view).to_be_visible()
        page.get_by_role("button", name="Close the page").click()
        expect(page.locator("#sources .card")).to_be_in_viewport()  # where it was opened


def test_a_recording_is_opened_at_its_moment(page: Page, served: str) -> None:
    place = "source=meeting.wav&start=0&end=1"
    heard = page.request.get(f"{served}/api/page?{place}").json()
    ask(page, heard["passage"] + heard["after"])  # the recogniser without a network mishears much
    card = page.locator("#sources .card", has_text="meeting.wav").first
    expect(card.locator(".place")).to_have_text(re.compile("^0:0[45], perhaps misheard$"))
    card.locator(".head").click()
    page.wait_for_function("document.querySelector('#page-view audio')?.currentTime > 4")


def test_two_documents_are_compared_and_a_question_follows(page: Page) -> None:
    answer = ask(page, "Compare the warranties of the Aurora and the Borealis kettle.")
    assert "two years" in answer
    assert "five years" in answer
    sources = page.locator("#sources .card .head").all_inner_texts()
    assert {"aurora-kettle.pdf", "borealis-kettle.pdf"} <= {
        name for each in sources for name in each.split("\n")
    }
    ask(page, "How long is the warranty of the Aurora kettle?")
    assert "five years" in ask(page, "And of the Borealis?")
    understood = page.locator(".understood").last
    understood.locator("summary").click()
    expect(understood).to_contain_text("warranty")


def test_what_changes_in_the_folder_is_known_seconds_later(page: Page, folder: Path) -> None:
    (folder / "kaffee.txt").write_text(GERMAN.replace("Freitag", "Montag"), encoding="utf-8")
    (folder / "cellar.txt").write_text("The key of the cellar hangs behind the clock.\n")
    row(page, "cellar.txt")
    assert "behind the clock" in ask(page, "Where does the key of the cellar hang?")
    assert "jeden Montag" in ask(page, "Wann wird die Kaffeemaschine entkalkt?")
    (folder / "cellar.txt").unlink()
    expect(page.locator("#library [data-source='cellar.txt']")).to_have_count(0, timeout=PAGE_WAIT)


def test_a_document_is_added_asked_alone_and_removed(page: Page) -> None:
    violin = {
        "name": "violin.txt",
        "mimeType": "text/plain",
        "buffer": b"The violin was made by Agnes Brandvold.",
    }
    page.locator("#upload input[type=file]").set_input_files(violin)  # type: ignore[arg-type]
    row(page, "violin.txt")
    question = "Who made the violin?"
    assert "Agnes Brandvold" in ask(page, question)
    collection = page.get_by_role("combobox", name="Ask", exact=True)
    collection.select_option("Uploads")
    assert "Agnes Brandvold" in ask(page, question)
    collection.select_option("papers")
    assert "could not find" in ask(page, question)
    expect(page.locator("#sources .nearest")).to_contain_text("The documents do not say.")
    expect(page.locator("#sources .card").first).not_to_contain_text("violin.txt")
    collection.select_option("")
    page.get_by_role("button", name="Remove violin.txt").click()
    expect(page.locator("#library [data-source='violin.txt']")).to_have_count(0)
    assert "could not find" in ask(page, question)


def test_questions_are_proposed_from_every_kind_of_document(page: Page) -> None:
    page.get_by_role("tab", name="Evaluate").click()
    page.get_by_role("button", name="Propose some").click()
    offered = page.locator(".offered")
    expect(offered).to_contain_text("When is the Heron kettle launched?", timeout=PAGE_WAIT)
    expect(offered).to_contain_text("14 May · kettle-launch.pptx, part 3")
    expect(offered).to_contain_text("two years · aurora-kettle.pdf, page 2")
    page.get_by_role("button", name="Add the ticked ones").click()
    page.get_by_role("button", name="Run the evaluation").click()
    expect(page.locator(".result .summary")).to_contain_text("answered by quotations", timeout=PAGE_WAIT)


def test_an_answer_says_that_indexing_is_not_finished(page: Page) -> None:
    """The last one: reading this takes longer than the tests do."""
    text = "\n\n".join(f"Paragraph {n} of the long chronicle tells of year {n}." for n in range(40_000))
    chronicle = {"name": "chronicle.txt", "mimeType": "text/plain", "buffer": text.encode()}
    page.locator("#upload input[type=file]").set_input_files(chronicle)  # type: ignore[arg-type]
    row(page, "chronicle.txt", "reading")
    expect(page.locator("#library .progress")).to_contain_text("chronicle.txt")
    assert "23750" in ask(page, "What does the roof repair cost?")
    expect(page.locator("#chat .notices")).to_contain_text("Indexing is not finished")
    row(page, "chronicle.txt", "reading")
