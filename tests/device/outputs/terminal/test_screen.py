"""The screen's thread: what it takes from the terminal, what it gives back, and that nobody waits for it."""

import io
import logging
import os
import pty
import signal
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from device.audio.liveness import Liveness, State
from device.events import FRAME_LENGTH, Frame
from device.outputs.terminal import screen as screen_module
from device.outputs.terminal.screen import Screen
from device.system.stderr import StandardError
from device.system.terminal_mode import KeyboardEcho
from tests.device.outputs.predictions import LABELS, prediction
from tests.device.outputs.terminal.terminal import Terminal

LIMIT_S = 10
HEALTHY = Liveness(State.HEALTHY, 0, "")


def wait_until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + LIMIT_S
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture
def terminal() -> Terminal:
    return Terminal(80, 24)


@pytest.fixture
def screen(terminal: Terminal) -> Iterator[Screen]:
    with Screen(terminal.console, gate_dbfs=-60, hold_s=5) as screen:
        yield screen


def test_nothing_is_drawn_before_it_begins(screen: Screen, terminal: Terminal) -> None:
    screen.classes(LABELS)
    screen.microphone(HEALTHY, "USB", 16_000)
    screen.close()
    screen.begin()
    assert terminal.written == []


def test_it_draws_what_it_is_told_and_leaves_history_alone_behind(screen: Screen, terminal: Terminal) -> None:
    screen.begin()
    screen.begin()
    wait_until(lambda: any("loading" in line for line in terminal.shown))
    screen.classes(LABELS)
    screen.microphone(HEALTHY, "USB", 16_000)
    screen.frame(Frame(np.full(FRAME_LENGTH, 3277, np.int16), 0, 0))
    wait_until(lambda: any("-20 dB" in line for line in terminal.shown))
    screen.answer(prediction("positive"))
    wait_until(lambda: any("\u25cf positive" in line for line in terminal.shown))
    assert terminal.screen.cursor.hidden
    screen.close()
    screen.close()
    assert terminal.shown == ["03:04:05  positive   70%  \u201ci love it\u201d"]
    assert not terminal.screen.cursor.hidden


def test_nothing_is_laid_out_or_written_when_nothing_changed(screen: Screen, terminal: Terminal) -> None:
    screen.begin()
    screen.classes(LABELS)
    screen.microphone(HEALTHY, "USB", 16_000)
    wait_until(lambda: any("listening" in line for line in terminal.shown))
    looked = threading.Semaphore(0)
    look = screen._scene.look

    def counted() -> object:
        looked.release()
        return look()

    screen._scene.look = counted  # type: ignore[method-assign, assignment]  # the same, counted
    for _ in range(2):
        assert looked.acquire(timeout=LIMIT_S)
    written = len(terminal.written)
    screen._view.lines = lambda *_, **__: 1 / 0  # type: ignore[method-assign, assignment]  # nobody is to ask
    for _ in range(5):
        assert looked.acquire(timeout=LIMIT_S)
    assert len(terminal.written) == written
    assert screen._thread.is_alive()


def test_a_terminal_that_takes_nothing_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screen_module, "_END_LIMIT_S", 0.1)
    terminal = Terminal(80, 24)
    held, writes = threading.Event(), threading.Event()

    def hold() -> None:
        writes.set()
        assert held.wait(LIMIT_S)

    terminal.on_write = hold
    with Screen(terminal.console, gate_dbfs=-60, hold_s=5) as screen:
        screen.begin()
        assert writes.wait(LIMIT_S)
        screen.classes(LABELS)
        screen.microphone(HEALTHY, "USB", 16_000)
        for _ in range(3000):
            screen.frame(Frame(np.zeros(FRAME_LENGTH, np.int16), 0, 0))
            screen.answer(prediction("positive"))
        assert terminal.written == []
    held.set()
    wait_until(lambda: not screen._thread.is_alive())


def test_a_terminal_that_went_away_ends_the_drawing_alone(
    screen: Screen, terminal: Terminal, capsys: pytest.CaptureFixture[str]
) -> None:
    def gone() -> None:
        raise OSError("Input/output error")

    terminal.on_write = gone
    screen.begin()
    wait_until(lambda: not screen._thread.is_alive())
    screen.answer(prediction("positive"))
    screen.close()
    assert capsys.readouterr().err == ""


class Errors(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_standard_error_is_written_above_and_given_back(
    screen: Screen, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = Errors()
    monkeypatch.setattr(sys, "stderr", errors)
    handler = logging.StreamHandler()
    logging.getLogger().addHandler(handler)
    try:
        screen.begin()
        print("half a ", end="", file=sys.stderr)
        print("line\nand another", file=sys.stderr)
        logging.getLogger("device").warning("from a log")
        wait_until(lambda: any("from a log" in line for line in terminal.shown))
        assert [line[10:] for line in terminal.shown[:3]] == ["half a line", "and another", "from a log"]
        screen.close()
        assert sys.stderr is errors
        logging.getLogger("device").warning("afterwards")
        assert errors.getvalue() == "afterwards\n"
    finally:
        logging.getLogger().removeHandler(handler)


def test_standard_error_that_is_a_file_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    for errors in (io.StringIO(), None):
        monkeypatch.setattr(sys, "stderr", errors)
        diverted = StandardError(said.append)
        diverted.divert()
        assert sys.stderr is errors
        diverted.restore()
        assert sys.stderr is errors
    assert said == []


def test_an_error_of_ours_while_drawing_gives_the_terminal_back_and_is_seen(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised: list[object] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: raised.append((args.exc_type, sys.stderr)))
    errors = Errors()
    monkeypatch.setattr(sys, "stderr", errors)
    with Screen(terminal.console, gate_dbfs=-60, hold_s=5) as screen:
        screen.begin()
        wait_until(lambda: bool(terminal.shown))
        monkeypatch.setattr(screen._pane, "draw", lambda *_: 1 / 0)
        screen.classes(LABELS)
        wait_until(lambda: not screen._thread.is_alive())
    assert raised == [(ZeroDivisionError, errors)]
    assert not terminal.screen.cursor.hidden


def test_keys_are_not_echoed_meanwhile() -> None:
    """In a session of its own, whose terminal it has."""
    child, ours = pty.fork()
    if child == 0:
        echo = KeyboardEcho(0)

        def is_echoed() -> bool:
            return bool(termios.tcgetattr(0)[3] & termios.ECHO)

        told = [is_echoed()]
        echo.off()
        told.append(is_echoed())
        echo.restore()
        told.append(is_echoed())
        os._exit(0 if told == [True, False, True] else 1)
    _, status = os.waitpid(child, 0)
    os.close(ours)
    assert os.waitstatus_to_exitcode(status) == 0


def test_a_standard_input_that_is_no_terminal_of_ours(tmp_path: object) -> None:
    reader, writer = os.pipe()
    ours, theirs = pty.openpty()
    try:
        for descriptor in (reader, theirs):
            before = termios.tcgetattr(theirs)
            echo = KeyboardEcho(descriptor)
            echo.off()
            assert termios.tcgetattr(theirs) == before
            echo.restore()
    finally:
        for descriptor in (reader, writer, ours, theirs):
            os.close(descriptor)


def test_ctrl_z_is_as_before_when_it_is_over(terminal: Terminal) -> None:
    before = signal.getsignal(signal.SIGTSTP)
    with Screen(terminal.console, gate_dbfs=-60, hold_s=5):
        assert signal.getsignal(signal.SIGTSTP) != before
    assert signal.getsignal(signal.SIGTSTP) == before
