"""All pages: for people who use a phone, a keyboard, a screen reader, or no JavaScript, in both schemes."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.web_page.conftest import DESKTOP, PHONE, NewPage, now
from tests.web_page.rig import Rig, running
from tests.web_page.sample_history import fill
from tests.web_page.scripted_daemon import ScriptedDaemon, health, hello, prediction, state

pytestmark = pytest.mark.slow

PATHS = ("/", "/history", "/history?day={today}&label=neutral", "/health", "/settings", "/missing")
EMOTIONS = ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise")
SMALL_TARGETS = """([selector, minimum]) => [...document.querySelectorAll(selector)]
    .filter((each) => each.checkVisibility() && !each.closest("p, .visually-hidden:not(:focus)"))
    .map((each) => [each.outerHTML.slice(0, 90), each.getBoundingClientRect()])
    .filter(([html, box]) => box.width < 24 || box.height < minimum)
    .map(([html, box]) => `${html} ${box.width} x ${box.height}`)"""


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A server with a history of some days, and a daemon whose microphone has a long name."""
    folder = tmp_path_factory.mktemp("sample")
    moment = now()
    fill(folder / "history" / "history.sqlite3", moment, 5)
    events = [
        hello(), state(microphone="USB PnP Sound Device: Audio (hw:1,0), with_a_name_that_cannot_be_broken"),
        {"event": "mute", "muted": False}, health(low_voltage=True, blocks_dropped=3),
        prediction(90_000, "positive", moment - timedelta(minutes=1), text="oh that is wonderful"),
    ]  # fmt: skip
    with (
        ScriptedDaemon(folder / "events.sock", events) as daemon,
        running(folder, daemon, history=folder / "history" / "history.sqlite3") as rig,
    ):
        rig.status = {
            "utterances": 12,
            "latency_median_ms": 1.8,
            "latency_worst_ms": 4.2,
            "examples": 5,
            "examples_used": True,
        }
        yield rig


def opened(sample: Rig, new_page: NewPage, path: str, **options: object) -> Page:
    page = new_page(sample.url + path.format(today=now().date()), faults_fail=path != "/missing", **options)
    if path in ("/", "/health") and options.get("java_script_enabled", True):
        expect(page.locator("html")).to_have_attribute("data-device", "present")
    return page


def axe(page: Page, **options: object) -> list[str]:
    """What axe-core finds, of whatever severity."""
    results = Axe().run(page, options={"resultTypes": ["violations"], **options}).response
    return [
        f"{page.url} {each['id']} ({each['impact']}): {node['target']} {node['failureSummary']}"
        for each in results["violations"]
        for node in each["nodes"]
    ]


@pytest.mark.parametrize(("size", "scheme", "other_scheme"), [(PHONE, "dark", "light"), (DESKTOP, "light", "dark")])
def test_axe_finds_nothing(
    sample: Rig,
    new_page: NewPage,
    size: dict[str, int],
    scheme: Literal["dark", "light"],
    other_scheme: Literal["dark", "light"],
) -> None:
    found = []
    page = opened(sample, new_page, PATHS[-1], viewport=size)
    for path in PATHS:
        page.emulate_media(color_scheme=scheme)
        page.goto(sample.url + path.format(today=now().date()))
        found += axe(page)
        page.emulate_media(color_scheme=other_scheme)  # the scheme changes colours and nothing else
        found += axe(page, runOnly=["color-contrast"])
    assert found == []


def test_axe_would_find_something(sample: Rig, new_page: NewPage) -> None:
    page = opened(sample, new_page, "/history")
    page.evaluate("document.querySelector('select').closest('label').firstChild.remove()")
    page.evaluate("document.querySelector('h1').style.color = '#ccc'")
    found = "".join(axe(page))
    assert "select-name (critical)" in found
    assert "color-contrast (serious)" in found


def test_a_narrow_phone_scrolls_in_one_direction_and_targets_are_large(sample: Rig, new_page: NewPage) -> None:
    page = opened(sample, new_page, PATHS[-1], viewport=PHONE, has_touch=True, is_mobile=True)
    for path in PATHS:
        page.goto(sample.url + path.format(today=now().date()))
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"], path
        assert page.evaluate(SMALL_TARGETS, ["a, button, input:not([type=hidden]), select, summary", 24]) == []
        assert page.evaluate(SMALL_TARGETS, ["button, .pages a", 44]) == []


def test_text_of_twice_the_size_fits(sample: Rig, new_page: NewPage) -> None:
    page = opened(sample, new_page, PATHS[-1], viewport={"width": 640, "height": 740})
    for path in PATHS:
        page.goto(sample.url + path.format(today=now().date()))
        page.evaluate("document.documentElement.style.fontSize = '200%'")
        assert page.evaluate("document.documentElement.scrollWidth") <= 640, path


