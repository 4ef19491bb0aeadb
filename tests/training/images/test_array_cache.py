import os
from pathlib import Path

import numpy as np
import pytest

from device.errors import TrainingError
from training.images.array_cache import read_arrays, write_arrays


def test_failed_write_leaves_the_previous_arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "folder" / "x.npz"
    write_arrays(path, numbers=np.arange(3))
    assert read_arrays(path) is not None

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(TrainingError, match=r"folder: cannot be written to \(No space left on device\); free some"):
        write_arrays(path, numbers=np.arange(5))
    assert os.listdir(path.parent) == ["x.npz"]  # noqa: PTH208  # also what Path.iterdir would hide
    cached = read_arrays(path)
    assert cached is not None
    assert cached["numbers"].tolist() == [0, 1, 2]


def test_missing_or_damaged_files_read_as_none(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    assert read_arrays(path) is None
    write_arrays(path, numbers=np.arange(1000))
    path.write_bytes(path.read_bytes()[:-100])
    assert read_arrays(path) is None
    path.write_bytes(b"")
    assert read_arrays(path) is None
