"""Where voice profiles lie: that of a user, and that of the service.

It imports no numpy, because `service install` uses it, and numpy may be broken on the machine that it checks.
"""

import os
from pathlib import Path

from device.errors import ProfileError
from device.system.paths import expanded

NO_PROFILE = "none"
"""Value of `profile` under `[classifier]` for no profile."""
PROFILE_NAME = "profile.json"
"""Name of the file in every default place."""
SERVICE_PROFILE = Path("/var/lib/edge-mcnn-profile") / PROFILE_NAME
"""Profile of the service, in the folder that systemd makes for it alone."""
_OF_A_USER = Path(".local/share/edge-mcnn") / PROFILE_NAME


def default_profile_path() -> Path:
    """Return the path of the profile that the daemon of this user uses: of the service, or in the home folder.

    Raises:
        ProfileError: the user has no home folder.
    """
    if folder := os.environ.get("STATE_DIRECTORY"):  # set by systemd
        return Path(folder.partition(":")[0]) / PROFILE_NAME
    data = Path(os.environ.get("XDG_DATA_HOME", ""))
    if data.is_absolute():  # by the specification, a relative path has no effect
        return data / "edge-mcnn" / PROFILE_NAME
    try:
        return profile_in_home(Path.home())
    except RuntimeError:
        raise ProfileError(
            "the voice profile has no place, because this user has no home folder",
            fix="set the environment variable HOME",
        ) from None


def profile_in_home(home: Path) -> Path:
    """Return the path of the profile of a user, whose home folder this is."""
    return home / _OF_A_USER


def profile_path(setting: str) -> Path | None:
    """Return the path of the profile that the settings choose; None if they choose none.

    Args:
        setting: `profile` under `[classifier]`.
    """
    if setting == NO_PROFILE:
        return None
    return expanded(setting) if setting else default_profile_path()
