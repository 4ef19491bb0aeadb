"""`edge-mcnn listen` as a process, with a virtual microphone behind PortAudio and mock pins instead of LEDs."""

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
from tests.system.listen_process import REPOSITORY, ListenProcess
from tests.system.virtual_microphone import NAME, VirtualMicrophone, missing_programs, plugged_in

# The prediction for a clip may depend on how it is aligned with the frames; for this clip it does not.
CLEAR = CLIPS / "espeak-ruined.flac"
FOLLOWED = CLIPS / "espeak-thank-you.flac"  # whatever the alignment, the light follows it without a flip
READING = CLIPS / "austen-0930.flac"
LAST_WORDS = "leave me alone"  # of CLEAR; the others depend on the alignment of the frames
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
def listening(microphone: VirtualMicrophone, speech_model: Path, tmp_path: Path) -> Iterator[ListenProcess]:
    """A process that drives LEDs, with everything set explicitly that it would otherwise detect.

    Only predictions light up: what is predicted of half a sentence depends on the alignment of the frames.
    """
    settings = tmp_path / "config.toml"
    settings.write_text(f'[lights]\npreview = false\n[transcriber]\nspeech_model = "{speech_model}"\n')
    options = ("--lights", "gpio", "--microphone", NAME[:4], "--config", str(settings))
    with ListenProcess(microphone, *options, mock_pins=True) as listening:
        yield listening


def by_label(listening: ListenProcess) -> dict[str, list[bool]]:
    """The states of the LED of each class."""
    pins = listening.pins()
    return {label: pins[pin] for label, pin in LightsSettings().pins.items() if pin in pins}


