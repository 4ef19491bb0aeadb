"""`edge-mcnn lights` as a process: on mock pins, in a pipe, in a terminal."""

import errno
import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from device.bundle import DEFAULT_BUNDLE, pack, read_bundle
from device.errors import LightsError
from edge_mcnn.setup.lights import wiring_command
from tests.edge_mcnn.command_line import assert_refused

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[3]
THREE = ("negative", "neutral", "positive")
SEVEN = ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise")
LIMIT_S = 60


@pytest.fixture(scope="module")
def seven(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with MELD's emotions; `lights` reads nothing but the classes of a bundle."""
    bundle = read_bundle(DEFAULT_BUNDLE)
    path = tmp_path_factory.mktemp("seven") / "Model.tflite"
    path.write_bytes(
        pack(bundle.model[: bundle.flatbuffer_size], replace(bundle.companions, labels=SEVEN, transitions=None))
    )
    return path


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "my.toml"
    path.write_text('[lights]\nrgb = { red = 5, green = 6, blue = 13 }\ncolours = { joy = "white" }\n')
    return path


def lights(*arguments: str | Path, module: str = "edge_mcnn", **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, "lights", *arguments], capture_output=True, text=True, timeout=LIMIT_S,
        check=False, cwd=REPOSITORY, env={**os.environ, **environment},
    )  # fmt: skip


def on_mock_pins(*arguments: str | Path) -> tuple[list[str], dict[str, list[bool]]]:
    """Return the printed lines, and the states of each pin."""
    done = lights(*arguments, "--lights", "gpio", module="tests.system.with_mock_pins")
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines(), json.loads(done.stderr.splitlines()[-1])


def refused(done: subprocess.CompletedProcess[str], *expected: str) -> None:
    assert_refused(done, *expected)
    assert done.stdout == ""


def test_each_led_in_turn() -> None:
    lines, pins = on_mock_pins("test", "--seconds", "0.1")
    assert lines == [  # in the order of the header, as `lights wiring` draws them
        "positive  GPIO17, pin 11 of the header",
        "neutral   GPIO27, pin 13 of the header",
        "negative  GPIO22, pin 15 of the header",
    ]
    drawing = lights("wiring").stdout
    places = [drawing.index(line.split(",")[0].split()[1]) for line in lines]
    assert places == sorted(places)
    assert pins == {number: [False, True, False] for number in ("22", "27", "17")}


def test_the_seven_emotions_light_their_default_pins_and_are_drawn() -> None:
    lines, pins = on_mock_pins("test", "--seconds", "0.1", "--model", "emotions")
    assert lines == [
        "neutral   GPIO27, pin 13 of the header",
        "joy       GPIO23, pin 16 of the header",
        "sadness   GPIO24, pin 18 of the header",
        "anger     GPIO25, pin 22 of the header",
        "surprise  GPIO5, pin 29 of the header",
        "fear      GPIO6, pin 31 of the header",
        "disgust   GPIO16, pin 36 of the header",
    ]
    assert pins == {number: [False, True, False] for number in ("27", "23", "24", "25", "5", "6", "16")}
    drawing = lights("wiring", "--model", "emotions").stdout
    assert all(f"long leg of {line.split()[0]} " in drawing for line in lines)
    for model, expected in (("emotions", len(lines)), ("sentiment", 3)):  # each touches the pins of its classes only
        gpio = {"EDGE_MCNN_LIGHTS_KIND": "gpio", "EDGE_MCNN_CLASSIFIER_MODEL": model, "GPIOZERO_PIN_FACTORY": "mock"}
        for arguments in ((), ("--model", model)):
            done = lights("off", *arguments, **gpio)
            assert (done.returncode, len(done.stdout.splitlines())) == (0, expected), done.stderr


