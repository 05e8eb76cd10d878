"""The leaderboard's page in a real browser: headless Chromium, where one is installed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from videoinpaint.benchmarks.leaderboard.website.page import write_page

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium found: install chromium")

Open = Callable[..., Any]

CONTRAST = """() => {
  const parse = (text) => { const n = text.match(/[\\d.]+/g).map(Number); return [n[0], n[1], n[2], n[3] ?? 1]; };
  const over = (a, b) => [0, 1, 2].map((i) => a[i] * a[3] + b[i] * (1 - a[3]));
  const linear = (x) => x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4;
  const light = (c) => { const v = c.map((x) => linear(x / 255));
                         return 0.2126 * v[0] + 0.7152 * v[1] + 0.0722 * v[2]; };
  const ground = (element) => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) layers.push(parse(getComputedStyle(e).backgroundColor));
    return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255]);
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || !element.checkVisibility() || element.closest("script, style, title")) continue;
    const style = getComputedStyle(element);
    const colour = parse(element.closest("svg") ? style.fill : style.color);
    const below = ground(element);
    const [a, b] = [light(over(colour, below)), light(below)].sort((x, y) => y - x);
    found.push([(a + 0.05) / (b + 0.05), node.data.trim().slice(0, 40), style.color]);
  }
  return found;
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    # Chromium's own sandbox refuses to run as root, as containers do.
    flags = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_api.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=[*flags, "--disable-gpu"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def address(board: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("page")
    (folder / "board.json").write_text(json.dumps(board))
    return write_page(folder / "board.json", folder).as_uri()


@pytest.fixture(scope="module")
def tab(browser: Any) -> Any:
    """One for all tests: a new one for each would take most of their time."""
    page = browser.new_context().new_page()
    page.set_default_timeout(60_000)
    return page


@pytest.fixture
def open_page(tab: Any, address: str) -> Iterator[Open]:
    """Opens the page; at the end of the test nothing was complained about, and nothing but the page was asked for."""
    complaints: list[str] = []
    asked: list[str] = []
    heard = {
        "console": lambda message: complaints.append(message.text),
        "pageerror": lambda error: complaints.append(str(error)),
        "request": lambda request: asked.append(request.url),
    }

    def open_it(width: int = 1280, **media: str) -> Any:
        tab.set_viewport_size({"width": width, "height": 900})
        tab.emulate_media(**{"media": "screen", "color_scheme": "light", "reduced_motion": "no-preference"} | media)
        tab.goto(address)
        return tab

    for event, note in heard.items():
        tab.on(event, note)
    yield open_it
    for event, note in heard.items():
        tab.remove_listener(event, note)
    assert complaints == []
    assert {url for url in asked if not url.startswith("data:")} == {address}


def names(page: Any) -> list[str]:
    """Of the rows that are shown, from the top."""
    return page.locator("#board tr[data-group]:visible th a").all_inner_texts()


def sort_by(page: Any, title: str) -> str:
    head = page.locator("#board thead th", has_text=title)
    head.get_by_role("button").click()
    return head.get_attribute("aria-sort")


def test_columns_sort_within_the_parts_and_all_together(open_page: Open, board: dict[str, Any]) -> None:
    page = open_page()
    assert names(page)[:2] == ["ours: closed-loop PPO", "heads6then2"]
    cost = {entry["name"]: entry["cost"]["gflops_total"] for entry in board["entries"]}
    assert cost.pop("beam oracle") is None
    groups = [entry["name"] for entry in board["entries"] if entry["ranked"]]

    def costs(of: list[str]) -> list[float]:
        return [cost[name] for name in of if name in cost]

    assert sort_by(page, "GFLOPs") == "ascending"
    assert page.locator("#board th[aria-sort=ascending]").count() == 1
    shown = names(page)
    assert set(shown[:6]) == set(groups)
    assert costs(shown[:6]) == sorted(costs(shown[:6]))
    assert costs(shown[8:]) == sorted(costs(shown[8:]))
    assert sort_by(page, "GFLOPs") == "descending"
    page.get_by_label("Sort all together").check()
    assert costs(names(page)) == sorted(cost.values(), reverse=True)
    assert page.locator("#board .group:visible").count() == 0
    sort_by(page, "Against best fixed")
    assert names(page)[-1] == "best fixed"  # what has no number comes last, whichever way
    sort_by(page, "Against best fixed")
    assert names(page)[-1] == "best fixed"


def test_the_table_is_filtered_by_words_and_by_part(open_page: Open) -> None:
    page = open_page()
    page.get_by_label("Find").fill("heads then")
    assert names(page) == ["heads6then2", "heads4then2"]
    assert page.locator(".tools output").inner_text() == "2 of 14 entries"
    assert page.locator("#board .group:visible").count() == 1
    page.get_by_label("Find").fill("")
    page.get_by_label("References").uncheck()
    assert len(names(page)) == 8
    page.get_by_label("Find").fill("<script>")
    assert len(names(page)) == 1
    page.get_by_label("Find").fill("nobody of this name")
    assert names(page) == []


def test_the_pixels_shown_change_with_the_frame(open_page: Open) -> None:
    page = open_page()
    strip = page.locator(".strip").first
    before = strip.screenshot()
    page.get_by_role("slider").fill("5")
    assert strip.screenshot() != before


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_its_ground(open_page: Open, scheme: str) -> None:
    page = open_page(color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach((one, i) => { one.open = i < 3 || i === 8; })")
    measured = page.evaluate(CONTRAST)
    assert len(measured) > 400
    assert [entry for entry in measured if entry[0] < 4.5] == []


def test_colours_follow_the_system_until_somebody_chooses(open_page: Open) -> None:
    page = open_page(color_scheme="dark")

    def is_dark() -> bool:
        return page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(14, 17, 22)"

    assert is_dark()
    page.get_by_label("Light").check(force=True)
    assert not is_dark()
    page.reload()
    assert not is_dark()
    page.get_by_label("Auto").check(force=True)
    assert is_dark()


def test_a_phone_scrolls_the_table_and_not_the_page(open_page: Open) -> None:
    page = open_page(width=390)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    box = page.locator(".scroll").first
    assert box.evaluate("(box) => box.scrollWidth > box.clientWidth + 100")
    first = page.locator("#board tr[data-group] .who").first
    before = first.bounding_box()["x"]
    box.evaluate("(box) => { box.scrollLeft = 200; }")
    assert abs(first.bounding_box()["x"] - before) < 30  # the names stay
    sizes = page.evaluate("""() => [...document.querySelectorAll("button, summary, .theme span, .tools label")]
        .filter((one) => one.checkVisibility() && !one.closest("thead"))
        .map((one) => one.getBoundingClientRect().height)""")
    assert min(sizes) >= 20


def test_everything_is_reached_by_keyboard_and_shows_its_focus(open_page: Open) -> None:
    page = open_page()
    seen = []
    for _ in range(30):
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate("""() => { const e = document.activeElement; const s = getComputedStyle(e);
            const shown = e.matches(".theme input") ? getComputedStyle(e.nextElementSibling) : s;
            const name = e.innerText || e.name || e.getAttribute("aria-label");
            return [e.tagName, name, shown.outlineStyle !== "none"]; }""")
        )
    assert all(outlined for _, _, outlined in seen)
    reached = {(tag, str(name).strip()) for tag, name, _ in seen}
    assert {("A", "Skip to the ranking"), ("INPUT", "find"), ("BUTTON", "Score"), ("INPUT", "theme")} <= reached
    page.locator("#board thead button", has_text="Score").focus()
    page.keyboard.press("Enter")
    assert page.locator("#board th[aria-sort=descending]").inner_text() == "Score"
    unnamed = page.evaluate("""() => [...document.querySelectorAll("button, input, a, summary")].filter((one) =>
        !(one.innerText || one.textContent).trim() && !one.labels?.length && !one.ariaLabel)
        .map((one) => one.outerHTML)""")
    assert unnamed == []


def test_a_link_opens_the_policy_it_leads_to(open_page: Open) -> None:
    page = open_page()
    page.locator("#board").get_by_role("link", name="stock SB3 PPO").click()
    policy = page.locator("#policy-stock-sb3-ppo")
    policy.locator(".log").wait_for(state="visible")
    assert policy.locator("svg").count() == 5
    page.keyboard.press("Shift+Tab")
    page.locator(".point[href='#policy-heads12']:visible").click()
    page.locator("#policy-heads12 .log").wait_for(state="visible")


def test_six_lines_are_in_colour_at_most(open_page: Open) -> None:
    page = open_page()
    buttons = page.locator(".legend button")
    assert page.locator(".legend [aria-pressed=true]").count() == 5
    for index in (9, 10):
        buttons.nth(index).click()
    pressed = page.locator(".legend [aria-pressed=true]")
    assert pressed.count() == 6
    assert "ours: closed-loop PPO" not in pressed.all_inner_texts()
    colours = page.evaluate("""() => [...document.querySelectorAll(".plot.broad path.line.on")]
        .map((path) => getComputedStyle(path).stroke)""")
    assert len(set(colours)) == 6


def test_who_wants_no_motion_gets_none(open_page: Open) -> None:
    page = open_page(reduced_motion="reduce")
    assert page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"
    assert page.evaluate("getComputedStyle(document.querySelector('.legend button')).transitionDuration") == "0s"


def test_without_a_script_the_numbers_are_there_and_dead_controls_are_not(
    browser: Any, address: str, board: dict[str, Any]
) -> None:
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto(address)
    assert len(names(page)) == len(board["entries"])
    assert page.locator(".tools, .transport, .theme").locator("visible=true").count() == 0
    page.locator("summary").first.click()
    assert page.locator(".policy .log").first.is_visible()


def test_on_paper_everything_fits_and_is_dark_on_white(open_page: Open) -> None:
    page = open_page(width=718, color_scheme="dark", media="print")  # A4 without its margins
    assert page.evaluate("document.documentElement.scrollWidth") == 718
    assert page.evaluate("getComputedStyle(document.querySelector('main')).color") == "rgb(22, 32, 44)"
    assert page.locator(".top").is_hidden()
    assert page.locator(".tools").is_hidden()


def test_players_run_in_step_and_are_scrubbed_by_one_slider(open_page: Open) -> None:
    page = open_page()
    page.clock.install(time=0)  # the clock stands still from here on, also for the tests below
    page.clock.pause_at(1000)

    def frames() -> set[int]:
        """The frames that the pictures show, by how far their strips are moved."""
        return set(
            page.evaluate("""() => [...document.querySelectorAll(".strip img")].map((image) => {
            const moved = image.parentElement.getBoundingClientRect().left - image.getBoundingClientRect().left;
            return Math.round(moved / image.parentElement.getBoundingClientRect().width); })""")
        )

    assert frames() == {0}
    page.get_by_role("slider").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert frames() == {2}
    assert page.locator(".transport output").inner_text() == "3 / 8"
    play = page.locator(".play")
    play.focus()
    page.keyboard.press("Space")
    assert play.inner_text() == "Pause"
    page.clock.run_for(130)
    assert frames() == {3}
    page.clock.run_for(125 * 6)
    assert frames() == {1}  # from the last frame on to the first
    play.click()
    page.clock.run_for(1000)
    assert frames() == {1}
    page.keyboard.press("Tab")
    page.keyboard.press("End")
    assert frames() == {7}
