"""The generator with folders and tables of many kinds, its errors, and its order."""

import csv
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies
from PIL import Image

from device.errors import TrainingError
from training.data.reading.images import read_image
from training.two_inputs.generator import TwoInputGenerator

ROOT = Path(__file__).parents[3]
HEADER = ("ID", "weight", "size", "fruit")
ROWS = [(f"{number}.png", str(number), str(number / 10), ("pear", "apple")[number % 2]) for number in range(7)]


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven images; all pixels of image n are n, 2 n, 3 n."""
    folder = tmp_path_factory.mktemp("photos")
    for number in range(7):
        Image.new("RGB", (10, 8), (number, 2 * number, 3 * number)).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write(rows: Sequence[Sequence[str]] = ROWS, header: Sequence[str] = HEADER) -> Path:
        path = tmp_path / "table.csv"
        with path.open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows([header, *rows])
        return path

    return write


def numbers(batch: Any) -> tuple[list[int], list[int], list[int]]:
    """Return the numbers of the samples in a batch as its images, its features and its labels state them."""
    inputs, targets = batch
    pixels = np.rint(inputs["images"] * 255)
    assert (pixels == pixels[:, :1, :1]).all()
    return (
        pixels[:, 0, 0, 0].astype(int).tolist(),
        np.rint(inputs["features"][:, 0]).astype(int).tolist(),
        targets.tolist(),
    )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    size=strategies.integers(1, 9),
    seed=strategies.none() | strategies.integers(0, 2**32),
    order=strategies.permutations(range(7)),
    cache=strategies.booleans(),
    partial=strategies.booleans(),
)
def test_image_row_and_label_stay_together(
    size: int, seed: int | None, order: list[int], cache: bool, partial: bool, photos: Path
) -> None:
    partial = partial or size > 7
    table = {"ID": [f"{n}" for n in order], "weight": list(order), "fruit": [("pear", "apple")[n % 2] for n in order]}
    generator = TwoInputGenerator(
        photos, table, label_column="fruit", image_size=(4, 6), batch_size=size, seed=seed, cache=cache,
        partial_batch=partial,
    )  # fmt: skip
    assert generator.labels == ("apple", "pear")
    assert len(generator) == (-(-7 // size) if partial else 7 // size)
    for _ in range(2):
        seen = []
        for batch in generator:
            images, rows, labels = numbers(batch)
            assert images == rows
            assert labels == [1 - number % 2 for number in rows]
            seen += rows
        assert len(set(seen)) == len(seen) == (7 if partial else 7 // size * size)
        if seed is None:
            assert seen == order[: len(seen)]
        generator.on_epoch_end()


def test_order_depends_only_on_seed_and_epoch(photos: Path, write: Callable[..., Path]) -> None:
    first, again = (TwoInputGenerator(photos, write(), label_column="fruit", batch_size=3, seed=5) for _ in range(2))
    epochs = []
    for _ in range(3):
        order = [number for batch in first for number in numbers(batch)[1]]
        assert order == [number for batch in again for number in numbers(batch)[1]]
        epochs.append(tuple(order))
        first.on_epoch_end()
        again.on_epoch_end()
    assert len(set(epochs)) == 3
    again.start(1)
    assert tuple(number for batch in again for number in numbers(batch)[1]) == epochs[1]


def test_shapes_and_types(photos: Path, write: Callable[..., Path]) -> None:
    generator = TwoInputGenerator(
        photos, str(write()), target_columns=["size"], image_input="photo", features_input="numbers"
    )
    assert generator.feature_columns == ("weight",)  # not the texts, not the target
    assert (generator.image_shape, generator.features_shape) == ((64, 64, 3), (1,))
    [(inputs, targets)] = list(generator)
    assert {name: (each.shape, each.dtype.name) for name, each in inputs.items()} == {
        "photo": ((7, 64, 64, 3), "float32"),
        "numbers": ((7, 1), "float32"),
    }
    assert targets.shape == (7, 1)
    [batch] = list(TwoInputGenerator(photos, write()))
    assert len(batch) == 1  # without targets


class Frame:
    """What the generator uses of a pandas DataFrame."""

    def __init__(self, columns: dict[str, Any]) -> None:
        self._columns = columns

    def items(self) -> Any:
        return iter(self._columns.items())


def test_tables_in_memory_and_matrices(photos: Path) -> None:
    ids = np.arange(12).reshape(3, 4)
    frame = Frame({"ID": np.array([2, 0, 1]), "words": ids, "flag": [True, False, True], "note": ["a", "b", "c"]})
    generator = TwoInputGenerator(photos, frame)
    assert generator.ids == ("2", "0", "1")
    assert generator.feature_columns == ("words", "flag")
    [(inputs,)] = list(generator)
    np.testing.assert_array_equal(inputs["features"], np.hstack([ids, [[1], [0], [1]]]))


def test_index_column_of_pandas_is_no_feature(photos: Path, write: Callable[..., Path]) -> None:
    table = write([("0", *ROWS[0]), ("1", *ROWS[1])], ("", *HEADER))
    assert TwoInputGenerator(photos, table, label_column="fruit").feature_columns == ("weight", "size")


def test_columns_and_labels_by_choice(photos: Path, write: Callable[..., Path]) -> None:
    generator = TwoInputGenerator(
        photos, write(), feature_columns=["size", "weight"], label_column="fruit", labels=["pear", "plum", "apple"]
    )
    [(inputs, targets)] = list(generator)
    assert inputs["features"][3].tolist() == pytest.approx([0.3, 3])
    assert targets.tolist() == [0, 2, 0, 2, 0, 2, 0]


@pytest.mark.parametrize(
    ("change", "arguments", "message", "fix"),
    [
        ({0: ("x", "1", "1", "pear"), 4: ("y.png", "1", "1", "pear")}, {},
         "table.csv: 2 of 7 IDs name none of the images in .*: 'x' (line 2), 'y.png' (line 6)", "correct the IDs"),
        ({3: ("1", "1", "1", "pear")}, {}, "1 of 7 IDs appear twice: '1.png' (line 3), '1' (line 5) name 1.png",
         "its own ID"),
        ({3: ("", "1", "1", "pear")}, {}, "column ID: no ID: '' (line 5)", "correct the values"),
        ({3: ("3", "heavy", "1", "pear")}, {}, "column weight: not a finite number: 'heavy' (line 5)", "correct"),
        ({n: (f"{n}", "", "1", "pear") for n in range(5)}, {},
         "column weight: no value: '' (line 2), '' (line 3), '' (line 4) and 2 more", "correct"),
        ({3: ("3", "nan", "1", "pear")}, {}, "column weight: no value: 'nan' (line 5)", "correct"),
        ({3: ("3", "inf", "1", "pear")}, {}, "not a finite number: 'inf' (line 5)", "correct"),
        ({3: ("3", "1e60", "1", "pear")}, {}, "not a finite number: '1e60' (line 5)", "correct"),
        ({3: ("3", "1", "1", "")}, {"label_column": "fruit"}, "column fruit: no label: '' (line 5)", "correct"),
        ({}, {"label_column": "fruit", "labels": ["pear"]},
         "column fruit: not among the labels pear: 'apple' (line 3), 'apple' (line 5), 'apple' (line 7)", "correct"),
        ({}, {"feature_columns": ["fruit"]}, "column fruit: not a finite number: 'pear' (line 2)", "choose other"),
        ({}, {"feature_columns": ["Weigth"]}, "no column Weigth (found: ID, weight, size, fruit)",
         "did you mean weight?"),
        ({}, {"id_column": "name"}, "no column name (found", "correct the name"),
        ({}, {"target_columns": ["size", "weight"]}, "no numeric column beside ID, size, weight", "add a column"),
        ({}, {"batch_size": 8, "partial_batch": False}, "7 rows do not fill one batch of 8", "smaller batch_size"),
        ({}, {"batch_size": 0}, "batch_size is 0", "1 or more"),
        ({}, {"seed": -1}, "seed is -1", "0 or more"),
        ({}, {"image_size": (0, 5)}, "image_size is (0, 5)", "pixels"),
        ({}, {"image_input": "features"}, "both inputs are named features", "as the model does"),
        ({}, {"label_column": "fruit", "target_columns": ["size"]}, "exclude each other", "give one"),
        ({}, {"target_columns": "size"}, "target_columns is 'size'", "a list"),
    ],
)  # fmt: skip
def test_mistakes_in_the_table_are_reported_before_training(
    change: dict[int, tuple[str, ...]],
    arguments: dict[str, Any],
    message: str,
    fix: str,
    photos: Path,
    write: Callable[..., Path],
) -> None:
    table = write([change.get(number, row) for number, row in enumerate(ROWS)])
    with pytest.raises(TrainingError) as caught:
        TwoInputGenerator(photos, table, **arguments)
    for part in message.split(".*"):
        assert part in caught.value.message
    assert fix in caught.value.fix
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "table", [{}, {"ID": []}, {"ID": ["0", "1"], "weight": [1]}, {"ID": "0", "weight": 1}], ids=str
)
def test_tables_in_memory_without_equal_columns(table: dict[str, Any], photos: Path) -> None:
    with pytest.raises(TrainingError, match="no rows, or different numbers of rows"):
        TwoInputGenerator(photos, table)


def test_folder_without_images(tmp_path: Path, write: Callable[..., Path]) -> None:
    with pytest.raises(TrainingError, match=r"holds no images.*\.jpeg"):
        TwoInputGenerator(tmp_path, write())
    with pytest.raises(TrainingError, match="missing: no such file or folder"):
        TwoInputGenerator(tmp_path / "missing", write())


def test_unreadable_images_are_found_first_and_counted(tmp_path: Path) -> None:
    for number in range(4):
        Image.new("RGB", (300, 300)).save(tmp_path / f"{number}.jpg")
    content = (tmp_path / "1.jpg").read_bytes()
    (tmp_path / "1.jpg").write_bytes(content[: len(content) // 2])
    (tmp_path / "3.jpg").write_bytes(b"no image")
    with pytest.raises(TrainingError, match=r"1\.jpg: cannot be read as an image .* and 1 more of 4 images"):
        TwoInputGenerator(tmp_path, {"ID": list("0123"), "weight": [1, 2, 3, 4]})


@pytest.mark.parametrize("cache", [False, True])
def test_images_are_read_when_they_are_needed(cache: bool, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[str] = []

    def counted(path: Path, height: int, width: int) -> Any:
        reads.append(path.stem)
        return read_image(path, height, width)

    monkeypatch.setattr("training.two_inputs.generator.read_image", counted)
    table = {"ID": list("0123456"), "weight": range(7)}
    generator = TwoInputGenerator(photos, table, batch_size=3, cache=cache)
    assert sorted(reads) == list("0123456")  # each once, to find those that cannot be read
    reads.clear()
    batches = iter(generator)
    next(batches)
    assert reads == ([] if cache else ["0", "1", "2"])
    next(batches)
    assert reads == ([] if cache else list("012345"))


FIT = """
import sys
import numpy as np
import {keras} as keras
from training.two_inputs.generator import TwoInputGenerator

