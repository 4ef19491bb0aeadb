import copy
from pathlib import Path
from typing import Any

import pytest

from convert.model_file import read_configuration
from convert.network import Network, check_operators, examine, frozen
from device.errors import ConversionError


@pytest.fixture(scope="module")
def configuration(small_model: Path) -> dict[str, Any]:
    return read_configuration(small_model)


def test_inputs_are_told_apart_by_shape(configuration: dict[str, Any]) -> None:
    assert [name for name, *_ in configuration["config"]["input_layers"]] == ["transcript", "spectrogram"]
    network = examine(configuration)
    assert network == Network("spectrogram", "transcript", (64, 64), 200, embedding_rows=2001, lstm_layers=1)
    other_order = copy.deepcopy(configuration)
    other_order["config"]["input_layers"] = {"b": ["spectrogram", 0, 0], "a": ["transcript", 0, 0]}
    assert examine(other_order) == network


def test_frozen_for_tflite(configuration: dict[str, Any]) -> None:
    before = copy.deepcopy(configuration)
    changed = frozen(configuration, examine(configuration))["config"]
    assert configuration == before
    layers = {layer["config"]["name"]: layer["config"] for layer in changed["layers"]}
    assert layers["spectrogram"]["batch_input_shape"] == [1, 64, 64, 3]
    assert layers["transcript"]["batch_input_shape"] == [1, 200]
    assert layers["transcript"]["dtype"] == "int32"
    (lstm,) = (layer["config"] for layer in changed["layers"] if layer["class_name"] == "LSTM")
    assert lstm["recurrent_dropout"] == 0
    assert changed["input_layers"] == [["spectrogram", 0, 0], ["transcript", 0, 0]]
    assert len(changed["output_layers"]) == 1


def test_objects_of_other_modules_are_not_imported(configuration: dict[str, Any]) -> None:
    hostile = copy.deepcopy(configuration)
    for layer in hostile["config"]["layers"]:
        if layer["class_name"] == "Embedding":
            layer["config"]["embeddings_initializer"] = {
                "module": "os",
                "class_name": "system",
                "config": {"command": ""},
            }
    with pytest.raises(ConversionError, match="Python module 'os', which edge-mcnn does not import"):
        examine(hostile)


@pytest.mark.parametrize("not_a_model", [{}, {"class_name": "Sequential", "config": []}, {"config": {"layers": [1]}}])
def test_other_json(not_a_model: dict[str, Any]) -> None:
    with pytest.raises(ConversionError, match="not a functional Keras 2 model"):
        examine(not_a_model)


@pytest.mark.parametrize(
    ("operators", "message"),
    [
        (["GATHER", "WHILE"], "0 of 1 LSTM layers became one operator"),
        (["UNIDIRECTIONAL_SEQUENCE_LSTM", "WHILE"], "a loop is left"),
        (["CONV_2D"], "0 of 1 LSTM"),
        (["UNIDIRECTIONAL_SEQUENCE_LSTM", "FlexErf"], "needs FlexErf"),
    ],
)
def test_operators(operators: list[str], message: str) -> None:
    network = Network("a", "b", (64, 64), 200, 10, lstm_layers=1)
    check_operators(["UNIDIRECTIONAL_SEQUENCE_LSTM", "SOFTMAX"], network)
    with pytest.raises(ConversionError, match=message):
        check_operators(operators, network)
