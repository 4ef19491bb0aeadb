"""Where the history lies: that of a user, and that of the service."""

import os
from collections.abc import Mapping
from pathlib import Path

from device.errors import HistoryError

HISTORY_NAME = "history.sqlite3"
"""Name of the file in every default place."""
SERVICE_HISTORY = Path("/var/lib/edge-mcnn-web") / HISTORY_NAME
"""History of the service, in the folder that systemd makes for it alone."""
_OF_A_USER = Path(".local/state/edge-mcnn") / HISTORY_NAME


def history_path(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the path of the history that `edge-mcnn web` writes with this environment.

    Raises:
        HistoryError: the user has no home folder.
    """
    if folder := environment.get("STATE_DIRECTORY"):  # set by systemd
        return Path(folder.partition(":")[0]) / HISTORY_NAME
    state = Path(environment.get("XDG_STATE_HOME", ""))
    if state.is_absolute():  # by the specification, a relative path has no effect
        return state / "edge-mcnn" / HISTORY_NAME
    try:
        return Path.home() / _OF_A_USER
    except RuntimeError:
        raise HistoryError(
            "the history has no place, because this user has no home folder", fix="set the environment variable HOME"
        ) from None
