"""`edge-mcnn listen` in a terminal, as its user sees it: a real process, a pseudo-terminal, a virtual microphone."""

import contextlib
import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyte
import pytest

from tests.conftest import CLIPS
from tests.system.virtual_microphone import NAME, VirtualMicrophone, missing_programs
from tests.waiting import wait_until

REPOSITORY = Path(__file__).parents[2]
CLEAR = CLIPS / "espeak-ruined.flac"
LIMIT_S = 60
LISTENING = "    listening "

pytestmark = pytest.mark.skipif(
    bool(missing_programs()), reason=f"no virtual microphone: {', '.join(missing_programs())} missing; see `make test`"
)


class Terminal:
    """A pseudo-terminal with a process in its own session; `shown` is what a user sees."""

    def __init__(self, *command: str, environment: dict[str, str]) -> None:
        columns, lines = 80, 24
        self.screen = pyte.HistoryScreen(columns, lines, history=1000)
        self._stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self._lock = threading.Lock()
        self.reads = threading.Event()
        self.reads.set()
        self._ours, child = pty.openpty()
        self._size(columns, lines)
        self.process = subprocess.Popen(
            ["setsid", "--ctty", sys.executable, *command], cwd=REPOSITORY, stdin=child, stdout=child, stderr=child,
            env={**_without_size(), "TERM": "xterm-256color", "COLORTERM": "truecolor", **environment},
        )  # fmt: skip
        self._child = child
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # a pseudo-terminal reports in this way that its process has closed it
            while self.reads.wait() and (data := os.read(self._ours, 65536)):
                with self._lock:
                    self.raw += data
                    self._stream.feed(data)

    def _size(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    @property
    def shown(self) -> list[str]:
        with self._lock:
            return [line.rstrip() for line in self.screen.display]

    @property
    def echoes(self) -> bool:
        return bool(termios.tcgetattr(self._child)[3] & termios.ECHO)

    def wait_for(self, condition: Callable[[list[str]], bool]) -> list[str]:
        def matching() -> list[str] | None:
            shown = self.shown
            return shown if condition(shown) else None

        return wait_until(matching, limit_s=LIMIT_S, message=lambda: "\n".join(self.shown)) or []

    def wait_for_text(self, part: str) -> list[str]:
        return self.wait_for(lambda shown: any(part in line for line in shown))

    def resize(self, columns: int, lines: int, drawn: Callable[[list[str]], bool]) -> None:
        """Announce another size, and take it when the program has drawn for it: what it drew before still fits."""
        self._size(columns, lines)
        self.wait_for(drawn)
        with self._lock:
            self.screen.resize(lines, columns)

    def press(self, key: bytes) -> None:
        os.write(self._ours, key)

    def end(self) -> int:
        """Wait until the process has ended, and return its exit status."""
        status = self.process.wait(LIMIT_S)
        os.close(self._child)
        self._child = -1
        self._reader.join(LIMIT_S)
        return status

    def close(self) -> None:
        self.reads.set()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self._child >= 0:
            os.close(self._child)
        self._reader.join(LIMIT_S)
        os.close(self._ours)


def _without_size() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}


@pytest.fixture
def microphone() -> Iterator[VirtualMicrophone]:
    with (
        tempfile.TemporaryDirectory(prefix="mic") as folder,  # the paths of pytest are too long for a socket
        VirtualMicrophone(Path(folder), rate=16_000, channels=1, strict=True, hum=True) as microphone,
    ):
        yield microphone


class Starter:
    def __init__(self, microphone: VirtualMicrophone) -> None:
        self._microphone = microphone
        self.started: list[Terminal] = []

    def __call__(self, *arguments: str, module: str = "edge_mcnn", **environment: str) -> Terminal:
        terminal = Terminal(
            "-m",
            module,
            "listen",
            "--microphone",
            NAME,
            *arguments,
            environment={**self._microphone.environment, **environment},
        )
        self.started.append(terminal)
        return terminal


@pytest.fixture
def start(microphone: VirtualMicrophone, speech_model: Path) -> Iterator[Starter]:
    starter = Starter(microphone)
    yield starter
    for terminal in starter.started:
        terminal.close()


def text_of(shown: list[str]) -> str:
    return "\n".join(shown)


def test_a_complete_session(microphone: VirtualMicrophone, start: Starter) -> None:
    terminal = start("--lights", "gpio", module="tests.system.with_mock_pins")
    shown = terminal.wait_for_text(LISTENING)
    assert any(line.startswith(f"  {NAME}, 16000 Hz") for line in shown)
    assert terminal.screen.cursor.hidden
    assert not terminal.echoes
    height = len([line for line in shown if line])

    speaker = threading.Thread(target=microphone.play, args=(CLEAR,))
    speaker.start()
    terminal.wait_for_text("\u25b8 speaking")
    partial = terminal.wait_for_text("\u201cno i")
    assert "\u201d" not in text_of(partial), "the sentence has not ended"
    shown = terminal.wait_for(lambda now: "\u25cf negative" in text_of(now) and "\u201d" in text_of(now))
    speaker.join()
    text = text_of(shown)
    assert "\u201cno i" in text
    assert "you ruin" in text
    assert sum("\u2580" * 24 in line for line in shown) == 12
    assert "what the network sees" in text
    assert len([line for line in shown if line]) >= height

    terminal.press(b"nonsense\n")
    microphone.unplug()
    terminal.wait_for(lambda now: any(line.startswith("  microphone lost") for line in now))
    terminal.wait_for(lambda now: any("negative  " in line and "\u201cno i" in line for line in now))
    microphone.plug()
    terminal.wait_for(lambda now: any(line.startswith(f"  {NAME}, ") for line in now))

    terminal.resize(50, 24, lambda now: not any("\u2580" in line for line in now))
    terminal.wait_for_text(LISTENING)
    assert "nonsense" not in text_of(terminal.shown)

    terminal.press(b"\x03")
    assert terminal.end() == 0
    assert "true" in terminal.raw.decode().rpartition("{")[2], "an LED was also on"
    assert not terminal.screen.cursor.hidden
    assert LISTENING not in text_of(terminal.shown), "the live region is erased, the history stays"
    assert sum("\u201cno i" in line for line in terminal.shown) == 1


