"""Reads image files of any size and colour mode as RGB images of one size."""

import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from device.errors import TrainingError
from device.system.display import displayable
from device.system.paths import GIT_LFS, error_about, is_git_lfs_pointer_file

_FROM_16_BIT = 257
"""Steps of a 16-bit channel in one step of an 8-bit channel."""

_DAMAGED = (
    OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, ArithmeticError, MemoryError,
    struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip
"""What Pillow raises for files that are no images, damaged, or far too large."""


def read_image(path: Path, height: int, width: int) -> NDArray[np.uint8]:
    """Read an image, convert it to RGB and resize it.

    Grey, palette, CMYK and 16-bit images are converted, and transparent pixels become white, as viewers show them. The
    orientation that a camera stored (EXIF) is applied. An image of another size is resized with Pillow's bilinear
    filter, which averages over all source pixels when it reduces; its proportions change to those of the target. Of an
    animation the first image is read.

    Args:
        path: path of the file, in any format that Pillow reads.
        height: height of the result, pixels.
        width: width of the result, pixels.

    Returns:
        Shape (height, width, 3), uint8, 0 to 255.

    Raises:
        TrainingError: the file cannot be read, is not an image, is damaged, or has pixels without a fixed range.
    """
    try:
        with Image.open(path) as image:
            turned = ImageOps.exif_transpose(image)
            converted = _rgb(turned)
    except _DAMAGED as error:
        if is_git_lfs_pointer_file(path):
            raise error_about(path, GIT_LFS, TrainingError) from None
        reason = getattr(error, "strerror", None) or ("not an image" if "identify" in str(error) else error)
        raise TrainingError(
            f"{displayable(path)}: cannot be read as an image ({displayable(reason)})",
            fix="replace the file, or delete it and its row",
        ) from None
    if converted is None:
        raise TrainingError(
            f"{displayable(path)}: has pixels of mode {turned.mode}, whose range is unknown",
            fix="save it as a PNG with 8 or 16 bits per channel",
        )
    if converted.size != (width, height):
        converted = converted.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(converted, np.uint8)


def _rgb(image: Image.Image) -> Image.Image | None:
    """Return the image in mode RGB; None if the range of its pixels is unknown."""
    if image.mode == "F":
        return None
    if image.mode.startswith("I"):  # one 16-bit channel
        values = np.asarray(image, np.int64)
        if values.min() < 0 or values.max() > 65_535:
            return None
        return Image.fromarray(np.rint(values / _FROM_16_BIT).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        layers = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), layers).convert("RGB")
    return image.convert("RGB")
