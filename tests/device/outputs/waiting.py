"""For what another process does: a file with something in it, and its end."""

import time
from pathlib import Path

from tests.device.outputs.published_predictions import LIMIT_S


def wait_for(path: Path) -> str:
    """What is in it, as soon as something is."""
    end = time.monotonic() + LIMIT_S
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < end, f"{path} was not written"
        time.sleep(0.01)
    return path.read_text()


def wait_until_gone(process: int) -> None:
    end = time.monotonic() + LIMIT_S
    while _is_running(process):
        assert time.monotonic() < end, "it still runs"
        time.sleep(0.01)


def _is_running(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"  # a dead one whose new parent has not looked yet