def test_the_legs_of_an_rgb_led_and_its_seven_colours(seven: Path, config: Path) -> None:
    lines, pins = on_mock_pins("test", "--seconds", "0.1", "--model", seven, "--config", config)
    assert lines[:3] == [
        "red       the leg at GPIO5, pin 29 of the header",
        "green     the leg at GPIO6, pin 31 of the header",
        "blue      the leg at GPIO13, pin 33 of the header",
    ]
    assert [line.split() for line in lines[3:]] == [
        ["anger", "red"], ["disgust", "green"], ["fear", "magenta"], ["joy", "white"], ["neutral", "white"],
        ["sadness", "blue"], ["surprise", "cyan"],
    ]  # fmt: skip
    assert {name: states.count(True) for name, states in pins.items()} == {"5": 3, "6": 4, "13": 2}
    assert not any(states[-1] for states in pins.values())


def test_legs_in_another_order_are_lit_in_the_order_of_the_header(tmp_path: Path) -> None:
    config = tmp_path / "rgb.toml"
    config.write_text("[lights]\nrgb = { red = 21, green = 4, blue = 17 }\n")
    lines, _ = on_mock_pins("test", "--seconds", "0.1", "--config", config)
    assert [line.split()[0] for line in lines[:3]] == ["green", "blue", "red"]


@pytest.mark.parametrize(
    ("settings", "label", "on", "pins"),
    [
        ("", "positive", {"GPIO17": "1", "GPIO22": "0", "GPIO27": "0"}, (11, 13, 15)),
        ('common = "anode"', "neutral", {"GPIO17": "1", "GPIO22": "1", "GPIO27": "0"}, (11, 13, 15)),
        ('common = "anode"\nrgb = { red = 5, green = 6, blue = 13 }', "negative",
         {"GPIO5": "0", "GPIO6": "1", "GPIO13": "1"}, (29, 31, 33)),
    ],
)  # fmt: skip
def test_an_led_that_a_killed_program_left_on_is_switched_off(
    settings: str, label: str, on: dict[str, str], pins: tuple[int, ...], tmp_path: Path
) -> None:
    stored, config = tmp_path / "pins", tmp_path / "my.toml"
    stored.mkdir()
    config.write_text(f'[lights]\nkind = "gpio"\n{settings}\n')

    def levels() -> dict[str, str]:
        return {path.name: path.read_text() for path in stored.iterdir()}

    environment = {**os.environ, "MOCK_PINS": str(stored)}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.system.with_mock_pins", "lights", "set", label, "--config", config],
        stdout=subprocess.PIPE, text=True, cwd=REPOSITORY, env=environment,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline().startswith(label)
    process.kill()
    process.communicate()
    assert levels() == on, "the pins survive the process"
    done = lights("off", "--config", config, module="tests.system.with_mock_pins", MOCK_PINS=str(stored))
    assert done.returncode == 0
    assert [int(line.split(", pin ")[1].split()[0]) for line in done.stdout.splitlines()] == list(pins)
    assert all(line.startswith("off  ") for line in done.stdout.splitlines())
    off = "1" if "anode" in settings else "0"
    assert levels() == dict.fromkeys(on, off)


def test_switching_off_needs_no_model_and_prints_nothing_where_nothing_is_to_be_done(tmp_path: Path) -> None:
    config = tmp_path / "my.toml"
    config.write_text(f'[lights]\nkind = "gpio"\n[classifier]\nmodel = "{tmp_path}/none.tflite"\n')
    quiet = lights("off", "--quiet", "--config", config, GPIOZERO_PIN_FACTORY="mock")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")
    done = lights("off", EDGE_MCNN_LIGHTS_KIND="terminal")
    message = "nothing to switch off: the lights on this machine are of the kind terminal, not gpio\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, message, "")
    done = lights("off", "--quiet", EDGE_MCNN_LIGHTS_KIND="none")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_one_light_for_some_time() -> None:
    lines, pins = on_mock_pins("set", "positive", "--seconds", "0.1")
    assert lines == ["positive  GPIO17, pin 11 of the header"]
    assert pins == {"22": [False], "27": [False], "17": [False, True, False]}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(("command", "status"), [(["set", "neutral"], 0), (["test", "--seconds", "60"], 130)])
