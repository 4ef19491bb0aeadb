"""The main job as a process: PortAudio hears a virtual microphone, mock pins take the place of the LEDs."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from device.settings.schema import LightsSettings
from tests.conftest import CLIPS
from tests.edge_mcnn.command_line import assert_refused
from tests.system.listening import REPOSITORY, Listening
from tests.system.virtual_microphone import NAME, VirtualMicrophone, missing_programs, plugged_in

# The network's answer to a clip may hang on how the clip falls on the grid of frames; to this one it does not.
CLEAR = CLIPS / "espeak-ruined.flac"
READING = CLIPS / "austen-0930.flac"
READING_WORDS = "he might even have been made amiable himself"

pytestmark = [
    pytest.mark.usefixtures("speech_model"),
    pytest.mark.skipif(
        bool(missing_programs()),
        reason=f"no virtual microphone: {', '.join(missing_programs())} missing; see `make test`",
    ),
]


@pytest.fixture(params=[(16_000, 1), (48_000, 2)], ids=["16 kHz mono", "48 kHz stereo only"])
def microphone(request: pytest.FixtureRequest) -> Iterator[VirtualMicrophone]:
    rate, channels = request.param
    with plugged_in(rate=rate, channels=channels, strict=True) as microphone:
        yield microphone


@pytest.fixture
def plain_microphone() -> Iterator[VirtualMicrophone]:
    with plugged_in(rate=16_000, channels=1, strict=False) as microphone:
        yield microphone


@pytest.fixture
def listening(microphone: VirtualMicrophone, speech_model: Path, tmp_path: Path) -> Iterator[Listening]:
    """It lights LEDs, and is told by its settings and options what it would find by itself."""
    settings = tmp_path / "config.toml"
    settings.write_text(f'[transcriber]\nspeech_model = "{speech_model}"\n')
    options = ("--lights", "gpio", "--microphone", NAME[:4], "--config", str(settings))
    with Listening(microphone, *options, mock_pins=True) as listening:
        yield listening


def by_label(listening: Listening) -> dict[str, list[bool]]:
    """What the LED of each class did."""
    pins = listening.pins()
    return {label: pins[pin] for label, pin in LightsSettings().pins.items()}


def run(microphone: VirtualMicrophone, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edge_mcnn", *arguments], env={**os.environ, **microphone.environment}, cwd=REPOSITORY,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def classified(path: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "edge_mcnn", "classify", "--json", path],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    )  # fmt: skip
    [line] = done.stdout.splitlines()
    table = json.loads(line)
    assert isinstance(table, dict)
    return table


def test_a_spoken_sentence_lights_its_pin(microphone: VirtualMicrophone, listening: Listening) -> None:
    listening.wait_for("listening to")
    microphone.play(CLEAR)
    heard = listening.next_answer()
    read = classified(CLEAR)
    assert read["text"].startswith("no i hate this")
    assert (heard["text"], heard["label"]) == (read["text"], read["label"])
    assert heard["probabilities"] == pytest.approx(read["probabilities"], abs=0.05)
    assert heard["seconds"] == pytest.approx(read["seconds"], abs=0.3)
    assert 0 < heard["ms_endpoint_to_light"] < heard["ms_speech_to_light"]
    # Not on a laptop's clock, but a light after seconds is no light: this is a bound against a queue that builds up.
    assert heard["ms_endpoint_to_light"] < 5000

    assert listening.end(signal.SIGTERM) < 2
    pins = by_label(listening)
    assert [label for label, states in pins.items() if True in states] == [heard["label"]]
    assert not any(states[-1] for states in pins.values()), "a light stayed on"


def test_two_sentences_and_ctrl_c(plain_microphone: VirtualMicrophone) -> None:
    with Listening(plain_microphone, "--lights", "gpio", mock_pins=True) as listening:
        listening.wait_for("listening to")
        plain_microphone.play(READING)
        assert listening.next_answer()["text"] == READING_WORDS
        plain_microphone.play(CLEAR)
        assert listening.next_answer()["text"].startswith("no i hate this")
        listening.end(signal.SIGINT)
        assert not any(states[-1] for states in listening.pins().values())


@pytest.mark.parametrize(("confidence", "lit"), [("0", {5}), ("1", set())])
def test_an_rgb_led_shows_a_colour_or_stays_dark_for_doubt(
    plain_microphone: VirtualMicrophone, confidence: str, lit: set[int]
) -> None:
    settings = {
        "EDGE_MCNN_LIGHTS_RGB": "{ red = 5, green = 6, blue = 13 }",
        "EDGE_MCNN_CLASSIFIER_CONFIDENCE": confidence,
    }
    with Listening(plain_microphone, "--lights", "gpio", mock_pins=True, settings=settings) as listening:
        listening.wait_for("listening to")
        plain_microphone.play(CLEAR)
        heard = listening.next_answer()
        assert (heard["label"], heard["confident"]) == ("negative", bool(lit))
        listening.end(signal.SIGTERM)
        pins = listening.pins()
        assert {pin for pin, states in pins.items() if True in states} == lit, "red, or none"
        assert not any(states[-1] for states in pins.values())


def test_a_lost_microphone_flashes_all_leds_until_it_is_back(
    microphone: VirtualMicrophone, listening: Listening
) -> None:
    listening.wait_for("listening to")
    microphone.unplug()
    listening.wait_for("microphone lost, waiting for it")
    microphone.plug()
    listening.wait_for("listening to")
    microphone.play(CLEAR)
    heard = listening.next_answer()
    listening.end(signal.SIGTERM)
    pins = by_label(listening)
    assert all(True in states for states in pins.values()), "all flashed"
    assert pins[heard["label"]].count(True) >= 2, "and one of them showed the answer as well"
    assert not any(states[-1] for states in pins.values()), "a light stayed on"


def test_stopped_while_it_waits_for_a_microphone(plain_microphone: VirtualMicrophone) -> None:
    plain_microphone.unplug()
    with Listening(plain_microphone, "--wait", "--lights", "none") as listening:
        listening.wait_for("microphone lost, waiting for it")
        assert listening.end(signal.SIGTERM) < 2


def test_without_a_microphone_it_says_so_and_ends(plain_microphone: VirtualMicrophone) -> None:
    plain_microphone.unplug()
    done = run(plain_microphone, "listen", "--lights", "none")
    assert_refused(done)


def test_microphones_are_listed_with_their_rates(microphone: VirtualMicrophone) -> None:
    listed = run(microphone, "microphones", "--json")
    assert listed.returncode == 0
    names = {table["name"]: table for table in map(json.loads, listed.stdout.splitlines())}
    assert names[NAME]["rate"] in (16_000, 48_000)
    assert NAME in run(microphone, "microphones").stdout


def test_a_name_that_fits_none_or_two(plain_microphone: VirtualMicrophone) -> None:
    for name, *expected in [
        ("Blue Yeti", "no microphone is named 'Blue Yeti'", f"use one of {NAME!r}"),
        ("u", "more than one"),
    ]:
        assert_refused(run(plain_microphone, "listen", "--microphone", name, "--lights", "none"), *expected)
