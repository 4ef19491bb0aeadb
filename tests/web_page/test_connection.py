"""The connection between page and server: lost, found again, and not there while nobody looks."""

import contextlib
import http.client
import re
from datetime import UTC, datetime

import pytest
from playwright.sync_api import expect

from device.web.stream import MOST_CLIENTS
from tests.waiting import wait_until
from tests.web_page.conftest import NewPage, now
from tests.web_page.rig import Rig
from tests.web_page.scripted_daemon import Event, corrected, health, prediction
from tests.web_page.test_live import connected

pytestmark = pytest.mark.slow

HIDE = """Object.defineProperty(document, "hidden", {value: %s, configurable: true});
document.dispatchEvent(new Event("visibilitychange"))"""


def test_a_lost_connection_is_reported_and_comes_back(rig: Rig, new_page: NewPage) -> None:
    page = connected(new_page(rig.url, faults_fail=False))
    first = prediction(1, "negative", now())
    rig.daemon.send(first)
    expect(page.locator("#today .predictions > li")).to_have_count(1)
    rig.stop()
    expect(page.locator("[data-when=lost]")).to_be_visible()
    expect(page.locator("#absent")).to_be_hidden()
    expect(page.locator("#announcer")).to_contain_text("Connection lost")
    rig.daemon.greeting += [{**first, "replayed": True}, {**prediction(2, "positive", now()), "replayed": True}]
    rig.start()
    expect(page.locator("[data-when=lost]")).to_be_hidden()
    expect(page.locator("#verdict")).to_have_text("positive")  # what happened meanwhile
    expect(page.locator("#today .predictions > li")).to_have_count(2)  # nothing twice
    expect(page.locator("#bulb")).not_to_have_class(re.compile("lit"))  # nor is a repetition lit
    rig.daemon.send(prediction(3, "neutral", now()))
    expect(page.locator("#verdict")).to_have_text("neutral")
    expect(page.locator("#bulb")).to_have_class(re.compile("lit"))


def test_a_page_in_the_background_is_not_connected(rig: Rig, new_page: NewPage) -> None:
    page = connected(new_page(rig.url))
    page.evaluate(HIDE % "true")
    rig.daemon.send({"event": "level", "dbfs": -50.0})  # the server notices a closed connection when it writes
    wait_until(lambda: rig.pages() == 0, message="the page is still connected")
    rig.daemon.send(prediction(1, "negative", now()))
    wait_until(lambda: rig.latest() == 1, message="the server has not received the prediction")
    expect(page.locator("#verdict")).to_have_text("Nothing yet")
    page.evaluate(HIDE % "false")
    expect(page.locator("#verdict")).to_have_text("negative")
    expect(page.locator("#today .predictions > li")).to_have_count(1)


def test_a_page_in_the_background_misses_no_correction(rig: Rig, new_page: NewPage) -> None:
    page = connected(new_page(rig.url))
    rig.daemon.send(prediction(1, "negative", now()))
    expect(page.locator("#verdict")).to_have_text("negative")

    def meanwhile(*events: Event) -> None:
        """Send events, the last of which corrects the latest prediction, while the page is in the background."""
        page.evaluate(HIDE % "true")
        rig.daemon.send(*events)
        label = events[-1]["label"]
        wait_until(lambda: page.request.get(f"{rig.url}/api/status").json()["latest"][0]["corrected"] == label)
        page.evaluate(HIDE % "false")

    meanwhile(corrected(1, "neutral"))
    expect(page.locator("#corrected")).to_have_text("corrected to neutral")
    meanwhile(prediction(2, "negative", now()), corrected(2, "positive"))
    expect(page.locator("#corrected")).to_have_text("corrected to positive")
    rig.daemon.send(prediction(3, "neutral", now()))
    expect(page.locator("#verdict")).to_have_text("neutral")
    expect(page.locator("#corrected")).to_be_empty()


def test_a_page_that_is_opened_after_the_device_has_ended_shows_no_state(rig: Rig, new_page: NewPage) -> None:
    other = connected(new_page(rig.url))
    rig.daemon.stop()
    expect(other.locator("#daemon-message")).to_have_text("the device does not run")  # no other message follows
    page = new_page("about:blank")
    page.add_init_script(HIDE % "true")  # so that the events come after the next lines
    page.goto(rig.url)
    expect(page.locator("#state-title")).to_have_text("No connection to the device")
    page.locator("#mute").evaluate("button => button.setAttribute('aria-pressed', 'mixed')")
    page.evaluate(HIDE % "false")
    expect(page.locator("#mute")).to_have_attribute("aria-pressed", "false")  # what comes after the state is there
    expect(page.locator("#state-title")).to_have_text("No connection to the device")
    expect(page.locator("#state-microphone")).to_be_empty()
    expect(page.locator("#announcer")).to_have_text("No connection to the device: the device does not run")


def test_a_request_without_a_connection_is_reported(rig: Rig, new_page: NewPage) -> None:
    page = connected(new_page(rig.url, faults_fail=False))
    rig.stop()
    page.get_by_role("button", name="Mute the microphone").click()
    expect(page.locator("#result")).to_have_text("Not sent: there is no connection to the device")


def test_one_page_too_many_reports_that_and_goes_on_when_another_is_closed(rig: Rig, new_page: NewPage) -> None:
    port = int(rig.url.rpartition(":")[2])
    with contextlib.ExitStack() as others:
        for _ in range(MOST_CLIENTS):
            other = others.enter_context(contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)))
            other.request("GET", "/events")
            others.enter_context(other.getresponse())
        page = new_page(rig.url, faults_fail=False)
        expect(page.locator("[data-when=full]")).to_be_visible()
        expect(page.locator("[data-when=lost]")).to_be_hidden()
    rig.daemon.send({"event": "level", "dbfs": -50.0})  # the server notices closed connections when it writes
    connected(page)
    expect(page.locator("[data-when=full]")).to_be_hidden()


def test_a_connection_that_has_become_silent_is_opened_again(rig: Rig, new_page: NewPage) -> None:
    page = new_page("about:blank")
    page.clock.install()
    page.goto(rig.url)
    connected(page)
    page.clock.fast_forward(44_000)
    rig.daemon.send({"event": "level", "dbfs": -36.0})
    expect(page.locator("#level")).to_have_attribute("aria-valuetext", "-36 dBFS")
    page.clock.fast_forward(44_000)
    expect(page.locator("[data-when=lost]")).to_be_hidden()
    page.clock.fast_forward(2_000)
    expect(page.locator("[data-when=lost]")).to_be_visible()
    page.clock.fast_forward(2_000)
    expect(page.locator("[data-when=lost]")).to_be_hidden()


def test_a_new_day_is_noticed_without_a_prediction(rig: Rig, new_page: NewPage) -> None:
    page = new_page("about:blank")
    page.clock.install(time=datetime(2026, 11, 28, 0, 0, 30, tzinfo=UTC))
    page.goto(rig.url)
    connected(page)
    page.clock.fast_forward(35_000)  # less than the silence after which the page would connect again
    with page.expect_request(f"{rig.url}/"):
        rig.daemon.send(health())
