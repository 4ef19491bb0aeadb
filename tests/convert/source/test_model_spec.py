import copy
from pathlib import Path
from typing import Any

import pytest

from convert.source.keras_h5 import read_configuration
from convert.source.model_spec import ModelSpec, check_companions, freeze, read_spec
from device.errors import ConversionError
from tests.convert import tutorial_models


@pytest.fixture(scope="module")
def configuration(small_model: Path) -> dict[str, Any]:
    return read_configuration(small_model)[0]


def test_inputs_are_identified_by_shape(configuration: dict[str, Any]) -> None:
    assert [name for name, *_ in configuration["config"]["input_layers"]] == ["transcript", "spectrogram"]
    spec = read_spec(configuration)
    assert spec == ModelSpec("spectrogram", "transcript", (64, 64), 200, embedding_rows=2001)
    other_order = copy.deepcopy(configuration)
    other_order["config"]["input_layers"] = {"b": ["spectrogram", 0, 0], "a": ["transcript", 0, 0]}
    assert read_spec(other_order) == spec


def test_frozen_for_tflite(configuration: dict[str, Any]) -> None:
    before = copy.deepcopy(configuration)
    changed = freeze(configuration, read_spec(configuration))["config"]
    assert configuration == before
    layers = {layer["config"]["name"]: layer["config"] for layer in changed["layers"]}
    assert layers["spectrogram"]["batch_input_shape"] == [1, 64, 64, 3]
    assert layers["transcript"]["batch_input_shape"] == [1, 200]
    assert layers["transcript"]["dtype"] == "int32"
    (lstm,) = (layer["config"] for layer in changed["layers"] if layer["class_name"] == "LSTM")
    assert lstm["recurrent_dropout"] == 0
    assert changed["input_layers"] == [["spectrogram", 0, 0], ["transcript", 0, 0]]
    assert len(changed["output_layers"]) == 1


@pytest.mark.parametrize("not_a_model", [{}, {"class_name": "Sequential", "config": []}, {"config": {"layers": [1]}}])
def test_other_json(not_a_model: dict[str, Any]) -> None:
    with pytest.raises(ConversionError, match="not a functional Keras model"):
        read_spec(not_a_model)


def test_open_sizes_are_taken_from_the_front_end(configuration: dict[str, Any]) -> None:
    open_sizes = copy.deepcopy(configuration)
    for layer in open_sizes["config"]["layers"]:
        shape = layer["config"].get("batch_input_shape")
        if layer["class_name"] == "InputLayer":
            shape[1:3] = [None] * len(shape[1:3])
    spec = read_spec(open_sizes)
    assert (spec.image_size, spec.sequence_length) == ((None, None), None)
    completed = check_companions(spec, tutorial_models.companions(image_width=32, sequence_length=50))
    assert (completed.image_size, completed.sequence_length) == ((64, 32), 50)
    layers = {layer["config"]["name"]: layer["config"] for layer in freeze(open_sizes, completed)["config"]["layers"]}
    assert layers["spectrogram"]["batch_input_shape"] == [1, 64, 32, 3]
    assert layers["transcript"]["batch_input_shape"] == [1, 50]
