"""Draws the images in the README: `python docs/screenshots.py [FOLDER]`.

`docs/listen.svg` and `docs/doctor.svg` are drawn here, the page of `edge-mcnn web` by `docs/page_screenshots.py`.

The commands themselves draw them. `listen` receives recorded clips one after the other in the noise of a quiet room;
the time of day and the name of the microphone are synthetic. `doctor` checks a Raspberry Pi that is imitated by files,
as in its tests, with a weak power supply and without lgpio; it checks the packages and models of this machine, and
their paths are replaced by those of a Raspberry Pi.
"""

import contextlib
import io
import itertools
import platform
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from unittest import mock

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray
from rich.console import Console
from rich.segment import Segment, Segments

from device.adaptation import profile_path
from device.audio import microphone
from device.audio.audio_file import Recording
from device.audio.liveness import Liveness, State
from device.audio.microphone import Block, MicrophoneInfo
from device.doctor import checks, machine, pins
from device.doctor import microphone as microphone_checks
from device.doctor.findings import CheckEvent, Finding
from device.doctor.isolation import run_checks
from device.events import SAMPLE_RATE, Frame
from device.loading import LoadedModels
from device.outputs import lights
from device.outputs.terminal.layout import ScreenLayout
from device.outputs.terminal.state import ScreenState
from device.outputs.terminal.text import UNICODE
from device.recognition.speech_model.fetch import speech_model_path
from device.service import systemctl
from device.settings.schema import Settings
from edge_mcnn.setup import doctor as doctor_cli

HERE = Path(__file__).parent
SPEECH = HERE.parent / "tests" / "fixtures" / "speech"
CLIPS = ("espeak-ruined", "austen-0920", "espeak-thank-you")
BEGAN = datetime(2026, 1, 2, 19, 30)  # noqa: DTZ001  # the time on a wall clock
USB = MicrophoneInfo(0, "USB PnP Sound Device: Audio (hw:1,0)", 48_000, 1, is_default=True)
ROOM_DBFS = -66.0
COLUMNS, LINES = 90, 30
SHAPES = {"\u2580": (0.0, 0.5), UNICODE.full: (0.44, 0.14), UNICODE.empty: (0.485, 0.05)}
"""Where a character begins, from the top of its line, and its height, both as a share of the height of the line."""
_LINE, _BASELINE = 24.4, 18.5
"""Height of a line and its baseline in rich's SVG."""
BOARD = {
    "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.5\0",
    "proc/meminfo": "MemTotal: 3884996 kB\nMemAvailable: 3221876 kB\n",
    "sys/class/thermal/thermal_zone0/temp": "48312\n",
    "sys/class/hwmon/hwmon1/name": "rpi_volt\n",
    "sys/class/hwmon/hwmon1/in0_lcrit_alarm": "1\n",
    "dev/gpiochip0": "",
    "etc/rpi-issue": "",
    "dev/snd/pcmC1D0c": "",
}


class Screenshot:
    """Passes on to a screen's state what a pipeline reports."""

    watching = previewing = shows_previews = True

    def __init__(self, state: ScreenState) -> None:
        self.frame, self.speech, self.preview = state.frame, state.speech, state.preview


def draw(folder: Path) -> None:
    """Draw both images into a folder."""
    _write(listen(), "edge-mcnn listen", folder / "listen.svg")
    _write(doctor(), "edge-mcnn doctor", folder / "doctor.svg")


def listen() -> Console:
    """The screen just after the prediction for the last clip."""
    console = _console()
    models = LoadedModels.load(Settings(), print)
    state = ScreenState(UNICODE, hold_s=5, clock=lambda: 0.0, now=lambda: BEGAN)
    layout = ScreenLayout(console, Settings().endpoint.gate_dbfs)
    console.print("$ edge-mcnn listen", style="bold")
    state.message(f"listening to {USB.name} at {USB.rate} Hz; speak, or end with Ctrl-C")
    state.classes(models.classifier.labels)
    state.microphone(Liveness(State.HEALTHY, 0, "", USB.name, USB.rate))

    def drawn(frames: Iterator[Frame]) -> Iterator[Frame]:
        for number, frame in enumerate(frames):
            yield frame
            if number % 4 == 3:  # as often as blocks come from a microphone
                for entry in state.snapshot().above:
                    console.print(entry)

    monitor = Screenshot(state)
    with tempfile.TemporaryDirectory() as name:
        evening = Path(name) / "evening.wav"
        soundfile.write(evening, _evening(), SAMPLE_RATE)
        for prediction in models.pipeline(monitor).predictions(drawn(Recording(evening).frames())):
            state.prediction(replace(prediction, time=BEGAN + timedelta(seconds=prediction.utterance.end_s)))
    last = state.snapshot()
    for entry in last.above:
        console.print(entry)
    for line in layout.lines(last.content, last.dbfs, lit=last.lit):
        console.print(Segments([*line, Segment.line()]), soft_wrap=True)
    return console


