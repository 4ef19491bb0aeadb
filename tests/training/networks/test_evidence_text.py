from typing import Any

import numpy as np
import tf_keras

from convert.source.model_spec import read_spec
from training.networks.evidence_text import text_evidence

ROWS = np.array([[0] * 8, [0] * 7 + [1], [0, 0, 0, 0, 3, 1, 6, 2], [1, 2, 3, 4, 5, 6, 1, 2]], np.int32)


def branch(length: int = 8, **options: Any) -> Any:
    ids = tf_keras.layers.Input((length,), dtype="int32", name="features")
    return tf_keras.Model(ids, text_evidence(ids, vocabulary=6, labels=3, filters=4, **options))


def trained() -> Any:
    tf_keras.utils.set_random_seed(1)
    model = branch()
    model.compile(tf_keras.optimizers.Adam(0.1), tf_keras.losses.CategoricalCrossentropy(from_logits=True))
    before = model.predict(ROWS, verbose=0)
    model.fit(ROWS, np.eye(3)[[2, 0, 1, 1]], epochs=5, verbose=0)
    assert np.abs(model.predict(ROWS, verbose=0) - before).max() > 0.5
    return model


def test_empty_text_gives_no_evidence_even_after_training() -> None:
    logits = trained().predict(ROWS, verbose=0)
    np.testing.assert_array_equal(logits[0], 0)
    assert np.abs(logits[1:]).min() > 0


def test_more_padding_changes_nothing() -> None:
    model, longer = trained(), branch(20)
    longer.set_weights(model.get_weights())
    padded = np.pad(ROWS[:3], ((0, 0), (12, 0)))  # rows that fill the input touch its edge instead
    np.testing.assert_allclose(longer.predict(padded, verbose=0), model.predict(ROWS[:3], verbose=0), atol=1e-5)


def test_word_vectors_start_from_supplied_ones() -> None:
    vectors = np.random.default_rng(0).standard_normal((6, 5)).astype(np.float32)
    vectors[1] = vectors[4]
    model = branch(vectors=vectors)
    np.testing.assert_array_equal(model.get_layer("words_embedding").get_weights()[0][1:], vectors)
    logits = model.predict(np.array([[0] * 7 + [2], [0] * 7 + [5]], np.int32), verbose=0)
    np.testing.assert_array_equal(logits[0], logits[1])


def test_configuration_contains_neither_code_nor_weights() -> None:
    ids = tf_keras.layers.Input((8,), dtype="int32", name="features")
    images = tf_keras.layers.Input((4, 4, 3), name="images")
    words = text_evidence(ids, vocabulary=6, labels=3, vectors=np.full((6, 5), 0.125, np.float32))
    audio = tf_keras.layers.Dense(3)(tf_keras.layers.GlobalAveragePooling2D()(images))
    model = tf_keras.Model([images, ids], tf_keras.layers.Softmax()(tf_keras.layers.Add()([words, audio])))
    network = read_spec({"class_name": "Functional", "config": model.get_config()})
    assert (network.sequence_length, network.embedding_rows) == (8, 7)
    assert "0.125" not in model.to_json()
