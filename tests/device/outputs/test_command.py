"""Real programs: what they receive, and what they must not do to the daemon."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from device.outputs.command import CommandOutput
from device.settings.schema import PublishSettings
from tests.device.outputs.predictions import LABELS, LIT_AT, Announcements, numbered_prediction, numbered_table
from tests.waiting import LIMIT_S, wait_for_content, wait_until_gone

PYTHON = sys.executable
APPEND = "import sys; open(sys.argv[1], 'a').write(sys.stdin.read())"


@pytest.fixture
def start(announced: Announcements) -> Iterator[Callable[..., CommandOutput]]:
    started = []

    def begin(*command: str, limit_s: float = LIMIT_S, words: bool = False) -> CommandOutput:
        output = CommandOutput(PublishSettings(command, limit_s, words), announced)
        output.open(LABELS)
        started.append(output)
        return output

    yield begin
    for each in started:
        each.close(0)


@pytest.mark.parametrize("words", [False, True])
def test_it_gets_each_prediction_in_order(
    start: Callable[..., CommandOutput], announced: Announcements, tmp_path: Path, words: bool
) -> None:
    output = start(PYTHON, "-c", APPEND, str(tmp_path / "out"), words=words)
    for number in range(3):
        output.prediction(numbered_prediction(number), LIT_AT)
    output.close(LIMIT_S)
    tables = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
    assert tables == [numbered_table(number, words=words) for number in range(3)]
    assert announced.lines == []


def test_no_shell_interprets_its_arguments(start: Callable[..., CommandOutput], tmp_path: Path) -> None:
    argument = f"$(touch {tmp_path}/a); touch {tmp_path}/b; `id` *"
    output = start(
        PYTHON, "-c", "import sys; open(sys.argv[1], 'w').write(sys.argv[2])", str(tmp_path / "out"), argument
    )
    output.prediction(numbered_prediction(0), LIT_AT)
    output.close(LIMIT_S)
    assert (tmp_path / "out").read_text() == argument
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    ("command", "how"),
    [
        (["/no/such/program"], "'/no/such/program' cannot be run (No such file or directory)"),
        ([__file__], "cannot be run (Permission denied)"),
        ([""], "cannot be run"),
        (["a\0b"], "cannot be run (embedded null byte)"),
        ([PYTHON, "-c", "raise SystemExit(3)"], "ended with status 3"),
        ([PYTHON, "-c", "import os; os.kill(os.getpid(), 9)"], "was killed by signal 9"),
    ],
)
def test_each_kind_of_failure_is_reported_once(
    start: Callable[..., CommandOutput], announced: Announcements, command: list[str], how: str
) -> None:
    output = start(*command)
    for number in range(3):
        output.prediction(numbered_prediction(number), LIT_AT)
    output.close(LIMIT_S)
    [line] = announced.lines
    assert line.startswith("publish.command: ")
    assert how in line


def test_the_standard_error_of_a_failing_program_is_passed_on_once(
    start: Callable[..., CommandOutput], capfd: pytest.CaptureFixture[str]
) -> None:
    output = start(PYTHON, "-c", "print('not for us'); raise SystemExit('why')")
    for number in range(3):
        output.prediction(numbered_prediction(number), LIT_AT)
    output.close(LIMIT_S)
    assert capfd.readouterr() == ("", "why\n")


def test_a_program_that_does_not_read_its_input_is_no_failure(
    start: Callable[..., CommandOutput], announced: Announcements
) -> None:
    output = start(PYTHON, "-c", "import os; os.close(0)", words=True)
    output.prediction(numbered_prediction(0, "x" * 1_000_000), LIT_AT)
    output.close(LIMIT_S)
    assert announced.lines == []


def test_at_the_time_limit_it_is_killed_with_its_children_and_the_next_one_runs(
    start: Callable[..., CommandOutput], announced: Announcements, tmp_path: Path
) -> None:
    hang = (
        "import os, subprocess, sys, time\n"
        "path = sys.argv[1]\n"
        "if os.path.exists(path): open(path + '2', 'w').write('x'); sys.exit()\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "open(path, 'w').write(f'{os.getpid()} {child.pid}')\n"
        "time.sleep(600)\n"
    )
    output = start(PYTHON, "-c", hang, str(tmp_path / "pids"), limit_s=2)
    output.prediction(numbered_prediction(0), LIT_AT)
    output.prediction(numbered_prediction(1), LIT_AT)
    announced.wait_for("did not finish within 2 s and was killed")
    for process in map(int, wait_for_content(tmp_path / "pids").split()):
        wait_until_gone(process)
    wait_for_content(tmp_path / "pids2")


def test_closing_kills_what_still_runs_with_its_children(
    start: Callable[..., CommandOutput], announced: Announcements, tmp_path: Path
) -> None:
    sleeper = "import os, signal, sys; open(sys.argv[1], 'w').write(f'{os.getpid()} {os.getpgid(0)}'); signal.pause()"
    output = start(PYTHON, "-c", sleeper, str(tmp_path / "pid"))
    output.prediction(numbered_prediction(0), LIT_AT)
    output.prediction(numbered_prediction(1), LIT_AT)
    process, group = map(int, wait_for_content(tmp_path / "pid").split())
    assert process == group != os.getpgid(0), "its own group, which Ctrl-C does not reach"
    output.close(0.05)
    wait_until_gone(process)
    assert announced.lines == ["publish.command: predictions not delivered before the end: 1"], (
        "and it is no failure of the program"
    )
