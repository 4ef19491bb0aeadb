"""How events are written: a line of JSON each, and columns of the mel spectrogram as one byte per cell."""

import base64
import json
from typing import TYPE_CHECKING, Any

# `service install` imports what imports this module, and numpy may be broken on the machine that it checks.
if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PROTOCOL = 1
"""Version of the protocol. New events and keys do not change it; readers ignore those that they do not know."""
DB_LOWEST = -80.0
"""Level of a cell with the value 0, dB: that of the rounding of 16-bit samples. What is quieter gets this value, too.

From there 255 steps lead to 47.5 dB, which is more than the loudest tone at full scale has in any mel band.
"""
DB_STEP = 0.5
"""Difference in level between two values of a cell, dB."""


def line(event: str, **values: Any) -> bytes:
    """Write an event as a line of JSON, in ASCII; `values` are its other keys, in order."""
    return json.dumps({"event": event, **values}, separators=(",", ":")).encode("ascii") + b"\n"


def encoded_columns(power: "NDArray[np.float32]") -> str:
    """Write columns of the mel spectrogram: one after the other, lowest band first, a byte per cell, in base64.

    Args:
        power: mel power, shape (n_mels, columns).
    """
    import numpy as np

    level = 10 * np.log10(np.maximum(power, 10 ** (DB_LOWEST / 10)))
    cells = np.clip(np.rint((level - DB_LOWEST) / DB_STEP), 0, 255).astype(np.uint8)
    return base64.b64encode(cells.T.tobytes()).decode("ascii")
