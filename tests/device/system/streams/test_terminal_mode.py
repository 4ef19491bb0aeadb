import os
import pty
import termios
from collections.abc import Iterator

import pytest

from device.system.streams.terminal_mode import ENDED, Keyboard


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Both ends of a terminal: the one where keys are pressed, and the one that the program has open."""
    ours, theirs = pty.openpty()
    yield ours, theirs
    for descriptor in (ours, theirs):
        try:
            os.close(descriptor)
        except OSError:
            continue  # the test has closed it


def test_keys_are_read_one_by_one_and_the_mode_is_restored(terminal: tuple[int, int]) -> None:
    ours, theirs = terminal
    before = termios.tcgetattr(theirs)
    with Keyboard(theirs) as keyboard:
        assert keyboard.pressed() == ""
        os.write(ours, b"n")
        assert keyboard.pressed() == "n"
        os.write(ours, b"r\n")
        assert keyboard.pressed() == "r\n"
        os.write(ours, b"\x1bOR")
        assert keyboard.pressed() == "", "F3 is not r"
        os.write(ours, b"\xff")
        assert keyboard.pressed() == "\ufffd"
        local_modes = termios.tcgetattr(theirs)[3]
        assert not local_modes & termios.ECHO
        assert local_modes & termios.ISIG, "Ctrl-C sends a signal"
    assert termios.tcgetattr(theirs) == before


def test_a_closed_terminal(terminal: tuple[int, int]) -> None:
    ours, theirs = terminal
    keyboard = Keyboard(theirs)
    with keyboard:
        os.close(ours)
        assert keyboard.pressed() == ENDED
