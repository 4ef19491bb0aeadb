"""Proves that a folder can be written to, before hours are spent on what is to lie in it."""

import tempfile
from pathlib import Path

from device.errors import TrainingError


def require_writable(folder: Path, output: Path) -> None:
    """Make `folder` if it is missing, and write to it once.

    Args:
        folder: where something will be written.
        output: what the user named, for the message.

    Raises:
        TrainingError: nothing can be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise TrainingError(
            f"{output}: nothing can be written there ({error.strerror}); choose another place with --output"
        ) from None
