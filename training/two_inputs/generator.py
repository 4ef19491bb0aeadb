"""The generator of two inputs for `fit`, `evaluate` and `predict`: any folder of images, any table of numbers.

train = TwoInputGenerator("photos", "train.csv", label_column="fruit", seed=1)
model.fit(train, shuffle=False, epochs=10)
"""

import contextlib
import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device.errors import TrainingError
from training.data.reading.images import read_image
from training.data.reading.linked_files import IMAGE_SUFFIXES, Link, LinkedFiles
from training.parallel import on_all_cores
from training.two_inputs.batches import TwoInputBatches
from training.two_inputs.feature_table import TableSource, read_feature_table


def _dataset_classes() -> tuple[type, ...]:
    """Return the classes that `fit` of Keras 3 and of Keras 2 recognise a data set by, of those that are installed."""
    found = []
    for module, name in (("keras", "PyDataset"), ("tf_keras", "Sequence")):
        with contextlib.suppress(ImportError):  # that version of Keras is not installed
            found.append(getattr(importlib.import_module(module).utils, name))
    return tuple(found)


class TwoInputGenerator(
    TwoInputBatches[tuple[Any, ...]],
    *_dataset_classes(),  # type: ignore[misc]  # bases that depend on what is installed
):
    """Batches of `({image input: images, features input: features}, targets)` for a Keras model with two inputs.

    Pass it to `model.fit`, `model.evaluate` or `model.predict` of Keras 3 (`keras`) or Keras 2 (`tf_keras`). Everything
    is checked here, before the training starts: each image is read once. Afterwards images are read when their batch is
    needed, so that a folder may be larger than the memory, unless `cache` is set.

    Pass `shuffle=False` to `fit`: the generator reorders the rows itself, and Keras would reorder the batches a second
    time, at random.

    Args:
        images: path of a folder of images in any format, size and colour mode, which `read_image` converts to RGB and
            resizes; images in folders inside it are found, too.
        table: the samples: path of a CSV file in UTF-8, or a dict of columns, or a pandas DataFrame. A column in a dict
            may be a matrix, shape (rows, n), such as padded word ids.
        id_column: column with the name of each sample's image, with or without the file's ending and its folders.
        feature_columns: columns of the features; None for all numeric columns but the targets. Columns without any
            number and without a name, such as the index that pandas writes, are left out then.
        label_column: column with the name of each sample's class; the targets are then class numbers, int64, shape
            (rows,), for the loss `sparse_categorical_crossentropy`.
        target_columns: numeric columns to predict instead of a class; the targets are then float32, shape (rows, n).
            Without `label_column` and `target_columns` there are no targets, as for `predict`.
        labels: names of the classes in the order of their numbers; None for those of the table, sorted. Pass the
            `labels` of the generator for training to those for validation.
        image_size: height and width of the images in pixels.
        batch_size: samples per batch.
        seed: seed of the order; the order of epoch n depends only on the seed and n. None keeps the order of the table,
            as `predict` needs it.
        image_input: name of the model's image input; it gets float32, shape (rows, height, width, 3), 0 to 1.
        features_input: name of the model's other input; it gets float32, shape (rows, features), unscaled.
        partial_batch: whether the samples that do not fill the last batch are a smaller batch, or are left out, as with
            `steps_per_epoch=np.floor(rows / batch_size)`.
        cache: whether all images stay in memory, 3 bytes per pixel.

    Raises:
        TrainingError: the folder, an image or the table cannot be read; an ID names no image or two, or appears twice;
            a value is missing or not a number; an argument has a value that is not allowed. The message names the first
            rows and counts all.
    """

    def __init__(
        self,
        images: Path | str,
        table: TableSource,
        *,
        id_column: str = "ID",
        feature_columns: Sequence[str] | None = None,
        label_column: str | None = None,
        target_columns: Sequence[str] = (),
        labels: Sequence[str] | None = None,
        image_size: tuple[int, int] = (64, 64),
        batch_size: int = 16,
        seed: int | None = None,
        image_input: str = "images",
        features_input: str = "features",
        partial_batch: bool = True,
        cache: bool = False,
    ) -> None:
        _check(image_size, batch_size, seed, image_input, features_input, label_column, target_columns)
        content = read_feature_table(table, id_column, feature_columns, label_column, target_columns, labels)
        rows = len(content.ids)
        if not partial_batch and rows < batch_size:
            raise TrainingError(
                f"{content.name}: {rows} rows do not fill one batch of {batch_size}",
                fix="choose a smaller batch_size, or partial_batch=True",
            )
        fix = "correct the IDs, or name the folder that holds the images"
        links = [Link(name, f"{content.name}, {where}") for name, where in zip(content.ids, content.rows, strict=True)]
        linked = LinkedFiles.inside(Path(images), IMAGE_SUFFIXES, "images", fix).find(links)
        self._files = [each.file for each in linked]
        self._size = image_size
        self._cache = _read_all(self._files, image_size, cache=cache)
        self._features = content.features
        self._targets = content.targets
        self._image_input = image_input
        self._features_input = features_input
        self.labels = content.labels
        """Names of the classes in the order of their numbers; empty if the targets are not classes."""
        self.feature_columns = content.feature_columns
        """Names of the feature columns, in the order of the features."""
        self.ids = content.ids
        """ID of each sample, in the order of the table."""
        super().__init__(rows, batch_size, seed, partial_batch=partial_batch)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Shape of one image, for the model's image input: (height, width, 3)."""
        return (*self._size, 3)

    @property
    def features_shape(self) -> tuple[int]:
        """Shape of one row of features, for the model's other input: (features,)."""
        return (self._features.shape[1],)

    def take(self, rows: NDArray[np.int64]) -> tuple[Any, ...]:
        """Return a batch of the rows with these numbers, counted in the order of the table.

        Returns:
            The inputs by name, and the targets if there are any.

        Raises:
            TrainingError: an image cannot be read any more.
        """
        if self._cache is not None:
            images = self._cache[rows]
        else:
            images = np.stack([read_image(self._files[row], *self._size) for row in rows])
        inputs = {self._image_input: images / np.float32(255), self._features_input: self._features[rows]}
        return (inputs,) if self._targets is None else (inputs, self._targets[rows])


