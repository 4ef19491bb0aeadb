"""The drawing thread: what it does to the terminal, how it gives the terminal back, and that nothing waits for it."""

import io
import logging
import os
import pty
import signal
import sys
import termios
import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from device.adaptation.adapted_classifier import Learnt
from device.audio.liveness import Liveness, State
from device.errors import ProfileError
from device.events import FRAME_LENGTH, Frame
from device.outputs.terminal import screen as screen_module
from device.outputs.terminal.screen import Screen
from device.system.streams.stderr import StandardError
from device.system.streams.terminal_mode import KeyboardEcho
from tests.device.audio.square_wave import square_wave
from tests.device.outputs.commands import NotedCommands
from tests.device.outputs.predictions import LABELS, LIT_AT, prediction
from tests.device.outputs.terminal.terminal import Terminal
from tests.waiting import LIMIT_S, wait_until

HEALTHY = Liveness(State.HEALTHY, 0, "", "USB", 16_000)
MUTED = Liveness(State.MUTED, 0, "the microphone is closed", fix="to open it: edge-mcnn mute off")


@pytest.fixture
def terminal() -> Terminal:
    return Terminal(80, 24)


@pytest.fixture
def screen(terminal: Terminal) -> Iterator[Screen]:
    with Screen(terminal.console, gate_dbfs=-60, hold_s=5) as screen:
        yield screen


def test_nothing_is_drawn_before_it_begins(screen: Screen, terminal: Terminal) -> None:
    screen.microphone(HEALTHY)
    screen.prediction(prediction("positive"), LIT_AT)
    screen.close(1)
    screen.begin()
    screen.open(LABELS)
    assert terminal.written == []


def test_it_draws_the_state_and_leaves_only_history_behind(screen: Screen, terminal: Terminal) -> None:
    screen.begin()
    screen.begin()
    wait_until(lambda: any("loading" in line for line in terminal.shown))
    screen.open(LABELS)
    screen.microphone(HEALTHY)
    screen.frame(Frame(square_wave(3277, FRAME_LENGTH), 0, 0))
    wait_until(lambda: any("-20 dB" in line for line in terminal.shown))
    screen.prediction(prediction("positive"), LIT_AT)
    wait_until(lambda: any("\u25cf positive" in line for line in terminal.shown))
    assert terminal.screen.cursor.hidden
    screen.close(1)
    screen.close(1)
    assert terminal.shown == ["03:04:05  positive   70%  \u201ci love it\u201d"]
    assert not terminal.screen.cursor.hidden


def test_nothing_is_laid_out_or_written_when_nothing_changed(screen: Screen, terminal: Terminal) -> None:
    screen.begin()
    screen.open(LABELS)
    screen.microphone(HEALTHY)
    wait_until(lambda: any("listening" in line for line in terminal.shown))
    counted_snapshots = threading.Semaphore(0)
    snapshot = screen._state.snapshot

    def counted() -> object:
        counted_snapshots.release()
        return snapshot()

    screen._state.snapshot = counted  # type: ignore[method-assign, assignment]  # the same, counted
    for _ in range(2):
        assert counted_snapshots.acquire(timeout=LIMIT_S)
    written = len(terminal.written)
    screen._layout.lines = lambda *_, **__: 1 / 0  # type: ignore[method-assign, assignment]  # must not be called
    for _ in range(5):
        assert counted_snapshots.acquire(timeout=LIMIT_S)
    assert len(terminal.written) == written
    assert screen._thread.is_alive()


def test_a_terminal_that_accepts_nothing_delays_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screen_module, "_END_LIMIT_S", 0.1)
    terminal = Terminal(80, 24)
    released, writes = threading.Event(), threading.Event()

    def hold() -> None:
        writes.set()
        assert released.wait(LIMIT_S)

    terminal.on_write = hold
    with Screen(terminal.console, gate_dbfs=-60, hold_s=5) as screen:
        screen.begin()
        assert writes.wait(LIMIT_S)
        screen.open(LABELS)
        screen.microphone(HEALTHY)
        for _ in range(3000):
            screen.frame(Frame(np.zeros(FRAME_LENGTH, np.int16), 0, 0))
            screen.prediction(prediction("positive"), LIT_AT)
        assert terminal.written == []
    released.set()
    wait_until(lambda: not screen._thread.is_alive())