def test_signals_switch_off(command: list[str], status: int, number: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.system.with_mock_pins", "lights", *command, "--lights", "gpio"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert "GPIO" in process.stdout.readline()
        process.send_signal(number)
        _, errors = process.communicate(timeout=LIMIT_S)
    finally:
        process.kill()
        process.communicate()
    [history] = errors.splitlines()
    pins = json.loads(history)
    assert process.returncode == status
    assert sum(True in states for states in pins.values()) == 1, "one was on"
    assert not any(states[-1] for states in pins.values()), "none stays on"


def test_in_a_pipe_the_lights_of_the_terminal_are_names() -> None:
    done = lights("test", "--seconds", "0.1", "--lights", "terminal")
    assert (done.returncode, done.stdout, done.stderr) == (0, "negative\nneutral\npositive\n", "")
    done = lights("set", "neutral", "--seconds", "0.1", "--lights", "terminal")
    assert (done.returncode, done.stdout, done.stderr) == (0, "neutral\n", "")


def terminal_shows(*arguments: str, **environment: str) -> str:
    """Return what the process writes to a terminal of its own."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "edge_mcnn", "lights", *arguments], stdin=theirs, stdout=theirs, stderr=theirs,
        cwd=REPOSITORY, env={**os.environ, "TERM": "xterm", "COLUMNS": "80", "LINES": "24", **environment},
    ) as process:  # fmt: skip
        os.close(theirs)
        written = b"".join(_read(ours))
        os.close(ours)
    assert process.returncode == 0
    return written.decode()


def _read(terminal: int) -> Iterator[bytes]:
    while True:
        try:
            part = os.read(terminal, 4096)
        except OSError:  # the other end is closed
            return
        if not part:
            return
        yield part


def test_lights_in_a_terminal() -> None:
    written = terminal_shows("test", "--seconds", "0.1", "--lights", "terminal", NO_COLOR="1")
    shown = [line for line in written.replace("\r", "\n").split("\n") if "positive" in line]
    lit = [[label for label in THREE if f"\u25cf {label}" in line] for line in shown]
    assert [labels for labels in lit if labels] == [["negative"], ["neutral"], ["positive"]]
    assert lit[-1] == [], "dark at the end"


def test_the_drawing_has_colours_only_in_a_terminal() -> None:
    assert "\x1b[" not in lights("wiring").stdout
    assert "\x1b[" in terminal_shows("wiring")
    bare = terminal_shows("wiring", NO_COLOR="1")
    assert "\x1b[3" not in bare
    assert "GPIO17 11 \u25cf" in bare


def test_wiring_in_a_file_is_complete_however_narrow_the_terminal() -> None:
    done = lights("wiring", COLUMNS="40", EDGE_MCNN_LIGHTS_PINS="{ negative = 17, neutral = 18, positive = 22 }")
    assert done.returncode == 0
    assert "GPIO17 11 \u25cf \u25cf 12 GPIO18\u2500[330 \u03a9]\u2500\u25b7|\u2500GND neutral\n" in done.stdout


def test_wiring_without_unicode_and_without_output() -> None:
    done = lights("wiring", PYTHONIOENCODING="latin-1")
    assert done.returncode == 0
    assert "negative GND-|<-[330 R]-GPIO22 15 * o 16 GPIO23" in done.stdout
    closed = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m edge_mcnn lights wiring >&-"], capture_output=True, text=True,
        cwd=REPOSITORY, timeout=LIMIT_S, check=False,
    )  # fmt: skip
    assert (closed.returncode, closed.stderr) == (0, "")


def test_wiring_of_seven_classes(seven: Path, config: Path) -> None:
    one_pin = {"EDGE_MCNN_LIGHTS_PINS": "{ neutral = 27 }"}
    missing = "no pin for anger, disgust, fear, joy, sadness, surprise"
    refused(lights("wiring", "--model", seven, **one_pin), missing, "write")
    done = lights("wiring", "--model", seven, "--config", config)
    assert done.returncode == 0
    assert "red \u2500\u2500\u2500\u2500[330 \u03a9]\u2500\u2500\u2500\u2500\u2500GPIO5 29 \u25cf" in done.stdout
    assert "Colours: anger red, disgust green, fear magenta, joy white," in done.stdout


def test_the_fix_for_a_full_disk_is_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("device.system.atomic_write.write_text", full)
    with pytest.raises(LightsError, match=r"cannot be written \(No space left on device\)") as error:
        wiring_command(svg=tmp_path / "w.svg")
    assert error.value.fix == "free some space, or choose another place"


def test_wiring_as_svg(seven: Path, config: Path, tmp_path: Path) -> None:
    svg = tmp_path / "w\u00efring.svg"
    svg.write_text("an older one" * 10_000)
    done = lights("wiring", "--model", seven, "--config", config, "--svg", svg)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"saved {svg}\n", "")
    words = "".join(ET.parse(svg).getroot().itertext())  # noqa: S314  # our own
    assert all(name in words for name in (*SEVEN, "GPIO13", "One RGB LED, common cathode"))
    refused(
        lights("wiring", "--svg", tmp_path / "no" / "w.svg"), "w.svg: cannot be written (No such file or directory)"
    )
    one_pin = {"EDGE_MCNN_LIGHTS_PINS": "{ neutral = 27 }"}
    refused(lights("wiring", "--model", seven, "--svg", tmp_path / "w.svg", **one_pin), "no pin for anger")
    assert not (tmp_path / "w.svg").exists()


def test_wiring_shows_the_buttons_in_the_settings(tmp_path: Path) -> None:
    config, svg = tmp_path / "buttons.toml", tmp_path / "w.svg"
    config.write_text("[mute]\nbutton = 23\n[learn]\nbutton = 26\n")
    done = lights("wiring", "--config", config)
    assert done.returncode == 0
    assert "16 GPIO23\u2500\u2500[button]\u2500\u2500GND mute\n" in done.stdout
    assert lights("wiring", "--config", config, "--svg", svg).returncode == 0
    assert "that was wrong" in svg.read_text()
    message = ("GPIO23 belongs to the LED of joy and to the button of [mute]", "write button = 12 under [mute]")
    refused(lights("wiring", "--config", config, "--model", "emotions"), *message)
    for by_hand in (("test",), ("set", "joy")):
        refused(lights(*by_hand, "--config", config, "--model", "emotions", EDGE_MCNN_LIGHTS_KIND="gpio"), *message)


def test_switching_off_takes_no_pin_of_a_button(tmp_path: Path) -> None:
    config = tmp_path / "buttons.toml"
    config.write_text('[lights]\nkind = "gpio"\npins = { negative = 5, neutral = 6, positive = 13, other = 23 }\n')
    gpio = {"GPIOZERO_PIN_FACTORY": "mock"}
    assert len(lights("off", "--config", config, **gpio).stdout.splitlines()) == 4
    done = lights("off", "--config", config, EDGE_MCNN_MUTE_BUTTON="23", **gpio)
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 3), done.stderr
    assert "GPIO23" not in done.stdout


def test_svg_does_not_overwrite_a_model(seven: Path) -> None:
    before = seven.read_bytes()
    done = lights("wiring", "--svg", seven)
    assert done.returncode == 2
    assert "must end in .svg" in done.stderr
    assert seven.read_bytes() == before


def test_mistakes_are_refused(seven: Path, tmp_path: Path) -> None:
    refused(lights("set", "happy"), "the model has no class 'happy'", "choose one of negative, neutral, positive")
    one_pin = {"EDGE_MCNN_LIGHTS_PINS": "{ neutral = 27 }"}
    refused(lights("test", "--lights", "gpio", "--model", seven, **one_pin), "no pin for anger")
    refused(lights("test", EDGE_MCNN_LIGHTS_KIND="none"), "lights.kind is none", "--lights gpio")
    refused(lights("wiring", "--model", tmp_path / "none.tflite"), "none.tflite: no such file")
    refused(
        lights("wiring", "--model", "emotion"), "emotion: no such file or folder",
        "give the path of a Model.tflite, or the name of a model that ships: sentiment, emotions",
    )  # fmt: skip
    refused(lights("wiring", EDGE_MCNN_LIGHTS_RGB="{ red = 1 }"), "lights.rgb has no green, blue")
    refused(lights("set", "neutral", "--lights", "gpio", GPIOZERO_PIN_FACTORY="lgpio"), "cannot be driven")


@pytest.mark.parametrize(
    "arguments", [["sing"], ["set"], ["set", "neutral", "--seconds", "0"], ["test", "--lights", "disco"]]
)
def test_wrong_usage(arguments: list[str]) -> None:
    done = lights(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
