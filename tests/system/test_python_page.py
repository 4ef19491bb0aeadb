"""The example of docs/python.md that listens, with a virtual microphone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import CLIPS
from tests.docs.test_python_page import LISTEN
from tests.system.virtual_microphone import missing_programs, plugged_in

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.skipif(bool(missing_programs()), reason=f"no virtual microphone: {', '.join(missing_programs())} missing")
@pytest.mark.usefixtures("speech_model")
def test_listen_in_your_own_loop() -> None:
    with plugged_in(rate=48_000, channels=1, strict=False) as microphone:
        process = subprocess.Popen(
            [sys.executable, "-c", LISTEN], cwd=REPOSITORY, env={**os.environ, **microphone.environment},
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert process.stdout is not None
            lines = iter(process.stdout.readline, "")
            assert next(line for line in lines if "healthy" in line)
            microphone.play(CLIPS / "espeak-ruined.flac")
            assert next(line for line in lines if not line.startswith("microphone ")).startswith("negative ")
        finally:
            process.kill()
            process.communicate()
