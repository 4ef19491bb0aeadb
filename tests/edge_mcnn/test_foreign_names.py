"""Names of microphones, classes, files and speakers may hold anything; every place that shows one shows it as it is.

Square brackets are no markup, and what would control the terminal is a visible escape.
"""

import io
import json
import logging
import os
import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from rich.text import Text
from typer.testing import CliRunner

from convert.tflite_model.inspection import inspect_bundle
from device.audio import microphone
from device.audio.liveness import Liveness, State
from device.audio.microphone import MicrophoneInfo
from device.bundle import DEFAULT_BUNDLE, Companions, pack, read_bundle
from device.daemon.status import prometheus
from device.doctor.findings import Finding, Verdict
from device.errors import RecordingError
from device.outputs.json_lines import as_line, as_plain_line, as_table
from device.outputs.terminal.layout import ScreenLayout
from device.outputs.terminal.prediction_rows import PredictionView, lights_row
from device.outputs.terminal.state import ScreenState
from device.outputs.terminal.text import UNICODE
from device.outputs.wiring.svg import wiring_svg
from device.outputs.wiring.text import wiring
from device.recorder.ui import RecorderDisplay
from device.settings.schema import LightsSettings
from device.system.display import DisplayableFormatter, displayable
from device.system.streams.console import SafeConsole
from edge_mcnn.main import app
from edge_mcnn.options import typed_command
from edge_mcnn.output import out
from edge_mcnn.own_model import inspect
from edge_mcnn.setup.doctor import finding_text
from edge_mcnn.setup.status import status_table
from tests.device.daemon.test_status import STATUS
from tests.device.outputs.predictions import prediction
from training.data.clips import Skipped, report_skipped
from training.evaluation.plots import plot_confusion
from training.evaluation.report.markdown import _markdown_table, _name
from training.evaluation.score_tables import class_table, confusion_table, f1_table, scores_table
from training.evaluation.scores import Scores

NAMES = (
    "[happy]", "Mic [/left] 2", "Yeti [usb] (hw:1,0)", "[bold red]x[/]", "[link=x]y[/link]", ":smile:", "\\[a]",
    "\x1b[31mred", "bell\x07", "\x9b2J", "two\nlines", "cr\rx", "tab\tx", "txt\u202egpj", "caf\udce9", "x\u2028y",
)  # fmt: skip
OTHER = "calm"
SCORES = Scores.of(np.array([0, 1]), np.eye(2, dtype=np.float32))

pytestmark = pytest.mark.parametrize("name", NAMES)


def _printed(*renderables: Any, width: int = 200) -> str:
    console = SafeConsole(file=io.StringIO(), width=width)
    for each in renderables:
        console.print(each)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def _screen(name: str) -> str:
    """The terminal of `listen`, with a class and a microphone of that name, and a line in the history."""
    state = ScreenState(UNICODE, hold_s=5)
    state.classes((name, OTHER))
    state.microphone(Liveness(State.HEALTHY, 0, "", name, 48_000))
    state.prediction(prediction(name, labels=(name, OTHER)))
    console = SafeConsole(file=io.StringIO(), width=120, height=40)
    lines = ScreenLayout(console, -40).lines(state.snapshot().content, -30, lit=True)
    return "\n".join("".join(segment.text for segment in line) for line in lines)


def _history(name: str) -> str:
    state = ScreenState(UNICODE, hold_s=5)
    state.message(f"microphone lost: {name}")
    return _printed(*state.snapshot().above)


