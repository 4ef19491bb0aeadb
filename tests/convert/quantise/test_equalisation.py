"""Equalisation gives channels similar ranges without changing the predictions."""

import json
from typing import Any

import numpy as np
import pytest
import tf_keras
from tf_keras import layers

from convert.quantise.equalisation import equalise
from convert.source.keras_loading import strip_module_names
from convert.source.layer_graph import LayerGraph
from tests.convert.quantise.test_prepare import chain, convolutions, ids, network, random_images

pytestmark = pytest.mark.filterwarnings("ignore:non-integer arguments to randrange:DeprecationWarning")


def equalised(model: Any) -> int:
    """Make the channels uneven, equalise them, and return the number of pairs of layers."""
    random = np.random.default_rng(0)
    for layer in convolutions(model):
        layer.set_weights(
            [
                weight * np.exp(random.normal(0, 1, weight.shape[-1])).astype(np.float32)
                for weight in layer.get_weights()
            ]
        )
    expected = model([random_images(1), ids()]).numpy()
    pairs = equalise(model, LayerGraph(strip_module_names(json.loads(model.to_json()))), 0.5, random_images(0), ids())
    np.testing.assert_allclose(model([random_images(1), ids()]).numpy(), expected, atol=1e-5)
    assert not [layer for layer in convolutions(model) if "convolution_op" in vars(layer)]
    return pairs


def spread(model: Any) -> float:
    """Ratio of the largest to the median of the maxima of the channels before the last convolution."""
    last = convolutions(model)[-1]
    inner = next(layer for layer in model.layers if hasattr(layer, "layers"))
    maxima = tf_keras.Model(inner.inputs, last.input)(random_images(0)).numpy().max(axis=(0, 1, 2))
    return float(maxima.max() / np.median(maxima))


def test_same_predictions_and_closer_ranges() -> None:
    uneven, even = network(chain()), network(chain())
    assert (
        equalised(even) == 5
    )  # each convolution and the next layer, the last one through the pooling to the dense layer
    random = np.random.default_rng(0)
    for layer in convolutions(uneven):
        layer.set_weights(
            [
                weight * np.exp(random.normal(0, 1, weight.shape[-1])).astype(np.float32)
                for weight in layer.get_weights()
            ]
        )
    assert spread(even) < spread(uneven) / 1.5


def test_flattened_pixels() -> None:
    def branch(images: Any) -> Any:
        return layers.Flatten()(layers.ReLU()(layers.Conv2D(8, 3)(images)))

    assert equalised(network(branch)) == 1


@pytest.mark.parametrize(
    "between",
    [
        lambda x: layers.BatchNormalization()(x),
        lambda x: layers.ReLU(max_value=6)(x),
        lambda x: layers.Activation("tanh")(x),
        lambda x: layers.Add()([x, layers.Conv2D(16, 1)(x)]),
        lambda x: layers.DepthwiseConv2D(3)(x),
    ],
)
def test_layers_that_do_not_commute_with_a_factor(between: Any) -> None:
    def branch(images: Any) -> Any:
        x = between(layers.Conv2D(16, 3)(images))
        return layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3, activation="tanh")(x))

    assert equalised(network(branch)) == 0


def test_zero_channels_stay_finite() -> None:
    model = network(chain())
    for layer in convolutions(model)[:2]:
        kernel, bias = layer.get_weights()
        kernel[..., ::2] = 0
        bias[1::4] = -1e6
        layer.set_weights([kernel, bias])
    before = model([random_images(1), ids()]).numpy()
    equalise(model, LayerGraph(strip_module_names(json.loads(model.to_json()))), 0.5, random_images(0) * 0, ids())
    np.testing.assert_allclose(model([random_images(1), ids()]).numpy(), before, atol=1e-5)
