"""Checks that fail in every way in which a library can fail."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from device.doctor.findings import CheckEvent, Finding, MicrophoneLevel, Verdict
from device.doctor.isolation import Check, run_checks
from device.errors import BundleError
from tests.waiting import wait_for_content, wait_until, wait_until_gone

FINE = Finding("fine", Verdict.OK, "no problem")


def fine() -> Iterator[CheckEvent]:
    yield FINE


def hangs() -> Iterator[CheckEvent]:
    yield FINE
    threading.Event().wait()


def aborts() -> Iterator[CheckEvent]:
    yield FINE
    os.abort()


def exits_at_once() -> Iterator[CheckEvent]:
    os._exit(3)
    yield FINE


def raises_system_exit() -> Iterator[CheckEvent]:
    yield FINE
    sys.exit("no such model")


def is_killed() -> Iterator[CheckEvent]:
    yield FINE
    os.kill(os.getpid(), signal.SIGKILL)


def raises_another_error() -> Iterator[CheckEvent]:
    raise KeyError("first line\nsecond line")
    yield FINE


def raises_our_error() -> Iterator[CheckEvent]:
    raise BundleError("Model.tflite:\n damaged", fix="copy it\n again")
    yield FINE


@pytest.mark.parametrize(
    ("run", "before", "message", "fix"),
    [
        (hangs, [FINE], "the check hangs: no result within 0.3 s", "run the doctor again"),
        (aborts, [FINE], "the check crashed with SIGABRT", "a library that this part uses is broken"),
        (is_killed, [FINE], "the check crashed with SIGKILL", "the kernel does that when memory is short"),
        (exits_at_once, [], "the check crashed with exit status 3", "a library that this part uses is broken"),
        (raises_system_exit, [FINE], "SystemExit: no such model", "unexpected: "),
        (raises_another_error, [], r"KeyError: 'first line\nsecond line'", "unexpected: "),
        (raises_our_error, [], "Model.tflite: damaged", "copy it again"),
    ],
)  # fmt: skip
def test_a_failing_check_does_not_stop_the_others(
    run: "type[Iterator[CheckEvent]]", before: list[Finding], message: str, fix: str
) -> None:
    found = list(run_checks([Check("fine", fine), Check("part", run, limit_s=0.3), Check("fine", fine)]))
    assert found[0] == found[-1] == FINE
    *first, last = found[1:-1]
    assert first == before
    assert isinstance(last, Finding)
    assert last == Finding("part", Verdict.FAIL, message, last.fix)
    assert last.fix.startswith(fix)


def test_only_the_first_line_of_an_error_is_reported() -> None:
    def run() -> Iterator[CheckEvent]:
        raise RuntimeError("one\ntwo")
        yield FINE

    [found] = run_checks([Check("part", run)])
    assert isinstance(found, Finding)
    assert found.message == "RuntimeError: one"


def test_events_arrive_as_soon_as_they_are_known() -> None:
    def run() -> Iterator[CheckEvent]:
        yield MicrophoneLevel(-20.0)
        threading.Event().wait()

    events = run_checks([Check("part", run, limit_s=60)])
    assert next(events) == MicrophoneLevel(-20.0)
    events.close()  # type: ignore[attr-defined]  # a generator; closing it ends the process of the check


def test_the_process_of_a_check_that_hangs_is_killed(tmp_path: Path) -> None:
    def run() -> Iterator[CheckEvent]:
        (tmp_path / "pid").write_text(str(os.getpid()))
        yield FINE
        threading.Event().wait()

    list(run_checks([Check("part", run, limit_s=0.3)]))
    pid = int((tmp_path / "pid").read_text())
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), limit_s=5, message="the process is still there")


def test_ctrl_c_is_handled_by_the_parent_alone() -> None:
    def run() -> Iterator[CheckEvent]:
        os.kill(os.getpid(), signal.SIGINT)
        yield FINE

    assert list(run_checks([Check("part", run)])) == [FINE]


def test_output_of_libraries_is_discarded(capfd: pytest.CaptureFixture[str]) -> None:
    def run() -> Iterator[CheckEvent]:
        for descriptor in (1, 2):
            os.write(descriptor, b"ALSA lib pcm.c: unknown PCM")
        yield FINE

    assert list(run_checks([Check("part", run)])) == [FINE]
    assert capfd.readouterr() == ("", "")


KILLED_WHILE_IT_CHECKS = """
import os, threading
from pathlib import Path
from device.doctor.isolation import Check, run_checks

def hangs():
    Path("pid.new").write_text(str(os.getpid()))
    os.replace("pid.new", "pid")
    threading.Event().wait()
    yield

list(run_checks([Check("part", hangs, limit_s=600)]))
"""


def test_a_doctor_that_is_killed_takes_its_check_along(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    with subprocess.Popen([sys.executable, "-c", KILLED_WHILE_IT_CHECKS], cwd=tmp_path, env=environment) as doctor:
        pid = int(wait_for_content(tmp_path / "pid"))
        doctor.kill()
    wait_until_gone(pid)
