"""The audio branch of the network `evidence`: fixed statistics of the image, and a small trained head on them.

The statistics are untrained layers, so that they are computed once per image. The output of the head is evidence:
logits that are exactly 0 when the image shows silence. This module is independent of text, corpora and training.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tf_keras import layers

from device.errors import TrainingError

AUDIO_STATISTICS = "audio_statistics"
"""Name of the layer whose output are the statistics."""
BAND_COUNTS = (1, 4, 8, 16)
"""Numbers of equal frequency bands that the image is divided into. Single rows distinguish speakers, not moods."""
CHANGE_LAGS = (1, 2, 4, 8, 16, 32)
"""Columns between which rises and falls of a band are measured."""
TILT_LAGS = (2, 8)
"""Columns between which changes of the difference between neighbouring bands are measured."""
THRESHOLDS = (0.2, 0.35, 0.5, 0.65, 0.8)
"""Levels above which a band's excess is measured: its distribution over time."""
RIDGE_WIDTHS = (3, 5, 9)
"""Rows; a ridge is brighter than so many rows around it, as harmonics and formants are."""
HARMONIC_LAGS = tuple(range(1, 13))
"""Rows between which harmonics repeat; a row of the default image is 47 Hz below 1 kHz."""
STANDARDISE_EPSILON = 1e-6
"""Added to each variance; Keras's 1e-3 is larger than most variances here."""
_PEAK_WIDTH = 8
"""Columns of the window of a local peak or dip: an eighth of the default image."""
_HARMONIC_WINDOW = 7
"""Rows over which the level is averaged to find what stands out of it: harmonics."""
_PRODUCT_GAIN = 8.0
"""Factor of deviations before they are multiplied, so that the products vary as much as other statistics."""
_SMALLEST = 16
"""Smallest height and width in pixels: a row in each of the finest bands and at least two local peaks."""
_LEVEL_OF_RGB = (0.47550062, 0.4295224, 0.12270655)
_LEVEL_OFFSET = 0.00947283 - 0.0119
"""Least squares over the 256 colours of magma: the step of the colour map, 0 to 1, to within 0.0115; minus a little
more than the value of the darkest colour, so that silence is exactly 0 in any arithmetic."""
_GATE_GAIN = 300.0
"""Gate per unit of the mean of rise and fall; speech has 0.0035 and more, even in noise, so its gate is 1."""


