"""`labels.txt` beside the model: never that of another model, and never somebody else's file."""

import errno
import gc
import os
from pathlib import Path
from typing import Any

import pytest
import tf_keras

from convert.source.keras_h5 import read_companions
from device.bundle import Companions
from device.errors import TrainingError
from device.front_end.parameters import FrontEnd
from tests.full_disk import full_disk
from training.fit.h5_writer import check_labels_file, write_model

OLD, NEW = ("angry", "calm"), ("froh", "traurig", "wütend, laut")


def companions(labels: tuple[str, ...]) -> Companions:
    return Companions(labels, ("word",), FrontEnd())


@pytest.fixture(scope="module")
def model() -> Any:
    inputs = tf_keras.layers.Input(2)
    return tf_keras.Model(inputs, tf_keras.layers.Dense(2)(inputs))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_labels_are_written_beside_the_model_one_per_line_in_utf8(model: Any, tmp_path: Path) -> None:
    assert write_model(model, companions(NEW), tmp_path / "Any name.h5") is None
    assert (tmp_path / "labels.txt").read_bytes().decode("utf-8") == "froh\ntraurig\nwütend, laut\n"
    assert names(tmp_path) == ["Any name.h5", "labels.txt"]


def test_labels_of_an_earlier_training_are_replaced(model: Any, tmp_path: Path) -> None:
    write_model(model, companions(OLD), tmp_path / "first.h5")
    check_labels_file(tmp_path / "second.h5", NEW)
    assert write_model(model, companions(NEW), tmp_path / "second.h5") == OLD
    assert write_model(model, companions(NEW), tmp_path / "second.h5") is None
    # As an editor leaves it.
    (tmp_path / "labels.txt").write_bytes(b"\xef\xbb\xbfangry\r\ncalm\r\n")
    assert write_model(model, companions(NEW), tmp_path / "second.h5") == OLD
    assert (tmp_path / "labels.txt").read_text("utf-8").splitlines() == list(NEW)


@pytest.mark.parametrize("content", [b"0001.wav angry\n0002.wav calm\n", b"", b"\xff\xfe", b"angry\ncalm\n" * 200_000])
def test_a_file_that_no_training_wrote_is_refused_and_left_alone(content: bytes, model: Any, tmp_path: Path) -> None:
    write_model(model, companions(OLD), tmp_path / "Model.h5")
    before = (tmp_path / "Model.h5").read_bytes()
    (tmp_path / "labels.txt").write_bytes(content)
    (tmp_path / "data.h5").write_bytes(b"\x89HDF\r\n\x1a\n and so on")  # not a model
    (tmp_path / "folder.h5").mkdir()
    os.mkfifo(tmp_path / "pipe.h5")
    for write in (check_labels_file, lambda output, labels: write_model(model, companions(labels), output)):
        with pytest.raises(TrainingError, match=r"labels\.txt: exists, and does not .*; move it away, or choose"):
            write(tmp_path / "Model.h5", NEW)
    assert (tmp_path / "labels.txt").read_bytes() == content
    assert (tmp_path / "Model.h5").read_bytes() == before


def test_a_folder_named_labels_is_refused_before_the_training(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").mkdir()
    with pytest.raises(TrainingError, match=r"labels\.txt: exists"):
        check_labels_file(tmp_path / "Model.h5", NEW)


@pytest.mark.parametrize("failing", ["convert.source.keras_h5.add_companions", "os.fsync"])
def test_full_disk_leaves_the_previous_model_and_its_labels(
    failing: str, model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "Model.h5"
    write_model(model, companions(OLD), output)
    before = output.read_bytes()

    def full(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(failing, full)
        with pytest.raises(TrainingError, match=r"Model\.h5: cannot be written .*No space left"):
            write_model(model, companions(NEW), output)
    assert output.read_bytes() == before
    assert (tmp_path / "labels.txt").read_text("utf-8").splitlines() == list(OLD)
    assert names(tmp_path) == ["Model.h5", "labels.txt"]


@pytest.mark.parametrize("last", ["labels.txt", "Model.h5"])
def test_a_new_model_is_never_beside_old_labels(
    last: str, model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process ends when a file is moved into place, as after a power failure."""
    output = tmp_path / "Model.h5"
    write_model(model, companions(OLD), output)
    replace = Path.replace

    def end(self: Path, target: Path) -> Path:
        if target.name == last:
            raise KeyboardInterrupt
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", end)
    with pytest.raises(KeyboardInterrupt):
        write_model(model, companions(NEW), output)
    assert read_companions(output).labels == (NEW if last == "labels.txt" else OLD)
    assert not (tmp_path / "labels.txt").exists()


@pytest.mark.parametrize("largest", [0, 100, 2048, 8000])
def test_no_object_of_a_failed_write_fails_again_when_it_is_deleted(largest: int, model: Any, tmp_path: Path) -> None:
    """Such a failure would be printed after the message; here it would fail the test."""
    output = tmp_path / "Model.h5"
    output.write_bytes(b"before")
    with full_disk(largest), pytest.raises(TrainingError, match=r"Model\.h5: cannot be written \(File too large\)"):
        write_model(model, companions(NEW), output)
    gc.collect()
    assert output.read_bytes() == b"before"
    assert names(tmp_path) == ["Model.h5"]
