"""`.ci/apt`, with fake programs instead of Debian's."""

import os
import subprocess
from pathlib import Path

import pytest

APT = Path(__file__).parents[2] / ".ci" / "apt"


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """Fake programs: nothing is installed, everything but python3-lgpio can be, and apt-get logs its arguments."""
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
    """Run `.ci/apt`; return its output and the packages of each call of apt-get."""
    done = subprocess.run(
        ["sh", APT, *packages], capture_output=True, text=True, check=True, timeout=20,
        env={**os.environ, "PATH": f"{programs}:/usr/bin:/bin"},
    )  # fmt: skip
    log = programs.parent / "log"
    calls = log.read_text().splitlines() if log.exists() else []
    return done.stdout + done.stderr, [line.rpartition("recommends ")[2] for line in calls]


def test_all_packages_are_installed_at_once(programs: Path) -> None:
    output, calls = apt(programs, "libportaudio2", "libatomic1")
    assert output == "Installing packages of the system: libportaudio2 libatomic1\n"
    assert calls == ["libportaudio2 libatomic1"]


def test_a_package_that_is_not_available_does_not_stop_the_others(programs: Path) -> None:
    output, calls = apt(programs, "python3-lgpio", "libportaudio2")
    together = "python3-lgpio libportaudio2"
    assert calls == [together, "update -qq", together, "python3-lgpio", "libportaudio2"]
    assert output.splitlines()[1:] == [
        "E: none", "They could not be installed. Please run: sudo apt-get install python3-lgpio",
    ]  # fmt: skip


def test_installed_packages_are_left_alone(programs: Path) -> None:
    (programs / "dpkg-query").write_text("#!/bin/sh\necho install ok installed\n")
    assert apt(programs, "libportaudio2") == ("", [])


def test_a_user_without_permission_gets_the_command(programs: Path) -> None:
    (programs / "id").write_text("#!/bin/sh\necho 1000\n")
    (programs / "sudo").write_text("#!/bin/sh\necho a password is required >&2; exit 1\n")
    (programs / "sudo").chmod(0o755)
    output, calls = apt(programs, "libportaudio2")
    assert output == "Some packages of the system are missing. Please run: sudo apt-get install libportaudio2\n"
    assert calls == []
