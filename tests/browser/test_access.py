"""Who may come in, and whether everybody can use the page: sign-in, keyboard, phone, dark."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Site
from tests.browser.serving import serve
from tests.ui.scripted import ANSWER, Script
from ui.web import build_ui

pytestmark = pytest.mark.browser

Ask = Callable[[Page, str], None]
HANDLES = "question send stop mic chat sources page-view upload library engines latency"


@pytest.fixture
def closed(browser: Browser, script: Script) -> Iterator[Site]:
    """The page with sign-in."""
    script.users = {"ada": "engine", "grace": "compiler"}
    with serve(build_ui(script.services())) as url:
        site = Site(url, script, browser)
        yield site
        site.leave()


def sign_in(site: Site, user: str, password: str) -> Page:
    page = site.open(ready=False)
    page.get_by_label("User name").fill(user)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    return page


def test_sign_in_opens_the_page_and_what_is_ones_own(closed: Site, ask: Ask) -> None:
    refused = sign_in(closed, "ada", "wrong")
    expect(refused.get_by_role("alert")).to_contain_text("not valid")
    page = sign_in(closed, "ada", "engine")
    page.wait_for_function("window.parleyPlayer?.key")
    ask(page, "When does it close?")
    expect(page.locator("#chat .answer-done")).to_have_text(ANSWER)
    other = sign_in(closed, "grace", "compiler")
    other.wait_for_function("window.parleyPlayer?.key")
    expect(other.locator("#chat .welcome")).to_be_visible()
    expect(other.locator("#history li")).to_have_count(0)
    again = sign_in(closed, "ada", "engine")  # in another browser
    expect(again.locator("#history li")).to_have_count(1)
    tab = page.context.new_page()
    tab.goto(closed.url)
    tab.wait_for_function("window.parleyPlayer?.key")
    page.locator("#tools summary").click()
    page.get_by_role("button", name="Sign out ada").click()
    expect(page.get_by_label("Password")).to_be_visible()
    expect(tab.get_by_label("Password")).to_be_visible()  # whoever comes after hears nothing there either
    expect(again.locator("#history li")).to_have_count(1)


def test_every_handle_is_there_once(site: Site) -> None:
    page = site.open()
    for name in HANDLES.split():
        assert page.locator(f"[id='{name}']").count() == 1, name
    for name in ("send", "stop", "mic"):
        assert page.locator(f"button#{name}").count() == 1
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, textarea, a[href]")]
             .filter((node) => !(node.ariaLabel || node.textContent.trim() || node.labels?.length))
             .map((node) => node.outerHTML)"""
    )
    assert unnamed == []


def test_the_keyboard_is_enough(site: Site) -> None:
    page = site.open()
    box = page.locator("#question textarea")
    box.focus()
    page.keyboard.type("When does")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("it close?")
    page.keyboard.press("Enter")
    expect(page.locator("#chat .asked")).to_have_text("When does\nit close?")
    expect(page.locator("#chat .answer-done")).to_have_text(ANSWER)
    page.keyboard.press("Escape")
    order = []
    for _ in range(30):
        page.keyboard.press("Shift+Tab")
        order.append(page.evaluate("document.activeElement.className + ' ' + document.activeElement.id"))
        if "cite" in order[-1]:
            break
    assert "cite" in order[-1]
    ring = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert ring == "solid"
    page.keyboard.press("Enter")
    expect(page.locator("#page-view mark").first).to_be_visible()
    live = page.locator("[role=status][aria-live=polite].unseen")
    expect(live).to_have_count(1)


def test_only_keys_that_go_there_frame_the_conversation(site: Site, ask: Ask) -> None:
    page = site.open()
    ask(page, "When does it close?")
    expect(page.locator("#chat .answer-done")).to_be_visible()
    frame = "getComputedStyle(document.querySelector('.log')).outlineStyle"
    page.locator(".log").click(position={"x": 5, "y": 5})
    page.keyboard.press("Shift")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.className") == "log"
    assert page.evaluate(frame) == "none"
    page.keyboard.press("Tab")
    page.keyboard.press("Shift+Tab")
    assert page.evaluate("document.activeElement.className") == "log"
    assert page.evaluate(frame) == "solid"


def test_on_a_phone_one_button_tells_how_the_engines_are(site: Site) -> None:
    page = site.open(viewport={"width": 390, "height": 844})
    button = page.locator("#engines summary")
    expect(button.locator(".overall")).to_have_text("Engines: weak")
    for name in button.locator(".engine").all():
        expect(name).to_be_hidden()
    button.click()
    expect(page.locator("#engines .panel")).to_be_in_viewport(ratio=1)
    expect(page.locator("#engines .panel li")).to_have_count(4)


@pytest.mark.parametrize(
    ("scheme", "width"), [("light", 360), ("dark", 800), ("dark", 1280), ("light", 1280)]
)
def test_it_fits_every_width_and_can_be_read(site: Site, ask: Ask, scheme: str, width: int) -> None:
    page = site.open(color_scheme=scheme, viewport={"width": width, "height": 740})
    ask(page, "When does it close?")
    expect(page.locator("#chat .answer-done")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for name in ("question", "send", "stop", "mic", "chat"):
        box = page.locator(f"#{name}").bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
        assert box["y"] + box["height"] <= 740
    page.locator("#chat .cite").first.click()
    expect(page.locator("#page-view")).to_be_in_viewport()
    if width < 860:  # the sources lie over the conversation, until one goes back to it
        expect(page.locator("#page-view")).to_be_in_viewport(ratio=1)  # they have slid in
        sources = page.get_by_role("button", name="Sources", exact=True)
        if width > 600:
            page.locator("#middle").click(position={"x": 5, "y": 5})
        else:  # a phone's page leaves nothing of it to click
            sources.click()
        expect(page.locator("#page-view")).not_to_be_in_viewport()
        sources.click()
        expect(page.locator("#page-view")).to_be_in_viewport()
    for selector in (
        "#chat .answer-done p",
        "#chat .asked",
        "#sources .file",
        "#page-view .page-text",
        "#latency b",
    ):
        assert contrast(page, selector) >= 4.5, selector


def contrast(page: Page, selector: str) -> float:
    """WCAG contrast of the first such element's text to what is behind it."""
    return float(
        page.evaluate(
            """(selector) => {
                 let node = document.querySelector(selector);
                 const numbers = (text) => text.match(/[\\d.]+/g).map(Number);
                 const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
                   .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
                   .reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0);
                 const ink = light(numbers(getComputedStyle(node).color));
                 let back;
                 do { back = numbers(getComputedStyle(node).backgroundColor); node = node.parentElement; }
                 while (back[3] === 0 && node);
                 const [low, high] = [ink, light(back)].sort((a, b) => a - b);
                 return (high + 0.05) / (low + 0.05);
               }""",
            selector,
        )
    )


def test_the_page_says_when_the_browser_holds_the_voice_back(site: Site, ask: Ask) -> None:
    page = site.open()
    assert page.evaluate("window.parleyPlayer.context") is None  # no sound system before a gesture
    page.evaluate(  # an answer that nobody pressed a key for
        """() => { document.querySelector("#question textarea").value = "Close?";
                   window.AudioContext.prototype.resume = () => Promise.reject(new DOMException("no"));
                   Object.defineProperty(window.AudioContext.prototype, "state",
                     {get: () => "suspended", configurable: true});
                   document.querySelector("#send").click(); }"""
    )
    expect(page.locator("#hint")).to_contain_text("waits for a click or a key")
    assert page.evaluate("window.parleyPlayer.state") == "blocked"
    assert page.evaluate("window.parleyPlayer.played") == 0