def test_ctrl_z_restores_the_terminal_until_it_continues(start: Starter) -> None:
    terminal = start("--lights", "terminal")
    terminal.wait_for_text(LISTENING)
    pid = terminal.process.pid
    terminal.press(b"\x1a")
    terminal.wait_for(lambda shown: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")
    terminal.wait_for(lambda shown: not terminal.screen.cursor.hidden)
    assert LISTENING not in text_of(terminal.shown)
    assert terminal.echoes
    os.kill(pid, signal.SIGCONT)
    terminal.wait_for_text(LISTENING)
    assert terminal.screen.cursor.hidden
    os.kill(pid, signal.SIGTERM)
    assert terminal.end() == 0
    assert not terminal.screen.cursor.hidden


def test_without_a_microphone_the_terminal_is_restored(microphone: VirtualMicrophone, start: Starter) -> None:
    microphone.unplug()
    terminal = start("--lights", "terminal")
    assert terminal.end() == 1
    message, fix = (line for line in terminal.shown if line)
    assert message.startswith("edge-mcnn: no microphone")
    assert fix.startswith("  fix: ")
    assert not terminal.screen.cursor.hidden


def test_a_sound_system_that_hangs_does_not_leave_the_terminal_changed(
    microphone: VirtualMicrophone, start: Starter, tmp_path: Path
) -> None:
    settings = tmp_path / "config.toml"
    settings.write_text("[liveness]\nno_sound_limit_s = 1\nstuck_limit_s = 1\n")
    terminal = start("--lights", "terminal", "--config", str(settings))
    terminal.wait_for_text(LISTENING)
    microphone.hang()
    assert terminal.process.wait(LIMIT_S) == 1
    assert terminal.echoes
    terminal.end()
    assert "edge-mcnn: closing the microphone hangs" in text_of(terminal.shown)
    assert not terminal.screen.cursor.hidden


def test_a_terminal_that_accepts_no_output_does_not_delay_the_end(start: Starter) -> None:
    terminal = start("--lights", "terminal")
    terminal.wait_for_text(LISTENING)
    terminal.press(b"\x13")  # Ctrl-S
    # The meter continues until the buffer of the terminal is full.
    started = time.monotonic()
    os.kill(terminal.process.pid, signal.SIGTERM)
    assert terminal.process.wait(LIMIT_S) == 0
    assert time.monotonic() - started < 3


@pytest.mark.parametrize(
    ("environment", "drawn"),
    [({"NO_COLOR": "1"}, True), ({"TERM": "dumb"}, False), ({"TERM": "vt100", "COLORTERM": ""}, True)],
)
def test_terminals_without_colours(
    microphone: VirtualMicrophone, start: Starter, environment: dict[str, str], drawn: bool
) -> None:
    terminal = start("--lights", "terminal", **environment)
    terminal.wait_for_text(LISTENING if drawn else "listening to")
    microphone.play(CLEAR)
    terminal.wait_for_text("\u25cf negative" if drawn else "negative  ")
    os.kill(terminal.process.pid, signal.SIGTERM)
    assert terminal.end() == 0
    raw = terminal.raw
    assert b"38;2" not in raw
    assert b"38;5" not in raw
    assert (b"\x1b[31m" in raw or b"\x1b[1;31m" in raw) == ("vt100" in environment.values())
    if not drawn:
        assert b"\x1b" not in raw
        assert "no i" not in raw.decode(), "plain lines contain no words unless an option asks for them"


def test_a_pipe_gets_a_plain_line_per_prediction_even_with_force_color(
    microphone: VirtualMicrophone, speech_model: Path
) -> None:
    assert speech_model.exists()
    process = subprocess.Popen(
        [sys.executable, "-m", "edge_mcnn", "listen", "--lights", "terminal"], cwd=REPOSITORY, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env={**os.environ, **microphone.environment, "FORCE_COLOR": "1"}, text=True,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        assert "speak, or end with Ctrl-C" in process.stderr.readline()
        microphone.play(CLEAR)
        assert process.stdout is not None
        line = process.stdout.readline()
        process.terminate()
        output, errors = process.communicate(timeout=LIMIT_S)
    finally:
        process.kill()
        process.communicate()
    assert line.split()[1:] == ["negative", line.split()[2]]
    assert (output, errors) == ("", "")
