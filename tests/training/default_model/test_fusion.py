import dataclasses
from typing import Any

import numpy as np
import pytest
import tf_keras

from device.front_end.parameters import FrontEnd
from device.front_end.spectrogram import silent_image
from training.default_model import fusion
from training.default_model.fusion import BranchLogits, FusionFactors
from training.networks.evidence_audio import audio_evidence
from training.networks.evidence_text import text_evidence
from training.networks.network import AUDIO_PART, AudioShape, evidence_network

SHARES = [0.25, 0.5, 0.25]


def calibrated(rows: int, spread: float, seed: int, shares: list[float] | None = None) -> BranchLogits:
    """Rows whose confidence equals their accuracy: each class is drawn from the probabilities themselves."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, spread, (rows, 3)) + np.log(shares or [1 / 3] * 3)
    probabilities = fusion.softmax(np.asarray(logits, np.float32))
    labels = (random.random(rows)[:, None] > probabilities.cumsum(axis=1)).sum(axis=1).clip(0, 2)
    return BranchLogits(np.asarray(logits, np.float32), labels.astype(np.int64), random.integers(0, 40, rows))


@pytest.mark.parametrize("over_confidence", [0.3, 1.0, 4.0])
def test_the_temperature_is_what_the_logits_were_multiplied_by(over_confidence: float) -> None:
    branch = calibrated(20_000, 1.5, 0).scaled(over_confidence)
    assert fusion.temperature(branch) == pytest.approx(over_confidence, rel=0.1)


def test_the_temperature_makes_confidence_equal_accuracy() -> None:
    branch = calibrated(20_000, 1.5, 1).scaled(3)
    assert fusion.scores(branch).calibration_error > 0.1
    cooled = branch.scaled(1 / fusion.temperature(branch))
    assert fusion.scores(cooled).calibration_error < 0.02


def test_with_equal_classes_a_rare_class_weighs_as_much_as_a_frequent_one() -> None:
    # Confident and always correct on the frequent class, confident and always wrong on the rare one.
    confident = np.array([[4, 0, 0]] * 900 + [[4, 0, 0]] * 100, np.float32)
    branch = BranchLogits(confident, np.array([0] * 900 + [1] * 100), np.arange(1000))
    assert fusion.temperature(branch, equal_classes=True) > 2 * fusion.temperature(branch)


def test_halves_have_every_row_and_no_group_in_common() -> None:
    first, second = calibrated(500, 1, 2).halves()
    assert len(first.labels) + len(second.labels) == 500
    assert min(len(first.labels), len(second.labels)) > 150
    assert not set(first.groups) & set(second.groups)


def test_far_more_confident_audio_weighs_less_until_neither_modality_dominates() -> None:
    text, audio = calibrated(2000, 0.7, 6, SHARES), calibrated(1000, 3.0, 7)
    found = fusion.fit_factors(text, audio, seed=0)
    assert 0.3 <= found.audio_weight < 1
    in_full = dataclasses.replace(found, audio_weight=1)
    text_share, audio_share = shares_of_conflicts(text, audio, found)
    assert text_share == pytest.approx(audio_share, abs=0.1)
    assert shares_of_conflicts(text, audio, in_full)[1] > 0.6


def shares_of_conflicts(text: BranchLogits, audio: BranchLogits, factors: FusionFactors) -> tuple[float, float]:
    """How often the sum predicts what the text predicts, and what the audio predicts, where these differ."""
    random = np.random.default_rng(0)
    text_logits = text.logits[random.integers(len(text.labels), size=4000)] * factors.text
    audio_logits = audio.logits[random.integers(len(audio.labels), size=4000)] * factors.audio * factors.audio_weight
    by_text, by_audio, joint = (
        logits.argmax(axis=1) for logits in (text_logits, audio_logits, text_logits + audio_logits)
    )
    differ = by_text != by_audio
    return float((joint == by_text)[differ].mean()), float((joint == by_audio)[differ].mean())


def test_equally_confident_branches_both_count_in_full() -> None:
    found = fusion.fit_factors(calibrated(4000, 1.2, 8), calibrated(4000, 1.2, 9), seed=0)
    assert found.audio_weight >= 0.9
    assert found.text == pytest.approx(1, rel=0.15)
    assert found.audio == pytest.approx(1, rel=0.15)


def test_each_half_is_calibrated_by_the_other() -> None:
    # The second half of the dialogues is ten times too confident, so its temperature cools the first half.
    first, second = calibrated(3000, 1.2, 10).halves()
    text = fusion.concatenate(first, second.scaled(10))
    audio = calibrated(3000, 1.2, 11)
    scaled, _ = fusion.cross_calibrated(text, audio, seed=0)
    assert np.abs(scaled.logits[: len(first.labels)]).mean() < np.abs(first.logits).mean() / 5
    assert np.abs(scaled.logits[len(first.labels) :]).mean() > np.abs(second.logits).mean() * 5


def test_the_same_seed_gives_the_same_factors() -> None:
    text, audio = calibrated(500, 1, 12), calibrated(300, 2, 13)
    assert fusion.fit_factors(text, audio, seed=3) == fusion.fit_factors(text, audio, seed=3)


FRONT_END = FrontEnd(image_height=32, image_width=32, sequence_length=6, num_words=9)
FACTORS = FusionFactors(text=0.5, audio=0.25, audio_weight=0.8, joint=1.5)


@pytest.fixture(scope="module")
def branches() -> tuple[Any, Any]:
    """An untrained text branch, and an untrained head of the audio branch."""
    tf_keras.utils.set_random_seed(3)
    ids = tf_keras.layers.Input((6,), dtype="int32")
    text = tf_keras.Model(ids, text_evidence(ids, labels=3, vocabulary=8))
    width = evidence_network(3, 8, FRONT_END, AudioShape(products=True)).full.get_layer(AUDIO_PART).input_shape[1]
    statistics = tf_keras.layers.Input((width,))
    audio = tf_keras.Model(statistics, audio_evidence(statistics, labels=3, units=5, kinds=2))
    random = np.random.default_rng(5)
    audio.get_layer("audio_kinds").set_weights([random.normal(0, 0.02, (width, 6)), random.standard_normal(6)])
    return text, audio


def test_the_fused_network_adds_the_scaled_logits_of_the_branches(branches: tuple[Any, Any]) -> None:
    text, audio = branches
    full = fusion.fuse(text, audio, FACTORS, FRONT_END)
    random = np.random.default_rng(0)
    images = random.random((6, 32, 32, 3)).astype(np.float32)
    ids = random.integers(0, 9, (6, 6)).astype(np.int32)
    ids[0] = 0
    joint = np.where(ids.any(axis=1), 1.5, 1)[:, None]
    audio_weight = np.where(ids.any(axis=1), 0.8, 1)[:, None]
    statistics = tf_keras.Model(full.inputs[0], full.get_layer("audio_statistics").output).predict_on_batch(images)
    text_logits = 0.5 * text.predict_on_batch(ids)
    logits = joint * (text_logits + audio_weight * 0.25 * audio.predict_on_batch(statistics))
    np.testing.assert_allclose(full.predict_on_batch([images, ids]), fusion.softmax(logits), atol=1e-5)

    # A missing input leaves the prediction to the other one, and without any input all classes are equally probable.
    silence = np.repeat(silent_image(FRONT_END)[None], 6, axis=0)
    text_only = full.predict_on_batch([silence, ids])
    np.testing.assert_allclose(text_only, fusion.softmax(text_logits), atol=1e-6)
    neither = full.predict_on_batch([silence, np.zeros_like(ids)])
    np.testing.assert_allclose(neither, 1 / 3, atol=1e-6)
