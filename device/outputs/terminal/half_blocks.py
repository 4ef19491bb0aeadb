"""A picture in a terminal: two pixels in each character, the upper one in its own colour, the lower one behind it."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from rich.color import Color
from rich.console import Console
from rich.segment import Segment
from rich.style import Style

from device.outputs.terminal.text import UNICODE, Line, Signs

_UPPER_HALF = "\u2580"
_COLOUR_STEP = 8
"""Of 256: colours that no eye tells apart are the same one, which is drawn, and kept, once."""
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""How bright red, green and blue seem (ITU-R BT.601)."""


def drawn_picture(picture: NDArray[np.float32], columns: int, console: Console, signs: Signs) -> list[Line]:
    """The picture as this terminal can show it; of sixteen colours nothing would be known again."""
    if console.no_color or console.color_system not in ("256", "truecolor") or signs is not UNICODE:
        return shades(picture, columns, signs)
    return half_blocks(picture, columns)


def half_blocks(picture: NDArray[np.float32], columns: int) -> list[Line]:
    """The picture at a width of so many characters.

    Args:
        picture: shape (height, width, 3), 0 to 1; a pixel becomes as wide as it is high.
        columns: of the terminal.
    """
    rows = _rows(picture, columns)
    steps = np.rint(_averaged(picture, 2 * rows, columns) * 255 / _COLOUR_STEP).astype(int) * _COLOUR_STEP
    pixels = np.minimum(steps, 255).reshape(rows, 2, columns, 3).transpose(0, 2, 1, 3).reshape(rows, columns, 6)
    return [_line([(tuple(cell), _UPPER_HALF) for cell in row]) for row in pixels.tolist()]


def shades(picture: NDArray[np.float32], columns: int, signs: Signs) -> list[Line]:
    """The same without colours: the brighter, the denser the character."""
    bright = _averaged(picture, _rows(picture, columns), columns) @ _LUMA
    steps = np.minimum(bright * len(signs.shades), len(signs.shades) - 1).astype(int)
    return [[Segment("".join(signs.shades[step] for step in row))] for row in steps.tolist()]


def _rows(picture: NDArray[np.float32], columns: int) -> int:
    height, width, _ = picture.shape
    rows: int = round(columns * height / width / 2)
    return max(1, rows)


def _line(cells: list[tuple[tuple[int, ...], str]]) -> Line:
    """Neighbours of one colour are one piece."""
    line: Line = []
    for colours, sign in cells:
        style = _style(colours)
        if line and line[-1].style is style:
            line[-1] = Segment(line[-1].text + sign, style)
        else:
            line.append(Segment(sign, style))
    return line


@lru_cache(maxsize=4096)
def _style(colours: tuple[int, ...]) -> Style:
    """Of a character: red, green and blue of its upper half, then of its lower half."""
    return Style(color=Color.from_rgb(*colours[:3]), bgcolor=Color.from_rgb(*colours[3:]))


def _averaged(picture: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """At another size, each pixel the mean of the stretch that it stands for."""
    before_height, before_width, channels = picture.shape
    lower = _averaging(height, before_height) @ picture.reshape(before_height, -1)
    across = lower.reshape(height, before_width, channels).transpose(1, 0, 2).reshape(before_width, -1)
    narrower = _averaging(width, before_width) @ across
    return np.asarray(narrower.reshape(width, height, channels).transpose(1, 0, 2), np.float32)


@lru_cache(maxsize=8)
def _averaging(pixels: int, source: int) -> NDArray[np.float32]:
    """Share that each of `source` pixels has in each of `pixels`, shape (pixels, source)."""
    edges = np.arange(pixels + 1) * source / pixels
    left, right = edges[:-1, None], edges[1:, None]
    at = np.arange(source)
    overlap = np.clip(np.minimum(right, at + 1) - np.maximum(left, at), 0, None)
    return np.asarray(overlap / overlap.sum(axis=1, keepdims=True), np.float32)