def _recorder(name: str) -> str:
    console = SafeConsole(file=io.StringIO(), width=200)
    display = RecorderDisplay(console)
    display.print(f"say {displayable(name)}")
    display.print_error(RecordingError(f"cannot store {displayable(name)}"))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def _skipped(name: str) -> str:
    console = SafeConsole(file=io.StringIO(), width=200)
    report_skipped([Skipped(Path(displayable(name)), "damaged", "")], 1, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


_LIGHTS = LightsSettings(kind="gpio")
_PLACES: dict[str, Callable[[str], str]] = {
    "status": lambda name: _printed(status_table(replace(STATUS, microphone=name, reason=name, last_label=name))),
    "doctor": lambda name: _printed(
        finding_text(Finding("microphone", Verdict.OK, displayable(name), displayable(name)), SafeConsole(width=200))
    ),
    "listen, screen": _screen,
    "listen, history": lambda name: _history(displayable(name)),
    "listen, plain": lambda name: as_plain_line(as_table(prediction(name, labels=(name, OTHER)), 0.0), words=True),
    "classify": lambda name: _printed(PredictionView((name, OTHER), prediction(name, labels=(name, OTHER)))),
    "lights test": lambda name: _printed(lights_row((name, OTHER), None)),
    "wiring, text": lambda name: _printed(wiring(replace(_LIGHTS, pins={name: 17, OTHER: 27}), (name, OTHER), 79)),
    "record": _recorder,
    "evaluate, classes": lambda name: _printed(class_table("text only", SCORES, (name, OTHER), None)),
    "evaluate, confusion": lambda name: _printed(confusion_table("text only", SCORES, (name, OTHER))),
    "evaluate, title": lambda name: _printed(scores_table({"text only": SCORES}, f"{displayable(name)}, test")),
    "train, F1": lambda name: _printed(f1_table({"text only": SCORES}, (name, OTHER))),
    "skipped recordings": _skipped,
}


@pytest.mark.parametrize("place", _PLACES)
def test_a_name_is_shown_as_it_is(place: str, name: str) -> None:
    text = _PLACES[place](name)
    assert displayable(name) in text
    assert displayable(text.replace("\n", "")) == text.replace("\n", "")


def test_microphones(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(microphone, "list_microphones", lambda *_: [MicrophoneInfo(0, name, 48_000, 2, True)])
    result = CliRunner().invoke(app, ["microphones"])
    assert result.exit_code == 0
    assert displayable(name) in result.output
    result = CliRunner().invoke(app, ["microphones", "--json"])
    assert json.loads(result.output)["name"] == name


def test_inspect(name: str, tmp_path: Path) -> None:
    if "\n" in name or "\r" in name or "\udce9" in name:
        return  # no bundle can hold such a label
    shipped = read_bundle(DEFAULT_BUNDLE)
    path = tmp_path / "Model.tflite"
    companions = Companions((name, OTHER), ("a",), shipped.companions.front_end, {"author": name})
    path.write_bytes(pack(shipped.model[: shipped.flatbuffer_size], companions))
    console = SafeConsole(file=io.StringIO(), width=200)
    inspect.show(inspect_bundle(path), console)
    assert isinstance(console.file, io.StringIO)
    assert f"{displayable(name)}, {OTHER}" in console.file.getvalue()
    assert f"author: {displayable(name)}" in console.file.getvalue()


def test_wiring_as_svg(name: str) -> None:
    drawing = wiring_svg(replace(_LIGHTS, pins={name: 17, OTHER: 27}), (name, OTHER))
    texts = "".join(ET.fromstring(drawing).itertext())  # noqa: S314  # our own drawing
    assert displayable(name.replace("\n", "")) in texts.replace("\n", "").replace("\\n", "")
    assert "\u202e" not in texts


def test_plots(name: str) -> None:
    figure = plot_confusion({"text only": SCORES}, (name, OTHER))
    figure.savefig(io.BytesIO(), format="png")
    shown = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert all(displayable(each) == each for each in shown)


def test_report(name: str) -> None:
    table = _markdown_table(("", "rows"), [(_name(name), "1")])
    row = table.splitlines()[2]
    assert len(table.splitlines()) == 3
    assert re.sub(r"\\([^\w\s])", r"\1", row) == f"| {displayable(name)} | 1 |"


def test_json_lines_read_back_and_are_utf8(name: str) -> None:
    line = as_line(as_table(prediction(name, labels=(name, OTHER)), 0.0))
    assert line.encode("utf-8")
    assert len(line.splitlines()) == 1
    assert json.loads(line)["label"] == name
    assert json.loads(as_line({"label": name}, ascii_only=True))["label"] == name


def test_prometheus_has_one_line_per_value(name: str) -> None:
    text = prometheus(replace(STATUS, microphone=name))
    found = re.search(r'microphone="((?:[^"\\\n]|\\["\\n])*)"', text)
    assert found is not None
    assert found[1].replace("\\\\", "\\") == displayable(name)


def test_everything_that_is_printed(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    out.line(name)
    out.announce(name)
    out.error(RecordingError(name, fix=name))
    out.json({"name": name})
    out.console().print(name, Path(name), Text(name), [name])
    out.progress_console().print(name)
    printed = capsys.readouterr()
    for stream in (printed.out, printed.err):
        assert displayable(stream.replace("\n", "")) == stream.replace("\n", "")
    if displayable(name) == name:
        assert printed.out.count(name) >= 4
        assert printed.err.count(name) == 4


def test_log_messages(name: str) -> None:
    record = logging.LogRecord("x", logging.WARNING, "x", 1, "the broker reports %s", (name,), None)
    text = DisplayableFormatter("%(message)s").format(record)
    assert displayable(text.replace("\n", "")) == text.replace("\n", "")


@pytest.mark.parametrize(
    "arguments", [("--{}",), ("{}",), ("listen", "--lights", "{}"), ("listen", "--{}"), ("train", "--epochs", "{}")]
)
def test_usage_errors(arguments: Sequence[str], name: str) -> None:
    result = CliRunner().invoke(app, [each.format(name) for each in arguments], env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert displayable(result.output.replace("\n", "")) == result.output.replace("\n", "")
    assert result.exception is None or isinstance(result.exception, SystemExit)


def test_the_command_in_model_cards_can_be_repeated(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["edge-mcnn", "train", name])
    command = typed_command()
    assert displayable(command) == command
    script = f"{command.replace('edge-mcnn train', 'printf %s', 1)}"
    assert subprocess.run(["bash", "-c", script], capture_output=True, check=True).stdout == os.fsencode(name)
