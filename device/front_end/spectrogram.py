"""From audio to the spectrogram image that the network classifies, computed column by column as the audio arrives.

The numbers equal `librosa.feature.melspectrogram` and the colours those of the tutorial, which drew
`librosa.display.specshow(power_to_db(S, ref=max))` with Matplotlib and read the saved file back at 64 x 64; only numpy
is needed here. The colours are the magma colour map by Nathaniel Smith and Stefan van der Walt (CC0), as the 256
colours that Matplotlib draws. This module is independent of microphones, utterances and networks.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device.front_end.parameters import FrontEnd

_SMALLEST_POWER = 1e-10
"""Powers below this are raised to it before the logarithm (`amin` of `librosa.power_to_db`)."""

_COLUMNS_AT_ONCE = 64
"""Columns that are computed together. A complete clip at once takes twice the time, because that much memory comes from
the system page by page."""
_BANDS_AT_ONCE = 32
"""Mel bands that are computed with one product: more would multiply more zeros, fewer would need more products."""

# The tutorial's figure of 0.72 x 0.72 inches at 400 dpi, cropped to the axes: the file's size in pixels; the axes' true
# size in pixels, which is not an integer; and the position in the axes of the centre of the file's first pixel, from
# the left and from the top.
_FIGURE_WIDTH, _FIGURE_HEIGHT = 223, 221
_AXES_WIDTH, _AXES_HEIGHT = 223.2, 221.76
_FIRST_X, _FIRST_Y = 0.5, 1.25


class MelSpectrogram:
    """Mel power spectrogram of one stretch of audio, fed in pieces of any size.

    Every column is computed as soon as its last sample has arrived, so that only the last few columns are left to
    compute when the speaker stops.

    Args:
        front_end: the settings that the network was trained with.
        rfft: Fourier transform of the last axis, like `numpy.fft.rfft`, which is the one available on the device.
    """

    def __init__(self, front_end: FrontEnd, rfft: Callable[..., Any] = np.fft.rfft) -> None:
        self._front_end = front_end
        self._rfft = rfft
        self._filters = _filters_by_bands(front_end)
        self._window = _hann(front_end.n_fft)
        self._pending: NDArray[np.float32] = np.zeros(front_end.n_fft // 2, np.float32)
        self._columns: list[NDArray[np.float32]] = []
        self._complete = 0

    def feed(self, samples: NDArray[np.int16] | NDArray[np.float32]) -> None:
        """Add the next samples: shape (n,), mono at the front end's sample rate, int16 or float32 in -1 to 1."""
        if samples.dtype == np.int16:
            samples = samples.astype(np.float32) / np.float32(32768)
        # Of float64 samples, too, as libraries read them: `_ready` reads the memory of float32 ones.
        self._pending = np.concatenate([self._pending, np.asarray(samples, np.float32)])
        for columns in self._ready(self._pending):
            self._columns.append(columns)
            self._complete += len(columns)
            self._pending = self._pending[len(columns) * self._front_end.hop_length :]

    def columns(self, first: int = 0) -> NDArray[np.float32]:
        """Return the columns whose last sample has arrived, from the index `first` on, which takes no computing.

        Returns:
            Mel power, shape (n_mels, columns), lowest band first: the beginning of what `power` will return.
        """
        index = self._complete
        pieces: list[NDArray[np.float32]] = [np.empty((0, self._front_end.n_mels), np.float32)]
        for columns in reversed(self._columns):
            if index <= first:
                break
            index -= len(columns)
            pieces.insert(1, columns)
        mel: NDArray[np.float32] = np.concatenate(pieces)[max(first - index, 0) :].T
        return mel

    def power(self) -> NDArray[np.float32]:
        """Compute the spectrogram as if the audio ended here; more may be fed afterwards.

        Returns:
            Mel power, shape (n_mels, columns), lowest band first; `1 + samples // hop_length` columns.
        """
        padded = np.concatenate([self._pending, np.zeros(self._front_end.n_fft // 2, np.float32)])
        mel: NDArray[np.float32] = np.concatenate([*self._columns, *self._ready(padded)]).T
        return mel

    def _ready(self, samples: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Compute the columns whose last sample has arrived, in arrays of shape (columns, n_mels), if there are any."""
        n_fft, hop = self._front_end.n_fft, self._front_end.hop_length
        if len(samples) < n_fft:
            return []
        count, size = (len(samples) - n_fft) // hop + 1, samples.itemsize
        # As `sliding_window_view`, which takes longer than the transform of the one window of a frame.
        windows: NDArray[np.float32] = np.ndarray((count, n_fft), np.float32, samples, strides=(hop * size, size))
        return [
            self._mel(windows[first : first + _COLUMNS_AT_ONCE]) for first in range(0, len(windows), _COLUMNS_AT_ONCE)
        ]

    def _mel(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        spectrum = self._rfft(windows * self._window)
        power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
        mel = np.empty((len(power), self._front_end.n_mels), np.float32)
        for bands, bins, filters in self._filters:
            np.matmul(power[:, bins], filters, out=mel[:, bands])
        return mel


def mel_power(
    samples: NDArray[np.int16] | NDArray[np.float32], front_end: FrontEnd, rfft: Callable[..., Any] = np.fft.rfft
) -> NDArray[np.float32]:
    """Compute the mel power spectrogram of a complete clip, shape (n_mels, columns), float32.

    Args:
        samples: shape (n,), mono at the front end's sample rate, int16 or float32 in -1 to 1.
        front_end: the settings that the network was trained with.
        rfft: see `MelSpectrogram`.
    """
    spectrogram = MelSpectrogram(front_end, rfft)
    spectrogram.feed(samples)
    return spectrogram.power()


def decibels(mel: NDArray[np.float32], front_end: FrontEnd) -> NDArray[np.float32]:
    """Convert mel power to dB below its loudest cell, raised to the floor (`librosa.power_to_db(mel, ref=np.max)`).

    Input and output have shape (n_mels, columns).
    """
    reference = max(_SMALLEST_POWER, float(mel.max()))
    level = 10 * np.log10(np.maximum(mel, _SMALLEST_POWER)) - 10 * np.log10(reference)
    return np.asarray(np.maximum(level, level.max() - front_end.db_floor), np.float32)


def trim(mel: NDArray[np.float32], front_end: FrontEnd) -> NDArray[np.float32]:
    """Cut the quiet columns off both edges of mel power, shape (n_mels, columns), by the rule in `FrontEnd.trim_db`.

    Training clips and live utterances are cut by this same rule, so that both show the same stretch of audio.
    """
    if front_end.trim_db is None:
        return mel
    loudness = mel.sum(axis=0)
    loud = np.flatnonzero(loudness >= loudness.max() * 10 ** (-front_end.trim_db / 10))
    return mel[:, loud[0] : loud[-1] + 1]


def spectrogram_image(mel: NDArray[np.float32], front_end: FrontEnd) -> NDArray[np.float32]:
    """Draw the image that the network classifies.

    Args:
        mel: mel power, shape (n_mels, columns), as returned by `MelSpectrogram.power`.
        front_end: the settings that the network was trained with.

    Returns:
        Shape (image_height, image_width, 3), float32, 0 to 1; time runs to the right, frequency upwards.
    """
    level = decibels(trim(mel, front_end), front_end)
    bands, columns = level.shape
    y = _nearest(front_end.image_height, _FIGURE_HEIGHT)
    x = _nearest(front_end.image_width, _FIGURE_WIDTH)
    rows = ((1 - (y + _FIRST_Y) / _AXES_HEIGHT) * bands).astype(int)
    cells = level[rows[:, None], ((x + _FIRST_X) / _AXES_WIDTH * columns).astype(int)]
    lowest, highest = float(level.min()), float(level.max())
    if highest == lowest:  # silence, or one cell: Matplotlib draws the darkest colour
        steps = np.zeros(cells.shape, int)
    else:
        steps = np.minimum((cells - lowest) / (highest - lowest) * 256, 255).astype(int)
    return np.asarray(MAGMA[steps] / np.float32(255), np.float32)


def silent_image(front_end: FrontEnd) -> NDArray[np.float32]:
    """Draw the image of digital silence, shape as `spectrogram_image`: the input for a text without a recording."""
    return spectrogram_image(np.zeros((front_end.n_mels, 1), np.float32), front_end)


@lru_cache(maxsize=4)
def mel_filters(front_end: FrontEnd) -> NDArray[np.float32]:
    """Compute triangular mel filters, shape (n_mels, n_fft // 2 + 1), equal to those of `librosa.filters.mel`."""
    bins = np.fft.rfftfreq(front_end.n_fft, 1 / front_end.sample_rate)
    lowest, highest = _mel(np.array([front_end.f_min, front_end.f_max]))
    edges = _hertz(np.linspace(lowest, highest, front_end.n_mels + 2))
    widths = np.diff(edges)
    ramps = edges[:, None] - bins[None, :]
    rising = -ramps[:-2] / widths[:-1, None]
    falling = ramps[2:] / widths[1:, None]
    filters = np.maximum(0, np.minimum(rising, falling))
    filters *= (2 / (edges[2:] - edges[:-2]))[:, None]
    return np.asarray(filters, np.float32)


@lru_cache(maxsize=4)
def _filters_by_bands(front_end: FrontEnd) -> list[tuple[slice, slice, NDArray[np.float32]]]:
    """Cut the mel filters into a few neighbouring bands each, and to the frequencies that these bands have.

    Most of all filters is zeros: the products with these parts take a third of the time of the product with all.

    Returns:
        The bands, the bins of the transform, and the filters of these bands, shape (bins, bands).
    """
    filters = mel_filters(front_end)
    parts = []
    for first in range(0, len(filters), _BANDS_AT_ONCE):
        some = filters[first : first + _BANDS_AT_ONCE]
        used = np.flatnonzero(some.any(axis=0))
        bins = slice(used[0], used[-1] + 1) if len(used) else slice(0, 0)  # narrower than a bin, all of them
        parts.append((slice(first, first + len(some)), bins, np.ascontiguousarray(some[:, bins].T)))
    return parts


# Slaney's Auditory Toolbox: 200/3 Hz per mel up to 1 kHz, above it 27 mels for each factor of 6.4.
_HERTZ_PER_MEL = 200 / 3
_KNEE_HERTZ = 1000.0
_KNEE_MEL = _KNEE_HERTZ / _HERTZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27


def _mel(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    above = np.log(np.maximum(hertz, _KNEE_HERTZ) / _KNEE_HERTZ) / _LOG_STEP
    return np.where(hertz < _KNEE_HERTZ, hertz / _HERTZ_PER_MEL, _KNEE_MEL + above)


def _hertz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    above = _KNEE_HERTZ * np.exp(_LOG_STEP * np.maximum(mel - _KNEE_MEL, 0))
    return np.where(mel < _KNEE_MEL, mel * _HERTZ_PER_MEL, above)


@lru_cache(maxsize=4)
def _hann(length: int) -> NDArray[np.float32]:
    return np.asarray(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length), np.float32)


def _nearest(pixels: int, source: int) -> NDArray[np.int64]:
    """Compute the source index of each target pixel by nearest neighbour, as Keras does when it resizes an image.

    Args:
        pixels: number of target pixels.
        source: number of source pixels.
    """
    return np.asarray(np.floor((np.arange(pixels) + 0.5) * source / pixels), np.int64)


_MAGMA = (
    "00000401000501010601010802010902020b02020d03030f03031204041405041606051806051a07061c08071e090720"
    "0a08220b09240c09260d0a290e0b2b100b2d110c2f120d31130d34140e36150e38160f3b180f3d19103f1a10421c1044"
    "1d11471e114920114b21114e22115024125325125527125829115a2a115c2c115f2d11612f1163311165331067341069"
    "36106b38106c390f6e3b0f703d0f713f0f72400f74420f75440f764510774710784910784a10794c117a4e117b4f127b"
    "51127c52137c54137d56147d57157e59157e5a167e5c167f5d177f5f187f601880621980641a80651a80671b80681c81"
    "6a1c816b1d816d1d816e1e81701f81721f817320817521817621817822817922827b23827c23827e2482802582812581"
    "8326818426818627818827818928818b29818c29818e2a81902a81912b81932b80942c80962c80982d80992d809b2e7f"
    "9c2e7f9e2f7fa02f7fa1307ea3307ea5317ea6317da8327daa337dab337cad347cae347bb0357bb2357bb3367ab5367a"
    "b73779b83779ba3878bc3978bd3977bf3a77c03a76c23b75c43c75c53c74c73d73c83e73ca3e72cc3f71cd4071cf4070"
    "d0416fd2426fd3436ed5446dd6456cd8456cd9466bdb476adc4869de4968df4a68e04c67e24d66e34e65e44f64e55064"
    "e75263e85362e95462ea5661eb5760ec5860ed5a5fee5b5eef5d5ef05f5ef1605df2625df2645cf3655cf4675cf4695c"
    "f56b5cf66c5cf66e5cf7705cf7725cf8745cf8765cf9785df9795df97b5dfa7d5efa7f5efa815ffb835ffb8560fb8761"
    "fc8961fc8a62fc8c63fc8e64fc9065fd9266fd9467fd9668fd9869fd9a6afd9b6bfe9d6cfe9f6dfea16efea36ffea571"
    "fea772fea973feaa74feac76feae77feb078feb27afeb47bfeb67cfeb77efeb97ffebb81febd82febf84fec185fec287"
    "fec488fec68afec88cfeca8dfecc8ffecd90fecf92fed194fed395fed597fed799fed89afdda9cfddc9efddea0fde0a1"
    "fde2a3fde3a5fde5a7fde7a9fde9aafdebacfcecaefceeb0fcf0b2fcf2b4fcf4b6fcf6b8fcf7b9fcf9bbfcfbbdfcfdbf"
)

MAGMA: NDArray[np.uint8] = np.frombuffer(bytes.fromhex(_MAGMA), np.uint8).reshape(256, 3)
"""Red, green and blue of each of the 256 steps, darkest first, shape (256, 3), 0 to 255."""
