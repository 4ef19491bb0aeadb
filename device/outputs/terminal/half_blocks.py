"""An image in a terminal: two pixels per character, the upper one in its foreground, the lower in its background."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from rich.color import Color
from rich.console import Console
from rich.segment import Segment
from rich.style import Style

from device.outputs.terminal.text import UNICODE, Line, Symbols

_UPPER_HALF = "\u2580"
_COLOUR_STEP = 8
"""Step between the colours that are used, of 256 levels: neighbours that look the same share a cached style."""
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Perceived brightness of red, green and blue (ITU-R BT.601)."""


def render_image(image: NDArray[np.float32], columns: int, console: Console, symbols: Symbols) -> list[Line]:
    """The image in colours, or in shades where the terminal has too few: sixteen would make it unrecognisable.

    Args:
        image: shape (height, width, 3), 0 to 1.
        columns: width on the terminal.
        console: the terminal.
        symbols: characters of the terminal.
    """
    if console.no_color or console.color_system not in ("256", "truecolor") or symbols is not UNICODE:
        return shades(image, columns, symbols)
    return half_blocks(image, columns)


def half_blocks(image: NDArray[np.float32], columns: int) -> list[Line]:
    """The image in colours.

    Args:
        image: shape (height, width, 3), 0 to 1; its pixels are drawn square.
        columns: width on the terminal.
    """
    rows = _rows(image, columns)
    levels = np.rint(_resized(image, 2 * rows, columns) * 255 / _COLOUR_STEP).astype(int) * _COLOUR_STEP
    pixels = np.minimum(levels, 255).reshape(rows, 2, columns, 3).transpose(0, 2, 1, 3).reshape(rows, columns, 6)
    return [_merged([(tuple(cell), _UPPER_HALF) for cell in row]) for row in pixels.tolist()]


def shades(image: NDArray[np.float32], columns: int, symbols: Symbols) -> list[Line]:
    """The image without colours: the brighter, the denser the character; arguments as `render_image`."""
    brightness = _resized(image, _rows(image, columns), columns) @ _LUMA
    levels = np.minimum(brightness * len(symbols.shades), len(symbols.shades) - 1).astype(int)
    return [[Segment("".join(symbols.shades[level] for level in row))] for row in levels.tolist()]


def _rows(image: NDArray[np.float32], columns: int) -> int:
    height, width, _ = image.shape
    rows: int = round(columns * height / width / 2)
    return max(1, rows)


def _merged(cells: list[tuple[tuple[int, ...], str]]) -> Line:
    """One segment for neighbours of the same colours."""
    line: Line = []
    for colours, character in cells:
        style = _style(colours)
        if line and line[-1].style is style:
            line[-1] = Segment(line[-1].text + character, style)
        else:
            line.append(Segment(character, style))
    return line


@lru_cache(maxsize=4096)
def _style(colours: tuple[int, ...]) -> Style:
    """Style of a character from red, green and blue of its upper half, then of its lower half."""
    return Style(color=Color.from_rgb(*colours[:3]), bgcolor=Color.from_rgb(*colours[3:]))


def _resized(image: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """The image at another size, each pixel the mean of the area that it covers."""
    old_height, old_width, channels = image.shape
    lower = _averaging(height, old_height) @ image.reshape(old_height, -1)
    across = lower.reshape(height, old_width, channels).transpose(1, 0, 2).reshape(old_width, -1)
    narrower = _averaging(width, old_width) @ across
    return np.asarray(narrower.reshape(width, height, channels).transpose(1, 0, 2), np.float32)


@lru_cache(maxsize=8)
def _averaging(pixels: int, source: int) -> NDArray[np.float32]:
    """Share of each of the `source` pixels in each of the `pixels`, shape (pixels, source)."""
    edges = np.arange(pixels + 1) * source / pixels
    left, right = edges[:-1, None], edges[1:, None]
    at = np.arange(source)
    overlap = np.clip(np.minimum(right, at + 1) - np.maximum(left, at), 0, None)
    return np.asarray(overlap / overlap.sum(axis=1, keepdims=True), np.float32)
