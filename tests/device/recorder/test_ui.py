from io import StringIO

import pytest
from rich.console import Console

from device.errors import RecordingError
from device.recorder.ui import RecorderDisplay


def drawn(console: Console) -> str:
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_plain_output_has_the_lines_and_nothing_that_moves() -> None:
    console = Console(file=StringIO(), width=20)
    with RecorderDisplay(console) as display:
        display.print("[bold] is a class here, and this line is longer than 20 columns", "green")
        display.meter(-20, "speak")
        display.question("keep?")
        display.print_error(RecordingError("the disk\nis full"))
    assert drawn(console).splitlines() == [
        "[bold] is a class here, and this line is longer than 20 columns",
        "the disk is full",
    ]


@pytest.mark.parametrize(("level", "cells"), [(-96.0, 0), (-72.0, 0), (-36.0, 12), (0.0, 24)])
def test_the_meter(level: float, cells: int) -> None:
    console = Console(file=StringIO(), width=80, force_terminal=True, color_system=None)
    with RecorderDisplay(console) as display:
        display.meter(level, "speak")
    last = drawn(console).split("\r")[1]
    assert (last.count("\u2501"), last.count("\u2500")) == (cells, 24 - cells)
    assert "dB  speak" in last


def test_the_line_that_moves_stays_one_line_in_a_narrow_terminal() -> None:
    console = Console(file=StringIO(), width=20, force_terminal=True, color_system=None)
    with RecorderDisplay(console) as display:
        display.question("a question that has no place in twenty columns")
    assert "a question that" in drawn(console)
    assert "columns" not in drawn(console)


def test_in_a_narrow_terminal_the_meter_gives_way_to_what_it_says() -> None:
    console = Console(file=StringIO(), width=40, force_terminal=True, color_system=None)
    with RecorderDisplay(console) as display:
        display.meter(-30, "speak when you are ready")
    assert " -30 dB  speak when you are ready" in drawn(console)
    assert "\u2501\u2500" in drawn(console)


def test_no_colour_where_none_is_wanted() -> None:
    console = Console(file=StringIO(), width=80, force_terminal=True, no_color=True)
    with RecorderDisplay(console) as display:
        display.print("kept", "green")
        display.meter(-3, "speak")
    assert "\x1b[32m" not in drawn(console)
    assert "\x1b[33m" not in drawn(console)
    assert "\x1b[36m" not in drawn(console)
