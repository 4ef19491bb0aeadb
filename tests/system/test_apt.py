"""`.ci/apt`, with programs in the place of Debian's that do as a test says."""

import os
import subprocess
from pathlib import Path

import pytest

APT = Path(__file__).parents[2] / ".ci" / "apt"


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """Nothing is installed, and all but python3-lgpio can be; what apt-get was asked goes into a log."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name, text in {
        "dpkg-query": "exit 1",
        "id": "echo 0",
        "apt-get": f'echo "$@" >> {tmp_path}/log; case "$*" in *python3-lgpio*) echo "E: none" >&2; exit 100;; esac',
    }.items():
        program = folder / name
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)
    return folder


def apt(programs: Path, *packages: str) -> tuple[str, list[str]]:
    """What is printed, and the last of what each call of apt-get was given."""
    done = subprocess.run(
        ["sh", APT, *packages], capture_output=True, text=True, check=True, timeout=20,
        env={**os.environ, "PATH": f"{programs}:/usr/bin:/bin"},
    )  # fmt: skip
    log = programs.parent / "log"
    asked = log.read_text().splitlines() if log.exists() else []
    return done.stdout + done.stderr, [line.rpartition("recommends ")[2] for line in asked]


def test_all_at_once(programs: Path) -> None:
    told, asked = apt(programs, "libportaudio2", "libatomic1")
    assert told == "Installing packages of the system: libportaudio2 libatomic1\n"
    assert asked == ["libportaudio2 libatomic1"]


def test_one_that_cannot_be_had_keeps_out_none_of_the_others(programs: Path) -> None:
    told, asked = apt(programs, "python3-lgpio", "libportaudio2")
    together = "python3-lgpio libportaudio2"
    assert asked == [together, "update -qq", together, "python3-lgpio", "libportaudio2"]
    assert told.splitlines()[1:] == [
        "E: none", "They could not be installed. Please run: sudo apt-get install python3-lgpio",
    ]  # fmt: skip


def test_what_is_there_is_left_alone(programs: Path) -> None:
    (programs / "dpkg-query").write_text("#!/bin/sh\necho install ok installed\n")
    assert apt(programs, "libportaudio2") == ("", [])


def test_whoever_may_not_install_is_told_the_line(programs: Path) -> None:
    (programs / "id").write_text("#!/bin/sh\necho 1000\n")
    (programs / "sudo").write_text("#!/bin/sh\necho a password is required >&2; exit 1\n")
    (programs / "sudo").chmod(0o755)
    told, asked = apt(programs, "libportaudio2")
    assert told == "Some packages of the system are missing. Please run: sudo apt-get install libportaudio2\n"
    assert asked == []