def test_a_terminal_that_has_gone_ends_only_the_drawing(
    screen: Screen, terminal: Terminal, capsys: pytest.CaptureFixture[str]
) -> None:
    def gone() -> None:
        raise OSError("Input/output error")

    terminal.on_write = gone
    screen.begin()
    wait_until(lambda: not screen._thread.is_alive())
    screen.prediction(prediction("positive"), LIT_AT)
    screen.close(1)
    assert capsys.readouterr().err == ""


class Errors(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_standard_error_appears_above_and_is_restored(
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
        screen.close(1)
        assert sys.stderr is errors
        logging.getLogger("device").warning("afterwards")
        assert errors.getvalue() == "afterwards\n"
    finally:
        logging.getLogger().removeHandler(handler)


def test_standard_error_that_is_a_file_is_not_diverted(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    for errors in (io.StringIO(), None):
        monkeypatch.setattr(sys, "stderr", errors)
        diverted = StandardError(lines.append)
        diverted.divert()
        assert sys.stderr is errors
        diverted.restore()
        assert sys.stderr is errors
    assert lines == []


def test_an_error_while_drawing_gives_the_terminal_back_and_is_visible(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised: list[object] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: raised.append((args.exc_type, sys.stderr)))
    errors = Errors()
    monkeypatch.setattr(sys, "stderr", errors)
    with Screen(terminal.console, gate_dbfs=-60, hold_s=5) as screen:
        screen.begin()
        wait_until(lambda: bool(terminal.shown))
        monkeypatch.setattr(screen._region, "draw", lambda *_: 1 / 0)
        screen.open(LABELS)
        wait_until(lambda: not screen._thread.is_alive())
    assert raised == [(ZeroDivisionError, errors)]
    assert not terminal.screen.cursor.hidden


def test_keys_are_not_echoed_while_the_screen_is_drawn() -> None:
    """Runs in a new session with its own terminal."""
    child, ours = pty.fork()
    if child == 0:
        echo = KeyboardEcho(0)

        def is_echoed() -> bool:
            return bool(termios.tcgetattr(0)[3] & termios.ECHO)

        echoed = [is_echoed()]
        echo.off()
        echoed.append(is_echoed())
        echo.restore()
        echoed.append(is_echoed())
        os._exit(0 if echoed == [True, False, True] else 1)
    _, status = os.waitpid(child, 0)
    os.close(ours)
    assert os.waitstatus_to_exitcode(status) == 0


def test_a_standard_input_that_is_not_our_terminal_is_not_changed(tmp_path: object) -> None:
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


class PressedKeys(KeyboardEcho):
    """A keyboard on which the test presses keys."""

    def __init__(self) -> None:
        super().__init__(-1)
        self.keys = ""
        self.read = True

    @property
    def reads_keys(self) -> bool:
        return self.read

    def pressed(self) -> str:
        keys, self.keys = self.keys, ""
        return keys


def test_a_key_corrects_the_latest_prediction(terminal: Terminal) -> None:
    corrected: list[str] = []

    def correct(label: str) -> Learnt:
        corrected.append(label)
        if label == "neutral":
            raise ProfileError("the profile is damaged", fix="learn again")
        return Learnt(5, used=True)

    commands = NotedCommands(correct)
    with Screen(terminal.console, gate_dbfs=-60, hold_s=5, commands=commands) as screen:
        screen._echo = keyboard = PressedKeys()
        screen.open(LABELS)
        screen.microphone(HEALTHY)
        wait_until(lambda: any("listening" in line for line in terminal.shown))
        assert not any("wrong?" in line for line in terminal.shown)
        screen.prediction(prediction("positive"), LIT_AT)
        wait_until(lambda: any("wrong? 1 negative  2 neutral  3 positive" in line for line in terminal.shown))
        keyboard.keys = "q4\x04 1"
        wait_until(lambda: any("learnt: that was negative (5 examples, used)" in line for line in terminal.shown))
        screen.corrected("neutral", lights_stay=True, later=1)
        latest = screen._state._content.prediction
        assert latest is not None
        assert latest.label == "positive", "the correction is of an earlier one"
        screen.corrected("negative")
        wait_until(lambda: any("\u25cf negative" in line for line in terminal.shown))
        keyboard.keys = "2"
        wait_until(lambda: any("fix: learn again" in line for line in terminal.shown))
        assert any("the profile is damaged" in line for line in terminal.shown)
        assert corrected == ["negative", "neutral"]
        keyboard.read = False
        wait_until(lambda: not any("wrong?" in line for line in terminal.shown))


def test_the_key_m_mutes_and_unmutes_even_if_nothing_is_learnt(terminal: Terminal) -> None:
    commands = NotedCommands()
    with Screen(terminal.console, gate_dbfs=-60, hold_s=5, commands=commands, learns=False) as screen:
        screen._echo = keyboard = PressedKeys()
        screen.open(LABELS)
        screen.microphone(HEALTHY)
        screen.prediction(prediction("positive"), LIT_AT)
        wait_until(lambda: any("m: mute" in line for line in terminal.shown))
        assert not any("wrong?" in line for line in terminal.shown)
        keyboard.keys = "1m"
        wait_until(lambda: commands.mutings)
        screen.microphone(MUTED)
        wait_until(lambda: any("muted: the microphone is closed  m: unmute" in line for line in terminal.shown))
        keyboard.keys = "M"
        wait_until(lambda: len(commands.mutings) == 2)
        assert commands.mutings == [None, None]
        keyboard.read = False
        wait_until(lambda: not any("m: unmute" in line for line in terminal.shown))


def in_a_terminal(child: Callable[[int], bool], press: bytes) -> bool:
    """Run a function in a process of its own, in a new session with its own terminal, where keys are pressed.

    Args:
        child: called with a descriptor, from which a byte can be read once the keys are pressed; whether all is well.
        press: the keys.
    """
    pressed, ours_pressed = os.pipe()
    process, ours = pty.fork()
    if process == 0:
        try:
            os._exit(0 if child(pressed) else 1)
        finally:
            os._exit(2)
    try:
        assert os.read(ours, 1) == b"x"
        os.write(ours, press)
        os.write(ours_pressed, b"x")
        _, status = os.waitpid(process, 0)
    finally:
        for descriptor in (ours, pressed, ours_pressed):
            os.close(descriptor)
    return os.waitstatus_to_exitcode(status) == 0


def test_keys_are_read_one_by_one_while_the_echo_is_off() -> None:
    def child(pressed: int) -> bool:
        before = termios.tcgetattr(0)
        keyboard = KeyboardEcho(0, keys=True)
        unread = (keyboard.reads_keys, keyboard.pressed())
        keyboard.off()
        keyboard.off()
        os.write(1, b"x")
        os.read(pressed, 1)
        keys = wait_until(keyboard.pressed)
        reads = keyboard.reads_keys
        keyboard.restore()
        return (unread, keys, reads, keyboard.pressed()) == ((False, ""), "13", True, "") and (
            termios.tcgetattr(0) == before
        )

    assert in_a_terminal(child, b"13")


def test_a_process_that_comes_to_the_background_reads_no_keys_and_is_not_stopped() -> None:
    def child(pressed: int) -> bool:
        keyboard = KeyboardEcho(0, keys=True)
        keyboard.off()
        os.write(1, b"x")
        os.read(pressed, 1)
        other = os.fork()
        if other == 0:
            os.setpgid(0, 0)
            signal.signal(signal.SIGTTOU, signal.SIG_IGN)
            os.tcsetpgrp(0, os.getpgrp())
            signal.pause()
        wait_until(lambda: os.tcgetpgrp(0) == other)
        quiet = (keyboard.reads_keys, keyboard.pressed())
        keyboard._in_foreground = lambda: True  # type: ignore[method-assign]  # it was when that was examined
        late = keyboard.pressed()
        os.kill(other, signal.SIGKILL)
        return (quiet, late) == ((False, ""), "")

    assert in_a_terminal(child, b"1")


def test_the_handler_of_ctrl_z_is_restored(terminal: Terminal) -> None:
    before = signal.getsignal(signal.SIGTSTP)
    with Screen(terminal.console, gate_dbfs=-60, hold_s=5):
        assert signal.getsignal(signal.SIGTSTP) != before
    assert signal.getsignal(signal.SIGTSTP) == before
