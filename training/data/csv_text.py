"""The text of a CSV file, decoded whole, so that a wrong encoding is told by the line it shows in.

Knows nothing of columns, and opens nothing else.
"""

import io
from pathlib import Path

from device.errors import TrainingError


def read_csv_text(file: Path, advice: str) -> io.StringIO:
    """Read a file in UTF-8, with or without a byte order mark.

    Args:
        file: the CSV file.
        advice: what to do about a file in another encoding, for the message.

    Returns:
        Its text with the line ends as they are, as the module `csv` wants them.

    Raises:
        TrainingError: it cannot be read, or is not UTF-8.
    """
    try:
        content = file.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: the path itself holds a NUL
        reason = getattr(error, "strerror", None) or error
        raise TrainingError(f"{file}: cannot be read ({reason}); give the path of a CSV table") from None
    if b"\0" in content:
        line = content.count(b"\n", 0, content.index(b"\0")) + 1
        raise TrainingError(f"{file}, line {line}: not UTF-8 text (holds NUL bytes, as UTF-16 does); {advice}")
    try:
        return io.StringIO(content.decode("utf-8-sig"), newline="")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise TrainingError(f"{file}, line {line}: not UTF-8 text ({error.reason}); {advice}") from None
