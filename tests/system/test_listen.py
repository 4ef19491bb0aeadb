"""The main job as a process: PortAudio hears a virtual microphone, mock pins take the place of the LEDs."""

import json
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from device.settings import LightsSettings
from tests.conftest import CLIPS
from tests.system.virtual_microphone import NAME, VirtualMicrophone, missing_programs

REPOSITORY = Path(__file__).parents[2]
# The network's answer to a clip may hang on how the clip falls on the grid of frames; to this one it does not.
CLEAR = CLIPS / "espeak-ruined.flac"
READING = CLIPS / "austen-0930.flac"
READING_WORDS = "he might even have been made amiable himself"
PINS = LightsSettings().pins
START_LIMIT_S = 60
ANSWER_LIMIT_S = 30

pytestmark = pytest.mark.skipif(
    bool(missing_programs()), reason=f"no virtual microphone: {', '.join(missing_programs())} missing; see `make test`"
)


class Listening:
    """A running `edge-mcnn listen`, with its lines as they come."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.errors: list[str] = []
        self._new_errors: queue.Queue[str] = queue.Queue()
        self._lines: queue.Queue[str] = queue.Queue()
        self._heard = threading.Event()
        threads = [threading.Thread(target=self._read_output), threading.Thread(target=self._read_errors)]
        for thread in threads:
            thread.start()
        self._threads = threads

    def _read_output(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.errors.append(line)
            self._new_errors.put(line)
            if line.startswith("listening to"):
                self._heard.set()
        self._heard.set()

    def wait_until_listening(self) -> None:
        assert self._heard.wait(START_LIMIT_S), self.errors
        assert self.process.poll() is None, self.errors

    def next_line(self) -> dict[str, Any]:
        table = json.loads(self._lines.get(timeout=ANSWER_LIMIT_S))
        assert isinstance(table, dict)
        return table

    def wait_for_error(self, part: str) -> None:
        while part not in self._new_errors.get(timeout=ANSWER_LIMIT_S):
            pass

    def end(self, number: int) -> float:
        """Send a signal; seconds until the process is gone."""
        start = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(20)
        took = time.monotonic() - start
        for thread in self._threads:
            thread.join(5)
        return took

    def pins(self) -> dict[str, list[bool]]:
        """What each pin did, once the process has ended."""
        history = json.loads(self.errors[-1])
        return {label: history[str(pin)] for label, pin in PINS.items()}

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for thread in self._threads:
            thread.join(5)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()


@pytest.fixture(params=[(16_000, 1), (48_000, 2)], ids=["16 kHz mono", "48 kHz stereo only"])
def microphone(request: pytest.FixtureRequest) -> Iterator[VirtualMicrophone]:
    rate, channels = request.param
    with (
        tempfile.TemporaryDirectory(prefix="mic") as folder,  # pytest's own paths are too long for a socket
        VirtualMicrophone(Path(folder), rate=rate, channels=channels, strict=True) as microphone,
    ):
        yield microphone


@pytest.fixture
def plain_microphone() -> Iterator[VirtualMicrophone]:
    with (
        tempfile.TemporaryDirectory(prefix="mic") as folder,
        VirtualMicrophone(Path(folder), rate=16_000, channels=1, strict=False) as microphone,
    ):
        yield microphone


def environment(microphone: VirtualMicrophone) -> dict[str, str]:
    import os

    return {**os.environ, **microphone.environment}


@pytest.fixture
def listening(microphone: VirtualMicrophone, speech_model: Path, tmp_path: Path) -> Iterator[Listening]:
    settings = tmp_path / "config.toml"
    settings.write_text(f'[transcriber]\nspeech_model = "{speech_model}"\n')
    process = Listening(
        [sys.executable, "-m", "tests.system.with_mock_pins", "listen", "--json", "--lights", "gpio", "--microphone",
        NAME[:4],
         "--config", str(settings)],
        environment(microphone),
    )  # fmt: skip
    yield process
    process.close()


def classified(path: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "device", "classify", "--json", path],
        capture_output=True,
        text=True,
        check=True,
        cwd=REPOSITORY,
    )
    [line] = done.stdout.splitlines()
    table = json.loads(line)
    assert isinstance(table, dict)
    return table


def test_a_spoken_sentence_lights_its_pin(microphone: VirtualMicrophone, listening: Listening) -> None:
    listening.wait_until_listening()
    microphone.play(CLEAR)
    heard = listening.next_line()
    read = classified(CLEAR)
    assert read["text"].startswith("no i hate this")
    assert (heard["text"], heard["label"]) == (read["text"], read["label"])
    assert heard["probabilities"] == pytest.approx(read["probabilities"], abs=0.05)
    assert heard["seconds"] == pytest.approx(read["seconds"], abs=0.3)
    assert 0 < heard["ms_endpoint_to_light"] < heard["ms_speech_to_light"]
    # Not on a laptop's clock, but a light after seconds is no light: this is a bound against a queue that builds up.
    assert heard["ms_endpoint_to_light"] < 5000

    assert listening.end(signal.SIGTERM) < 2
    assert listening.process.returncode == 0
    pins = listening.pins()
    assert [label for label, states in pins.items() if True in states] == [heard["label"]]
    assert not any(states[-1] for states in pins.values()), "a light stayed on"


def test_two_sentences_and_ctrl_c(plain_microphone: VirtualMicrophone, speech_model: Path, tmp_path: Path) -> None:
    assert speech_model.exists()
    process = Listening(
        [sys.executable, "-m", "tests.system.with_mock_pins", "listen", "--json", "--lights", "gpio"],
        environment(plain_microphone),
    )
    try:
        process.wait_until_listening()
        plain_microphone.play(READING)
        assert process.next_line()["text"] == READING_WORDS
        plain_microphone.play(CLEAR)
        assert process.next_line()["text"].startswith("no i hate this")
        process.end(signal.SIGINT)
        assert process.process.returncode == 0
        assert not any(states[-1] for states in process.pins().values())
    finally:
        process.close()


@pytest.mark.parametrize(("confidence", "lit"), [("0", {"5"}), ("1", set())])
def test_an_rgb_led_shows_a_colour_or_stays_dark_for_doubt(
    plain_microphone: VirtualMicrophone, speech_model: Path, confidence: str, lit: set[str]
) -> None:
    assert speech_model.exists()
    process = Listening(
        [sys.executable, "-m", "tests.system.with_mock_pins", "listen", "--json", "--lights", "gpio"],
        {
            **environment(plain_microphone),
            "EDGE_MCNN_LIGHTS_RGB": "{ red = 5, green = 6, blue = 13 }",
            "EDGE_MCNN_CLASSIFIER_CONFIDENCE": confidence,
        },
    )
    try:
        process.wait_until_listening()
        plain_microphone.play(CLEAR)
        heard = process.next_line()
        assert (heard["label"], heard["sure"]) == ("negative", bool(lit))
        process.end(signal.SIGTERM)
        assert process.process.returncode == 0
        history = json.loads(process.errors[-1])
        assert {pin for pin, states in history.items() if True in states} == lit, "red, or none"
        assert not any(states[-1] for states in history.values())
    finally:
        process.close()


def test_a_lost_microphone_flashes_all_leds_until_it_is_back(
    microphone: VirtualMicrophone, listening: Listening
) -> None:
    listening.wait_for_error("listening to")
    microphone.unplug()
    listening.wait_for_error("microphone lost, waiting for it")
    time.sleep(1.5)  # for a flash
    microphone.plug()
    listening.wait_for_error("listening to")
    microphone.play(CLEAR)
    heard = listening.next_line()
    listening.end(signal.SIGTERM)
    assert listening.process.returncode == 0
    pins = listening.pins()
    assert all(True in states for states in pins.values()), "all flashed"
    assert pins[heard["label"]].count(True) >= 2, "and one of them showed the answer as well"
    assert not any(states[-1] for states in pins.values()), "a light stayed on"


def test_stopped_while_it_waits_for_a_microphone(plain_microphone: VirtualMicrophone, speech_model: Path) -> None:
    assert speech_model.exists()
    plain_microphone.unplug()
    process = Listening(
        [sys.executable, "-m", "device", "listen", "--wait", "--json", "--lights", "none"],
        environment(plain_microphone),
    )
    try:
        process.wait_for_error("microphone lost, waiting for it")
        assert process.end(signal.SIGTERM) < 2
        assert process.process.returncode == 0
    finally:
        process.close()


def test_without_a_microphone_it_says_so_and_ends(plain_microphone: VirtualMicrophone, speech_model: Path) -> None:
    assert speech_model.exists()
    plain_microphone.unplug()
    done = run(plain_microphone, "listen", "--lights", "none")
    assert done.returncode == 1
    assert done.stderr.startswith("edge-mcnn: ")
    assert len(done.stderr.splitlines()) == 1


def run(microphone: VirtualMicrophone, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "device", *arguments], env=environment(microphone), cwd=REPOSITORY,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_microphones_are_listed_with_their_rates(microphone: VirtualMicrophone) -> None:
    listed = run(microphone, "microphones", "--json")
    assert listed.returncode == 0
    names = {table["name"]: table for table in map(json.loads, listed.stdout.splitlines())}
    assert names[NAME]["rate"] in (16_000, 48_000)
    assert NAME in run(microphone, "microphones").stdout


def test_a_name_that_fits_none_or_two(plain_microphone: VirtualMicrophone, speech_model: Path) -> None:
    assert speech_model.exists()
    for name, told in [
        ("Blue Yeti", f"no microphone is named 'Blue Yeti'; there are {NAME!r}"),
        ("u", "more than one"),
    ]:
        done = run(plain_microphone, "listen", "--microphone", name, "--lights", "none")
        assert done.returncode == 1
        assert told in done.stderr
        assert len(done.stderr.splitlines()) == 1
