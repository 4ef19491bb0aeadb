"""Writes `device/web/static/magma.js`, the colours of the spectrogram image: `python docs/palette_module.py`.

The page is served where numpy may be missing, and a browser cannot read Python, so it gets the colours of
`device.front_end.spectrogram` as a module of its own; `tests/web_page/test_spectrogram.py` compares the two.
"""

from pathlib import Path

from device.front_end.spectrogram import MAGMA

MODULE = Path(__file__).parents[1] / "device" / "web" / "static" / "magma.js"
_CHARACTERS = 96
"""Hexadecimal digits on one line."""


def palette_module() -> str:
    """The text of the module."""
    digits = MAGMA.astype("uint8").tobytes().hex()
    lines = [f'  "{digits[start : start + _CHARACTERS]}"' for start in range(0, len(digits), _CHARACTERS)]
    return "\n".join(
        [
            "// Made by docs/palette_module.py from device/front_end/spectrogram.py. Change it there.",
            "const DIGITS =",
            " +\n".join(lines) + ";",
            "",
            "/** Red, green and blue, 0 to 255, of the 256 colours, dark to bright, one after the other. */",
            "export const MAGMA = Uint8Array.from(DIGITS.match(/../g), (digits) => parseInt(digits, 16));",
            "",
        ]
    )


if __name__ == "__main__":
    MODULE.write_text(palette_module(), "utf-8")
