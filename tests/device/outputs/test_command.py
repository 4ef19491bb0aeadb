"""Real programs: what they are given, and what they may not do to the daemon."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from device.outputs.command import CommandPublisher
from device.settings.schema import PublishSettings
from tests.device.outputs.published_predictions import LIMIT_S, Told, answer
from tests.waiting import wait_for_content, wait_until_gone

PYTHON = sys.executable
APPEND = "import sys; open(sys.argv[1], 'a').write(sys.stdin.read())"


@pytest.fixture
def start(told: Told) -> Iterator[Callable[..., CommandPublisher]]:
    started = []

    def begin(*command: str, limit_s: float = LIMIT_S, words: bool = False) -> CommandPublisher:
        publisher = CommandPublisher(PublishSettings(command, limit_s, words), told)
        publisher.open()
        started.append(publisher)
        return publisher

    yield begin
    for each in started:
        each.close(0)


@pytest.mark.parametrize("words", [False, True])
def test_it_gets_each_answer_in_order(
    start: Callable[..., CommandPublisher], told: Told, tmp_path: Path, words: bool
) -> None:
    publisher = start(PYTHON, "-c", APPEND, str(tmp_path / "out"), words=words)
    for number in range(3):
        publisher.publish(answer(number))
    publisher.close(LIMIT_S)
    tables = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
    expected = [answer(number) for number in range(3)]
    if not words:
        expected = [{name: value for name, value in table.items() if name != "text"} for table in expected]
    assert tables == expected
    assert told.lines == []


def test_no_shell_reads_its_arguments(start: Callable[..., CommandPublisher], tmp_path: Path) -> None:
    argument = f"$(touch {tmp_path}/a); touch {tmp_path}/b; `id` *"
    publisher = start(
        PYTHON, "-c", "import sys; open(sys.argv[1], 'w').write(sys.argv[2])", str(tmp_path / "out"), argument
    )
    publisher.publish(answer(0))
    publisher.close(LIMIT_S)
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
def test_how_it_fails_is_told_once(
    start: Callable[..., CommandPublisher], told: Told, command: list[str], how: str
) -> None:
    publisher = start(*command)
    for number in range(3):
        publisher.publish(answer(number))
    publisher.close(LIMIT_S)
    [line] = told.lines
    assert line.startswith("publish.command: ")
    assert how in line


def test_a_failing_program_complains_on_our_standard_error_once(
    start: Callable[..., CommandPublisher], capfd: pytest.CaptureFixture[str]
) -> None:
    publisher = start(PYTHON, "-c", "print('not for us'); raise SystemExit('why')")
    for number in range(3):
        publisher.publish(answer(number))
    publisher.close(LIMIT_S)
    assert capfd.readouterr() == ("", "why\n")


def test_one_that_does_not_read_is_no_failure(start: Callable[..., CommandPublisher], told: Told) -> None:
    publisher = start(PYTHON, "-c", "import os; os.close(0)", words=True)
    publisher.publish({**answer(0), "text": "x" * 1_000_000})
    publisher.close(LIMIT_S)
    assert told.lines == []


def test_at_the_time_limit_it_is_killed_with_its_children_and_the_next_one_runs(
    start: Callable[..., CommandPublisher], told: Told, tmp_path: Path
) -> None:
    hang = (
        "import os, subprocess, sys, time\n"
        "path = sys.argv[1]\n"
        "if os.path.exists(path): open(path + '2', 'w').write('x'); sys.exit()\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "open(path, 'w').write(f'{os.getpid()} {child.pid}')\n"
        "time.sleep(600)\n"
    )
    publisher = start(PYTHON, "-c", hang, str(tmp_path / "pids"), limit_s=2)
    publisher.publish(answer(0))
    publisher.publish(answer(1))
    told.wait_for("was not done within 2 s and was killed")
    for process in map(int, wait_for_content(tmp_path / "pids").split()):
        wait_until_gone(process)
    wait_for_content(tmp_path / "pids2")


def test_at_the_end_what_runs_is_killed_with_its_children(
    start: Callable[..., CommandPublisher], told: Told, tmp_path: Path
) -> None:
    sleeper = "import os, signal, sys; open(sys.argv[1], 'w').write(f'{os.getpid()} {os.getpgid(0)}'); signal.pause()"
    publisher = start(PYTHON, "-c", sleeper, str(tmp_path / "pid"))
    publisher.publish(answer(0))
    publisher.publish(answer(1))
    process, group = map(int, wait_for_content(tmp_path / "pid").split())
    assert process == group != os.getpgid(0), "a group of its own, which Ctrl-C does not reach"
    publisher.close(0.05)
    wait_until_gone(process)
    assert told.lines == ["publish.command: 1 answers were left at the end"], "and it is no failure of the program"