def audio_statistics(images: Any, *, products: bool = False) -> Any:
    """Build the statistics of an image: how broad frequency bands change over time; without trained weights.

    For each band: rises and falls at several lags, deviation from the mean, largest level, local peaks and dips, and
    excess over several levels; then changes between neighbouring bands, ridges, and the mean of each row. The first two
    elements are the mean rise and fall of the complete image from one column to the next: for the gate of
    `audio_evidence`. With `products` there are, at last, how the finest bands vary together, and how harmonics repeat
    in the lower half of the image, which depends on the pitch and on how voiced the speech is.

    Args:
        images: symbolic tensor (batch, height, width, 3), float32, 0 to 1, coloured by magma.
        products: whether to add the statistics that are products of rows.

    Returns:
        Symbolic tensor (batch, n), float32, not standardised; all 0 for an image of silence.

    Raises:
        TrainingError: the image is smaller than 16 x 16 pixels.
    """
    height, width = (int(size) for size in images.shape[1:3])
    if min(height, width) < _SMALLEST:
        raise TrainingError(
            f"the image is {height} x {width} pixels, and the network 'evidence' needs {_SMALLEST} x {_SMALLEST}",
            fix="raise image_height and image_width",
        )
    level = _fixed(images, np.reshape(_LEVEL_OF_RGB, (1, 1, 3, 1)), "level", offsets=[_LEVEL_OFFSET], relu=True)
    divided = [layers.AveragePooling2D((height // count, 1), name=f"bands_{count}")(level) for count in BAND_COUNTS]
    bands = layers.Concatenate(axis=1, name="bands")(divided)
    away = layers.Subtract(name="away")([bands, layers.AveragePooling2D((1, width), name="bands_mean")(bands)])
    negated = _fixed(bands, np.full((1, 1, 1, 1), -1.0), "negated")
    excess = _fixed(bands, np.ones((1, 1, 1, len(THRESHOLDS))), "excess", offsets=-np.array(THRESHOLDS), relu=True)
    tilt = _fixed(divided[-1], np.reshape([-1.0, 1.0], (2, 1, 1, 1)), "tilt")
    parts = [
        *(_over_time(_changes(bands, lag, f"change_{lag}")) for lag in CHANGE_LAGS if lag < width),
        _over_time(_fixed(away, np.ones((1, 1, 1, 1)), "deviation", relu=True)),
        layers.Flatten(name="largest_of_each")(layers.MaxPooling2D((1, width), name="largest")(bands)),
        _over_time(layers.MaxPooling2D((1, _PEAK_WIDTH), name="peaks")(bands)),
        _over_time(layers.MaxPooling2D((1, _PEAK_WIDTH), name="dips")(negated)),
        _over_time(excess),
        *(_over_time(_changes(tilt, lag, f"tilt_{lag}")) for lag in TILT_LAGS),
        _over_time(_ridges(level), height // BAND_COUNTS[-1]),
        _over_time(level),
    ]
    if products:
        parts += [_over_time(_covariances(away)), *_harmonics(level, height // 2)]
    return layers.Concatenate(name=AUDIO_STATISTICS)(parts)


def audio_evidence(
    statistics: Any,
    *,
    labels: int,
    units: int = 64,
    dropout: float = 0.3,
    hidden_dropout: float = 0.3,
    kinds: int = 0,
    momentum: float = 0.95,
) -> Any:
    """Build the trained head: evidence for each class, 0 for all of them for an image of silence.

    A hidden layer estimates the classes. If a class consists of several kinds, as negative does of anger, sadness and
    fear, a second, linear estimate can be added: `kinds` discriminants for each class, of which the largest counts.
    They are not trained by gradient descent, see `training.default_model.audio_branch.discriminants`. The evidence is
    the mean of both estimates.

    Args:
        statistics: symbolic tensor (batch, n), the output of `audio_statistics`.
        labels: number of classes.
        units: width of the hidden layer.
        dropout: share of the standardised statistics left out in training.
        hidden_dropout: share of the hidden layer left out in training.
        kinds: number of discriminants of each class; 0 leaves them out.
        momentum: momentum of the moving means and variances that standardise the statistics, per training step.

    Returns:
        Symbolic tensor (batch, labels), float32: logits.
    """
    standardise = layers.BatchNormalization(momentum=momentum, epsilon=STANDARDISE_EPSILON, name="audio_standardise")
    standardised = standardise(statistics)
    hidden = layers.Dropout(dropout, name="audio_dropout")(standardised)
    hidden = layers.Dense(units, activation="relu", name="audio_dense")(hidden)
    hidden = layers.Dropout(hidden_dropout, name="audio_dense_dropout")(hidden)
    logits = layers.Dense(labels, name="audio_logits")(hidden)
    if kinds:
        discriminants = layers.Dense(kinds * labels, trainable=False, name="audio_kinds")(standardised)
        discriminants = layers.Reshape((kinds, labels), name="audio_kinds_of_each")(discriminants)
        largest = layers.GlobalMaxPooling1D(name="audio_largest_kind")(discriminants)
        logits = layers.Average(name="audio_mean")([logits, largest])
    return layers.Multiply(name="audio_evidence")([logits, audio_present(statistics)])


def audio_present(statistics: Any) -> Any:
    """Build a gate that is 1 for an image of audible sound and 0 for silence, shape (batch, 1), float32."""
    gains = np.zeros((int(statistics.shape[-1]), 1), np.float32)
    gains[:2] = _GATE_GAIN / 2
    movement = layers.Dense(1, use_bias=False, trainable=False, name="audio_movement")
    moving = movement(statistics)
    movement.set_weights([gains])
    return layers.ReLU(1.0, name="audio_gate")(moving)


def _fixed(
    inputs: Any,
    kernel: NDArray[np.float64],
    name: str,
    *,
    offsets: Sequence[float] | NDArray[np.float64] | None = None,
    relu: bool = False,
) -> Any:
    """Build an untrained convolution; kernel shape (height, width, channels, filters), an offset per filter."""
    layer = layers.Conv2D(
        kernel.shape[3],
        kernel.shape[:2],
        activation="relu" if relu else None,
        use_bias=offsets is not None,
        trainable=False,
        name=name,
    )
    outputs = layer(inputs)
    layer.set_weights([kernel] if offsets is None else [kernel, np.asarray(offsets)])
    return outputs


def _changes(level: Any, lag: int, name: str) -> Any:
    """Build two channels: rises and falls, both positive, from each column to the one `lag` columns later."""
    kernel = np.zeros((1, lag + 1, 1, 2))
    kernel[0, 0, 0], kernel[0, -1, 0] = (-1, 1), (1, -1)
    return _fixed(level, kernel, name, relu=True)


def _ridges(level: Any) -> Any:
    """Build a channel per width: the excess of each pixel over the mean of so many rows around it, at least 0."""
    longest = max(RIDGE_WIDTHS)
    kernel = np.zeros((longest, 1, 1, len(RIDGE_WIDTHS)))
    for channel, rows in enumerate(RIDGE_WIDTHS):
        begin = (longest - rows) // 2
        kernel[begin : begin + rows, 0, 0, channel] = -1 / rows
        kernel[longest // 2, 0, 0, channel] += 1
    return _fixed(level, kernel, "ridges", relu=True)


def _covariances(away: Any) -> Any:
    """Build the products of the deviations of any two of the finest bands, shape (batch, pairs, width, 1)."""
    finest = layers.Cropping2D(((sum(BAND_COUNTS[:-1]), 0), (0, 0)), name="finest")(away)
    finest = _fixed(finest, np.full((1, 1, 1, 1), _PRODUCT_GAIN), "finest_scaled")
    pairs = [_products(finest, distance, f"pairs_{distance}") for distance in range(BAND_COUNTS[-1])]
    return layers.Concatenate(axis=1, name="covariances")(pairs)


def _harmonics(level: Any, rows: int) -> list[Any]:
    """Build mean, largest and deviation over time of how the lowest `rows` rows resemble those a lag above them."""
    low = layers.Cropping2D(((int(level.shape[1]) - rows, 0), (0, 0)), name="low")(level)
    around = layers.AveragePooling2D((_HARMONIC_WINDOW, 1), 1, "same", name="low_around")(low)
    local = layers.Subtract(name="low_local")([low, around])
    local = _fixed(local, np.full((1, 1, 1, 1), _PRODUCT_GAIN), "low_scaled")
    lags = []
    for lag in (lag for lag in HARMONIC_LAGS if lag < rows):
        products = _products(local, lag, f"harmonic_{lag}")
        lags.append(layers.AveragePooling2D((rows - lag, 1), name=f"harmonic_{lag}_mean")(products))
    harmonics = layers.Concatenate(axis=1, name="harmonics")(lags)
    width = int(level.shape[2])
    mean = layers.AveragePooling2D((1, width), name="harmonics_mean")(harmonics)
    largest = layers.MaxPooling2D((1, width), name="largest_harmonics")(harmonics)
    away = layers.Subtract(name="harmonics_away")([harmonics, mean])
    return [
        layers.Flatten(name="harmonics_of_each")(mean),
        layers.Flatten(name="largest_harmonics_of_each")(largest),
        _over_time(_fixed(away, np.ones((1, 1, 1, 1)), "harmonics_deviation", relu=True)),
    ]


def _products(inputs: Any, distance: int, name: str) -> Any:
    """Build the product of each row and the one `distance` rows above it; a row fewer for each of the distance."""
    above, below = (
        layers.Cropping2D((cropped, (0, 0)), name=f"{name}_{place}")(inputs) if distance else inputs
        for place, cropped in (("above", (0, distance)), ("below", (distance, 0)))
    )
    return layers.Multiply(name=name)([above, below])


def _over_time(inputs: Any, rows: int = 1) -> Any:
    """Build the mean over time of each row, or of each group of `rows` rows, and channel."""
    name = inputs.name.split("/")[0]
    pooled = layers.AveragePooling2D((rows, int(inputs.shape[2])), name=f"{name}_mean")(inputs)
    return layers.Flatten(name=f"{name}_of_each")(pooled)
