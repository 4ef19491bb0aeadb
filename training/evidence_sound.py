"""The sound branch of the network `evidence`: fixed statistics of the picture, and a small trained head on them.

The statistics are untrained layers, so that they are computed once per picture. The head gives evidence, logits that
are exactly 0 when the picture shows no sound. This module knows nothing of words, corpora or training.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from tf_keras import layers

from device.errors import TrainingError

TIME_LAGS = (1, 4)
"""Columns between which changes in time are measured."""
PITCH_LAGS = (1, 2, 4)
"""Rows between which differences in pitch are measured."""
_PEAK_WIDTH = 8
"""Columns that a local peak or dip is sought in: an eighth of the default picture."""
_SMALLEST = 16
"""Pixels either way, for at least two local peaks and the largest lag."""
_LEVEL_OF_RGB = (0.47550062, 0.4295224, 0.12270655)
_LEVEL_OFFSET = 0.00947283
"""Least squares over the 256 colours of magma: the step of the colour map, 0 to 1, to within 0.0115."""
STANDARDISE_EPSILON = 1e-6
"""Added to each variance; Keras's 1e-3 is larger than most variances here."""
_GATE_GAIN = 100.0
"""Per unit of mean change from column to column; speech has 0.01 and more, in any room, so its gate is 1."""


def sound_statistics(images: Any) -> Any:
    """What a picture shows of each band of pitch over time; independent of trained weights.

    Mean and largest level, means of local peaks and dips, deviation from the mean, changes in time and differences in
    pitch at several lags, and ridges. First come the changes from one column to the next, which the gate of
    `sound_evidence` needs: they are exactly 0 for a picture of silence.

    Args:
        images: symbolic tensor (batch, height, width, 3), float32, 0 to 1, coloured by magma.

    Returns:
        Symbolic tensor (batch, n), float32, not standardised.

    Raises:
        TrainingError: the picture is smaller than 16 x 16.
    """
    height, width = (int(size) for size in images.shape[1:3])
    if min(height, width) < _SMALLEST:
        raise TrainingError(
            f"the picture is {height} x {width} pixels, and the network 'evidence' needs {_SMALLEST} x {_SMALLEST}; "
            "raise picture_height and picture_width"
        )
    level = _fixed(images, np.reshape(_LEVEL_OF_RGB, (1, 1, 3, 1)), "level", offset=_LEVEL_OFFSET)
    mean = layers.AveragePooling2D((1, width), name="level_mean")(level)
    away = layers.Subtract(name="level_away")([level, mean])
    dips = _fixed(level, np.full((1, 1, 1, 1), -1.0), "level_negated")
    parts = [
        *(_mean_over_time(_difference(level, (0, lag), f"change_{lag}"), f"change_{lag}") for lag in TIME_LAGS),
        layers.Flatten(name="mean")(mean),
        layers.Flatten(name="largest")(layers.MaxPooling2D((1, width), name="largest_pooled")(level)),
        _mean_over_time(layers.MaxPooling2D((1, _PEAK_WIDTH), name="peaks_pooled")(level), "peaks"),
        _mean_over_time(layers.MaxPooling2D((1, _PEAK_WIDTH), name="dips_pooled")(dips), "dips"),
        _mean_over_time(_both_signs(away, np.ones((1, 1)), "deviation_signed"), "deviation"),
        *(_mean_over_time(_difference(level, (lag, 0), f"slope_{lag}"), f"slope_{lag}") for lag in PITCH_LAGS),
        _mean_over_time(_both_signs(level, np.array([[-1.0], [2.0], [-1.0]]), "ridges_signed"), "ridges"),
    ]
    return layers.Concatenate(name="sound_statistics")(parts)


def sound_evidence(
    statistics: Any,
    *,
    labels: int,
    height: int,
    units: int = 64,
    dropout: float = 0.3,
    hidden_dropout: float = 0.3,
    momentum: float = 0.95,
) -> Any:
    """The trained head: evidence for each class, 0 for all of them when there is no sound.

    Args:
        statistics: symbolic tensor (batch, n), what `sound_statistics` gave.
        labels: number of classes.
        height: of the picture, pixels.
        units: width of the hidden layer.
        dropout: share of the standardised statistics left out in training.
        hidden_dropout: share of the hidden layer left out in training.
        momentum: of the means and variances that the statistics are standardised by, per training step.

    Returns:
        Symbolic tensor (batch, labels), float32: logits.
    """
    change = 2 * height  # rising and falling, per row: the first statistics
    gains = np.zeros((int(statistics.shape[-1]), 1), np.float32)
    gains[:change] = _GATE_GAIN / change
    gate = layers.Dense(1, use_bias=False, trainable=False, name="sound_movement")
    moving = gate(statistics)
    gate.set_weights([gains])
    gate_value = layers.ReLU(1.0, name="sound_gate")(moving)
    hidden = layers.BatchNormalization(momentum=momentum, epsilon=STANDARDISE_EPSILON, name="sound_standardise")(
        statistics
    )
    hidden = layers.Dropout(dropout, name="sound_dropout")(hidden)
    hidden = layers.Dense(units, activation="relu", name="sound_dense")(hidden)
    hidden = layers.Dropout(hidden_dropout, name="sound_dense_dropout")(hidden)
    logits = layers.Dense(labels, name="sound_logits")(hidden)
    return layers.Multiply(name="sound_evidence")([logits, gate_value])


def _fixed(
    inputs: Any, kernel: NDArray[np.float64], name: str, *, offset: float | None = None, relu: bool = False
) -> Any:
    """A convolution that is not trained; kernel (height, width, channels, filters)."""
    layer = layers.Conv2D(
        kernel.shape[3],
        kernel.shape[:2],
        activation="relu" if relu else None,
        use_bias=offset is not None,
        trainable=False,
        name=name,
    )
    outputs = layer(inputs)
    bias = [] if offset is None else [np.full(kernel.shape[3], offset)]
    layer.set_weights([kernel, *bias])
    return outputs


def _both_signs(inputs: Any, kernel: NDArray[np.float64], name: str) -> Any:
    """Two channels: what is above 0 of the kernel's (height, width) answer, and what is below, both positive."""
    return _fixed(inputs, np.stack([kernel, -kernel], axis=-1)[:, :, None], name, relu=True)


def _difference(level: Any, lag: tuple[int, int], name: str) -> Any:
    """Rises and falls from each pixel to the one `lag` (rows, columns) further."""
    kernel = np.zeros((lag[0] + 1, lag[1] + 1))
    kernel[0, 0], kernel[-1, -1] = -1, 1
    return _both_signs(level, kernel, f"{name}_signed")


def _mean_over_time(picture: Any, name: str) -> Any:
    pooled = layers.AveragePooling2D((1, int(picture.shape[2])), name=f"{name}_mean")(picture)
    return layers.Flatten(name=name)(pooled)
