"""The examples of docs/python.md run as they are printed there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import CLIPS

ROOT = Path(__file__).parents[2]
CLASSIFY, LISTEN, READ = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/python.md").read_text("utf-8"), re.M | re.S)


def run(code: str, folder: Path) -> list[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=folder, env=environment, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.usefixtures("speech_model")
def test_classify_a_file(tmp_path: Path) -> None:
    shutil.copy(CLIPS / "espeak-ruined.flac", tmp_path / "clip.flac")
    [line] = run(CLASSIFY, tmp_path)
    assert re.fullmatch(r"negative \d+% .*hate.*", line)


def test_read_a_bundle(tmp_path: Path) -> None:
    labels, front_end, ids, runtime = run(READ, tmp_path)
    assert labels.startswith("('negative', 'neutral', 'positive') ")
    assert front_end == "16000 Hz, 128 mel bands"
    assert len(ids.strip("[]").split()) == 4
    assert runtime in ("ai-edge-litert", "tflite-runtime")


@pytest.mark.parametrize("path", re.findall(r"\| `([a-z_.]+)\(", (ROOT / "docs/python.md").read_text("utf-8")))
def test_functions_of_the_table_exist(path: str) -> None:
    module, _, name = path.rpartition(".")
    source = (ROOT / f"{module.replace('.', '/')}.py").read_text("utf-8")
    assert re.search(rf"^def {name}\(", source, re.M), path
