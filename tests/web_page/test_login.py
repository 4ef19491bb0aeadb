"""The page behind a password, in a browser."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from device.web.access.passwords import write_password
from tests.web_page.conftest import DESKTOP, PHONE, NewPage
from tests.web_page.rig import Rig, running
from tests.web_page.scripted_daemon import ScriptedDaemon
from tests.web_page.test_every_page import axe
from tests.web_page.test_live import connected

pytestmark = pytest.mark.slow
PASSWORD = "correct horse"  # noqa: S105  # for the time of a test


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Rig]:
    write_password(tmp_path, PASSWORD)
    with ScriptedDaemon(tmp_path / "events.sock") as daemon, running(tmp_path, daemon) as rig:
        yield rig


def log_in(page: Page, password: str) -> None:
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


def test_only_the_right_password_opens_the_page(locked: Rig, new_page: NewPage) -> None:
    page = new_page(locked.url + "/history", faults_fail=False)
    expect(page).to_have_url(locked.url + "/login")
    expect(page.get_by_role("link", name="History")).to_have_count(0)
    log_in(page, "wrong password")
    expect(page.get_by_role("alert")).to_have_text("The password is wrong.")
    log_in(page, PASSWORD)
    connected(page)
    page.get_by_role("button", name="Mute the microphone").click()
    expect(page.get_by_role("button", name="Mute the microphone")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Log out").click()
    expect(page).to_have_url(locked.url + "/login")


def test_a_page_whose_session_has_ended_leads_to_the_login(locked: Rig, new_page: NewPage) -> None:
    page = new_page(locked.url, faults_fail=False)
    log_in(page, PASSWORD)
    connected(page)
    other = page.context.new_page()
    other.goto(locked.url)
    other.get_by_role("button", name="Log out").click()
    expect(page.locator("[data-when=login]")).to_be_visible(timeout=15_000)
    page.get_by_role("link", name="Log in").click()
    log_in(page, PASSWORD)
    connected(page)


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_the_login_is_accessible_and_fits(locked: Rig, new_page: NewPage, size: dict[str, int]) -> None:
    page = new_page(locked.url, viewport=size)
    expect(page.get_by_label("Password")).to_be_focused()
    assert page.evaluate("document.documentElement.scrollWidth") == size["width"]
    page.emulate_media(color_scheme="dark")
    assert axe(page) == []
    page.emulate_media(color_scheme="light")
    assert axe(page) == []
    field, button = (page.locator(each).bounding_box() for each in ("input[type=password]", "button.primary"))
    assert field is not None
    assert button is not None
    assert button["y"] - field["y"] - field["height"] >= 12


def test_the_button_to_log_out_needs_no_row_of_its_own_on_a_phone(locked: Rig, new_page: NewPage) -> None:
    page = new_page(locked.url, viewport=PHONE)
    log_in(page, PASSWORD)
    connected(page)
    brand, button = page.locator(".brand").bounding_box(), page.locator(".logout").bounding_box()
    assert brand is not None
    assert button is not None
    assert brand["y"] == button["y"]
