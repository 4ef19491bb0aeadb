"""Configurations that Keras 3 writes are translated into the notation of Keras 2."""

import json
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tf_keras
from keras import layers

from convert.source.keras3_config import as_keras_2
from convert.source.keras_loading import in_keras_2
from device.errors import ConversionError


def stored(model: Any) -> dict[str, Any]:
    table: dict[str, Any] = json.loads(model.to_json())
    return table


def translated(model: Any) -> dict[str, dict[str, Any]]:
    """The translated layers by name, after checking that Keras 2 builds the network and computes the same."""
    before = stored(model)
    configuration = as_keras_2(before)
    assert before == stored(model)
    in_2 = in_keras_2(model, configuration)
    assert isinstance(in_2, tf_keras.Model)
    chance = np.random.default_rng(0)
    feed = [chance.random((2, *tensor.shape[1:]), np.float32) for tensor in model.inputs]
    fed = feed if len(feed) > 1 else feed[0]
    np.testing.assert_allclose(in_2(fed), model(fed), atol=1e-5)
    return {layer["name"]: layer for layer in configuration["config"]["layers"]}


def inner(name: str = "inner") -> Any:
    seen = layers.Input((4,))
    return keras.Model(seen, layers.Dense(3, activation="tanh", name="of_inner")(seen), name=name)


def test_settings_of_a_layer() -> None:
    seen = layers.Input((4,), name="seen")
    dense = layers.Dense(2, activation="relu", kernel_initializer="he_normal", kernel_regularizer="l2", name="dense")
    found = translated(keras.Model(seen, dense(seen)))
    assert found["seen"]["config"]["batch_input_shape"] == [None, 4]
    settings = found["dense"]["config"]
    assert settings.items() >= {"units": 2, "activation": "relu", "use_bias": True, "dtype": "float32"}.items()
    assert (settings["kernel_initializer"], settings["kernel_regularizer"]) == ("zeros", None)
    assert found["dense"]["inbound_nodes"] == [[["seen", 0, 0, {}]]]
    assert not {"module", "registered_name", "build_config"} & set(found["dense"])


def test_calls_of_a_nested_model_are_counted_from_one() -> None:
    seen, nested = layers.Input((4,), name="seen"), inner()
    model = keras.Model(seen, layers.Dense(2, name="last")(nested(seen)))
    found = translated(model)
    assert found["inner"]["inbound_nodes"] == [[["seen", 0, 0, {}]]]
    assert found["last"]["inbound_nodes"] == [[["inner", 1, 0, {}]]]
    assert [layer["class_name"] for layer in found["inner"]["config"]["layers"]] == ["InputLayer", "Dense"]
    ends = as_keras_2(stored(keras.Model(seen, nested(seen))))["config"]
    assert ends["input_layers"] == [["seen", 0, 0]]


def test_nested_model_at_the_end_and_used_twice() -> None:
    one, two, nested = layers.Input((4,), name="one"), layers.Input((4,), name="two"), inner()
    model = keras.Model([one, two], layers.Add(name="sum")([nested(one), nested(two)]))
    assert translated(model)["sum"]["inbound_nodes"] == [[["inner", 1, 0, {}], ["inner", 2, 0, {}]]]
    model = keras.Model(one, inner("last")(one))
    translated(model)
    assert as_keras_2(stored(model))["config"]["output_layers"] == [["last", 1, 0]]


def test_nested_in_nested() -> None:
    middle, seen = layers.Input((4,)), layers.Input((4,), name="seen")
    outer = keras.Model(middle, layers.ReLU(name="relu")(inner()(middle)), name="outer")
    found = translated(keras.Model(seen, outer(seen)))
    of_outer = {layer["name"]: layer for layer in found["outer"]["config"]["layers"]}
    assert of_outer["relu"]["inbound_nodes"] == [[["inner", 1, 0, {}]]]


@pytest.mark.parametrize("with_input", [True, False], ids=["with input", "without input"])
def test_nested_sequential(with_input: bool) -> None:
    seen = layers.Input((4,), name="seen")
    nested = keras.Sequential([layers.Input((4,))] * with_input + [layers.Dense(3), layers.ReLU()], name="sequence")
    model = keras.Model(seen, nested(seen))
    assert translated(model)["sequence"]["class_name"] == "Sequential"
    assert as_keras_2(stored(model))["config"]["output_layers"] == [["sequence", 1, 0]]
    found = translated(keras.Model(seen, layers.ReLU(name="last")(nested(seen))))
    assert found["last"]["inbound_nodes"] == [[["sequence", 1, 0, {}]]]


def test_layers_of_several_inputs() -> None:
    one, two = layers.Input((4,), name="one"), layers.Input((3,), name="two")
    found = translated(keras.Model([one, two], layers.Concatenate(axis=-1, name="both")([two, one])))
    assert found["both"]["inbound_nodes"] == [[["two", 0, 0, {}], ["one", 0, 0, {}]]]


def test_wrapped_layers() -> None:
    seen = layers.Input((5, 4), name="seen")
    both = layers.Bidirectional(layers.LSTM(3, name="lstm"), name="both")(seen)
    found = translated(keras.Model(seen, both))
    assert found["both"]["config"]["layer"]["class_name"] == "LSTM"


@pytest.mark.parametrize("options", [{"training": False}, {"training": True}, {"mask": None}])
def test_training_and_mask_are_dropped(options: dict[str, Any]) -> None:
    seen = layers.Input((5, 4), name="seen")
    lstm = layers.LSTM(3, dropout=0.5, name="lstm")
    configuration = stored(keras.Model(seen, lstm(seen, **options)))
    layer = as_keras_2(configuration)["config"]["layers"][-1]
    assert layer["inbound_nodes"] == [[["seen", 0, 0, {}]]]


def attention(one: Any, two: Any) -> Any:
    return layers.MultiHeadAttention(1, 2, name="unusual")(one, two)


def with_initial_state(one: Any, _: Any) -> Any:
    state = layers.Flatten()(layers.Cropping1D((0, 4))(one))
    return layers.LSTM(4, name="unusual")(one, initial_state=[state, state])


@pytest.mark.parametrize(
    ("call", "more"),
    [(attention, "2 arguments"), (with_initial_state, "initial_state")],
    ids=["attention", "initial state"],
)
def test_calls_that_keras_2_cannot_express(call: Callable[[Any, Any], Any], more: str) -> None:
    one, two = layers.Input((5, 4)), layers.Input((5, 4))
    output = call(one, two)
    inputs = [tensor for tensor in (one, two) if call is attention or tensor is one]
    with pytest.raises(ConversionError, match=rf"'unusual' is called with more than its input \({more}\)"):
        as_keras_2(stored(keras.Model(inputs, output)))


def test_constants_and_structures() -> None:
    seen = layers.Input((4,), name="seen")
    configuration = stored(keras.Model(seen, layers.Dense(2, name="last")(seen)))
    unsupported: list[Any] = [3.0, [1, 2], {"class_name": "__numpy__", "config": {"value": [1]}}, {"a": {}}]
    for argument in unsupported:
        configuration["config"]["layers"][-1]["inbound_nodes"] = [{"args": [argument], "kwargs": {}}]
        with pytest.raises(ConversionError, match="'last' is called with a constant or a structure of tensors"):
            as_keras_2(configuration)