def test_seven_emotions_fit_on_a_phone(new_page: NewPage, tmp_path: Path) -> None:
    event = prediction(1, "surprise", now(), labels=EMOTIONS)
    greeting = [hello(EMOTIONS), state(), {"event": "mute", "muted": False}, event]
    with ScriptedDaemon(tmp_path / "events.sock", greeting) as daemon, running(tmp_path, daemon) as rig:
        page = new_page(rig.url, viewport=PHONE)
        expect(page.locator("#verdict")).to_have_text("surprise")
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
        shapes = {each.get_attribute("href") for each in page.locator(".bars use").all()}
        colours = {each.get_attribute("class") for each in page.locator(".bars th .shape").all()}
        page.context.close()
    assert len(shapes) == len(EMOTIONS)
    assert len(colours) == len(EMOTIONS)


LONG = ("a class with a name that is too long", "Donaudampfschifffahrtsgesellschaft", "ok")
CUT_OFF = """() => [...document.querySelectorAll("main :is(span, th, p, strong, time)")]
    .filter((each) => each.checkVisibility() && !each.closest(".visually-hidden, .scrolls, .heat"))
    .filter((each) => each.scrollWidth > each.clientWidth + 1 && each.clientWidth > 0)
    .map((each) => each.textContent)"""


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_long_names_of_classes_stay_in_their_places(new_page: NewPage, tmp_path: Path, size: dict[str, int]) -> None:
    moment = now()
    fill(tmp_path / "history.sqlite3", moment, 2, LONG)
    event = prediction(90_000, LONG[1], moment, labels=LONG, light=LONG[1], text="w" * 100)
    greeting = [hello(LONG), state(), {"event": "mute", "muted": False}, event]
    with (
        ScriptedDaemon(tmp_path / "events.sock", greeting) as daemon,
        running(tmp_path, daemon, history=tmp_path / "history.sqlite3") as rig,
    ):
        page = new_page(rig.url, viewport=size)
        expect(page.locator("#verdict")).to_have_text(LONG[1])
        for path in ("/", "/history", f"/history?day={moment.date()}"):
            page.goto(rig.url + path)
            for table in page.get_by_text("As a table").all():
                table.click()
            assert page.evaluate("document.documentElement.scrollWidth") == size["width"], path
            assert page.evaluate(CUT_OFF) == [], path
            boxes = [each.bounding_box() for each in page.locator(".choices button > span:last-child").all()]
            places = [each.bounding_box() for each in page.locator(".choices button").all()]
            for box, place in zip(boxes, places, strict=True):
                assert box is not None
                assert place is not None
                assert place["x"] <= box["x"]
                assert box["x"] + box["width"] <= place["x"] + place["width"]
        page.context.close()


def test_names_of_the_shipped_classes_are_not_broken_on_a_phone(sample: Rig, new_page: NewPage) -> None:
    page = opened(sample, new_page, "/", viewport=PHONE)
    lines = """(each) => {
        const range = document.createRange();
        range.selectNodeContents(each.lastChild);
        return new Set([...range.getClientRects()].map((box) => box.top)).size;
    }"""
    for text in page.locator(".bars :is(thead th, .class), .choices button > span:last-child, .lanes .class").all():
        words = (text.evaluate("(each) => each.lastChild.textContent")).split()
        assert text.evaluate(lines) <= len(words), words


def test_paper_is_white_in_the_dark_scheme_too(sample: Rig, new_page: NewPage) -> None:
    page = opened(sample, new_page, "/", color_scheme="dark")
    text = "document.querySelector('#today-title')"
    assert page.evaluate(f"getComputedStyle({text}).color") == "rgb(243, 240, 248)"
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate(f"getComputedStyle({text}).color") == "rgb(29, 26, 34)"
    assert page.evaluate("getComputedStyle(document.querySelector('#verdict')).color") == "rgb(0, 0, 0)"
    expect(page.locator("#lights-title")).to_be_hidden()
    expect(page.locator("#today .predictions > li").first).to_be_visible()


def test_a_new_history_is_empty_without_charts(new_page: NewPage, tmp_path: Path) -> None:
    with (
        ScriptedDaemon(tmp_path / "events.sock") as daemon,
        running(tmp_path, daemon, history=tmp_path / "history.sqlite3") as rig,
    ):
        page = new_page(rig.url + "/history")
        expect(page.get_by_role("heading", name="Nothing is stored yet")).to_be_visible()
        assert page.locator(".heat").count() == 0
        page.context.close()


