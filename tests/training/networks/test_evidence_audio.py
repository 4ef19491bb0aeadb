import json

import numpy as np
import pytest
import tf_keras
from numpy.typing import NDArray

from convert.source.model_spec import read_spec
from device.errors import TrainingError
from device.front_end.parameters import FrontEnd
from device.front_end.spectrogram import MAGMA, silent_image
from training.networks.evidence_audio import audio_evidence, audio_statistics

_COARSE = np.random.default_rng(0).integers(0, 200, (4, 16, 64)).repeat(4, axis=1)
LEVELS = _COARSE + np.random.default_rng(1).integers(0, 56, (4, 64, 64))
IMAGES = (MAGMA / np.float32(255)).astype(np.float32)[LEVELS]


def network(height: int = 64, width: int = 64) -> tuple[tf_keras.Model, tf_keras.Model]:
    """The statistics, and statistics and head together."""
    tf_keras.utils.set_random_seed(1)
    images = tf_keras.layers.Input((height, width, 3))
    statistics = audio_statistics(images, products=True)
    evidence = audio_evidence(statistics, labels=3)
    return tf_keras.Model(images, statistics), tf_keras.Model(images, evidence)


@pytest.fixture(scope="module")
def models() -> tuple[tf_keras.Model, tf_keras.Model]:
    return network()


