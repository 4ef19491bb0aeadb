"""Folders and archives that hold the model, that hold other files, and that were made to do harm."""

import contextlib
import errno
import io
import os
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from device.errors import SpeechModelError
from device.recognition.speech_model.fetch import verify_speech_model
from tests.device.recognition.tiny_model import CONTENT, TINY, Cache, pinned, write, zipped


@pytest.mark.parametrize("folder", ["", "tiny", "under any name"])
def test_a_folder(folder: str, cache: Cache, tmp_path: Path) -> None:
    write(tmp_path / "usb" / folder, {**CONTENT, "README": b"", "SOURCE.txt": b""})
    write(tmp_path / "usb" / "another model", {"am/final.mdl": b"other", "conf/model.conf": b""})
    cache.fetch(tmp_path / "usb")
    assert cache.is_complete()


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("prefix", ["", "tiny/", "a/b/c/", "../../", "/etc/", "..\\..\\/"])
def test_a_zip_with_any_prefix(prefix: str, compression: int, cache: Cache, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(zipped(prefix=prefix, compression=compression))
    before = sorted(tmp_path.parent.iterdir())
    cache.fetch(tmp_path / "a.zip")
    assert cache.is_complete()
    assert sorted(tmp_path.parent.iterdir()) == before


def test_a_wheel_with_two_models(cache: Cache, wheel: Path) -> None:
    cache.fetch(wheel)
    assert cache.is_complete()


@pytest.mark.parametrize("packed", [False, True])
def test_pointers_of_git_lfs_are_named(packed: bool, cache: Cache, tmp_path: Path) -> None:
    content = dict.fromkeys(CONTENT, b"version https://git-lfs.github.com/spec/v1\nsize 1\n")
    source = tmp_path / "source"
    if packed:
        source.write_bytes(zipped(content))
    else:
        write(source, content)
    with pytest.raises(SpeechModelError, match=r"am/final\.mdl.*: holds a pointer of Git LFS") as error:
        cache.fetch(source)
    assert ("give a folder or zip" if packed else "git lfs pull") in error.value.fix


@pytest.mark.parametrize("name", CONTENT)
@pytest.mark.parametrize("packed", [False, True])
def test_each_wrong_or_missing_file_is_named(packed: bool, name: str, cache: Cache, tmp_path: Path) -> None:
    flipped = bytes([CONTENT[name][0] ^ 1]) + CONTENT[name][1:]
    for data, reason in ((flipped, "sha256"), (flipped + b"x", "bytes instead"), (b"", "0 bytes"), (None, "no ")):
        content = {key: value for key, value in {**CONTENT, name: data}.items() if value is not None}
        source = tmp_path / f"source{reason}"
        if packed:
            source.write_bytes(zipped(content))
        else:
            write(source, content)
        with pytest.raises(SpeechModelError, match=name) as error:
            cache.fetch(source)
        assert reason in error.value.message
        assert error.value.fix == "give a folder or zip that holds tiny"
        assert cache.names() == []


def test_no_such_file(cache: Cache, tmp_path: Path) -> None:
    with pytest.raises(SpeechModelError, match="nothing: No such file or directory") as error:
        cache.fetch(tmp_path / "nothing")
    assert error.value.fix == "give a folder or zip that holds tiny"
    assert cache.names() == []


def test_a_folder_that_may_not_be_read(cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(path: Path) -> Iterator[Path]:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "iterdir", deny)
    with pytest.raises(SpeechModelError, match="Permission denied"):
        cache.fetch(tmp_path)


def test_an_entry_that_claims_to_be_huge_is_not_unpacked(cache: Cache, tmp_path: Path) -> None:
    (tmp_path / "bomb.zip").write_bytes(zipped({**CONTENT, "am/final.mdl": bytes(64 << 20)}))
    with pytest.raises(SpeechModelError, match=r"final\.mdl in .* \(67108864 bytes instead of 10240\)"):
        cache.fetch(tmp_path / "bomb.zip")
    assert cache.names() == []


def test_an_entry_that_lies_about_being_small(cache: Cache, tmp_path: Path) -> None:
    bomb = zipped({"am/final.mdl": bytes(8 << 20), "conf/model.conf": CONTENT["conf/model.conf"]})
    lying = bomb.replace((8 << 20).to_bytes(4, "little"), (10240).to_bytes(4, "little"))
    assert lying != bomb
    model = replace(TINY, files={name: TINY.files[name] for name in ("am/final.mdl", "conf/model.conf")})
    (tmp_path / "bomb.zip").write_bytes(lying)
    with pytest.raises(SpeechModelError, match=r"final\.mdl"):
        cache.fetch(tmp_path / "bomb.zip", model=model)
    assert cache.names() == []


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_with_a_rare_compression_is_refused(compression: int, cache: Cache, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(zipped(compression=compression))
    with pytest.raises(SpeechModelError, match="give a folder or zip that holds tiny"):
        cache.fetch(tmp_path / "a.zip")


def test_a_link_in_a_zip_is_not_followed(cache: Cache, tmp_path: Path) -> None:
    target = write(tmp_path / "t") / "conf/model.conf"
    buffer = io.BytesIO(zipped({name: data for name, data in CONTENT.items() if name != "conf/model.conf"}))
    with zipfile.ZipFile(buffer, "a") as archive:
        link = zipfile.ZipInfo("tiny/conf/model.conf")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, str(target))
    (tmp_path / "link.zip").write_bytes(buffer.getvalue())
    with pytest.raises(SpeechModelError, match="is not the published file"):
        cache.fetch(tmp_path / "link.zip")


@given(st.binary(max_size=300))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_garbage(cache: Cache, tmp_path: Path, garbage: bytes) -> None:
    (tmp_path / "garbage.zip").write_bytes(garbage)
    with pytest.raises(SpeechModelError):
        cache.fetch(tmp_path / "garbage.zip")
    assert cache.names() == []


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4), st.booleans())
@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_zip_gives_the_model_or_an_error(
    cache: Cache, tmp_path: Path, changes: list[tuple[int, int]], near_the_end: bool
) -> None:
    small = {name: data[:40] for name, data in CONTENT.items()}
    archive = bytearray(zipped(small))
    for position, value in changes:
        # The last third is the directory, where the most goes wrong.
        span = len(archive) // 3 if near_the_end else len(archive)
        archive[-1 - position % span] = value
    (tmp_path / "damaged.zip").write_bytes(archive)
    shutil.rmtree(cache.destination, ignore_errors=True)
    model = replace(TINY, files=pinned(small))
    with contextlib.suppress(SpeechModelError):
        verify_speech_model(cache.fetch(tmp_path / "damaged.zip", model=model), model)
    assert cache.names() in ([], ["tiny"])
    if cache.destination.exists():
        verify_speech_model(cache.destination, model)
