"""Choosing the language model in the page's settings."""

from __future__ import annotations

from dataclasses import replace

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Site
from tests.browser.serving import serve
from tests.ui.scripted import Script
from ui.web import build_ui

pytestmark = pytest.mark.browser

LARGER = "org/larger-instruct"


def settings_of(page: Page) -> None:
    page.locator("#tools summary").click()
    expect(page.locator(".model .answers-now")).not_to_be_empty()


def look_at(page: Page, name: str) -> None:
    page.get_by_label("Language model", exact=True).and_(page.locator("select")).select_option("Another one…")
    page.get_by_label("Name of a model").fill(name)
    page.keyboard.press("Enter")


def test_what_it_means_is_said_before_it_is_agreed_to_and_then_how_far_it_is(site: Site) -> None:
    page = site.open(viewport={"width": 390, "height": 780})
    settings_of(page)
    expect(page.locator(".model .answers-now")).to_have_text("Answers now: quotations")
    page.locator(".model select").select_option(LARGER)
    page.get_by_role("button", name="What would it mean?").click()
    expect(page.locator(".model .prospect")).to_contain_text("It runs on CPU and takes 3.0 GB.")
    assert site.script.models.chosen == []
    page.get_by_role("button", name="Not now").click()
    expect(page.locator(".model .prospect")).to_be_hidden()
    page.get_by_role("button", name="What would it mean?").click()
    page.get_by_role("button", name="Download 3.1 GB and use it").click()
    expect(page.locator(".model .coming")).to_contain_text("Downloading: 1.0 GB of 3.1 GB.")
    expect(page.get_by_role("progressbar", name="The model on its way")).to_have_js_property("value", 10)
    assert site.script.models.chosen == [(LARGER, 3_100_000_000)]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    panel = page.locator("#tools .panel")
    expect(panel).to_be_in_viewport(ratio=1)
    assert panel.evaluate("(node) => node.scrollWidth <= node.clientWidth")
    site.script.models.ends()
    expect(page.locator(".toast")).to_contain_text(f"{LARGER} answers from now on.")
    expect(page.locator(".model .answers-now")).to_have_text(f"Answers now: {LARGER} on CPU")
    expect(page.locator(".model")).to_contain_text(f"To keep what answers now: PARLEY_LLM={LARGER}.")
    expect(page.locator(".model .coming")).to_be_hidden()


def test_one_on_its_way_can_be_cancelled(site: Site) -> None:
    page = site.open()
    settings_of(page)
    look_at(page, "org/x")
    page.get_by_role("button", name="and use it").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(".model .coming")).to_be_hidden()
    assert site.script.models.now.coming == ""
    expect(page.locator(".toast")).to_have_count(0)


def test_what_cannot_be_had_says_why_before_and_after(site: Site) -> None:
    page = site.open()
    settings_of(page)
    look_at(page, "no/such")
    expect(page.locator(".model").get_by_role("alert")).to_contain_text("Check its spelling")
    site.complaints.clear()  # the browser reports the refusal
    look_at(page, "org/x")
    page.get_by_role("button", name="and use it").click()
    expect(page.locator(".model .coming")).to_be_visible()
    page.keyboard.press("Escape")  # it is told all the same
    site.script.models.ends(error="It is broken. Choose another one.")
    expect(page.locator(".toast.problem")).to_contain_text("It is broken. Choose another one.")
    settings_of(page)
    expect(page.locator(".model .answers-now")).to_have_text("Answers now: quotations")
    expect(page.locator(".model").get_by_role("alert")).to_contain_text("It is broken")


def test_a_download_that_waits_is_agreed_to_in_either_place(site: Site) -> None:
    models = site.script.models
    models.now = replace(models.now, coming=LARGER, text="It waits for your consent.", total=9, asks=9)
    page = site.open()
    settings_of(page)
    page.locator(".model").get_by_role("button", name="Download it").click()
    expect(page.locator(".model .coming progress")).to_be_hidden()
    assert models.agreed == 1


def test_only_the_first_user_chooses(browser: Browser, script: Script) -> None:
    script.users = {"anna": "one", "ben": "two"}
    with serve(build_ui(script.services())) as url:
        context = browser.new_context()
        page = context.new_page()
        page.goto(url)
        page.get_by_label("User name").fill("ben")
        page.get_by_label("Password").fill("two")
        page.get_by_role("button", name="Sign in").click()
        page.locator("body.parley-ready").wait_for()
        settings_of(page)
        expect(page.locator(".model")).to_contain_text("Only anna may choose the model")
        expect(page.locator(".model select")).to_be_hidden()
        context.close()