def _check(
    image_size: tuple[int, int],
    batch_size: int,
    seed: int | None,
    image_input: str,
    features_input: str,
    label_column: str | None,
    target_columns: Sequence[str],
) -> None:
    wrong = [
        (len(image_size) != 2 or min(image_size) < 1, f"image_size is {image_size}", "give (height, width) in pixels"),
        (batch_size < 1, f"batch_size is {batch_size}", "give 1 or more"),
        (seed is not None and seed < 0, f"seed is {seed}", "give 0 or more, or None"),
        (image_input == features_input, f"both inputs are named {image_input}", "name them as the model does"),
        (
            label_column is not None and bool(target_columns),
            "label_column and target_columns exclude each other",
            "give one",
        ),
        (isinstance(target_columns, str), f"target_columns is {target_columns!r}", "give a list of names"),
    ]
    for is_wrong, message, fix in wrong:
        if is_wrong:
            raise TrainingError(message, fix=fix)


def _read_all(files: Sequence[Path], size: tuple[int, int], *, cache: bool) -> NDArray[np.uint8] | None:
    """Read every image once, on all cores, to find those that cannot be read; returns all images if they are cached."""

    def attempt(file: Path) -> NDArray[np.uint8] | TrainingError:
        try:
            return read_image(file, *size)
        except TrainingError as error:
            return error

    found = np.empty((len(files), *size, 3), np.uint8) if cache else None
    failures: list[TrainingError] = []
    with on_all_cores(attempt, files) as results:
        for row, result in enumerate(results):
            if isinstance(result, TrainingError):
                failures.append(result)
            elif found is not None:
                found[row] = result
    if failures:
        first = failures[0]
        more = f" and {len(failures) - 1} more of {len(files)} images" if len(failures) > 1 else ""
        raise TrainingError(f"{first.message}{more}", fix=first.fix)
    return found
