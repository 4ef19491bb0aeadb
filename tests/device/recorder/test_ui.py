from io import StringIO

import pytest
from rich.console import Console

from device.errors import RecordingError
from device.recorder.ui import RecorderDisplay


def output(console: Console) -> str:
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_a_file_gets_the_lines_without_the_redrawn_line() -> None:
    console = Console(file=StringIO(), width=20)
    with RecorderDisplay(console) as display:
        display.print("[bold] is a class here, and this line is longer than 20 columns", "green")
        display.meter(-20, "speak")
        display.question("keep?")
        display.print_error(RecordingError("the disk\nis full", fix="free\nsome space"))
    assert output(console).splitlines() == [
        "[bold] is a class here, and this line is longer than 20 columns",
        "the disk is full",
        "  fix: free some space",
    ]


@pytest.mark.parametrize(("level", "cells"), [(-96.0, 0), (-72.0, 0), (-36.0, 12), (0.0, 24)])
def test_the_meter(level: float, cells: int) -> None:
    console = Console(file=StringIO(), width=80, force_terminal=True, color_system=None)
    with RecorderDisplay(console) as display:
        display.meter(level, "speak")
    last = output(console).split("\r")[1]
    assert (last.count("\u2501"), last.count("\u2500")) == (cells, 24 - cells)
    assert "dB  speak" in last


def test_the_redrawn_line_stays_one_line_in_a_narrow_terminal() -> None:
    console = Console(file=StringIO(), width=20, force_terminal=True, color_system=None)
    with RecorderDisplay(console) as display:
        display.question("a question that does not fit into twenty columns")
    assert "a question that" in output(console)
    assert "columns" not in output(console)


def test_in_a_narrow_terminal_the_meter_is_shorter_than_its_remark() -> None:
    console = Console(file=StringIO(), width=40, force_terminal=True, color_system=None)
    with RecorderDisplay(console) as display:
        display.meter(-30, "speak when you are ready")
    assert " -30 dB  speak when you are ready" in output(console)
    assert "\u2501\u2500" in output(console)


def test_no_colour_on_a_console_without_colour() -> None:
    console = Console(file=StringIO(), width=80, force_terminal=True, no_color=True)
    with RecorderDisplay(console) as display:
        display.print("saved", "green")
        display.meter(-3, "speak")
    assert "\x1b[32m" not in output(console)
    assert "\x1b[33m" not in output(console)
    assert "\x1b[36m" not in output(console)
