"""Colours and shapes of classes."""

import re
from pathlib import Path

import pytest

import device.web
from device.audio.liveness import State
from device.settings.leds import COLOURS
from device.web.look.appearance import SHAPES, STATE_TITLES, Look, nearest_colour

FOLDER = Path(device.web.__file__).parent


def test_usual_classes_have_the_colours_of_their_lights() -> None:
    look = Look(["negative", "neutral", "positive"])
    assert [look.colour(label) for label in ("negative", "neutral", "positive")] == ["red", "white", "green"]
    assert [look.shape(label) for label in ("negative", "neutral", "positive")] == ["down", "circle", "up"]


def test_no_two_classes_of_a_model_look_the_same() -> None:
    labels = ["negative", *(f"class {number}" for number in range(9))]
    look = Look(labels)
    assert len({look.colour(label) for label in labels}) == len({look.shape(label) for label in labels}) == len(labels)


def test_more_classes_than_colours_have_some() -> None:
    labels = [f"class {number}" for number in range(30)]
    assert {Look(labels).colour(label) for label in labels} <= set(COLOURS)


def test_a_class_that_the_model_no_longer_has_keeps_its_looks() -> None:
    assert Look(["calm"]).colour("negative") == "red"
    assert Look().colour("tired") == Look(["calm"]).colour("tired")
    assert Look().shape("tired") in SHAPES


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [("blue", "blue"), ("#800000", "red"), ("#ff9010", "orange"), ("#fffffe", "white"), ("#400040", "magenta")],
)
def test_the_colour_in_the_settings_is_used(chosen: str, expected: str) -> None:
    assert Look(["neutral"], {"neutral": chosen}).colour("neutral") == nearest_colour(chosen) == expected


def test_the_page_can_draw_every_colour_and_shape() -> None:
    css = (FOLDER / "static" / "page.css").read_text("utf-8") + (FOLDER / "static" / "login.css").read_text("utf-8")
    assert set(re.findall(r"^\.colour-(\w+)", css, re.MULTILINE)) == set(COLOURS)
    symbols = re.findall(r'id="shape-(\w+)"', (FOLDER / "templates" / "macros.html").read_text("utf-8"))
    assert sorted(symbols) == sorted(SHAPES)


def test_every_state_has_a_title() -> None:
    assert set(STATE_TITLES) == {"starting", *State}