def doctor() -> Console:
    """The complete report about that Raspberry Pi."""
    console = _console()
    console.print("$ edge-mcnn doctor", style="bold")
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        root = Path(name)
        for path, content in BOARD.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(content)
        for patched in (
            mock.patch.object(
                platform, "freedesktop_os_release", return_value={"PRETTY_NAME": "Raspberry Pi OS (64-bit)"}
            ),
            mock.patch.object(platform, "machine", return_value="aarch64"),
            mock.patch.object(lights, "DEVICE_TREE_MODEL", root / "proc/device-tree/model"),
            mock.patch.object(profile_path, "default_profile_path", return_value=root / "profile.json"),
            mock.patch.dict(sys.modules, {"lgpio": None}),
            mock.patch.object(microphone, "portaudio_version", return_value="PortAudio V19.7.0-devel"),
            mock.patch.object(microphone, "list_microphones", return_value=[USB]),
            mock.patch.object(microphone, "Microphone", _Microphone),
            mock.patch.object(systemctl, "service_properties", return_value={"LoadState": "not-found"}),
            mock.patch.object(checks, "running_daemon", return_value=None),
        ):
            stack.enter_context(patched)
        (root / "my.toml").write_text('[microphone]\nname = "USB"\n')
        settings, finding = checks.check_settings(root / "my.toml", {})
        imitated = {
            "machine": partial(machine.check_board, root),
            "memory": partial(machine.check_memory, daemon_runs=False, root=root),
            "disk": partial(_disk, root),
            "temperature": partial(machine.check_temperature, root),
            "power": partial(machine.check_power, root),
            "lights": partial(pins.check_lights, settings, root=root),
            "sound cards": partial(microphone_checks.check_sound_cards, root),
        }
        on_a_pi = [replace(check, run=imitated.get(check.topic, check.run)) for check in checks.all_checks(settings)]
        doctor_cli.show(_at_a_pi(itertools.chain([finding], run_checks(on_a_pi)), root), console)
    return console


class _Microphone:
    """A microphone that delivers a recorded clip."""

    info = USB
    rate = USB.rate
    ended = False

    def __init__(self, _name: str, _channels: str | tuple[int, ...]) -> None:
        samples, rate = soundfile.read(SPEECH / "austen-0930.flac", dtype="int16")
        self._blocks = iter(samples.repeat(self.rate // rate).reshape(-1, 1)[: self.rate * 2].reshape(-1, 6000, 1))

    def block(self, _limit_s: float) -> Block | None:
        samples = next(self._blocks)
        return Block(samples, 0.0, constant=not samples.any())

    def close(self) -> None:
        """Do nothing: nothing is open."""


def _disk(root: Path) -> Iterator[Finding]:
    with mock.patch.object(machine.shutil, "disk_usage", return_value=mock.Mock(free=23.4e9)):
        yield from machine.check_disk(root / ".cache/edge-mcnn", 0)


def _at_a_pi(events: Iterable[CheckEvent], root: Path) -> Iterator[CheckEvent]:
    """Replace the paths of this machine by those that a Raspberry Pi has."""
    paths = {
        str(root / "dev"): "/dev",
        str(root): "/home/pi",
        str(speech_model_path().parent): "/home/pi/.cache/edge-mcnn",
        sys.prefix: "/home/pi/edge-mcnn/.venv",
    }
    for event in events:
        if isinstance(event, Finding):
            for here, there in paths.items():
                event = replace(event, message=event.message.replace(here, there), fix=event.fix.replace(here, there))
            yield event


def _evening() -> NDArray[np.float32]:
    """The clips one after the other in the noise of a quiet room; mono, 16 kHz."""
    parts = [np.zeros(SAMPLE_RATE)]
    for name in CLIPS:
        samples, rate = soundfile.read(SPEECH / f"{name}.flac")
        parts += [soxr.resample(samples, rate, SAMPLE_RATE), np.zeros(SAMPLE_RATE)]
    spoken = np.concatenate(parts)
    room = np.random.default_rng(0).standard_normal(len(spoken)) * 10 ** (ROOM_DBFS / 20)
    return np.asarray(spoken + room, np.float32)


def _console() -> Console:
    return Console(
        file=io.StringIO(), record=True, width=COLUMNS, height=LINES, force_terminal=True, color_system="truecolor",
        highlight=False,
    )  # fmt: skip


def _write(console: Console, title: str, path: Path) -> None:
    svg = console.export_svg(title=title, unique_id=path.stem)
    # Without the web fonts, which the reader's browser would download.
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    path.write_text(_without_gaps(svg), "utf-8")


def _without_gaps(svg: str) -> str:
    """Draw blocks and lines as shapes: as characters they would have gaps, whose width depends on the font."""
    fills = dict(re.findall(r"\.(\S+) \{ fill: (#\w+)", svg))

    def shape(text: re.Match[str]) -> str:
        style, x, y, width, characters = text.groups()
        if len(kinds := set(characters)) != 1 or (character := kinds.pop()) not in SHAPES:
            return text[0]
        top, height = SHAPES[character]
        y = float(y) - _BASELINE + top * _LINE
        return f'<rect fill="{fills[style]}" x="{x}" y="{y:.1f}" width="{width}" height="{height * _LINE:.1f}"/>'

    return re.sub(
        r'<text class="(\S+)" x="([\d.]+)" y="([\d.]+)" textLength="([\d.]+)"[^>]*>([^<]+)</text>', shape, svg
    )


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    draw(target)
    sys.path.insert(0, str(HERE.parent))  # the tests have the scripted daemon
    from docs import page_screenshots

    page_screenshots.draw(target)
