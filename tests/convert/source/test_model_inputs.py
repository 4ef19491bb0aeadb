"""Networks that do not have an image and word ids as inputs and a softmax as output: the message says what is wrong."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tf_keras

from convert.source.keras_source import read_source
from convert.source.model_spec import read_spec
from device.errors import ConversionError
from tests.convert.third_party_models import IGNORE_HDF5_WARNING

pytestmark = pytest.mark.filterwarnings(IGNORE_HDF5_WARNING)
IMAGE, IDS = (64, 64, 3), (200,)


def network(keras: Any, *shapes: tuple[int, ...], last: Any = None, outputs: int = 1) -> Any:
    """A network with inputs of these shapes."""
    layers = keras.layers
    inputs = [layers.Input(shape) for shape in shapes]
    flat = [layers.Flatten()(each) for each in inputs]
    joint = layers.concatenate(flat) if len(flat) > 1 else flat[0]
    built = [(last or layers.Dense(3, activation="softmax"))(joint) for _ in range(outputs)]
    return keras.Model(inputs, built if outputs > 1 else built[0])


def refusal(model: Any, path: Path) -> str:
    model.save(path)
    with pytest.raises(ConversionError) as caught:
        read_spec(read_source(path).configuration)
    assert caught.value.fix
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


BUILD = "; build it with the functional API, Model([images, ids], output)"


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([IMAGE], "one input (an image (None, 64, 64, 3)); the device needs two, and word ids are missing" + BUILD),
        ([IDS], "one input (word ids (None, 200)); the device needs two, and an image is missing" + BUILD),
        ([(64, 64, 1)], "one input ((None, 64, 64, 1): an image with 1 channels, expected 3); the device needs two"),
        (
            [IMAGE, IMAGE],
            "2 inputs (an image (None, 64, 64, 3); an image (None, 64, 64, 3)); the device needs two,",
        ),
        ([IDS, (40,)], "2 inputs (word ids (None, 200); word ids (None, 40)); the device needs two, one image and one"),
        ([(64, 64, 1), IDS], "(None, 64, 64, 1): an image with 1 channels, expected 3; word ids (None, 200)"),
        ([(64, 64, 4), IDS], "(None, 64, 64, 4): an image with 4 channels, expected 3"),
        ([(3, 64, 64), IDS], "(None, 3, 64, 64): the 3 colours come first, expected last"),
        ([(64, 64), IDS], "(None, 64, 64): vectors, audio or an image without colours"),
        ([IMAGE, (200, 32)], "(None, 200, 32): vectors, audio or an image without colours"),
        ([IMAGE, (4, 64, 64, 3)], "(None, 4, 64, 64, 3): neither an image nor word ids"),
        ([IMAGE, IDS, (5,)], "3 inputs (an image (None, 64, 64, 3); word ids (None, 200); word ids (None, 5))"),
    ],
)
@pytest.mark.parametrize("package", [tf_keras, keras])
def test_inputs(package: Any, shapes: list[tuple[int, ...]], message: str, tmp_path: Path) -> None:
    assert message in refusal(network(package, *shapes), tmp_path / "Model.h5")


@pytest.mark.parametrize("name", ["Model.h5", "Model.keras"])
@pytest.mark.parametrize("package", [tf_keras, keras])
@pytest.mark.parametrize(
    ("shape", "kind"), [(IMAGE, "an image (None, 64, 64, 3)"), (IDS, "word ids (None, 200)"), (None, None)]
)
def test_sequential_model(package: Any, name: str, shape: Any, kind: str | None, tmp_path: Path) -> None:
    layers = package.layers
    start = [layers.Input(shape)] if shape else []
    model = package.Sequential([*start, layers.Flatten(), layers.Dense(3, activation="softmax")])
    if shape is None:
        model(np.zeros((1, 5), np.float32))
    message = refusal(model, tmp_path / name)
    assert "is a Sequential model, which has one input" in message
    assert "the device needs two, an image and word ids" + BUILD in message
    assert kind is None or f"one input ({kind});" in message


@pytest.mark.parametrize(
    ("last", "message"),
    [
        (lambda layers: layers.Dense(1, activation="sigmoid"), "is one number (sigmoid), but the device needs one"),
        (lambda layers: layers.Dense(1), "is one number (linear), but the device needs one probability per label; end"),
        (
            lambda layers: layers.Dense(3, activation="sigmoid"),
            "has the activation 'sigmoid', but the device needs a",
        ),
        (lambda layers: layers.Dense(3), "holds logits, not probabilities; add a softmax without training again"),
        (lambda layers: layers.Activation("tanh"), "has the activation 'tanh', but the device needs a softmax"),
    ],
)
@pytest.mark.parametrize("package", [tf_keras, keras])
def test_output(package: Any, last: Callable[[Any], Any], message: str, tmp_path: Path) -> None:
    assert message in refusal(network(package, IMAGE, IDS, last=last(package.layers)), tmp_path / "Model.h5")


@pytest.mark.parametrize("package", [tf_keras, keras])
def test_several_outputs(package: Any, tmp_path: Path) -> None:
    message = refusal(network(package, IMAGE, IDS, outputs=2), tmp_path / "Model.h5")
    assert "the network has 2 outputs (dense" in message
    assert ", expected one; build Model([images, ids], output)" in message


def test_stateful_layers(tmp_path: Path) -> None:
    layers = tf_keras.layers
    images, ids = layers.Input(IMAGE, batch_size=1), layers.Input(IDS, batch_size=1)
    words = layers.LSTM(3, stateful=True, name="memory")(layers.Embedding(9, 4)(ids))
    model = tf_keras.Model([images, ids], layers.Dense(2, activation="softmax")(words))
    message = refusal(model, tmp_path / "Model.h5")
    assert "layer 'memory' (LSTM) has stateful=True, so a prediction would depend on the" in message


def test_layers_that_are_called_in_training(tmp_path: Path) -> None:
    layers = tf_keras.layers
    images, ids = layers.Input(IMAGE), layers.Input(IDS)
    joint = layers.concatenate([layers.Flatten()(images), layers.Dropout(0.5, name="random")(ids, training=True)])
    model = tf_keras.Model([images, ids], layers.Dense(2, activation="softmax")(joint))
    assert "layer 'random' (Dropout) is called with training=True, so predictions would be random" in refusal(
        model, tmp_path / "Model.h5"
    )
    calm = json.loads(json.dumps(read_source(tmp_path / "Model.h5").configuration).replace("true", "false"))
    read_spec(calm)
