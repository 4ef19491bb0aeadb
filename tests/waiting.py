"""Waiting for an event with a limit: the one loop that all tests share."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

LIMIT_S = 30.0
"""Generous: a loaded machine is no failure, and a test that passes never waits this long."""
_POLL_S = 0.01
Result = TypeVar("Result")


def wait_until(
    condition: Callable[[], Result], *, limit_s: float = LIMIT_S, message: str | Callable[[], str] = ""
) -> Result:
    """Call `condition` repeatedly until its result is true, and return that result.

    Args:
        condition: checks for the event; cheap, because it is called a hundred times a second.
        limit_s: seconds until the test fails.
        message: what did not happen, for the failure; a function if it should show the state at the end.
    """
    end = time.monotonic() + limit_s
    while not (result := condition()):
        if time.monotonic() >= end:
            raise AssertionError((message() if callable(message) else message) or f"nothing happened for {limit_s} s")
        time.sleep(_POLL_S)
    return result


def wait_for_content(path: Path) -> str:
    """Return the text of a file that another process writes, as soon as there is some."""
    return wait_until(lambda: path.exists() and path.read_text(), message=f"{path} was not written") or ""


def wait_until_gone(process: int) -> None:
    """Wait until the process with this number has ended; a zombie counts as ended."""
    wait_until(lambda: not _is_running(process), message=f"process {process} still runs")


def _is_running(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"  # dead, and its new parent has not collected it yet
