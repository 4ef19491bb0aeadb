"""The import of lgpio: where its FIFO is created, what it does to the working directory, and why it fails.

The module that is imported behaves as the real lgpio does: it changes to the folder that LG_WD names, and creates its
FIFO in the working directory.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from device.errors import LightsError
from device.outputs.gpio import pin_factory
from device.outputs.gpio.pin_factory import folder_for_fifo, lights_error

REPOSITORY = Path(__file__).parents[4]
LGPIO = """
import os
if os.environ.get("LG_WD"):
    os.chdir(os.environ["LG_WD"])
os.mkfifo(".lgd-nfy0", 0o600)
print("FIFO in", os.getcwd())
SET_PULL_NONE = SET_PULL_UP = SET_PULL_DOWN = BOTH_EDGES = RISING_EDGE = FALLING_EDGE = 0
class error(Exception): pass
def gpiochip_open(number): raise error({reason!r})
"""
OPEN = """
import os, sys
from device.errors import LightsError
from device.outputs.gpio import leds
from device.settings.schema import LightsSettings
from gpiozero.pins.local import LocalPiFactory
LocalPiFactory._get_revision = lambda self: 0xa03115  # Pi 4
try:
    leds.GpioLeds(LightsSettings()).open(("positive", "neutral", "negative"))
except LightsError as error:
    print("message:", error.message)
    print("fix:", error.fix)
print("now in", os.getcwd(), os.environ.get("LG_WD"))
"""


def open_leds(cwd: Path, modules: Path, reason: str = "can not open gpiochip", **environment: str) -> list[str]:
    """Open the LEDs in a process whose working directory is `cwd`; return what it prints."""
    modules.mkdir(exist_ok=True)
    (modules / "lgpio.py").write_text(LGPIO.format(reason=reason))
    # Modes of files apply to root, too, without this capability.
    no_override = ["setpriv", "--bounding-set=-dac_override"] if os.geteuid() == 0 else []
    packages = [path for path in sys.path if path.endswith("-packages")]
    done = subprocess.run(
        [*no_override, sys.executable, "-c", OPEN], cwd=cwd, capture_output=True, text=True, timeout=60, check=False,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": ":".join([str(modules), str(REPOSITORY), *packages]),
             "PYTHONDONTWRITEBYTECODE": "1", **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_fifo_is_private_and_the_working_directory_stays(tmp_path: Path) -> None:
    """In a read-only folder, the LEDs get as far as in any other; no trace is left."""
    closed, private = tmp_path / "closed", tmp_path / "private"
    closed.mkdir()
    private.mkdir()
    closed.chmod(0o555)
    fifo, message, _, now = open_leds(closed, tmp_path / "modules", TMPDIR=str(private))
    assert fifo.startswith(f"FIFO in {private}/edge-mcnn-lgpio-")
    assert message == "message: the LEDs cannot be driven (can not open gpiochip)"
    assert now == f"now in {closed} None"
    assert list(private.iterdir()) == []
    assert list(closed.iterdir()) == []


def test_a_folder_of_the_user_is_respected(tmp_path: Path) -> None:
    own, here = tmp_path / "own", tmp_path / "here"
    own.mkdir()
    here.mkdir()
    fifo, *_, now = open_leds(here, tmp_path / "modules", LG_WD=str(own))
    assert fifo == f"FIFO in {own}"
    assert now == f"now in {here} {own}"
    assert [path.name for path in own.iterdir()] == [".lgd-nfy0"]


def test_a_folder_that_cannot_be_written_to_is_refused_with_its_name(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    message, fix, now = open_leds(tmp_path, tmp_path / "modules", LG_WD=str(closed))
    assert message == f"message: LG_WD names {closed}, in which lgpio cannot create its FIFO"
    assert fix == "fix: unset LG_WD, or set it to a folder that can be written to"
    assert now == f"now in {tmp_path} {closed}"


def test_a_working_directory_that_was_removed_is_no_problem(tmp_path: Path) -> None:
    code = f"import os, shutil; os.mkdir('gone'); os.chdir('gone'); os.rmdir(os.getcwd())\n{OPEN}"
    code = code.replace("os.getcwd(), os.environ", "os.path.exists('.'), os.environ")
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "lgpio.py").write_text(LGPIO.format(reason="can not open gpiochip"))
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "PYTHONPATH": f"{modules}:{REPOSITORY}", "GPIOZERO_PIN_FACTORY": "lgpio"},
    )  # fmt: skip
    assert "message: the LEDs cannot be driven (can not open gpiochip)" in done.stdout, done.stderr


def test_where_the_fifo_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "gettempdir", lambda: "/temporary")
    runtime = str(tmp_path)
    assert folder_for_fifo({}) == Path("/temporary")
    assert folder_for_fifo({"XDG_RUNTIME_DIR": runtime}) == tmp_path
    assert folder_for_fifo({"RUNTIME_DIRECTORY": f"{runtime}:/other", "XDG_RUNTIME_DIR": "/x"}) == tmp_path
    assert folder_for_fifo({"XDG_RUNTIME_DIR": "/missing", "LG_WD": ""}) == Path("/temporary")
    assert folder_for_fifo({"LG_WD": runtime, "XDG_RUNTIME_DIR": "/x"}) == tmp_path


@pytest.mark.parametrize(
    ("reason", "shown", "may_open", "fix"),
    [
        ("'GPIO busy'", "GPIO busy", True, "sudo systemctl stop edge-mcnn"),
        ("'can not open gpiochip'", "can not open gpiochip", False, "open the chip"),
        ("No module named 'lgpio'", "No module named 'lgpio'", True, "install python3-lgpio"),
    ],
)
def test_the_fix_fits_the_reason(
    reason: str, shown: str, may_open: bool, fix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pin_factory, "opened_chip", lambda: tmp_path)
    monkeypatch.setattr(pin_factory, "may_open", lambda path: may_open)
    monkeypatch.setattr(pin_factory, "how_to_open", lambda path: "open the chip")
    error = lights_error(RuntimeError(reason))
    assert isinstance(error, LightsError)
    assert error.message == f"the LEDs cannot be driven ({shown})"
    assert fix in error.fix


def test_the_reason_of_lgpio_is_reported_when_no_library_works(tmp_path: Path) -> None:
    """gpiozero tries other libraries after it, whose errors mean nothing to users, and reports none of them."""
    _, message, *_ = open_leds(tmp_path, tmp_path / "modules")
    assert message == "message: the LEDs cannot be driven (can not open gpiochip)"
