"""Every layer of Keras 2 and 3 is either allowed, or refused with a way round that fits it."""

import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tf_keras

from convert.source.allowlist import refuse_code
from convert.source.augmentation import AUGMENTATION, without_augmentation
from convert.source.keras_source import read_source
from convert.source.refused_layers import OPERATIONS, REFUSED
from device.errors import ConversionError
from tests.convert.third_party_models import IGNORE_HDF5_WARNING

pytestmark = pytest.mark.filterwarnings(IGNORE_HDF5_WARNING)
KERAS = {"tf_keras": tf_keras, "keras": keras}
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(("RandomTranslation",), (0.5, 0.5)),
    "RandomPosterization": (4,),
}
ONE_ARGUMENT = (
    *("RandomBrightness", "RandomContrast", "RandomRotation", "RandomZoom", "RandomHeight", "RandomWidth"),
    *("RandomHue", "RandomSaturation", "RandomSharpness", "RandomColorDegeneration"),
)


def public_layers(package: str) -> Iterator[str]:
    """Names of all classes of layers that a version of Keras offers, as its files name them."""
    spaces = [KERAS[package].layers]
    if package == "tf_keras":
        spaces += [tf_keras.layers.experimental, tf_keras.layers.experimental.preprocessing]
    base = KERAS[package].layers.Layer
    classes = [each for space in spaces for each in vars(space).values() if inspect.isclass(each)]
    yield from sorted({each.__name__ for each in classes if issubclass(each, base)})


def stored(kind: str, module: str | None) -> dict[str, Any]:
    return {"class_name": kind, "module": module, "config": {"name": "mine"}, "inbound_nodes": []}


@pytest.mark.parametrize(("package", "module"), [("tf_keras", None), ("keras", "keras.layers")])
def test_every_layer_is_allowed_or_refused_with_a_fix_that_fits(package: str, module: str | None) -> None:
    kinds = list(public_layers(package))
    assert len(kinds) > 100
    allowed, refused = [], {}
    for kind in kinds:
        try:
            refuse_code(stored(kind, module))
            allowed.append(kind)
        except ConversionError as error:
            refused[kind] = error
    for kind, refusal in refused.items():
        assert refusal.message.startswith(f"layer 'mine' is a {kind}: ")
        assert refusal.fix, kind
        assert "custom" not in str(refusal), kind
        assert len(str(refusal).splitlines()) == 1, kind
    assert {"LSTM", "GRU", "Conv2D", "RandomFlip", "Resizing", "Rescaling", "Normalization"} <= set(allowed)
    assert not set(allowed) & set(REFUSED)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("TextVectorization", "turns text into word ids, .*; build Model.*--vocabulary: one word per line"),
        ("MultiHeadAttention", "attention with several heads; use Attention"),
        ("RandomCrop", "use CenterCrop or Resizing"),
        ("MelSpectrogram", "computes a spectrogram from audio.*; build the network from the spectrogram image on"),
        ("Conv3D", "single image; use Conv2D on the image"),
        ("ConvLSTM2D", "; use Conv2D on the image, or Reshape and an LSTM"),
        ("Lambda", "carries code.*; use a layer that does the same"),
        ("Hashing", "; give words the ids of a vocabulary"),
        ("RMSNormalization", "; use LayerNormalization"),
        ("SpectralNormalization", "; build the network with the inner layer alone"),
        ("CuDNNLSTM", "; build the network with LSTM instead"),
    ],
)
def test_the_way_round(kind: str, message: str) -> None:
    with pytest.raises(ConversionError, match=f"layer 'mine' is a {kind}: .*{message}"):
        refuse_code(stored(kind, None))


@pytest.mark.parametrize("kind", ["AttentionLayer", "TransformerBlock", "ModelOfMine"])
@pytest.mark.parametrize("module", [None, "__main__", "keras_hub.src.layers"])
def test_custom_layers(kind: str, module: str | None) -> None:
    with pytest.raises(ConversionError, match=rf"{kind}.*; build the network from Keras's own layers only, copy"):
        refuse_code(stored(kind, module))


@pytest.mark.parametrize("kind", sorted(OPERATIONS))
def test_operations_of_keras_2(kind: str) -> None:
    with pytest.raises(ConversionError, match=rf"'mine' is an operation on tensors \({kind}\).*; use a layer such as"):
        refuse_code(stored(kind, None))


def test_the_name_of_a_layer_cannot_control_a_terminal() -> None:
    for kind in ("Lambda", "Custom", "TFOpLambda"):
        hostile = {**stored(kind, None), "config": {"name": "\x1b[2J\n" * 1000}}
        with pytest.raises(ConversionError) as caught:
            refuse_code(hostile)
        assert caught.value.message.isprintable()
        assert len(caught.value.message) < 400


@pytest.mark.parametrize("package", KERAS)
def test_augmentation_does_nothing_when_the_network_predicts(package: str) -> None:
    images = np.random.default_rng(0).random((2, 12, 12, 3), np.float32)
    found = [kind for kind in public_layers(package) if kind in AUGMENTATION]
    assert "RandomFlip" in found
    for kind in found:
        arguments = ARGUMENTS.get(kind, (0.5,) if kind in ONE_ARGUMENT else ())
        layer = getattr(KERAS[package].layers, kind)(*arguments)
        np.testing.assert_array_equal(np.asarray(layer(images, training=False)), images, kind)
        assert layer.get_weights() == []


@pytest.mark.parametrize(
    ("package", "name"), [("tf_keras", "Model.h5"), ("keras", "Model.h5"), ("keras", "Model.keras")]
)
def test_augmentation_is_removed(package: str, name: str, tmp_path: Path) -> None:
    layers = KERAS[package].layers
    augmentation = KERAS[package].Sequential(
        [layers.Input((8, 8, 3)), layers.RandomFlip(), layers.RandomRotation(0.1)], name="augmentation"
    )
    images = layers.Input((8, 8, 3))
    pooled = layers.GlobalAveragePooling2D()(layers.RandomZoom(0.2, name="zoom")(augmentation(images)))
    KERAS[package].Model(images, layers.Dense(2)(pooled)).save(tmp_path / name)
    source = read_source(tmp_path / name)
    assert "RandomFlip" in json.dumps(source.stored)
    assert not any(kind in json.dumps(source.configuration) for kind in AUGMENTATION)
    found = {each["config"]["name"]: each for each in source.configuration["config"]["layers"]}
    assert (found["zoom"]["class_name"], found["zoom"]["config"]["activation"]) == ("Activation", "linear")
    assert without_augmentation(source.configuration) == source.configuration
