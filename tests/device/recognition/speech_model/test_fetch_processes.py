"""Processes that fetch the speech model: two at once, interrupted, killed, and in a terminal."""

import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.device.recognition.speech_model.official import Official
from tests.device.recognition.tiny_model import UNREACHABLE, Cache, zipped
from tests.waiting import wait_until

REPOSITORY = Path(__file__).parents[4]
LIMIT_S = 30


def command(cache: Cache, url: str, *mirror: str) -> list[str]:
    module = "tests.device.recognition.speech_model.fetching_process"
    return [sys.executable, "-m", module, str(cache.destination), url, *mirror]


def started(cache: Cache, url: str, *mirror: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        command(cache, url, *mirror), cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def downloads(cache: Cache) -> bool:
    return any(cache.folder.glob(".tiny.fetch-*/official.zip"))


def test_two_processes_at_once(cache: Cache, official: Official) -> None:
    official.delay_s = 0.2
    both = [started(cache, official.url) for _ in range(2)]
    for process in both:
        _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")
    assert cache.is_complete()
    assert official.hits == 1


@pytest.mark.parametrize("source", ["official", "mirror"])
def test_control_c_during_a_download(source: str, cache: Cache, official: Official, tmp_path: Path) -> None:
    began = tmp_path / "began"
    if source == "official":
        official.stall(after=300)
        process = started(cache, official.url)
    else:
        sleep = f"import pathlib, time; pathlib.Path({str(began)!r}).touch(); time.sleep(60)"
        process = started(cache, UNREACHABLE, sys.executable, "-c", sleep)
    wait_until(lambda: began.exists() if source == "mirror" else downloads(cache))
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=LIMIT_S)
    assert errors.endswith("KeyboardInterrupt\n")
    assert cache.names() == []


def test_after_a_kill_the_next_one_succeeds(cache: Cache, official: Official) -> None:
    official.stall(after=300)
    process = started(cache, official.url)
    wait_until(lambda: downloads(cache))
    process.kill()
    process.communicate(timeout=LIMIT_S)
    assert cache.names() != []
    official.resume()
    official.serve(zipped())
    cache.fetch(model=official.model())
    assert cache.is_complete()


def test_importing_it_is_light() -> None:
    script = "import sys, device.recognition.speech_model.fetch; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert not {"rich", "urllib.request", "http", "subprocess", "zipfile", "platformdirs", "vosk", "numpy"} & set(
        loaded.split()
    )


def test_a_terminal_gets_progress_bars(cache: Cache, official: Official) -> None:
    parent, child = pty.openpty()
    try:
        ran = subprocess.run(
            command(cache, official.url), cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=child, check=True,
            env={**os.environ, "TERM": "xterm"},
        )  # fmt: skip
        shown = os.read(parent, 1 << 16).decode()
    finally:
        os.close(parent)
        os.close(child)
    assert ran.stdout == b""
    assert re.search(r"Downloading tiny .*\d", shown)
    assert "Checking official.zip" in shown
    assert "100%" in shown or "10.8/10.8 kB" in shown
