"""`edge-mcnn learn` with a virtual microphone, PortAudio, Vosk, and a terminal with simulated key presses."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from device.adaptation.profile import read_profile
from tests.conftest import CLIPS
from tests.edge_mcnn.command_line import edge_mcnn
from tests.system.test_record import OTHER, OTHER_WORDS, READING, READING_WORDS, Recording
from tests.system.virtual_microphone import NAME, VirtualMicrophone, missing_programs, plugged_in

pytestmark = pytest.mark.skipif(
    bool(missing_programs()), reason=f"no virtual microphone: {', '.join(missing_programs())} missing; see `make test`"
)
HAPPY, HAPPY_WORDS = CLIPS / "espeak-thank-you.flac", "oh that is wonderful"
READY = "speak when you are ready"
KEYS = "Enter: accept  r: speak again  n: next class  q: quit"


@pytest.fixture
def microphone() -> Iterator[VirtualMicrophone]:
    with plugged_in(rate=48_000, channels=2, strict=True) as microphone:
        yield microphone


class Learning(Recording):
    """A running `edge-mcnn learn` and its output."""

    command = "learn"

    def prompt(self, label: str, number: str) -> None:
        kinds = {"negative": ("angry", "sad"), "positive": ("happy", "pleased")}.get(label)
        example = f", for example {kinds[int(number[0]) - 1]}" if kinds else ""
        self.wait_for(f"Say something that sounds {label}{example}, in your own words ({number})")


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    return tmp_path / "voice.json"


def test_in_a_terminal_each_sentence_is_confirmed_by_a_key(
    microphone: VirtualMicrophone, speech_model: Path, profile: Path, tmp_path: Path
) -> None:
    assert speech_model.exists()
    learning = Learning(microphone, "--clips", "1", "--output", profile, terminal=True)
    try:
        learning.prompt("negative", "1 of 1")
        learning.wait_for(READY)
        microphone.play(READING)
        learning.wait_for(READING_WORDS)
        learning.wait_for("predicted ")
        learning.wait_for(KEYS)
        learning.press("r")
        learning.wait_for("discarded")
        learning.wait_for(READY)
        microphone.play(OTHER)
        learning.wait_for(OTHER_WORDS)
        learning.press("\r")
        learning.wait_for("accepted as negative")
        learning.prompt("neutral", "1 of 1")
        learning.press("n")
        learning.prompt("positive", "1 of 1")
        learning.wait_for(READY)
        microphone.play(HAPPY)
        learning.wait_for(HAPPY_WORDS)
        learning.press("\r")
        learning.wait_for("right without adaptation")
        learning.wait_for("2 examples? [Y/n]")
        assert not profile.exists(), "nothing is written before the question"
        learning.press("y\n")
        assert learning.end() == 0, learning.shown
    finally:
        learning.close()
    assert any("stays in memory and is never written to disk" in line for line in learning.shown[:2])
    assert any(f"wrote {profile}: 2 examples" in line for line in learning.shown)
    assert [(each.label, each.source) for each in read_profile(profile).examples] == [
        ("negative", "session"), ("positive", "session"),
    ]  # fmt: skip
    assert {path.name for path in tmp_path.iterdir()} == {"voice.json", ".voice.json.lock"}, "no audio is written"
    status = json.loads(edge_mcnn("learn", "--status", "--output", profile, "--json").stdout)
    assert status["classes"] == {"negative": 1, "neutral": 0, "positive": 1}


def test_quitting_early_and_declining(
    microphone: VirtualMicrophone, speech_model: Path, profile: Path, tmp_path: Path
) -> None:
    for reply in ("n\n", None):
        learning = Learning(microphone, "--output", profile, terminal=True)
        try:
            learning.prompt("negative", "1 of 3")
            learning.wait_for(READY)
            microphone.play(OTHER)
            learning.wait_for(OTHER_WORDS)
            learning.press("\r")
            learning.prompt("negative", "2 of 3")
            learning.press("q")
            learning.wait_for("fewer than two examples show no gain")
            learning.wait_for("Store 1 example? [Y/n]")
            if reply is None:
                learning.process.send_signal(signal.SIGINT)
            else:
                learning.press(reply)
            assert learning.end() == 0, learning.shown
        finally:
            learning.close()
        assert any("discarded; " in line for line in learning.shown)
        assert os.listdir(tmp_path) == []  # noqa: PTH208  # names suffice


def test_quitting_without_an_example(microphone: VirtualMicrophone, speech_model: Path, profile: Path) -> None:
    learning = Learning(microphone, "--output", profile, terminal=True)
    try:
        learning.wait_for(READY)
        learning.press("q")
        learning.wait_for("nothing was accepted, so nothing was learnt")
        assert learning.end() == 0
    finally:
        learning.close()
    assert not profile.exists()


def test_without_a_terminal_each_sentence_is_accepted_and_used(
    microphone: VirtualMicrophone, speech_model: Path, profile: Path
) -> None:
    learning = Learning(microphone, "--clips", "1", "--output", profile, "-m", NAME[:4], terminal=False)
    try:
        learning.prompt("negative", "1 of 1")
        microphone.play(OTHER)
        learning.prompt("neutral", "1 of 1")
        microphone.unplug()
        learning.wait_for("microphone lost, waiting for it")
        microphone.plug()
        learning.prompt("neutral", "1 of 1")
        microphone.play(READING)
        learning.prompt("positive", "1 of 1")
        microphone.play(HAPPY)
        assert learning.end() == 0, learning.shown
    finally:
        learning.close()
    assert read_profile(profile).counts() == {"negative": 1, "neutral": 1, "positive": 1}
    assert not any("[Y/n]" in line for line in learning.shown)


def test_a_sound_system_that_hangs_does_not_lose_the_examples(
    microphone: VirtualMicrophone, speech_model: Path, profile: Path, tmp_path: Path
) -> None:
    settings = tmp_path / "config.toml"
    settings.write_text("[liveness]\nno_sound_limit_s = 1\nstuck_limit_s = 1\n")
    learning = Learning(microphone, "--output", profile, "--config", settings, terminal=False)
    try:
        learning.prompt("negative", "1 of 3")
        microphone.play(OTHER)
        learning.prompt("negative", "2 of 3")
        microphone.hang()
        learning.wait_for(f"wrote {profile}: 1 example")
        learning.wait_for("edge-mcnn: closing the microphone hangs")
        assert learning.end() == 1
    finally:
        learning.close()
