from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tf_keras

from device.errors import TrainingError
from device.front_end.parameters import FrontEnd
from device.front_end.spectrogram import silent_image
from training.fit.settings import TrainingSettings
from training.networks.network import Network, build_network

FRONT_END = FrontEnd()


@pytest.fixture(scope="module")
def network() -> Network:
    tf_keras.utils.set_random_seed(0)
    return build_network("tutorial", labels=3, vocabulary=50, front_end=FRONT_END, vgg19_weights=None)


def test_head_of_features_equals_full_network(network: Network) -> None:
    random = np.random.default_rng(0)
    images = random.random((5, 64, 64, 3), np.float32)
    ids = random.integers(0, 51, (5, 200)).astype(np.int32)
    # Random VGG19 weights shrink the signal to nearly nothing; amplify it, or the test would pass with any image.
    pooled = network.trunk.predict_on_batch(images)
    network.head.get_layer("image_dense").kernel.assign(
        random.standard_normal((512, 32)).astype(np.float32) / pooled.std()
    )
    head = network.head.predict_on_batch({"image_features": pooled, "features": ids})
    full = network.full.predict_on_batch({"images": images, "features": ids})
    np.testing.assert_allclose(head, full, atol=1e-5)
    assert np.ptp(network.head.predict_on_batch({"image_features": pooled[::-1], "features": ids}) - head) > 1e-3
    np.testing.assert_allclose(full.sum(axis=1), 1, atol=1e-5)


def test_training_the_head_trains_the_full_network_and_leaves_vgg19(network: Network) -> None:
    before = {weight.name: weight.numpy().copy() for weight in network.full.weights}
    assert {w.name for w in network.head.trainable_weights} == {w.name for w in network.full.trainable_weights}
    network.head.compile("adam", "sparse_categorical_crossentropy")
    features, ids = np.random.default_rng(1).random((4, 512), np.float32), np.full((4, 200), 7, np.int32)
    network.head.train_on_batch({"image_features": features, "features": ids}, np.array([0, 1, 2, 0]))
    changed = {w.name for w in network.full.weights if not np.array_equal(before[w.name], w.numpy())}
    assert "words_embedding/embeddings:0" in changed
    assert not any(name.startswith("block") for name in changed)


PUBLISHED: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "image": [
        ("InputLayer", {"batch_input_shape": (None, 64, 64, 3)}),
        ("GlobalAveragePooling2D", {}),
        ("Dense", {"units": 32, "activation": "relu"}),
        ("Dropout", {"rate": 0.25}),
    ],
    "text": [
        ("InputLayer", {"batch_input_shape": (None, 200)}),
        ("Embedding", {"input_dim": 51, "output_dim": 32, "input_length": 200, "mask_zero": False}),
        ("SpatialDropout1D", {"rate": 0.25}),
        ("LSTM", {"units": 25, "dropout": 0.25, "recurrent_dropout": 0.25, "activation": "tanh"}),
        ("Dropout", {"rate": 0.25}),
    ],
    "common": [
        ("Concatenate", {}),
        ("Dense", {"units": 32, "activation": "relu"}),
        ("Dropout", {"rate": 0.25}),
        ("Dense", {"units": 32, "activation": "relu"}),
        ("Dropout", {"rate": 0.25}),
        ("Dense", {"units": 3, "activation": "softmax"}),
    ],
}
"""The layers in the tutorial's code, in their order; VGG19 comes after the image input. The widths of the embedding and
of the common layers, for which it shows no code, are those of its repository."""
VGG19 = tf_keras.applications.VGG19(include_top=False, weights=None, input_shape=(64, 64, 3))
"""Keras's own, to compare with."""


def ending_in(tensor: Any) -> list[Any]:
    """Return the layers that lead to a tensor one after the other, from an input or a layer of several inputs on."""
    layers = [tensor._keras_history.layer]
    while not isinstance(layers[0].input, list) and not isinstance(layers[0], tf_keras.layers.InputLayer):
        layers.insert(0, layers[0].input._keras_history.layer)
    return layers


def assert_published(layers: list[Any], published: list[tuple[str, dict[str, Any]]]) -> None:
    assert [type(layer).__name__ for layer in layers] == [kind for kind, _ in published]
    for layer, (_, settings) in zip(layers, published, strict=True):
        config = layer.get_config()
        assert {name: config[name] for name in settings} == settings, layer.name


