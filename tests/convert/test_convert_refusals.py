"""What cannot be converted: the error is one clear line, nothing is written, and an existing target is unchanged."""

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import pytest
import tf_keras
from tf_keras import layers

from convert import convert as converter
from convert import recipes, subprocess_job
from convert.companions.companions import UserCompanions
from convert.convert import convert
from convert.options import ConversionOptions
from convert.recipes import RECIPES
from convert.verify.representative_data import RepresentativeData
from device.bundle import Companions
from device.errors import ConversionError
from tests.convert import tutorial_models
from tests.convert.conftest import INSTALLED
from tests.convert.tutorial_models import companions, save, tutorial_model

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings(tutorial_models.IGNORE_SEEDING_WARNING)]
BEFORE = b"the model that was there before"


def refusal(source: Path, target: Path | None = None, mode: str = "dynamic") -> str:
    """The message and the fix of the refusal, after checking that nothing was written."""
    target = target or source.with_suffix(".tflite")
    target.write_bytes(BEFORE)
    beside = sorted(target.parent.iterdir())
    with pytest.raises(ConversionError) as caught:
        convert(source, target, mode=mode)
    assert target.read_bytes() == BEFORE
    assert sorted(target.parent.iterdir()) == beside
    message = str(caught.value)
    assert "\n" not in message
    assert str(source) in message
    return message


