"""The check of every part on the page `/health`, in a browser."""

import threading
from collections.abc import Iterator, Mapping

import pytest
from playwright.sync_api import Page, expect

from device.errors import StatusError
from tests.waiting import LIMIT_S
from tests.web_page.conftest import DESKTOP, PHONE, NewPage
from tests.web_page.rig import Rig
from tests.web_page.test_every_page import CUT_OFF, axe
from tests.web_page.test_live import connected

pytestmark = pytest.mark.slow

PATH = "/var/lib/edge-mcnn/vosk-model-small-en-us-0.15/" + "a_folder_with_a_name_that_cannot_be_broken/" * 3
FINDINGS = (
    {"topic": "settings", "verdict": "OK", "message": "defaults", "fix": ""},
    {"topic": "speech model", "verdict": "OK", "message": f"{PATH}: all 13 files are as published", "fix": ""},
    {"topic": "level", "verdict": "WARN", "message": "always below the gate of -60", "fix": "speak meanwhile"},
    {"topic": "microphone", "verdict": "FAIL", "message": "no microphone found", "fix": f"plug one in; see {PATH}"},
)


class ControlledCheck:
    """A check that lasts until `go` is set."""

    def __init__(self) -> None:
        self.go = threading.Event()

    def __call__(self) -> tuple[Mapping[str, str], ...]:
        assert self.go.wait(LIMIT_S)
        return FINDINGS


@pytest.fixture
def check(rig: Rig) -> Iterator[ControlledCheck]:
    rig.check = check = ControlledCheck()
    yield check
    check.go.set()


def opened(rig: Rig, new_page: NewPage, **options: object) -> Page:
    return connected(new_page(f"{rig.url}/health", **options))


def test_pressed_twice_it_runs_once_and_every_page_shows_it(
    rig: Rig, new_page: NewPage, check: ControlledCheck
) -> None:
    page, other = opened(rig, new_page), opened(rig, new_page)
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    button = page.get_by_role("button", name="Check now")
    button.click()
    expect(button).to_have_attribute("aria-busy", "true")
    expect(page.get_by_role("status").filter(has_text="Checking every part")).to_be_visible()
    button.click()
    for each in (page, other):
        expect(each.locator("#findings")).to_contain_text("Checking…")
    check.go.set()
    for each in (page, other):
        expect(each.locator("#findings")).to_contain_text("Fix first: microphone.")
        expect(each.locator("#findings")).not_to_contain_text("Checking…")
        expect(each.locator(".findings > li").first).to_contain_text("FAIL")
    expect(page.locator("#result")).to_have_text("Fix first: microphone.")
    expect(button).not_to_have_attribute("aria-busy", "true")
    expect(button).to_be_focused()
    assert rig.requests == [("check", True)]
    assert sent == [f"{rig.url}/check"]


def test_without_javascript_the_page_comes_back_with_the_findings(
    rig: Rig, new_page: NewPage, check: ControlledCheck
) -> None:
    check.go.set()
    page = new_page(f"{rig.url}/health", java_script_enabled=False)
    expect(page.locator("#findings")).to_contain_text("Not checked yet.")
    page.get_by_role("button", name="Check now").click()
    expect(page.locator("#findings")).to_contain_text("Fix first: microphone.")
    expect(page).to_have_url(f"{rig.url}/health#check")
    rows = [" ".join(each.split()) for each in page.locator(".findings > li").all_text_contents()]
    assert rows[0].startswith("FAIL microphone no microphone found Plug one in; see /var/")
    assert rows[1:3] == ["WARN level always below the gate of -60 Speak meanwhile", "OK settings defaults"]


def test_without_a_device_there_is_a_message(rig: Rig, new_page: NewPage) -> None:
    def refuse() -> tuple[Mapping[str, str], ...]:
        raise StatusError("no daemon is running", fix="start one: edge-mcnn listen")

    rig.check = refuse
    page = opened(rig, new_page, faults_fail=False)  # a browser reports the status 503 as a fault
    page.get_by_role("button", name="Check now").click()
    expect(page.locator("#result")).to_have_text("No daemon is running. Start one: edge-mcnn listen")
    expect(page.locator("#findings")).to_contain_text("Not checked yet.")
    rig.daemon.stop()
    expect(page.locator("#findings")).to_contain_text("Nothing can be checked while the device does not run.")
    rig.daemon.start()
    expect(page.locator("#findings")).not_to_contain_text("Nothing can be checked")


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_the_findings_are_accessible_and_fit(
    rig: Rig, new_page: NewPage, check: ControlledCheck, size: dict[str, int]
) -> None:
    page = opened(rig, new_page, viewport=size)
    page.get_by_role("button", name="Check now").click()
    expect(page.locator("#findings")).to_contain_text("Checking…")
    found = axe(page)
    check.go.set()
    expect(page.locator(".findings > li")).to_have_count(4)
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)
        found += axe(page)
    assert found == []
    assert page.evaluate("document.documentElement.scrollWidth") == size["width"]
    assert page.evaluate(CUT_OFF) == []
    button = page.get_by_role("button", name="Check now").bounding_box()
    assert button is not None
    assert button["height"] >= 44
