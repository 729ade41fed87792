"""The evaluation in a real browser: questions, running behind the page, results, misses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from rag.questions import Row, as_lines
from tests.browser.conftest import TIMEOUT, Site
from tests.ui.scripted import ANSWER, QUOTE

pytestmark = pytest.mark.browser

Ask = Callable[[Page, str], None]
ROWS = [
    Row("1", "When does the lamp room close?", "lighthouse.pdf", (2,), answers=("half past five",)),
    Row("2", "Is the key lost?", "lighthouse.pdf", (2,), answers=("half past five",), answerable=True),
    Row("3", "Is the lamp lost?", "keeper.pdf", answers=("no",)),
]
HOSTILE = """<img src=x onerror="document.title=1"><script>document.title="taken"</script>"""


def evaluation(site: Site, **options: Any) -> Page:
    page = site.open(**options)
    page.get_by_role("tab", name="Evaluate").click()
    expect(page.locator("#evaluation h2").first).to_be_visible()
    return page


def upload(page: Page, rows: list[Row], name: str = "mine.jsonl") -> None:
    file = {"name": name, "mimeType": "application/jsonl", "buffer": as_lines(rows).encode()}
    page.get_by_label("Upload questions").set_input_files(file)  # type: ignore[arg-type]
    expect(page.locator(".questions details").first).to_be_visible()


def run(page: Page) -> None:
    page.get_by_role("button", name="Run the evaluation").click()
    expect(page.locator(".result .summary")).to_be_visible(timeout=TIMEOUT)


def test_the_two_views_are_tabs_that_the_keyboard_reaches(site: Site, ask: Ask) -> None:
    page = site.open()
    chat, evaluate = page.get_by_role("tab", name="Chat"), page.get_by_role("tab", name="Evaluate")
    expect(chat).to_have_attribute("aria-selected", "true")
    expect(page.locator("#evaluation")).to_be_hidden()
    chat.focus()
    page.keyboard.press("ArrowRight")
    expect(evaluate).to_be_focused()
    expect(evaluate).to_have_attribute("aria-selected", "true")
    expect(page.get_by_role("tabpanel", name="Evaluate")).to_be_visible()
    expect(page.locator("#chat")).to_be_hidden()
    expect(page.locator("#composer")).to_be_hidden()
    page.keyboard.press("ArrowLeft")
    ask(page, "When does it close?")
    expect(page.locator("#chat .answer-done")).to_have_text(ANSWER)
    evaluate.click()
    page.locator("#new").click()
    expect(page.locator("#chat .welcome")).to_be_visible()


def test_an_uploaded_set_is_measured_and_a_miss_is_opened_with_one_click(site: Site) -> None:
    page = evaluation(site)
    upload(page, ROWS)
    run(page)
    expect(page.locator(".summary")).to_contain_text("33.3 % of the questions")
    expect(page.locator(".figures")).to_contain_text("Right passage first")
    refused = page.locator(".figures tr", has_text="Refused, though answerable")
    expect(refused.locator("td").first).to_contain_text(" % of 1")  # one row alone says that it is answerable
    expect(page.locator(".figures")).not_to_contain_text("Refused, as it should be")  # no row is about that
    (trial,) = site.script.evaluation.trials
    assert [row.question for row in trial.rows] == [row.question for row in ROWS]
    assert (site.script.data / "questions" / "mine.jsonl").exists()
    expect(page.locator(".misses li")).to_have_count(2)
    page.get_by_role("button", name="Is the key lost?").click()
    look = page.locator(".look").first
    expect(look).to_contain_text("half past five")
    expect(look).to_contain_text("It was built in 1869")
    expect(page.locator("#page-view mark").first).to_have_text("half past five")
    expect(page.locator("#sources .card")).to_have_count(1)
    page.get_by_role("tab", name="Chat").click()
    expect(page.locator("#page-view")).to_be_hidden()
    expect(page.locator("#sources .card")).to_have_count(0)


def test_questions_are_written_changed_and_kept(site: Site) -> None:
    page = evaluation(site)
    page.get_by_role("button", name="Add a question").click()
    page.keyboard.type("When was it built?")
    first = page.locator(".questions li").first
    first.get_by_label("Document", exact=True).fill("lighthouse.pdf")
    first.get_by_label("Page", exact=True).fill("1, 2")
    first.get_by_label("Answer (several").fill("1869 | in 1869")
    page.get_by_role("button", name="Add a question").click()
    page.keyboard.type("Who sank it?")
    page.locator(".questions li").nth(1).get_by_label("The documents do not answer it").check()
    page.get_by_label("Name of the set").fill("Tower")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_label("Set of questions")).to_have_value("Tower")
    kept = [
        json.loads(line) for line in (site.script.data / "questions" / "Tower.jsonl").read_text().splitlines()
    ]
    assert [{**row, "id": ""} for row in kept] == [
        {
            "id": "",
            "question": "When was it built?",
            "source": "lighthouse.pdf",
            "pages": [1, 2],
            "answers": ["1869", "in 1869"],
        },
        {"id": "", "question": "Who sank it?", "answerable": False},
    ]
    site.open(page)
    page.get_by_role("tab", name="Evaluate").click()
    expect(page.locator(".questions li")).to_have_count(2)
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Remove the set").click()
    expect(page.locator(".questions")).to_contain_text("let Parley propose some")
    assert list((site.script.data / "questions").iterdir()) == []


def test_proposed_questions_are_kept_where_they_are_ticked(site: Site) -> None:
    page = evaluation(site)
    page.get_by_role("button", name="Propose some").click()
    offered = page.locator(".offered li")
    expect(offered).to_have_count(2)
    expect(offered.first).to_contain_text("half past five · lighthouse.pdf, page 2")
    offered.nth(1).get_by_role("checkbox").uncheck()
    page.get_by_role("button", name="Add the ticked ones").click()
    expect(page.locator(".questions li")).to_have_count(1)
    expect(page.locator(".questions li")).to_contain_text("When does the lamp room close?")
    page.get_by_role("button", name="Propose some").click()
    expect(offered).to_have_count(1)


def test_disliked_answers_are_a_beginning(site: Site, ask: Ask) -> None:
    page = site.open()
    ask(page, "When does it close?")
    page.get_by_role("button", name="Bad answer").click()
    page.get_by_role("tab", name="Evaluate").click()
    page.get_by_role("button", name="From answers you disliked").click()
    expect(page.locator(".questions li")).to_contain_text("When does it close?")
    expect(page.locator(".questions li")).to_contain_text("nothing is known of its answer")


def test_it_runs_behind_the_page_and_can_be_stopped(site: Site, ask: Ask) -> None:
    site.script.evaluation.gate.clear()
    page = evaluation(site)
    upload(page, ROWS)
    page.get_by_role("button", name="Run the evaluation").click()
    expect(page.locator(".running")).to_contain_text("Question 1 of 3: When does the lamp room close?")
    expect(page.get_by_role("button", name="Run the evaluation")).to_be_disabled()
    page.get_by_role("tab", name="Chat").click()
    ask(page, "When does it close?")
    expect(page.locator("#chat .answer-done")).to_have_text(ANSWER)
    page.get_by_role("tab", name="Evaluate").click()
    other = evaluation(site)
    expect(other.locator(".running")).to_contain_text("Question 1 of 3")  # everybody sees that one runs
    page.locator(".running").get_by_role("button", name="Stop").click()
    expect(page.locator(".running")).to_be_hidden()
    expect(page.locator(".results")).to_be_hidden()


def test_whoever_watches_it_sees_what_came_of_it(site: Site) -> None:
    site.script.evaluation.gate.clear()
    page, other = evaluation(site), evaluation(site)
    upload(page, ROWS)
    page.get_by_role("button", name="Run the evaluation").click()
    expect(page.locator(".running")).to_be_visible()
    site.open(other)
    other.get_by_role("tab", name="Evaluate").click()
    expect(other.locator(".running")).to_be_visible()
    site.script.evaluation.gate.set()
    for each in (page, other):
        expect(each.locator(".result .summary")).to_be_visible(timeout=TIMEOUT)


def test_two_settings_aloud_and_typed_are_shown_side_by_side(site: Site) -> None:
    page = evaluation(site)
    upload(page, ROWS)
    page.get_by_text("Compare with other settings").click()
    page.get_by_label("Passages an answer reads").fill("6")
    expect(page.get_by_label("Recogniser")).to_be_hidden()
    page.get_by_label("Also ask each question aloud").check()
    expect(page.get_by_label("Recogniser")).to_be_visible()
    page.get_by_label("Noise").select_option("10")
    run(page)
    (trial,) = site.script.evaluation.trials
    assert (trial.changes, trial.spoken, trial.noise) == ({"k": "6"}, True, 10.0)
    heads = page.locator(".figures thead th").all_inner_texts()
    assert heads[1:] == [
        "Now",
        "Now, aloud (10 dB)",
        "k = 6",
        "k = 6, aloud (10 dB)",
    ]
    expect(page.locator(".differences").first).to_contain_text("too few questions")
    expect(page.locator("svg.plot")).to_have_count(3)
    for drawing in page.locator("svg.plot").all():
        assert "Now" in (drawing.get_attribute("aria-label") or "")
    assert page.locator(".plot-box table").count() == 3
    page.get_by_label("Misses of").select_option("2")
    expect(page.locator(".misses")).to_contain_text("Nothing was missed")
    page.get_by_label("Misses of").select_option("1")
    page.get_by_role("button", name="Is the key lost?").click()
    expect(page.locator(".look").first).to_contain_text("IS THE KEY LOST?")


def test_advice_is_tried_with_one_click(site: Site) -> None:
    page = evaluation(site)
    upload(page, [*ROWS, Row("4", "Is it late?", "lighthouse.pdf", (2,), answerable=True)])
    run(page)
    advice = page.locator(".advice li")
    expect(advice.filter(has_text="keeper.pdf").get_by_role("button")).to_have_count(0)
    smaller = advice.filter(has_text="PARLEY_CHUNK_SIZE=500")
    expect(smaller.get_by_role("button")).to_have_count(0)  # that needs another index
    advice.filter(has_text="PARLEY_K=6").get_by_role("button", name="Compare with 6").click()
    expect(page.get_by_label("Passages an answer reads")).to_be_focused()
    expect(page.get_by_label("Passages an answer reads")).to_have_value("6")
    page.get_by_role("button", name="Run the evaluation").click()
    expect(page.locator(".figures thead")).to_contain_text("k = 6")
    assert site.script.evaluation.trials[-1].changes == {"k": "6"}


def test_a_result_is_downloaded_and_removed(site: Site) -> None:
    page = evaluation(site)
    upload(page, ROWS)
    run(page)
    with page.expect_download() as download:
        page.get_by_role("link", name="As a table (CSV)").click()
    text = Path(download.value.path()).read_text(encoding="utf-8-sig")
    assert QUOTE in text
    page.get_by_role("button", name="Remove this result").click()
    expect(page.locator(".results")).to_be_hidden()
    assert list((site.script.data / "evaluations").iterdir()) == []


def test_what_goes_wrong_is_said(site: Site) -> None:
    page = evaluation(site)
    page.get_by_role("button", name="Run the evaluation").click()
    expect(page.locator(".toast")).to_contain_text("There is no question yet")
    page.get_by_role("button", name="Close", exact=True).click()
    file = {"name": "bad.csv", "mimeType": "text/csv", "buffer": b"frage\nWann?\n"}
    page.get_by_label("Upload questions").set_input_files(file)  # type: ignore[arg-type]
    expect(page.locator(".toast")).to_contain_text("bad.csv has no column named question")
    page.get_by_role("button", name="Close", exact=True).click()
    site.script.evaluation.error = "The model's server is down. Start it again."
    upload(page, ROWS)
    page.get_by_role("button", name="Run the evaluation").click()
    expect(page.locator(".toast")).to_contain_text("The model's server is down")
    site.complaints.clear()  # the browser reports the refusals


def test_hostile_text_stays_text(site: Site) -> None:
    page = evaluation(site)
    upload(
        page,
        [Row("1", f"lost {HOSTILE}", "lighthouse.pdf", (2,), answers=(HOSTILE,))],
        f"{HOSTILE[:20]}.jsonl",
    )
    run(page)
    page.locator(".miss").click()
    expect(page.locator(".look").first).to_contain_text("onerror")
    for tag in ("img", "script", "iframe", "[onerror]", "form"):
        assert page.locator(f"#evaluation {tag}").count() == 0, tag
    assert page.title() == "Parley"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone(site: Site, scheme: str) -> None:
    page = evaluation(site, viewport={"width": 360, "height": 740}, color_scheme=scheme, has_touch=True)
    upload(page, ROWS)
    run(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    too_wide = page.evaluate(
        """() => [...document.querySelectorAll("#evaluation *")]
             .filter((node) => !node.closest(".scrolls, svg") && node.getBoundingClientRect().right > 361)
             .map((node) => node.outerHTML.slice(0, 100))"""
    )
    assert too_wide == []
    page.locator(".miss").first.click()
    expect(page.locator(".look").first).to_be_in_viewport()
    expect(page.locator("#right")).to_be_hidden()  # nothing covers what was answered
    page.get_by_role("button", name="Show the page", exact=True).click()
    expect(page.locator("#page-view mark").first).to_be_visible()
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll("#evaluation :is(button, input, select, textarea, a[href])")]
             .filter((node) => !(node.ariaLabel || node.textContent.trim() || node.labels?.length))
             .map((node) => node.outerHTML)"""
    )
    assert unnamed == []


def test_a_median_is_the_same_in_a_plot_as_among_the_figures(site: Site) -> None:
    page = site.open()
    times = [1.0, 2.0, 4.0, 9.0]
    found = page.evaluate(
        """async (times) => { const { quantile } = await import("/parley/plots.js");
             return [0.25, 0.5, 0.95, 1].map((share) => quantile(times, share)); }""",
        times,
    )
    assert found == pytest.approx(np.quantile(times, [0.25, 0.5, 0.95, 1]).tolist())
