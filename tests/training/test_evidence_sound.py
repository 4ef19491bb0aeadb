import numpy as np
import pytest
import tf_keras
from numpy.typing import NDArray

from device.errors import TrainingError
from device.front_end.colour_map import MAGMA
from device.front_end.parameters import FrontEnd
from device.front_end.spectrogram import silent_picture
from training.evidence_sound import sound_evidence, sound_statistics

LEVELS = np.random.default_rng(0).integers(0, 256, (4, 64, 64))
PICTURES = (MAGMA / np.float32(255)).astype(np.float32)[LEVELS]


def network(height: int = 64, width: int = 64) -> tuple[tf_keras.Model, tf_keras.Model]:
    """The statistics, and statistics and head together."""
    tf_keras.utils.set_random_seed(1)
    images = tf_keras.layers.Input((height, width, 3))
    statistics = sound_statistics(images)
    evidence = sound_evidence(statistics, labels=3, height=height)
    return tf_keras.Model(images, statistics), tf_keras.Model(images, evidence)


@pytest.fixture(scope="module")
def models() -> tuple[tf_keras.Model, tf_keras.Model]:
    return network()


def part(model: tf_keras.Model, name: str, pictures: NDArray[np.float32]) -> NDArray[np.float32]:
    """One group of statistics."""
    answer = tf_keras.Model(model.inputs, model.get_layer(name).output).predict_on_batch(pictures)
    return np.asarray(answer, np.float32)


def test_statistics_are_what_they_say(models: tuple[tf_keras.Model, tf_keras.Model]) -> None:
    statistics, _ = models
    level = LEVELS / 255
    tolerance = 0.025  # what undoing the colour map costs, twice
    for name, expected in (
        ("mean", level.mean(2)),
        ("largest", level.max(2)),
        ("peaks", level.reshape(4, 64, 8, 8).max(3).mean(2)),
        ("dips", -level.reshape(4, 64, 8, 8).min(3).mean(2)),
    ):
        np.testing.assert_allclose(part(statistics, name, PICTURES), expected, atol=tolerance)
    change = level[:, :, 4:] - level[:, :, :-4]
    both = np.stack([np.maximum(change, 0).mean(2), np.maximum(-change, 0).mean(2)], axis=2)
    np.testing.assert_allclose(part(statistics, "change_4", PICTURES), both.reshape(4, 128), atol=tolerance)
    slope = level[:, 2:] - level[:, :-2]
    both = np.stack([np.maximum(slope, 0).mean(2), np.maximum(-slope, 0).mean(2)], axis=2)
    np.testing.assert_allclose(part(statistics, "slope_2", PICTURES), both.reshape(4, 124), atol=tolerance)


@pytest.mark.parametrize("size", [(64, 64), (48, 80), (16, 16)])
def test_silence_is_no_evidence_at_any_size(size: tuple[int, int]) -> None:
    front_end = FrontEnd(picture_height=size[0], picture_width=size[1])
    _, full = network(*size)
    weights = [np.random.default_rng(2).standard_normal(w.shape) ** 2 for w in full.get_layer("sound_logits").weights]
    full.get_layer("sound_logits").set_weights(weights)
    random = np.random.default_rng(3).random((1, *size, 3), np.float32)
    silence, sound = full.predict_on_batch(np.concatenate([silent_picture(front_end)[None], random]))
    np.testing.assert_array_equal(silence, np.zeros(3))
    assert np.abs(sound).min() > 1e-3
    assert full.get_layer("sound_gate").output.shape == (None, 1)


def test_gate_is_open_for_speech_and_closes_gradually(models: tuple[tf_keras.Model, tf_keras.Model]) -> None:
    _, full = models
    fading = np.array([1.0, 0.1, 0.01, 0.001])[:, None, None] * (LEVELS[:1] - 128) + 128
    gates = part(full, "sound_gate", (MAGMA / np.float32(255)).astype(np.float32)[np.rint(fading).astype(int)])
    assert gates[0, 0] == gates[1, 0] == 1
    assert 0 < gates[2, 0] < 1
    assert gates[3, 0] == 0


def test_only_the_head_learns(models: tuple[tf_keras.Model, tf_keras.Model]) -> None:
    statistics, full = models
    assert not statistics.trainable_weights
    assert {weight.name.split("/")[0] for weight in full.trainable_weights} == {
        "sound_standardise",
        "sound_dense",
        "sound_logits",
    }


def test_picture_too_small() -> None:
    with pytest.raises(TrainingError, match="the picture is 12 x 64 pixels, and the network 'evidence' needs 16 x 16"):
        sound_statistics(tf_keras.layers.Input((12, 64, 3)))
