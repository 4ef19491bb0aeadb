"""The description of this machine."""

import os
from importlib.metadata import version
from pathlib import Path

from device.recognition.runtimes import RUNTIMES
from device.system.machine import machine_name, this_machine


def test_the_name_of_the_machine(tmp_path: Path) -> None:
    board, cpu, missing = tmp_path / "model", tmp_path / "cpuinfo", tmp_path / "none"
    board.write_bytes(b"Raspberry Pi 5 Model B Rev 1.0\0")
    cpu.write_text("processor\t: 0\nmodel name\t: First: the one\n\nprocessor\t: 1\nmodel name\t: Second\n")
    assert machine_name(board, cpu) == "Raspberry Pi 5 Model B Rev 1.0"
    assert machine_name(missing, cpu) == "First: the one"
    assert machine_name(missing, missing) == os.uname().machine


def test_versions_of_the_packages_that_are_installed() -> None:
    versions = this_machine((*RUNTIMES, "numpy", "no-such-package")).versions
    assert versions["numpy"] == version("numpy")
    assert set(versions) <= {"python", "numpy", *RUNTIMES}
    assert set(versions) & set(RUNTIMES)
