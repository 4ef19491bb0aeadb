"""The random numbers of a step: those of every layer of the tutorial's network depend on the step's key alone."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from numpy.typing import NDArray

from device.front_end.parameters import FrontEnd
from training.fit.batches import ExampleBatches
from training.fit.steps.seeded_dropout import seeded
from training.fit.steps.stepping import stepping
from training.fit.workers import Workers
from training.images.examples import Examples
from training.networks.network import TRUNK_INPUT, build_network

pytestmark = pytest.mark.usefixtures("small_network")
FRONT_END = FrontEnd(sequence_length=12)


def new_head(*, fast_lstm: bool, without: Sequence[str] = ()) -> Any:
    """Return the head of the tutorial's network, some of its dropouts set to 0."""
    tf_keras.utils.set_random_seed(1)
    head = build_network(
        "tutorial", labels=3, vocabulary=20, front_end=FRONT_END, vgg19_weights=None, fast_lstm=fast_lstm
    ).head
    lstm = head.get_layer("words_lstm")
    for name in without:
        if name.startswith("lstm_"):
            setattr(lstm.cell, name.removeprefix("lstm_"), 0.0)
        else:
            head.get_layer(name).rate = 0.0
    return head


def rows() -> Examples:
    random = np.random.default_rng(0)
    images = random.standard_normal((21, 512)).astype(np.float32)
    ids = random.integers(1, 21, (20, 12)).astype(np.int32)
    return Examples(images, np.arange(20) + 1, ids, random.integers(0, 3, 20))


def trained(head: Any, key: int, state_of_tensorflow: int) -> list[NDArray[np.float32]]:
    """Return the weights after some steps, the last of them on a smaller batch."""
    tf.random.set_seed(state_of_tensorflow)
    batches = ExampleBatches(rows(), TRUNK_INPUT, 8, 0)
    with stepping(head, 0.03, np.ones(3, np.float32), 8, Workers(tf.distribute.get_strategy())) as stepper:
        for number in range(len(batches)):
            stepper.step(batches, number, np.array([key, number], np.int32), stop=False)
        return stepper.variables()[: stepper.weights]


@pytest.mark.parametrize("fast_lstm", [False, True])
def test_a_step_of_the_tutorials_network_depends_on_its_key_alone(fast_lstm: bool) -> None:
    """A resumed training therefore equals an uninterrupted one, whatever TensorFlow's own generators would draw."""
    one, same, other = (trained(new_head(fast_lstm=fast_lstm), key, state) for key, state in ((5, 1), (5, 2), (6, 1)))
    for left, right in zip(one, same, strict=True):
        np.testing.assert_allclose(left, right, rtol=0, atol=1e-6)
    assert max(abs(left - right).max() for left, right in zip(one, other, strict=True)) > 1e-3


DROPOUTS = (
    "image_dropout",
    "words_embedding_dropout",
    "lstm_dropout",
    "lstm_recurrent_dropout",
    "words_dropout",
    "joint_dropout_1",
    "joint_dropout_2",
)
"""Every dropout of the network; the LSTM has two."""


@pytest.mark.parametrize("name", DROPOUTS)
def test_every_dropout_draws_from_the_key(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With all other dropouts at 0, the key still changes the predictions in training."""
    head = new_head(fast_lstm=False, without=[each for each in DROPOUTS if each != name])
    batch = {TRUNK_INPUT: rows().images[1:9], "features": rows().ids[:8]}
    positions = tf.range(8)

    def predict(key: Any) -> Any:
        with noise.during(key, positions):
            return head(batch, training=True)

    with seeded(head, 8) as noise:
        step = tf.function(predict)  # as a step is traced
        one, same, other = (step(tf.constant(key, tf.int32)).numpy() for key in ((1, 1), (1, 1), (2, 1)))
    np.testing.assert_array_equal(one, same)
    assert abs(one - other).max() > 1e-6


def test_all_positions_of_a_text_have_the_same_masks() -> None:
    """As Keras documents for the LSTM: with one word repeated, masks that changed would make an output smaller."""
    lstm = tf_keras.layers.LSTM(3, dropout=0.5, recurrent_dropout=0.5, return_sequences=True, use_bias=False)
    inputs = tf_keras.layers.Input((6, 4))
    model = tf_keras.Model(inputs, lstm(inputs))
    # Without recurrent weights, gates depend on the masked input alone, and the cell sums them up.
    lstm.set_weights([np.ones((4, 12), np.float32), np.zeros((3, 12), np.float32)])
    ones = np.ones((2, 6, 4), np.float32)

    def states(key: Any) -> Any:
        with noise.during(key, tf.range(2)):
            return model(ones, training=True)

    with seeded(model, 2) as noise:
        outputs = tf.function(states)(tf.constant([3, 4], tf.int32)).numpy()
    # With the same gates everywhere, c_t = f c_(t-1) + i g grows, and so does h_t = o tanh(c_t).
    for row in outputs[:, :, 0]:
        assert np.all(np.diff(row) >= -1e-6), row
