"""Images that are stored as bytes are the same as those of an array of float32, down to the last bit."""

import numpy as np

from device.front_end.parameters import FrontEnd
from device.front_end.spectrogram import silent_image
from training.images.spectrogram import compute_image
from training.images.stored_images import StoredImages


def test_spectrogram_images_are_read_as_they_were_written() -> None:
    noise = np.random.default_rng(1).standard_normal((3, 8000)).astype(np.float32)
    images = np.stack([silent_image(FrontEnd()), *(compute_image(each, FrontEnd()) for each in noise)])
    stored = StoredImages.empty(len(images), images.shape[1:])
    for number, image in enumerate(images):
        stored[number] = image
    for index in (2, slice(None), slice(1, 3), np.array([3, 0, 3])):
        np.testing.assert_array_equal(stored[index], images[index])
        assert stored[index].dtype == np.float32
    assert stored.pixels.nbytes * 4 == images.nbytes
    assert (len(stored), stored.shape) == (4, images.shape)


def test_every_value_of_an_image_file_is_exact() -> None:
    values = np.asarray(np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1) / np.float32(255), np.float32)
    stored = StoredImages.empty(1, values.shape[1:])
    stored[:] = values
    np.testing.assert_array_equal(stored[:], values)


def test_the_first_images_share_the_memory() -> None:
    stored = StoredImages.empty(4, (2, 2, 3))
    stored[:] = np.zeros((4, 2, 2, 3), np.float32)
    first = stored.first(2)
    stored[0] = np.ones((2, 2, 3), np.float32)
    assert first.shape == (2, 2, 2, 3)
    assert (first[0] == 1).all()
