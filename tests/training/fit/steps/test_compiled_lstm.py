"""The LSTM that is compiled for training steps is Keras's: the same masks, outputs and gradients."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from numpy.typing import NDArray

from training.fit.steps.compiled_lstm import compiled_lstms
from training.fit.steps.seeded_dropout import seeded

UNITS, ROWS, POSITIONS, NUMBERS = 3, 4, 6, 5
KEY = (3, 4)


def network(**options: Any) -> Any:
    inputs = tf_keras.layers.Input((POSITIONS, NUMBERS))
    found = tf_keras.Model(inputs, tf_keras.layers.LSTM(UNITS, **options)(inputs))
    random = np.random.default_rng(1)
    found.set_weights([random.standard_normal(each.shape).astype(np.float32) for each in found.get_weights()])
    return found


@contextmanager
def left_to_keras(_model: Any, _noise: Any) -> Iterator[None]:
    yield


def step(model: Any, lstms: Any, rows: int = ROWS) -> tuple[list[NDArray[np.float32]], set[str]]:
    """Return output and gradients of a step as it is traced, and the types of its operators."""
    inputs = tf.constant(np.random.default_rng(2).standard_normal((rows, POSITIONS, NUMBERS)), tf.float32)

    @tf.function(autograph=False, input_signature=[tf.TensorSpec((None, POSITIONS, NUMBERS))])  # type: ignore[untyped-decorator]  # TensorFlow has no types
    def traced(inputs: Any) -> list[Any]:
        with noise.during(tf.constant(KEY, tf.int32), tf.range(tf.shape(inputs)[0])), tf.GradientTape() as tape:
            tape.watch(inputs)
            output = model(inputs, training=True)
            objective = tf.reduce_sum(output * tf.range(1.0, UNITS + 1))
        return [output, *tape.gradient(objective, [inputs, *model.trainable_variables])]

    with seeded(model, ROWS) as noise, lstms(model, noise):
        found = [each.numpy() for each in traced(inputs)]
        return found, {operator.type for operator in traced.get_concrete_function().graph.get_operations()}


@pytest.mark.parametrize("rows", [ROWS, ROWS - 1])
@pytest.mark.parametrize("recurrent_dropout", [0.0, 0.5])
@pytest.mark.parametrize("dropout", [0.0, 0.25])
def test_output_and_gradients_are_those_of_keras(dropout: float, recurrent_dropout: float, rows: int) -> None:
    model = network(dropout=dropout, recurrent_dropout=recurrent_dropout)
    ours, ours_types = step(model, compiled_lstms, rows)
    keras, keras_types = step(model, left_to_keras, rows)
    for left, right in zip(ours, keras, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-6)
    assert "While" not in ours_types
    assert ours_types != keras_types


@pytest.mark.parametrize("options", [{"return_sequences": True}, {"activation": "relu"}, {"go_backwards": True}])
def test_other_settings_are_left_to_keras(options: dict[str, Any]) -> None:
    model = network(recurrent_dropout=0.5, **options)
    ours, types = step(model, compiled_lstms)
    keras, _ = step(model, left_to_keras)
    for left, right in zip(ours, keras, strict=True):
        np.testing.assert_array_equal(left, right)
    assert "While" in types


def test_without_xla_everything_is_left_to_keras(monkeypatch: pytest.MonkeyPatch) -> None:
    function = tf.function

    def without_xla(*arguments: Any, jit_compile: bool = False, **options: Any) -> Any:
        if jit_compile:
            raise tf.errors.UnimplementedError(None, None, "no XLA in this build")
        return function(*arguments, **options)

    model = network(recurrent_dropout=0.5)
    with monkeypatch.context() as patch:
        patch.setattr(tf, "function", without_xla)
        _, types = step(model, compiled_lstms)
    assert "While" in types


def test_predictions_are_those_of_keras() -> None:
    model = network(dropout=0.25, recurrent_dropout=0.5)
    inputs = np.random.default_rng(2).standard_normal((ROWS, POSITIONS, NUMBERS)).astype(np.float32)
    keras = model(inputs).numpy()
    with seeded(model, ROWS) as noise, compiled_lstms(model, noise):
        np.testing.assert_array_equal(model(inputs).numpy(), keras)
    np.testing.assert_array_equal(model(inputs).numpy(), keras)


def test_nothing_is_written_to_standard_error() -> None:
    code = (
        "import os; os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'\n"
        "from tests.training.fit.steps.test_compiled_lstm import *\n"
        "step(network(recurrent_dropout=0.5), compiled_lstms)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
