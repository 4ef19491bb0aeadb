import numpy as np
import pytest

from training.fit.batches import ExampleBatches
from training.images.examples import Examples


def numbered_examples(rows: int) -> Examples:
    """Image, ids and label of row n all equal n, directly or through the index of shared images."""
    images = np.arange(rows, dtype=np.float32)[::-1].reshape(-1, 1, 1, 1) * np.ones((1, 2, 2, 3), np.float32)
    numbers = np.arange(rows)
    return Examples(images.copy(), rows - 1 - numbers, np.tile(numbers[:, None], (1, 4)).astype(np.int32), numbers)


@pytest.mark.parametrize(("rows", "size"), [(37, 8), (16, 8), (3, 8), (1, 1)])
def test_images_words_and_labels_stay_together(rows: int, size: int) -> None:
    batches = ExampleBatches(numbered_examples(rows), "images", size, seed=3)
    assert len(batches) == -(-rows // size)
    for _ in range(3):
        seen = []
        for number in range(len(batches)):
            inputs, labels = batches[number]
            assert inputs["images"].shape == (len(labels), 2, 2, 3)
            np.testing.assert_array_equal(inputs["images"][:, 0, 0, 0], labels)
            np.testing.assert_array_equal(inputs["features"][:, -1], labels)
            seen += labels.tolist()
        assert sorted(seen) == list(range(rows))  # each row once, those of the last partial batch too
        batches.on_epoch_end()


def order(batches: ExampleBatches) -> list[int]:
    return [int(label) for number in range(len(batches)) for label in batches[number][1]]


def test_order_depends_only_on_seed_and_epoch() -> None:
    first, repeated, other = (ExampleBatches(numbered_examples(50), "images", 7, seed) for seed in (1, 1, 2))
    epochs = []
    for _ in range(3):
        np.random.default_rng().random()
        assert order(first) == order(repeated) != order(other)
        epochs.append(tuple(order(first)))
        for batches in (first, repeated, other):
            batches.on_epoch_end()
    assert len(set(epochs)) == 3


def test_rows_share_images_and_may_stay_in_order() -> None:
    examples = numbered_examples(4).take(np.array([2, 2, 0]))
    assert len(examples.images) == 4
    assert order(ExampleBatches(examples, "images", 2, seed=None)) == [2, 2, 0]


def test_batch_out_of_range() -> None:
    with pytest.raises(IndexError):
        ExampleBatches(numbered_examples(4), "images", 2, seed=None)[2]