def run(microphone: VirtualMicrophone, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edge_mcnn", *arguments], env={**os.environ, **microphone.environment}, cwd=REPOSITORY,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def classify(path: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "edge_mcnn", "classify", "--json", path],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    )  # fmt: skip
    [line] = done.stdout.splitlines()
    table = json.loads(line)
    assert isinstance(table, dict)
    return table


def test_a_spoken_sentence_lights_its_pin(microphone: VirtualMicrophone, listening: ListenProcess) -> None:
    listening.wait_for("listening to")
    microphone.play(CLEAR)
    prediction = listening.next_prediction()
    classified = classify(CLEAR)
    assert classified["text"].endswith(LAST_WORDS)
    assert prediction["text"].endswith(LAST_WORDS)
    assert prediction["label"] == classified["label"]
    # One word that differs changes them more than the frames do.
    tolerance = 0.05 if prediction["text"] == classified["text"] else 0.2
    assert prediction["probabilities"] == pytest.approx(classified["probabilities"], abs=tolerance)
    assert prediction["seconds"] == pytest.approx(classified["seconds"], abs=0.3)
    assert 0 < prediction["ms_endpoint_to_light"] < prediction["ms_speech_to_light"]
    # Not a performance test: the bound only detects a queue that grows.
    assert prediction["ms_endpoint_to_light"] < 5000

    assert listening.end(signal.SIGTERM) < 2
    pins = by_label(listening)
    assert [label for label, states in pins.items() if True in states] == [prediction["label"]]
    assert not any(states[-1] for states in pins.values()), "an LED stayed on"


def test_the_light_comes_on_while_someone_speaks(plain_microphone: VirtualMicrophone) -> None:
    with ListenProcess(plain_microphone, "--partial", "--lights", "gpio", mock_pins=True) as listening:
        listening.wait_for("listening to")
        plain_microphone.play(FOLLOWED)
        lines = [listening.next_prediction()]
        while not lines[-1]["final"]:
            lines.append(listening.next_prediction())
        *previews, final = lines
        lit = [each for each in previews if each["light"] is not None]
        assert {each["light"] for each in lit} == {final["label"]} == {"positive"}
        assert lit[0]["seconds"] < final["seconds"] - 1, "before the pause, which is shorter"
        assert "ms_endpoint_to_light" not in previews[0]
        listening.end(signal.SIGTERM)
        pins = by_label(listening)
        assert pins.pop(final["label"]) == [False, True, False], "the prediction makes it go on without a flicker"
        assert not any(True in states for states in pins.values())


def test_two_sentences_and_ctrl_c(plain_microphone: VirtualMicrophone) -> None:
    with ListenProcess(plain_microphone, "--lights", "gpio", mock_pins=True) as listening:
        listening.wait_for("listening to")
        plain_microphone.play(READING)
        assert listening.next_prediction()["text"] == READING_WORDS
        plain_microphone.play(CLEAR)
        assert listening.next_prediction()["text"].endswith(LAST_WORDS)
        listening.end(signal.SIGINT)
        assert not any(states[-1] for states in listening.pins().values())


@pytest.mark.parametrize(("confidence", "lit"), [("0", {5}), ("1", set())])
def test_an_rgb_led_shows_a_colour_or_stays_dark_for_low_confidence(
    plain_microphone: VirtualMicrophone, confidence: str, lit: set[int]
) -> None:
    settings = {
        "EDGE_MCNN_LIGHTS_RGB": "{ red = 5, green = 6, blue = 13 }",
        "EDGE_MCNN_CLASSIFIER_CONFIDENCE": confidence,
        "EDGE_MCNN_LIGHTS_PREVIEW": "false",  # as above
    }
    with ListenProcess(plain_microphone, "--lights", "gpio", mock_pins=True, settings=settings) as listening:
        listening.wait_for("listening to")
        plain_microphone.play(CLEAR)
        prediction = listening.next_prediction()
        assert (prediction["label"], prediction["confident"]) == ("negative", bool(lit))
        listening.end(signal.SIGTERM)
        pins = listening.pins()
        assert {pin for pin, states in pins.items() if True in states} == lit, "red, or none"
        assert not any(states[-1] for states in pins.values())


def test_a_lost_microphone_flashes_all_leds_until_it_is_back(
    microphone: VirtualMicrophone, listening: ListenProcess
) -> None:
    listening.wait_for("listening to")
    microphone.unplug()
    listening.wait_for("microphone lost, waiting for it")
    microphone.plug()
    listening.wait_for("listening to")
    microphone.play(CLEAR)
    prediction = listening.next_prediction()
    listening.end(signal.SIGTERM)
    pins = by_label(listening)
    assert all(True in states for states in pins.values()), "all flashed"
    assert pins[prediction["label"]].count(True) >= 2, "and one of them also showed the prediction"
    assert not any(states[-1] for states in pins.values()), "an LED stayed on"


def test_stopped_while_it_waits_for_a_microphone(plain_microphone: VirtualMicrophone) -> None:
    plain_microphone.unplug()
    with ListenProcess(plain_microphone, "--wait", "--lights", "none") as listening:
        listening.wait_for("microphone lost, waiting for it")
        assert listening.end(signal.SIGTERM) < 2


def test_without_a_microphone_it_is_refused(plain_microphone: VirtualMicrophone) -> None:
    plain_microphone.unplug()
    done = run(plain_microphone, "listen", "--lights", "none")
    assert_refused(done)


def test_microphones_are_listed_with_their_rates(microphone: VirtualMicrophone) -> None:
    listed = run(microphone, "microphones", "--json")
    assert listed.returncode == 0
    names = {table["name"]: table for table in map(json.loads, listed.stdout.splitlines())}
    assert names[NAME]["rate"] in (16_000, 48_000)
    assert NAME in run(microphone, "microphones").stdout


def test_a_name_that_matches_no_microphone_or_two(plain_microphone: VirtualMicrophone) -> None:
    for name, *expected in [
        ("Blue Yeti", "no microphone is named 'Blue Yeti'", f"use one of {NAME!r}"),
        ("u", "more than one"),
    ]:
        assert_refused(run(plain_microphone, "listen", "--microphone", name, "--lights", "none"), *expected)
