import re
from io import StringIO

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console
from rich.segment import Segment, Segments

from device.outputs.terminal import half_blocks as half_blocks_module
from device.outputs.terminal.half_blocks import half_blocks, render_image, shades
from device.outputs.terminal.text import ASCII, UNICODE, Line


def gradient(height: int = 64, width: int = 64) -> NDArray[np.float32]:
    """An image in which red grows to the right and green downwards."""
    image = np.zeros((height, width, 3), np.float32)
    image[..., 0] = np.linspace(0, 1, width)
    image[..., 1] = np.linspace(0, 1, height)[:, None]
    return image


def pixels(lines: list[Line]) -> NDArray[np.int_]:
    """The pixels that the lines show, shape (2 * lines, columns, 3)."""
    rows: list[list[tuple[int, ...]]] = []
    for line in lines:
        upper: list[tuple[int, ...]] = []
        lower: list[tuple[int, ...]] = []
        for text, style, _ in line:
            assert style is not None
            assert style.color is not None
            assert style.bgcolor is not None
            assert set(text) == {"\u2580"}
            for half, colour in ((upper, style.color), (lower, style.bgcolor)):
                assert colour.triplet is not None
                half += [tuple(colour.triplet)] * len(text)
        rows += [upper, lower]
    return np.array(rows)


@pytest.mark.parametrize("columns", [8, 16, 24, 32, 64])
def test_each_pixel_is_the_mean_of_the_area_that_it_covers(columns: int) -> None:
    drawn = half_blocks(gradient(), columns)
    assert len(drawn) == columns // 2
    drawn_pixels = pixels(drawn)
    centres = (np.arange(columns) + 0.5) / columns * 64 - 0.5
    expected = 255 * centres / 63
    assert drawn_pixels.shape == (columns, columns, 3)
    assert np.abs(drawn_pixels[:, :, 0] - expected[None, :]).max() <= 6
    assert np.abs(drawn_pixels[:, :, 1] - expected[:, None]).max() <= 6
    assert not drawn_pixels[:, :, 2].any()


def test_a_pixel_is_as_wide_as_it_is_high() -> None:
    assert len(half_blocks(gradient(32, 64), 32)) == 8
    assert len(half_blocks(gradient(2, 64), 32)) == 1


def test_neighbours_of_one_colour_are_one_segment() -> None:
    drawn = half_blocks(np.full((64, 64, 3), 0.5, np.float32), 32)
    assert [len(line) for line in drawn] == [1] * 16
    assert Segment.get_line_length(drawn[0]) == 32


@pytest.mark.parametrize("symbols", [ASCII, UNICODE])
def test_without_colours_bright_areas_are_dense(symbols: object) -> None:
    assert symbols in (ASCII, UNICODE)
    used = ASCII if symbols is ASCII else UNICODE
    ramp = np.repeat(gradient()[:1, :, :1], 3, axis=2).repeat(64, axis=0)
    for line in shades(ramp, 32, used):
        [(text, style, _)] = line
        assert style is None
        assert list(dict.fromkeys(text)) == list(used.shades)


def written(color_system: str | None, *, no_color: bool = False, encoding: str = "utf-8") -> str:
    class File(StringIO):
        pass

    File.encoding = encoding
    file = File()
    console = Console(
        file=file, width=80, force_terminal=True, no_color=no_color,
        color_system=color_system,  # type: ignore[arg-type]  # one of the allowed names
    )  # fmt: skip
    half_blocks_module._style.cache_clear()  # rich caches in a style the codes of the first console that showed it
    symbols = UNICODE if encoding == "utf-8" else ASCII
    for line in render_image(gradient(), 16, console, symbols):
        console.print(Segments(line), end="")
    return file.getvalue()


def test_colours_are_used_only_where_there_are_enough_of_them() -> None:
    assert re.search(r"\x1b\[38;2;\d+;\d+;\d+;48;2;", written("truecolor"))
    assert re.search(r"\x1b\[38;5;\d+;48;5;", written("256"))
    for plain in (written("standard"), written(None), written("truecolor", no_color=True)):
        assert "\x1b" not in plain
        assert "\u2592" in plain
    assert "\u2580" not in written("truecolor", encoding="ascii")
