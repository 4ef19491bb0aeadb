"""A look that goes wrong, in every way that a library can go wrong."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from device.doctor.findings import Finding, Level, Told, Verdict
from device.doctor.isolation import Check, examine
from device.errors import BundleError

FINE = Finding("fine", Verdict.GOOD, "all right")


def fine() -> Iterator[Told]:
    yield FINE


def hangs() -> Iterator[Told]:
    yield FINE
    threading.Event().wait()


def aborts() -> Iterator[Told]:
    yield FINE
    os.abort()


def leaves() -> Iterator[Told]:
    os._exit(3)
    yield FINE


def exits() -> Iterator[Told]:
    yield FINE
    sys.exit("no such model")


def breaks() -> Iterator[Told]:
    raise KeyError("first line\nsecond line")
    yield FINE


def refuses() -> Iterator[Told]:
    raise BundleError("Model.tflite: damaged;\n copy it again")
    yield FINE


@pytest.mark.parametrize(
    ("look", "before", "told"),
    [
        (hangs, [FINE], "it hangs: no answer within 0.3 s"),
        (aborts, [FINE], "looking at it ended in SIGABRT"),
        (leaves, [], "looking at it ended in exit status 3"),
        (exits, [FINE], "SystemExit: no such model"),
        (breaks, [], r"KeyError: 'first line\nsecond line'"),
        (refuses, [], "Model.tflite: damaged; copy it again"),
    ],
)  # fmt: skip
def test_the_others_are_still_looked_at(look: "type[Iterator[Told]]", before: list[Finding], told: str) -> None:
    found = list(examine([Check("fine", fine), Check("part", look, limit_s=0.3), Check("fine", fine)]))
    assert found[0] == found[-1] == FINE
    *first, last = found[1:-1]
    assert first == before
    assert last == Finding("part", Verdict.BAD, told, getattr(last, "mend", ""))


def test_only_the_first_line_of_an_error_is_told() -> None:
    def look() -> Iterator[Told]:
        raise RuntimeError("one\ntwo")
        yield FINE

    [found] = examine([Check("part", look)])
    assert isinstance(found, Finding)
    assert found.told == "RuntimeError: one"


def test_it_is_told_as_soon_as_it_is_known() -> None:
    def look() -> Iterator[Told]:
        yield Level(-20.0)
        threading.Event().wait()

    told = examine([Check("part", look, limit_s=60)])
    assert next(told) == Level(-20.0)
    told.close()  # type: ignore[attr-defined]  # a generator, and the process that waits goes with it


def test_nothing_of_it_is_left_behind(tmp_path: Path) -> None:
    def look() -> Iterator[Told]:
        (tmp_path / "pid").write_text(str(os.getpid()))
        yield FINE
        threading.Event().wait()

    list(examine([Check("part", look, limit_s=0.3)]))
    pid = int((tmp_path / "pid").read_text())
    end = time.monotonic() + 5
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < end, "the process is still there"


def test_ctrl_c_is_for_the_parent_alone() -> None:
    def look() -> Iterator[Told]:
        os.kill(os.getpid(), signal.SIGINT)
        yield FINE

    assert list(examine([Check("part", look)])) == [FINE]


def test_what_libraries_say_does_not_come_between(capfd: pytest.CaptureFixture[str]) -> None:
    def look() -> Iterator[Told]:
        for descriptor in (1, 2):
            os.write(descriptor, b"ALSA lib pcm.c: unknown PCM")
        yield FINE

    assert list(examine([Check("part", look)])) == [FINE]
    assert capfd.readouterr() == ("", "")