def test_without_javascript_state_today_and_history_are_there(sample: Rig, new_page: NewPage) -> None:
    page = opened(sample, new_page, "/", java_script_enabled=False)
    expect(page.locator("#state-title")).to_have_text("Listening")
    expect(page.locator("#verdict")).to_have_text("positive")
    expect(page.locator("#today .predictions > li").first).to_be_visible()
    expect(page.locator("#today circle").first).to_be_visible()
    expect(page.locator("#level")).to_be_hidden()
    sample.requests.clear()
    page.get_by_role("button", name="Mute the microphone").click()
    expect(page.get_by_role("button", name="Mute the microphone")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Mute the microphone").click()
    expect(page.get_by_role("button", name="Mute the microphone")).to_have_attribute("aria-pressed", "false")
    assert sample.requests == [("mute", True), ("mute", False)]
    page.get_by_role("link", name="History").click()
    expect(page.locator(".heat td").nth(30)).to_be_visible()


def test_the_history_is_filtered_paged_and_exported(sample: Rig, new_page: NewPage) -> None:
    page = opened(sample, new_page, "/history")
    first = page.locator(".predictions > li").first
    newest = first.text_content()
    page.get_by_role("link", name="Older").click()
    expect(first).not_to_have_text(newest or "")
    page.get_by_role("link", name="Newest").click()
    expect(first).to_have_text(newest or "")
    page.get_by_label("Class").select_option("negative")
    page.get_by_label("Low confidence only").check()
    page.get_by_role("button", name="Show").click()
    for row in page.locator(".predictions > li").all():
        expect(row).to_contain_text("negative")
        expect(row).to_contain_text("low confidence")
    with page.expect_download() as download:
        page.get_by_role("link", name="Export as CSV").click()
    assert download.value.path().read_text("utf-8").count("\n") > 100


def test_the_day_of_a_bar_chart_is_chosen_from_the_latest_days(sample: Rig, new_page: NewPage) -> None:
    page = opened(sample, new_page, "/history")
    page.locator(".days a").nth(1).click()
    expect(page.locator("#hours-title")).to_contain_text("by hour")
    expect(page.locator(".hours rect").first).to_be_visible()
    page.get_by_text("As a table").click()
    expect(page.locator(".plain-table")).to_be_visible()


def test_health_shows_tiles_with_warnings_and_charts(sample: Rig, new_page: NewPage) -> None:
    page = opened(sample, new_page, "/health")
    expect(page.locator(".tile", has_text="Power")).to_contain_text("too low")
    expect(page.locator(".tile", has_text="Pause to light")).to_contain_text("1.8 ms")
    assert page.locator(".line-chart").count() >= 3
    sample.daemon.send(health(temperature_c=84.2))
    expect(page.locator(".tile", has_text="Processor")).to_contain_text("84 °C")


def test_settings_are_searched(sample: Rig, new_page: NewPage) -> None:
    page = opened(sample, new_page, "/settings")
    page.get_by_label("Search").fill("gate_dbfs")
    expect(page.locator(".setting:visible dt").first).to_have_text("gate_dbfs")
    assert page.locator(".setting:visible").count() < 5
    expect(page.locator("#settings-count")).to_contain_text("setting")


def test_a_keyboard_reaches_everything_in_order_with_visible_focus(sample: Rig, new_page: NewPage) -> None:
    page = opened(sample, new_page, "/")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    expect(page.locator(".skip")).to_be_in_viewport()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    mute = page.get_by_role("button", name="Mute the microphone")
    expect(mute).to_be_focused()
    assert mute.evaluate("each => getComputedStyle(each).outlineStyle") == "solid"
    sample.requests.clear()
    page.keyboard.press("Enter")
    expect(mute).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Space")
    expect(mute).to_have_attribute("aria-pressed", "false")
    reached = []
    for _ in range(7):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.textContent.trim()"))
    assert reached == [f"{what} {label}" for what in ("That was", "Light") for label in hello()["labels"]] + [
        "As a table"
    ]


def test_reduced_motion_is_respected(sample: Rig, new_page: NewPage) -> None:
    page = opened(sample, new_page, "/", reduced_motion="reduce")
    duration = "each => parseFloat(getComputedStyle(each).transitionDuration)"
    assert {page.locator(each).evaluate(duration) for each in ("#bulb", "#level-bar", "#mute")} == {0}
    page.emulate_media(reduced_motion="no-preference")
    assert page.locator("#bulb").evaluate(duration) > 0


def test_times_are_in_the_format_of_the_reader(sample: Rig, new_page: NewPage) -> None:
    page = opened(sample, new_page, "/", locale="en-US", timezone_id="Asia/Tokyo")
    device = (now() - timedelta(minutes=1)).strftime("%p")  # the clock of the device, in the reader's way of writing
    expect(page.locator("#when")).to_contain_text(device)


def test_nothing_is_loaded_from_elsewhere(sample: Rig, new_page: NewPage) -> None:
    page = new_page("about:blank")
    loaded: list[str] = []
    page.on("request", lambda request: loaded.append(request.url))
    for path in PATHS[:-1]:
        page.goto(sample.url + path.format(today=now().date()))
    assert len(loaded) > len(PATHS)
    assert [url for url in loaded if not url.startswith(sample.url + "/")] == []


def test_a_damaged_history_is_reported_and_the_rest_goes_on(new_page: NewPage, tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite3"
    path.write_bytes(b"no database" * 1000)
    with ScriptedDaemon(tmp_path / "events.sock") as daemon, running(tmp_path, daemon, history=path) as rig:
        page = new_page(rig.url)
        expect(page.locator(".notice", has_text="The history does not work")).to_contain_text("mv ")
        expect(page.locator("html")).to_have_attribute("data-device", "present")
        daemon.send(prediction(1, "negative", now()))
        expect(page.locator("#verdict")).to_have_text("negative")
        page.context.close()
