import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.device.recognition.speech_model.official import Official, publishing
from tests.device.recognition.tiny_model import WITH_A_WRONG_BYTE, Cache, as_wheel, write


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture
def damaged(cache: Cache) -> Cache:
    """A cache whose model has the right sizes and one wrong byte."""
    write(cache.destination, WITH_A_WRONG_BYTE)
    return cache


@pytest.fixture
def official() -> Iterator[Official]:
    with publishing() as official:
        yield official


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    path = tmp_path / "pkg.whl"
    path.write_bytes(as_wheel())
    return path


@pytest.fixture
def mirror(wheel: Path) -> tuple[str, ...]:
    """A command that copies the wheel to a folder."""
    return sys.executable, "-c", "import shutil, sys; shutil.copy(*sys.argv[1:])", str(wheel)