def part(model: tf_keras.Model, name: str, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """One group of statistics."""
    output = tf_keras.Model(model.inputs, model.get_layer(name).output).predict_on_batch(images)
    return np.asarray(output, np.float32)


def test_statistics_equal_those_of_numpy(models: tuple[tf_keras.Model, tf_keras.Model]) -> None:
    statistics, _ = models
    level = LEVELS / 255
    bands = np.concatenate([level.reshape(4, count, 64 // count, 64).mean(2) for count in (1, 4, 8, 16)], axis=1)
    tolerance = 0.025  # the error of inverting the colour map, twice

    def both_signs(change: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.stack([np.maximum(sign * change, 0).mean(2) for sign in (1, -1)], axis=2).reshape(4, -1))

    local_mean = np.mean([level[:, 4 + shift : 60 + shift] for shift in (-2, -1, 0, 1, 2)], axis=0)
    ridges = np.maximum(level[:, 4:60] - local_mean, 0).reshape(4, 14, 4, 64).mean((2, 3))
    tilt = np.diff(bands[:, 13:], axis=1)
    excess = np.maximum(bands[..., None] - np.array([0.2, 0.35, 0.5, 0.65, 0.8]), 0).mean(2)
    centred = 8 * (bands[:, 13:] - bands[:, 13:].mean(2, keepdims=True))
    pairs = [(centred[:, distance:] * centred[:, : 16 - distance]).mean(2) for distance in range(16)]
    low = np.pad(level[:, 32:], ((0, 0), (3, 3), (0, 0)), constant_values=np.nan)
    local = 8 * (level[:, 32:] - np.nanmean([low[:, row : row + 32] for row in range(7)], axis=0))
    harmonics = np.stack([(local[:, lag:] * local[:, :-lag]).mean(1) for lag in range(1, 13)], axis=1)
    above_mean = np.maximum(harmonics - harmonics.mean(2, keepdims=True), 0)
    for name, expected in (
        ("level_of_each", level.mean(2)),
        ("largest_of_each", bands.max(2)),
        ("peaks_of_each", bands.reshape(4, 29, 8, 8).max(3).mean(2)),
        ("dips_of_each", -bands.reshape(4, 29, 8, 8).min(3).mean(2)),
        ("deviation_of_each", np.maximum(bands - bands.mean(2, keepdims=True), 0).mean(2)),
        ("change_1_of_each", both_signs(bands[:, :, 1:] - bands[:, :, :-1])),
        ("change_32_of_each", both_signs(bands[:, :, 32:] - bands[:, :, :-32])),
        ("excess_of_each", excess.reshape(4, -1)),
        ("tilt_2_of_each", both_signs(tilt[:, :, 2:] - tilt[:, :, :-2])),
        ("ridges_of_each", ridges),
        ("covariances_of_each", np.concatenate(pairs, axis=1)),
        ("harmonics_of_each", harmonics.mean(2)),
        ("largest_harmonics_of_each", harmonics.max(2)),
        ("harmonics_deviation_of_each", above_mean.mean(2)),
    ):
        found = part(statistics, name, IMAGES)
        if name == "ridges_of_each":
            found = found.reshape(4, 14, 3)[:, :, 1]
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, atol=tolerance, err_msg=name)


def test_without_products_the_other_statistics_are_the_same(models: tuple[tf_keras.Model, tf_keras.Model]) -> None:
    images = tf_keras.layers.Input((64, 64, 3))
    plain = tf_keras.Model(images, audio_statistics(images)).predict_on_batch(IMAGES)
    assert plain.shape == (4, 775)
    np.testing.assert_allclose(models[0].predict_on_batch(IMAGES)[:, :775], plain, atol=1e-6)


def test_complete_image_comes_first_and_silence_is_zero(models: tuple[tf_keras.Model, tf_keras.Model]) -> None:
    statistics, _ = models
    silence = silent_image(FrontEnd())[None]
    found = statistics.predict_on_batch(np.concatenate([IMAGES, silence]))
    complete = (LEVELS / 255).mean(1)
    np.testing.assert_allclose(found[:4, 0], np.maximum(np.diff(complete), 0).mean(1), atol=2e-3)
    np.testing.assert_allclose(found[:4, 1], np.maximum(-np.diff(complete), 0).mean(1), atol=2e-3)
    np.testing.assert_array_equal(found[4], 0)


@pytest.mark.parametrize("size", [(64, 64), (48, 80), (16, 16)])
def test_silence_gives_no_evidence_at_any_size(size: tuple[int, int]) -> None:
    front_end = FrontEnd(image_height=size[0], image_width=size[1])
    _, full = network(*size)
    weights = [np.random.default_rng(2).standard_normal(w.shape) ** 2 for w in full.get_layer("audio_logits").weights]
    full.get_layer("audio_logits").set_weights(weights)
    random = np.random.default_rng(3).random((1, *size, 3), np.float32)
    silence, audible = full.predict_on_batch(np.concatenate([silent_image(front_end)[None], random]))
    np.testing.assert_array_equal(silence, np.zeros(3))
    assert np.abs(audible).min() > 1e-3
    assert full.get_layer("audio_gate").output.shape == (None, 1)


def test_gate_is_open_for_speech_and_closes_gradually(models: tuple[tf_keras.Model, tf_keras.Model]) -> None:
    _, full = models
    moving = np.rint(20 * np.sin(np.arange(64)))
    fading = np.array([4.0, 1.0, 0.02, 0.0])[:, None, None] * moving + 128 * np.ones((4, 64, 64))
    gates = part(full, "audio_gate", (MAGMA / np.float32(255)).astype(np.float32)[np.rint(fading).astype(int)])
    assert gates[0, 0] == gates[1, 0] == 1
    assert gates[2:, 0].tolist() == [0, 0]  # less than one colour
    one_row = np.zeros((1, 64, 64), int)
    one_row[0, 5, 10] = 255
    assert 0 < part(full, "audio_gate", (MAGMA / np.float32(255)).astype(np.float32)[one_row])[0, 0] < 1


def test_evidence_is_the_mean_of_the_hidden_layer_and_of_the_largest_discriminant_of_each_class() -> None:
    statistics = tf_keras.layers.Input((5,))
    head = tf_keras.Model(statistics, audio_evidence(statistics, labels=3, units=4, kinds=2))
    random = np.random.default_rng(4)
    kernel, bias = random.standard_normal((5, 6)), random.standard_normal(6)
    head.get_layer("audio_kinds").set_weights([kernel, bias])
    rows = np.abs(random.standard_normal((7, 5))).astype(np.float32) + 1
    standardised = tf_keras.Model(statistics, head.get_layer("audio_standardise").output).predict_on_batch(rows)
    hidden = tf_keras.Model(statistics, head.get_layer("audio_logits").output).predict_on_batch(rows)
    largest = (standardised @ kernel + bias).reshape(7, 2, 3).max(1)
    np.testing.assert_allclose(head.predict_on_batch(rows), (hidden + largest) / 2, atol=1e-4)
    assert not any(weight.name.startswith("audio_kinds") for weight in head.trainable_weights)


def test_only_the_head_is_trainable(models: tuple[tf_keras.Model, tf_keras.Model]) -> None:
    statistics, full = models
    assert not statistics.trainable_weights
    assert {weight.name.split("/")[0] for weight in full.trainable_weights} == {
        "audio_standardise",
        "audio_dense",
        "audio_logits",
    }


def test_image_too_small() -> None:
    with pytest.raises(TrainingError, match="the image is 12 x 64 pixels, and the network 'evidence' needs 16 x 16"):
        audio_statistics(tf_keras.layers.Input((12, 64, 3)))


def test_contains_no_code() -> None:
    images = tf_keras.layers.Input((64, 64, 3), name="images")
    ids = tf_keras.layers.Input((8,), dtype="int32", name="features")
    words = tf_keras.layers.Flatten()(tf_keras.layers.Embedding(5, 3)(ids))
    joint = tf_keras.layers.Concatenate()([audio_evidence(audio_statistics(images), labels=3), words])
    model = tf_keras.Model([images, ids], tf_keras.layers.Dense(3, activation="softmax")(joint))
    configuration = json.loads(model.to_json())
    assert read_spec(configuration).image_size == (64, 64)
    restored = tf_keras.models.model_from_json(json.dumps(configuration))
    restored.set_weights(model.get_weights())
    feed = {"images": IMAGES, "features": np.zeros((4, 8), np.int32)}
    np.testing.assert_array_equal(restored.predict_on_batch(feed), model.predict_on_batch(feed))
