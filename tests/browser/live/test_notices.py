"""States and notices of a live conversation: seen, told apart, and in nobody's way."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Site
from tests.browser.live.stage import CLOSES, Stage
from tests.browser.test_access import contrast

pytestmark = pytest.mark.browser


@pytest.mark.parametrize(("width", "height"), [(390, 844), (800, 740), (1280, 800)])
def test_a_message_covers_nothing(stage: Stage, width: int, height: int) -> None:
    page, server = stage.speaking(viewport={"width": width, "height": height})
    server.mark(CLOSES)
    server.tell("notice", turn=0, message="What you said cannot be written down. Say it again.")
    toast = page.locator(".toast.problem")
    expect(toast).to_be_in_viewport(ratio=1)
    covered = toast.evaluate(
        """(toast) => {
             const own = toast.getBoundingClientRect();
             const meets = (node) => {
               const { left, right, top, bottom } = node.getBoundingClientRect();
               return left < own.right && own.left < right && top < own.bottom && own.top < bottom;
             };
             const others = "#top, .log, .captions, #composer, #latency, #sources";
             return [...document.querySelectorAll(others)].filter(meets)
               .filter((node) => node.checkVisibility({visibilityProperty: true}))
               .map((node) => node.id || node.className); }"""
    )
    assert covered == []
    if width < 860:
        page.locator(".drawer-sources").click()
        expect(page.locator("#right")).to_be_visible()
        page.wait_for_function(
            """() => document.querySelector("#right").getBoundingClientRect().top
                 >= document.querySelector(".toast").getBoundingClientRect().bottom"""
        )


def test_what_is_only_information_goes_when_it_has_been_read(site: Site) -> None:
    page = site.open()
    page.clock.install()
    page.evaluate(
        """async () => { const { toast } = await import("/parley/dom.js");
                         toast("A problem."); toast("A problem."); toast("Information.", "hint"); }"""
    )
    problem, hint = page.locator(".toast.problem"), page.locator(".toast.hint")
    hint.hover()
    page.clock.run_for(60_000)
    expect(hint).to_be_visible()
    hint.get_by_role("button", name="Close").focus()
    page.mouse.move(1, 1)
    page.clock.run_for(60_000)
    expect(hint).to_be_visible()
    page.locator("#question textarea").focus()
    page.clock.run_for(2_000)
    expect(hint).to_have_count(0)
    page.clock.run_for(60_000)
    expect(problem).to_have_count(1)  # though it was said twice
    problem.get_by_role("button", name="Close").click()
    expect(page.locator(".toast")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_state_can_be_seen_read_and_told_apart(stage: Stage, scheme: str) -> None:
    page, server = stage.speaking(color_scheme=scheme, reduced_motion="reduce")
    server.mark(CLOSES)
    server.mark("room", "word")
    server.tell("words", text="No, I meant", final=False)
    for selector in (".captions .word", "#chat .asked.live"):
        expect(page.locator(selector)).to_be_visible()
    for selector in (
        ".captions .said",
        ".captions .word",
        ".captions .from",
        "#chat .asked.live",
        "#chat .cite.spoken",
        "#sources .now",
        "#latency .figure",
    ):
        assert contrast(page, selector) >= 4.5, selector
    looks = set()
    for state in ("idle", "listening", "thinking", "speaking", "muted"):
        page.locator("#talk").evaluate("(node, state) => { node.dataset.state = state; }", state)
        assert contrast(page, "#talk") >= 4.5, state
        looks.add(
            page.locator("#talk").evaluate(
                """(node) => { const style = getComputedStyle(node);
                     return [style.borderStyle, style.borderRadius, style.boxShadow].join(); }"""
            )
        )
    assert len(looks) == 5  # by more than their colours
    assert page.evaluate("document.getAnimations().length") == 0
    assert page.locator(".captions").get_attribute("aria-label") == "Captions"
    assert page.evaluate("document.querySelectorAll('.captions [aria-live]').length") == 0


def test_the_pulse_is_slow(stage: Stage) -> None:
    page, _ = stage.talking()
    lasts = page.locator("#talk").evaluate(
        """(node) => node.getAnimations().filter((one) => one.animationName)
             .map((one) => one.effect.getTiming().duration)"""
    )
    assert len(lasts) == 1
    assert lasts[0] >= 2000  # milliseconds


def test_on_a_phone_notices_leave_the_question_and_its_answer_in_sight(
    site: Site, ask: Callable[[Page, str], None]
) -> None:
    page = site.open(viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
    ask(page, "When does it close?")
    expect(page.locator("#chat .answer-done")).to_be_visible()
    page.evaluate(
        """async () => { const { toast } = await import("/parley/dom.js");
                         for (const name of ["A", "B"]) toast(`${name} ${"long notice ".repeat(20)}`); }"""
    )
    notices = page.locator(".toast")
    expect(notices).to_have_count(2)
    for node in (page.locator("#chat .asked"), page.locator("#chat .answer-done")):
        expect(node).to_be_in_viewport(ratio=1)
    low = "nodes => Math.max(...nodes.map((node) => node.getBoundingClientRect().bottom))"
    assert notices.evaluate_all(low) <= 0.25 * 844
    notices.last.locator("span").tap()
    whole = notices.last.locator("span").evaluate("node => node.scrollHeight <= node.clientHeight")
    assert whole, "all of it is read at a touch"
