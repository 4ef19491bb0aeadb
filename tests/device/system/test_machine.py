"""The description of this machine."""

import os
from pathlib import Path

from device.system.machine import machine_name


def test_the_name_of_the_machine(tmp_path: Path) -> None:
    board, cpu, missing = tmp_path / "model", tmp_path / "cpuinfo", tmp_path / "none"
    board.write_bytes(b"Raspberry Pi 5 Model B Rev 1.0\0")
    cpu.write_text("processor\t: 0\nmodel name\t: First: the one\n\nprocessor\t: 1\nmodel name\t: Second\n")
    assert machine_name(board, cpu) == "Raspberry Pi 5 Model B Rev 1.0"
    assert machine_name(missing, cpu) == "First: the one"
    assert machine_name(missing, missing) == os.uname().machine