def settings_of(layers: list[Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return the types and settings of layers, without trainability."""
    return [(type(layer).__name__, {**layer.get_config(), "trainable": None}) for layer in layers]


def test_equals_the_published_network(network: Network) -> None:
    """Branch by branch: types, sizes, rates and trainability of all layers."""
    full = network.full
    common = ending_in(full.outputs[0])
    image, text = (ending_in(tensor) for tensor in common[0].input)
    vgg19, own = image[1:-3], [image[0], *image[-3:]]
    assert_published(own, PUBLISHED["image"])
    assert settings_of(vgg19) == settings_of(VGG19.layers[1:])
    assert_published(text, PUBLISHED["text"])
    assert_published(common, PUBLISHED["common"])
    # There is nothing else, VGG19 is frozen, and all other layers are trained.
    assert {layer.name for layer in full.layers} == {layer.name for layer in (*image, *text, *common)}
    assert not any(layer.trainable for layer in vgg19)
    assert all(layer.trainable for layer in (*own[1:], *text, *common))
    assert sorted(tuple(weight.shape) for weight in full.trainable_weights) == sorted([
        (512, 32), (32,),
        (51, 32), (32, 100), (25, 100), (100,),
        (57, 32), (32,), (32, 32), (32,), (32, 3), (3,),
    ])  # fmt: skip
    assert full.input_names == ["images", "features"]
    defaults = TrainingSettings()
    assert (defaults.network, defaults.step_size, defaults.epochs) == ("tutorial", 1e-4, 13)
    assert (defaults.vgg19_weights, defaults.fast_lstm) == ("imagenet", False)


def test_fast_lstm_leaves_out_recurrent_dropout_and_nothing_else() -> None:
    fast = build_network(
        "tutorial", labels=3, vocabulary=50, front_end=FRONT_END, vgg19_weights=None, fast_lstm=True
    ).full
    text = ending_in(fast.get_layer("joint").input[1])
    assert_published(
        text,
        [
            (kind, {**settings, "recurrent_dropout": 0.0} if kind == "LSTM" else settings)
            for kind, settings in PUBLISHED["text"]
        ],
    )
    with pytest.raises(TrainingError, match=r"'evidence' has no LSTM .*; leave out --fast-lstm"):
        build_network("evidence", labels=3, vocabulary=50, front_end=FRONT_END, fast_lstm=True)


def build_with(weights: Path) -> Network:
    return build_network("tutorial", labels=2, vocabulary=5, front_end=FRONT_END, vgg19_weights=weights)


def test_weights_from_a_file(network: Network, tmp_path: Path) -> None:
    path = tmp_path / "vgg19.h5"
    vgg19 = tf_keras.applications.VGG19(include_top=False, weights=None)
    vgg19.save_weights(path)
    expected = vgg19.get_layer("block5_conv4").get_weights()[0]
    np.testing.assert_array_equal(build_with(path).full.get_layer("block5_conv4").get_weights()[0], expected)


def test_unusable_weights(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"no such file or folder; give Keras's vgg19.*--vgg19-weights"):
        build_with(tmp_path / "missing.h5")
    (tmp_path / "text.h5").write_text("no weights")
    with pytest.raises(TrainingError, match=r"text\.h5: not weights of VGG19 .*--vgg19-weights"):
        build_with(tmp_path / "text.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file.attrs["layer_names"] = [b"one"]
        file.create_group("one").attrs["weight_names"] = []
    with pytest.raises(TrainingError, match=r"other\.h5: not weights of VGG19"):
        build_with(tmp_path / "other.h5")


def test_failed_download(monkeypatch: pytest.MonkeyPatch) -> None:
    build = tf_keras.applications.VGG19

    def fail(weights: str | None, **options: object) -> object:
        if weights is None:
            return build(weights=None, **options)
        raise Exception("URL fetch failure on https://storage.googleapis.com: None -- unreachable")  # noqa: TRY002  # as Keras

    monkeypatch.setattr(tf_keras.applications, "VGG19", fail)
    with pytest.raises(TrainingError, match=r"cannot be downloaded \(URL fetch failure.*--vgg19-weights"):
        build_network("tutorial", labels=2, vocabulary=5, front_end=FRONT_END)


def test_unknown_name() -> None:
    with pytest.raises(TrainingError, match="network is 'resnet'; use one of tutorial"):
        build_network("resnet", labels=2, vocabulary=5, front_end=FRONT_END, vgg19_weights=None)


@pytest.fixture(scope="module")
def evidence() -> Network:
    tf_keras.utils.set_random_seed(0)
    return build_network("evidence", labels=3, vocabulary=50, front_end=FRONT_END, vgg19_weights=None)


def test_evidence_head_of_features_equals_full_network(evidence: Network) -> None:
    random = np.random.default_rng(0)
    images = random.random((5, 64, 64, 3), np.float32)
    ids = random.integers(0, 51, (5, 200)).astype(np.int32)
    features = evidence.trunk.predict_on_batch(images)
    head = evidence.head.predict_on_batch({"image_features": features, "features": ids})
    full = evidence.full.predict_on_batch({"images": images, "features": ids})
    np.testing.assert_allclose(head, full, atol=1e-6)
    assert np.ptp(full, axis=0).min() > 1e-3
    assert {w.name for w in evidence.head.trainable_weights} == {w.name for w in evidence.full.trainable_weights}


def test_silence_and_empty_text_give_no_evidence(evidence: Network) -> None:
    random = np.random.default_rng(1)
    silent = np.repeat(silent_image(FRONT_END)[None], 2, axis=0)
    ids = np.zeros((2, 200), np.int32)
    ids[1, -3:] = 7, 8, 9
    nothing, words = evidence.full.predict_on_batch({"images": silent, "features": ids})
    np.testing.assert_allclose(nothing, 1 / 3, atol=1e-6)
    assert np.ptp(words) > 1e-3
    audio = evidence.full.predict_on_batch({"images": random.random((1, 64, 64, 3), np.float32), "features": ids[:1]})
    assert np.ptp(audio) > 1e-3
