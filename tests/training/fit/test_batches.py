from dataclasses import replace

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


def augmented_examples(rows: int, copies: int) -> Examples:
    """The images of row n equal n, those of its copy k n + (k + 1) / 10; every third row has no copies."""
    examples = numbered_examples(rows)
    numbers = np.arange(rows)
    images = numbers[:, None] + (np.arange(copies) + 1) / 10
    images = images[:, :, None, None, None] * np.ones((1, 1, 2, 2, 3))
    return replace(
        examples, copies=images.astype(np.float32)[::-1], copies_index=np.where(numbers % 3, rows - 1 - numbers, -1)
    )


def test_each_epoch_has_a_recording_or_one_of_its_copies() -> None:
    first, repeated = (ExampleBatches(augmented_examples(30, 3), "images", 7, seed=1) for _ in range(2))
    seen: dict[int, list[float]] = {}
    for epoch in (0, 2, 1, *range(3, 60)):
        first.start(epoch)
        repeated.start(epoch)
        for (inputs, labels), (other, _) in zip(first, repeated, strict=True):
            np.testing.assert_array_equal(inputs["images"], other["images"])
            for label, image in zip(labels.tolist(), inputs["images"][:, 1, 1, 1].tolist(), strict=True):
                seen.setdefault(label, []).append(round(image - label, 3))
    for label, found in seen.items():
        assert len(found) == 60
        assert set(found) == ({0, 0.1, 0.2, 0.3} if label % 3 else {0})
    all_of_them = np.concatenate([found for label, found in seen.items() if label % 3])
    assert np.isclose(np.unique(all_of_them, return_counts=True)[1], [600, 200, 200, 200], atol=60).all()


def test_order_is_that_without_copies_and_a_selection_has_the_same_copies() -> None:
    examples = augmented_examples(30, 3)
    assert order(ExampleBatches(examples, "images", 7, 1)) == order(
        ExampleBatches(numbered_examples(30), "images", 7, 1)
    )
    some = examples.take(np.array([4, 3, 5]))
    found = {float(image) for epoch in range(40) for image in batch_images(some, epoch)}
    assert {round(each, 1) for each in found} == {3, 4, 4.1, 4.2, 4.3, 5, 5.1, 5.2, 5.3}
    assert [round(float(each), 1) for each in batch_images(some, 0, seed=None)] == [4, 3, 5]


def batch_images(examples: Examples, epoch: int, seed: int | None = 1) -> list[float]:
    batches = ExampleBatches(examples, "images", 8, seed)
    batches.start(epoch)
    return [float(each) for each in batches[0][0]["images"][:, 0, 0, 0]]