def truncated(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def without_group(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file["edge_mcnn"]


def without_labels(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file["edge_mcnn/labels.txt"]


def corrupted_labels(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file["edge_mcnn/labels.txt"]
        file["edge_mcnn/labels.txt"] = [1, 2, 3]


def weights_only(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file.attrs["model_config"]


def corrupted_configuration(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = "{"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (truncated, "damaged or cut short"),
        (lambda path: path.write_text("once upon a time"), "not an HDF5 file"),
        (lambda path: path.write_bytes(b""), "is empty"),
        (Path.unlink, "no such file or folder"),
        (without_group, "carries no labels, no vocabulary and no front end"),
        (without_labels, "carries no labels.txt"),
        (corrupted_labels, "labels.txt is not one text"),
        (weights_only, "holds no network"),
        (corrupted_configuration, "model_config is not JSON"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_file(small_model: Path, tmp_path: Path, change: Callable[[Path], Any], message: str) -> None:
    source = Path(shutil.copy(small_model, tmp_path))
    change(source)
    assert message in refusal(source)


def one_input() -> Any:
    images = layers.Input((64, 64, 3))
    return tf_keras.Model(images, layers.Dense(3, activation="softmax")(layers.Flatten()(images)))


def three_outputs() -> Any:
    model = tutorial_model()
    return tf_keras.Model(model.inputs, [layers.Dense(1)(model.output) for _ in range(3)])


def no_softmax() -> Any:
    return tutorial_model(last=tf_keras.Sequential([layers.Dense(3), layers.ReLU()]))


def two_images() -> Any:
    inputs = [layers.Input((64, 64, 3)) for _ in range(2)]
    joint = layers.Flatten()(layers.concatenate(inputs))
    return tf_keras.Model(inputs, layers.Dense(3, activation="softmax")(joint))


def hidden_lambda() -> Any:
    inside = tf_keras.Sequential([layers.Lambda(lambda x: x * 2, input_shape=(64, 64, 3)), layers.Conv2D(4, 5)])
    return tutorial_model(inside)


@pytest.mark.parametrize(
    ("build", "stored", "message"),
    [
        (one_input, companions(), "one input (an image (None, 64, 64, 3)); the device needs two"),
        (
            two_images,
            companions(),
            "2 inputs (an image (None, 64, 64, 3); an image (None",
        ),
        (three_outputs, companions(), "has 3 outputs (dense"),
        (lambda: tutorial_model(last=layers.Lambda(lambda x: x)), companions(), "is a Lambda: it carries code"),
        (hidden_lambda, companions(), "is a Lambda: it carries code"),
        (lambda: tutorial_model(lambda images: images * 2), companions(), "is an operation on tensors (TFOpLambda)"),
        (tutorial_model, companions(words=tutorial_models.WORDS + 1), "ids up to 2001, the embedding has 2001 rows"),
        (tutorial_model, companions(sequence_length=50), "the network's input has 200 ids, its front end's output 50"),
        (
            tutorial_model,
            companions(image_width=32),
            "the network's images have 64 x 64 pixels, its front end's 64 x 32 pixels",
        ),
    ],
)
def test_network_is_refused_before_tensorflow_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, build: Callable[[], Any], stored: Any, message: str
) -> None:
    source = save(build(), tmp_path / "Model.h5", stored)
    monkeypatch.setattr(subprocess_job, "started", lambda *_: pytest.fail("tensorflow was loaded"))
    assert message in refusal(source)


def test_vocabulary_may_be_longer_than_the_embedding_if_num_words_limits_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = save(tutorial_model(), tmp_path / "Model.h5", companions(words=5000, num_words=tutorial_models.WORDS + 1))

    def reached(*_: object) -> None:
        raise ConversionError("reached the worker")

    monkeypatch.setattr(subprocess_job, "started", lambda *_: nullcontext(SimpleNamespace(finish=reached)))
    assert "reached the worker" in refusal(source)


class Custom(layers.Dense):  # type: ignore[misc]  # tf_keras ships no types
    pass


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize(
    ("build", "stored", "message"),
    [
        (tutorial_model, companions(labels=("yes", "no")), "has shape (None, 3), but there are 2 labels"),
        (
            lambda: tutorial_model(last=tf_keras.Sequential([layers.Dense(3), layers.ReLU()])),
            companions(),
            "is not a softmax",
        ),
        (lambda: tutorial_model(last=Custom(3)), companions(), "is not a layer that edge-mcnn allows"),
    ],
    ids=["labels", "not a softmax", "custom layer"],
)
def test_network_in_the_worker(tmp_path: Path, build: Callable[[], Any], stored: Any, message: str) -> None:
    assert message in refusal(save(build(), tmp_path / "Model.h5", stored), mode="float32")


@pytest.mark.usefixtures("in_this_process")
def test_predictions_other_than_keras(small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipes, "RECIPES", {"float32": replace(RECIPES["float32"], tolerance=-1.0)})
    message = refusal(Path(shutil.copy(small_model, tmp_path)), mode="float32")
    assert f"in {next(iter(INSTALLED.values()))} the converted model's probabilities differ up to " in message
    assert "from Keras's, more than -1 (32 of 32 predictions are the same); allow more with --tolerance" in message


def test_converter_killed(small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kill = "import os, signal, sys; print('so much memory', file=sys.stderr); os.kill(os.getpid(), signal.SIGKILL)"
    monkeypatch.setattr(subprocess_job, "command", lambda *_: [sys.executable, "-c", kill])
    message = refusal(Path(shutil.copy(small_model, tmp_path)))
    assert "the conversion was killed by SIGKILL, its last error line: so much memory; close other programs" in message


def test_recordings_that_the_system_cannot_read(small_model: Path, tmp_path: Path) -> None:
    source = Path(shutil.copy(small_model, tmp_path))

    def unreadable(_: Companions) -> RepresentativeData:
        raise PermissionError(13, "Permission denied", "clips/one.wav")

    with pytest.raises(ConversionError) as caught:
        convert(source, samples=unreadable)
    assert caught.value.message == "the samples cannot be read (clips/one.wav: Permission denied)"
    assert caught.value.fix == "make the recordings readable, then convert again"
    assert list(tmp_path.iterdir()) == [source]


def test_interrupted(small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Path(shutil.copy(small_model, tmp_path))

    def interrupt(stage: str, done: int = 0, total: int = 0) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(
        subprocess_job,
        "command",
        lambda *_: [sys.executable, "-c", "print('stage\\tx\\t0\\t0', flush=True); input()\nwhile True: pass"],
    )
    with pytest.raises(KeyboardInterrupt):
        convert(source, progress=interrupt)
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.parametrize("target", ["missing/Model.tflite", "/proc/edge-mcnn/Model.tflite", "/proc/Model.tflite"])
def test_folder_that_cannot_be_written_to(small_model: Path, tmp_path: Path, target: str) -> None:
    with pytest.raises(ConversionError, match=r"Model\.tflite: cannot be written \(.*--output"):
        convert(small_model, tmp_path / target)
    assert list(tmp_path.iterdir()) == []


def test_disk_that_fills_up(small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Path(shutil.copy(small_model, tmp_path))
    monkeypatch.setattr(converter, "_convert_and_verify", lambda *_: SimpleNamespace(bundle=b"model"))

    def full(descriptor: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    target = tmp_path / "there.tflite"
    target.write_bytes(BEFORE)
    with pytest.raises(ConversionError, match=r"there\.tflite: No space left on device"):
        convert(source, target)
    assert target.read_bytes() == BEFORE
    assert sorted(tmp_path.iterdir()) == [source, target]


def test_target_is_the_source(small_model: Path) -> None:
    with pytest.raises(ConversionError, match=r"is neither an existing folder nor a name that ends in \.tflite"):
        convert(small_model, small_model)


def test_unknown_mode(small_model: Path) -> None:
    with pytest.raises(ConversionError, match="no mode is called 'int3'") as caught:
        convert(small_model, mode="int3")
    assert caught.value.fix == "choose one of float32, float16, dynamic, int8"


@pytest.mark.parametrize("package", ["tensorflow", "tf_keras"])
def test_without_tensorflow(small_model: Path, monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else found(name))
    with pytest.raises(ConversionError, match=rf'needs {package}.*pip install "edge-mcnn\[train\]"'):
        convert(small_model)


@pytest.mark.parametrize("mode", ["int8", "static_wi8_ai8"])
def test_int8_needs_recordings(small_model: Path, tmp_path: Path, mode: str) -> None:
    with pytest.raises(ConversionError, match=r"^mode int8 measures the network on recordings beforehand") as caught:
        convert(small_model, tmp_path / "Model.tflite", mode=mode)
    assert caught.value.fix.startswith("give --calibrate TABLE.csv or --calibrate FOLDER, or choose --mode dynamic")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (ConversionOptions(tolerance=0), "--tolerance is 0, expected more than 0"),
        (ConversionOptions(tolerance=float("nan")), "--tolerance is nan"),
        (ConversionOptions(requires="coral"), "--requires is 'coral', expected tflite-runtime or ai-edge-litert"),
        (ConversionOptions(companions=UserCompanions(labels="yes")), "--labels"),
        (ConversionOptions(companions=UserCompanions(front_end=Path("missing.json"))), "missing.json"),
    ],
)
def test_options(small_model: Path, tmp_path: Path, options: ConversionOptions, message: str) -> None:
    with pytest.raises(ConversionError) as caught:
        convert(small_model, tmp_path / "Model.tflite", options=options)
    assert message in caught.value.message
    assert caught.value.fix
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_samples_that_cannot_be_read(small_model: Path, tmp_path: Path) -> None:
    def unreadable(companions: Companions) -> RepresentativeData:
        assert companions.labels == tutorial_models.LABELS
        raise ConversionError("--calibrate: missing.csv: cannot be read", fix="give a clip table")

    with pytest.raises(ConversionError, match=r"^--calibrate: missing\.csv: cannot be read; give a clip table$"):
        convert(small_model, tmp_path / "Model.tflite", mode="int8", samples=unreadable)
    assert list(tmp_path.iterdir()) == []