class Recorder(keras.layers.Layer):
    # Records the numbers of the samples of each training step.

    seen = []

    def call(self, features, training=None):
        if training and hasattr(features, "numpy"):
            self.seen.append(features.numpy()[:, 0].astype(int).tolist())
        return features

photos, table = sys.argv[1:]
arguments = dict(label_column="fruit", image_size=(4, 4), batch_size=3)
train, test = (TwoInputGenerator(photos, table, seed=seed, **arguments) for seed in (5, None))
assert isinstance(train, {base})
images, features = keras.Input(train.image_shape, name="images"), keras.Input(train.features_shape, name="features")
joint = keras.layers.Concatenate()([keras.layers.Flatten()(images), Recorder()(features)])
model = keras.Model([images, features], keras.layers.Dense(2, activation="softmax")(joint))
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], run_eagerly=True)
model.fit(train, validation_data=test, epochs=3, shuffle=False, verbose=0)
model.evaluate(test, verbose=0)
expected = []
for epoch in range(3):
    order = np.random.default_rng((5, epoch)).permutation(7).tolist()
    expected += [order[:3], order[3:6], order[6:]]
assert Recorder.seen == expected, (Recorder.seen, expected)
everything = {{key: np.concatenate([batch[0][key] for batch in test]) for key in ("images", "features")}}
np.testing.assert_allclose(model.predict(test, verbose=0), model.predict(everything, verbose=0), rtol=1e-5)
print("done")
"""


@pytest.mark.slow
@pytest.mark.parametrize(("keras", "base"), [("keras", "keras.utils.PyDataset"), ("tf_keras", "keras.utils.Sequence")])
def test_fit_evaluate_and_predict(keras: str, base: str, photos: Path, write: Callable[..., Path]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FIT.format(keras=keras, base=base), str(photos), str(write())],
        capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip
    assert done.stdout == "done\n", done.stderr
