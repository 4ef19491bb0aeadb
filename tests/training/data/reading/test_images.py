"""Images of every colour mode and size become RGB images of one size."""

import io
import random
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from device.errors import TrainingError
from training.data.reading.images import read_image


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.new("RGB", (5, 4), (10, 20, 30)), (10, 20, 30)),
        (Image.new("L", (5, 4), 77), (77, 77, 77)),
        (Image.new("1", (5, 4), 1), (255, 255, 255)),
        (Image.new("RGBA", (5, 4), (10, 20, 30, 255)), (10, 20, 30)),
        (Image.new("RGBA", (5, 4), (10, 20, 30, 0)), (255, 255, 255)),  # not the colour behind the transparency
        (Image.new("LA", (5, 4), (0, 0)), (255, 255, 255)),
        (Image.new("RGB", (5, 4), (10, 20, 30)).quantize(2), (10, 20, 30)),
        (Image.fromarray(np.full((4, 5), 40_000, np.uint16)), (156, 156, 156)),  # 16 bits: not clipped to 255
        (Image.fromarray(np.full((4, 5), 65_535, np.uint16)), (255, 255, 255)),
    ],
    ids=["RGB", "grey", "1 bit", "RGBA", "transparent", "transparent grey", "palette", "16 bit", "16 bit white"],
)
def test_colour_modes(image: Image.Image, expected: tuple[int, int, int], tmp_path: Path) -> None:
    image.save(tmp_path / "image.png")
    pixels = read_image(tmp_path / "image.png", 4, 5)
    assert pixels.dtype == np.uint8
    assert pixels.shape == (4, 5, 3)
    assert (pixels == expected).all()


def test_cmyk_and_transparent_palette(tmp_path: Path) -> None:
    Image.new("CMYK", (5, 4), (0, 255, 255, 0)).save(tmp_path / "a.jpg")
    red = read_image(tmp_path / "a.jpg", 4, 5)[0, 0]
    assert red[0] > 200
    assert red[1:].max() < 60
    Image.new("P", (5, 4), 0).save(tmp_path / "b.gif", transparency=0)
    assert (read_image(tmp_path / "b.gif", 4, 5) == 255).all()


def test_orientation_of_a_camera_is_applied(tmp_path: Path) -> None:
    image = Image.new("RGB", (40, 20), "black")
    image.paste("white", (0, 0, 20, 20))  # the left half
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees, so that left becomes top
    image.save(tmp_path / "photo.png", exif=exif)
    pixels = read_image(tmp_path / "photo.png", 40, 20)
    assert pixels[:18].min() > 240
    assert pixels[22:].max() < 15


def test_reducing_averages_over_all_pixels(tmp_path: Path) -> None:
    checkers = (np.indices((256, 256)).sum(axis=0) % 2 * 255).astype(np.uint8)
    Image.fromarray(checkers).save(tmp_path / "checkers.png")
    assert np.abs(read_image(tmp_path / "checkers.png", 64, 64)[8:-8, 8:-8].astype(int) - 127).max() <= 2


def test_image_of_the_right_size_is_unchanged(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "image.png")
    np.testing.assert_array_equal(read_image(tmp_path / "image.png", 64, 64), pixels)


def test_files_that_are_no_images(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_bytes(b"hello")
    (tmp_path / "empty.png").write_bytes(b"")
    for name in ("text.png", "empty.png"):
        with pytest.raises(TrainingError, match=rf"{name}: cannot be read as an image \(not an image\); replace"):
            read_image(tmp_path / name, 4, 4)
    with pytest.raises(TrainingError, match="No such file"):
        read_image(tmp_path / "missing.png", 4, 4)
    Image.fromarray(np.ones((4, 4), np.float32)).save(tmp_path / "float.tif")
    with pytest.raises(TrainingError, match="mode F, whose range is unknown"):
        read_image(tmp_path / "float.tif", 4, 4)


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "tif", "bmp", "webp"])
def test_damaged_images_are_read_or_refused(suffix: str, tmp_path: Path) -> None:
    random.seed(1)
    content = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8)).save(
        content, {"jpg": "jpeg", "tif": "tiff"}.get(suffix, suffix)
    )
    path = tmp_path / f"image.{suffix}"
    refused = 0
    for _ in range(150):
        damaged = bytearray(content.getvalue())
        for _ in range(random.randint(1, 6)):
            damaged[random.randrange(min(len(damaged), 200))] = random.randrange(256)
        path.write_bytes(damaged[: random.choice([len(damaged), random.randrange(len(damaged))])])
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Pillow's remarks about odd metadata
                assert read_image(path, 4, 4).shape == (4, 4, 3)
        except TrainingError:
            refused += 1
    assert refused
