from pathlib import Path

import h5py
import numpy as np
import pytest
import tf_keras

from device.errors import TrainingError
from device.front_end.parameters import FrontEnd
from device.front_end.spectrogram import silent_image
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


def test_equals_the_published_network(network: Network) -> None:
    layers = {layer.name: layer for layer in network.full.layers}
    assert [tuple(tensor.shape) for tensor in network.full.inputs] == [(None, 64, 64, 3), (None, 200)]
    assert network.full.input_names == ["images", "features"]
    assert sum(layer.name.startswith("block") and "conv" in layer.name for layer in network.full.layers) == 16
    assert layers["words_embedding"].get_config()["output_dim"] == 32
    assert layers["words_embedding"].get_config()["input_dim"] == 51
    lstm = layers["words_lstm"].get_config()
    assert (lstm["units"], lstm["recurrent_dropout"]) == (25, 0)
    dense = [layer for layer in network.full.layers if isinstance(layer, tf_keras.layers.Dense)]
    assert sorted((layer.units, layer.activation.__name__) for layer in dense) == [
        (3, "softmax"), (32, "relu"), (32, "relu"), (32, "relu"),
    ]  # fmt: skip


def build_with(weights: Path) -> Network:
    return build_network("tutorial", labels=2, vocabulary=5, front_end=FRONT_END, vgg19_weights=weights)


def test_weights_from_a_file(network: Network, tmp_path: Path) -> None:
    path = tmp_path / "vgg19.h5"
    vgg19 = tf_keras.applications.VGG19(include_top=False, weights=None)
    vgg19.save_weights(path)
    expected = vgg19.get_layer("block5_conv4").get_weights()[0]
    np.testing.assert_array_equal(build_with(path).full.get_layer("block5_conv4").get_weights()[0], expected)


def test_unusable_weights(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"no such file; give Keras's vgg19.*--vgg19-weights"):
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
