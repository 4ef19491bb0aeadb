import shutil
from pathlib import Path

import h5py
import pytest
import tf_keras

from convert.source.keras_h5 import read_companions, read_configuration, write_companions
from device.bundle import HDF5_GROUP, Companions, Transitions
from device.errors import ConversionError
from device.front_end.parameters import FrontEnd
from tests.convert import tutorial_models
from tests.full_disk import full_disk


@pytest.mark.filterwarnings(tutorial_models.IGNORE_SEEDING_WARNING)
def test_companions_are_read_back_and_keras_still_opens_the_file(small_model: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(small_model, tmp_path))
    companions = Companions(
        ("froh", "müde"),
        ("été", "don't", "日本"),
        FrontEnd(trim_db=None),
        {"note": "grün", "n": [1, 2.5]},
        Transitions(((0.75, 0.25), (0.5, 0.5)), (0.5, 0.5)),
    )
    write_companions(path, companions)  # replaces the previous ones
    assert read_companions(path) == companions
    assert tf_keras.models.load_model(path, compile=False).output_shape == (None, 3)


def test_entries_are_plain_texts(small_model: Path) -> None:
    with h5py.File(small_model) as file:
        group = file[HDF5_GROUP]
        assert set(group) == {"labels.txt", "vocabulary.txt", "front_end.json", "model_card.json"}
        assert group["labels.txt"].asstr()[()] == "positive\nneutral\nnegative\n"


def test_configuration_is_what_keras_stored(small_model: Path) -> None:
    configuration, version = read_configuration(small_model)
    assert version.startswith("2.")
    assert configuration["class_name"] == "Functional"


def test_companions_are_written_only_to_hdf5_files(tmp_path: Path) -> None:
    path = tmp_path / "Model.h5"
    companions = Companions(("a", "b"), ("word",), FrontEnd())
    with pytest.raises(ConversionError, match="no such file or folder"):
        write_companions(path, companions)
    path.write_text("text")
    with pytest.raises(ConversionError, match="not an HDF5 file"):
        write_companions(path, companions)
    assert path.read_text() == "text"


def test_full_disk_leaves_the_file_unchanged(small_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "Model.h5"
    path.write_bytes(small_model.read_bytes())
    before = path.read_bytes()
    with full_disk(), pytest.raises(ConversionError, match=r"Model\.h5: companions cannot be written to it"):
        write_companions(path, Companions(("a", "b"), ("word",), FrontEnd()))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
