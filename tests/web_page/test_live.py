"""The page `/` while things happen."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.web_page.conftest import NewPage, now
from tests.web_page.rig import Rig
from tests.web_page.scripted_daemon import hello, prediction, state

pytestmark = pytest.mark.slow


SHINING = hello(hold_s=600.0)
"""No machine is so slow that the light goes out before it was looked at."""


def connected(page: Page) -> Page:
    """Wait until the page has its first events."""
    expect(page.locator("html")).to_have_attribute("data-device", "present")
    return page


def test_a_prediction_shows_label_lamp_and_probabilities(rig: Rig, new_page: NewPage) -> None:
    page = connected(new_page(rig.url))
    rig.daemon.send(SHINING)
    expect(page.locator("#verdict")).to_have_text("Nothing yet")
    words = {"label": "neutral", "probabilities": {"negative": 0.2, "neutral": 0.7, "positive": 0.1}}
    rig.daemon.send(prediction(1, "negative", now(), 0.83, text="i hate this", text_only=words))
    expect(page.locator("#verdict")).to_have_text("negative")
    expect(page.locator("#probability")).to_have_text("83%")
    expect(page.locator("#words")).to_have_text("i hate this")
    expect(page.locator("#bulb")).to_have_class("bulb lit colour-red")
    expect(page.locator("#bulb use")).to_have_attribute("href", "#shape-down")
    expect(page.locator("#light")).to_have_text("light negative")
    expect(page.locator("[data-bar=together][data-label=negative] .value")).to_have_text("83%")
    expect(page.locator("[data-bar=words][data-label=neutral] .value")).to_have_text("70%")
    expect(page.locator("[data-bar=words][data-label=neutral] rect")).to_have_attribute("width", "70%")
    expect(page.locator("#announcer")).to_have_text("negative, 83%")
    expect(page.locator("#today")).to_contain_text("1 prediction")


def test_the_lamp_goes_out_after_the_time_in_the_settings(rig: Rig, new_page: NewPage) -> None:
    page = connected(new_page(rig.url))
    rig.daemon.send(hello(hold_s=0.4))
    rig.daemon.send(prediction(1, "positive", now()))
    expect(page.locator("#verdict")).to_have_text("positive")
    expect(page.locator("#bulb")).not_to_have_class(re.compile("lit"))
    expect(page.locator("#light")).to_have_text("light off")


def test_a_prediction_with_low_confidence_leaves_the_lamp_dark(rig: Rig, new_page: NewPage) -> None:
    page = connected(new_page(rig.url))
    rig.daemon.send(prediction(1, "positive", now(), 0.4, confident=False, light=None))
    expect(page.locator("#doubt")).to_be_visible()
    expect(page.locator("#announcer")).to_have_text("positive, 40%, low confidence")
    expect(page.locator("#bulb")).not_to_have_class(re.compile("lit"))


def test_a_reload_shows_the_same(rig: Rig, new_page: NewPage) -> None:
    page = connected(new_page(rig.url))
    rig.daemon.send(SHINING)
    rig.daemon.send(prediction(1, "negative", now()), prediction(2, "positive", now(), 0.61))
    expect(page.locator("#verdict")).to_have_text("positive")
    page.reload()
    expect(page.locator("#verdict")).to_have_text("positive")
    expect(page.locator("#probability")).to_have_text("61%")
    expect(page.locator("#bulb")).to_have_class(re.compile("lit"))
    expect(page.locator("#today .predictions > li")).to_have_count(2)


def test_the_level_moves_and_the_gate_is_marked(rig: Rig, new_page: NewPage) -> None:
    page = connected(new_page(rig.url))
    expect(page.locator("#gate-value")).to_have_text("-60 dBFS")
    rig.daemon.send({"event": "level", "dbfs": -36.0})
    expect(page.locator("#level")).to_have_attribute("aria-valuetext", "-36 dBFS")
    expect(page.locator("#level-bar")).to_have_css("transform", re.compile(r"matrix\(0\.5, "))
    expect(page.locator("#gate")).to_have_attribute("style", re.compile(r"left: 16\.6"))
    expect(page.locator("#announcer")).to_be_empty()


def test_the_microphone_is_lost_with_reason_and_fix(rig: Rig, new_page: NewPage) -> None:
    page = connected(new_page(rig.url))
    expect(page.locator("#state-title")).to_have_text("Listening")
    rig.daemon.send(state("lost", reason="it was unplugged", fix="plug it in again"))
    expect(page.locator("#state-title")).to_have_text("The microphone is lost; waiting for it")
    expect(page.locator("#state-fix")).to_have_text("Plug it in again")
    expect(page.locator("#announcer")).to_contain_text("it was unplugged")


def test_mute_posts_and_follows(rig: Rig, new_page: NewPage) -> None:
    page = connected(new_page(rig.url))
    button = page.get_by_role("button", name="Mute the microphone")
    expect(button).to_have_attribute("aria-pressed", "false")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#result")).to_have_text("The microphone is closed")
    rig.muting = "muted: process 7 uses the microphone meanwhile"
    button.click()
    expect(page.locator("#result")).to_have_text("Muted: process 7 uses the microphone meanwhile")
    expect(button).to_have_attribute("aria-pressed", "false")
    assert rig.requests == [("mute", True), ("mute", False)]
    rig.daemon.send({"event": "mute", "muted": True})  # by another way
    expect(button).to_have_attribute("aria-pressed", "true")


def test_a_correction_is_posted_and_shown(rig: Rig, new_page: NewPage) -> None:
    page = connected(new_page(rig.url))
    rig.daemon.send(SHINING)
    expect(page.locator("#correction")).to_be_hidden()
    rig.daemon.send(prediction(1, "negative", now()))
    page.get_by_role("button", name="That was neutral").click()
    expect(page.locator("#corrected")).to_have_text("corrected to neutral")
    expect(page.locator("#result")).to_have_text("Learnt: that was neutral")
    expect(page.locator("#light")).to_have_text("light neutral")
    expect(page.locator("#today .predictions > li")).to_contain_text("corrected, was negative")
    assert rig.requests == [("correct", "neutral")]


def test_a_light_is_tested(rig: Rig, new_page: NewPage) -> None:
    page = connected(new_page(rig.url))
    rig.daemon.send(SHINING)
    page.get_by_role("button", name="Light positive").click()
    expect(page.locator("#result")).to_have_text("The light positive is on")
    expect(page.locator("#light")).to_have_text("light positive")
    assert rig.requests == [("light", "positive")]


def test_a_refused_request_shows_why(rig: Rig, new_page: NewPage) -> None:
    page = connected(new_page(rig.url, faults_fail=False))
    page.locator("[name=csrf]").first.evaluate("field => { field.value = 'wrong'; }")
    page.get_by_role("button", name="Mute the microphone").click()
    expect(page.locator("#result")).to_contain_text("load the page again")
    assert rig.requests == []


def test_missing_keys_and_no_numbers_do_not_break_the_page(rig: Rig, new_page: NewPage) -> None:
    page = connected(new_page(rig.url))
    rig.daemon.send(
        {"event": "level"}, {"event": "level", "dbfs": None}, {"event": "speech"},
        {"event": "speech", "first": 0, "columns": "no base64 !"}, {"event": "speech", "first": -3, "columns": "AAAA"},
        {"event": "words"}, {"event": "mute"}, {"event": "state"}, {"event": "unknown", "x": [1]}, {"event": "health"},
        {"event": "prediction", "label": "neutral", "number": 0},
        {**prediction(1, "neutral", now()), "probabilities": {"neutral": float("nan")}},
        {"event": "corrected"},
    )  # fmt: skip
    expect(page.locator("#probability")).to_have_text("\u2013")
    page.reload()
    rig.daemon.send(prediction(2, "negative", now()))
    expect(page.locator("#verdict")).to_have_text("negative")


def test_another_model_brings_its_own_classes(rig: Rig, new_page: NewPage) -> None:
    page = connected(new_page(rig.url))
    rig.daemon.send(hello(("anger", "joy", "neutral"), daemon="f" * 32))
    expect(page.get_by_role("button", name="Light joy")).to_be_visible()
    expect(page.get_by_role("button", name="Light positive")).to_have_count(0)


@pytest.mark.parametrize("path", ["/", "/health"])
def test_the_daemon_is_absent_then_present(rig: Rig, new_page: NewPage, path: str) -> None:
    rig.daemon.stop()
    page = new_page(rig.url + path)
    expect(page.locator("#absent")).to_contain_text("edge-mcnn listen")
    rig.daemon.start()
    connected(page)
    expect(page.locator("#absent")).to_be_hidden()
    rig.daemon.stop()
    expect(page.locator("#absent")).to_be_visible()
    expect(page.locator("[data-when=lost]")).to_be_hidden()
