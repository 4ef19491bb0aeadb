"""Finding, verifying and fetching the speech model, whatever is in its place; the model has a few bytes."""

import errno
import fcntl
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from device.errors import SpeechModelError
from device.recognition.speech_model.fetch import (
    find_speech_model,
    is_speech_model,
    speech_model_path,
    verify_speech_model,
)
from device.recognition.speech_model.manifest import ENGLISH
from tests.device.recognition.speech_model.official import Official
from tests.device.recognition.tiny_model import CONTENT, TINY, WITH_A_WRONG_BYTE, Cache, write


class TestFind:
    def test_a_configured_vosk_model_is_used_unchanged(self, cache: Cache, tmp_path: Path) -> None:
        own = write(tmp_path / "own", {"am/final.mdl": b"another", "conf/model.conf": b""})
        assert cache.find(configured=own) == own
        assert cache.announced == []

    @pytest.mark.parametrize("content", [{}, {"am/final.mdl": b""}, {"conf/model.conf": b""}, {"am/final.mdl/x": b""}])
    def test_a_configured_folder_that_is_not_a_model_is_refused(
        self, content: dict[str, bytes], tmp_path: Path
    ) -> None:
        own = write(tmp_path / "own", content)
        own.mkdir(exist_ok=True)
        with pytest.raises(SpeechModelError, match=r"own is not a Vosk model: it has no (am/final.mdl|conf)") as error:
            find_speech_model(own, announce=pytest.fail)
        assert error.value.fix == "give the folder that holds am/ and conf/"

    @pytest.mark.parametrize("pointer", ["am/final.mdl", "conf/model.conf", "graph/phones/word_boundary.int"])
    def test_a_configured_model_of_pointers_of_git_lfs_is_refused(self, pointer: str, tmp_path: Path) -> None:
        own = write(tmp_path / "own", {**CONTENT, pointer: b"version https://git-lfs.github.com/spec/v1\nsize 1\n"})
        with pytest.raises(SpeechModelError, match=rf"{pointer}: holds a pointer of Git LFS .*; .*git lfs pull"):
            find_speech_model(own, announce=pytest.fail)

    def test_a_present_model_is_found_without_an_announcement(self, cache: Cache) -> None:
        write(cache.destination)
        assert cache.find() == cache.destination
        assert cache.announced == []

    @pytest.mark.parametrize(("there", "state"), [({}, "missing"), ({"am/final.mdl": b"half"}, "incomplete")])
    def test_an_incomplete_model_is_announced_and_fetched(
        self, there: dict[str, bytes], state: str, cache: Cache, official: Official
    ) -> None:
        write(cache.destination, there)
        cache.find(official.model())
        assert cache.is_complete()
        assert cache.announced[0] == f"the speech model {cache.destination} is {state}: fetching it"

    def test_a_missing_model_that_may_not_be_fetched(self, cache: Cache) -> None:
        with pytest.raises(SpeechModelError, match="tiny is missing") as error:
            cache.find(fetch_missing=False)
        assert error.value.fix == "run `edge-mcnn fetch-speech-model`"
        assert cache.announced == []

    def test_the_default_is_the_users_cache(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        assert speech_model_path() == tmp_path / "edge-mcnn" / "vosk-model-small-en-us-0.15"
        with pytest.raises(SpeechModelError):
            find_speech_model(fetch_missing=False, announce=pytest.fail)


def missing(path: Path) -> None:
    path.unlink()


def of_another_size(path: Path) -> None:
    path.write_bytes(b"x")


def no_regular_file(path: Path) -> None:
    """Replace the file by a FIFO, whose opening would never return."""
    path.unlink()
    os.mkfifo(path)


class TestVerify:
    def test_a_complete_model(self, tmp_path: Path) -> None:
        folder = write(tmp_path / "m")
        assert is_speech_model(folder, TINY)
        verify_speech_model(folder, TINY)

    @pytest.mark.parametrize(
        ("damage", "message", "fix"),
        [
            (missing, "is missing", "run `edge-mcnn fetch-speech-model`"),
            (of_another_size, r"is not .*\(1 bytes instead of 10\)", "run `edge-mcnn fetch-speech-model`"),
            (no_regular_file, "is missing", "run `edge-mcnn fetch-speech-model`"),
        ],
    )
    def test_a_damaged_file_is_named(
        self, damage: Callable[[Path], None], message: str, fix: str, tmp_path: Path
    ) -> None:
        folder = write(tmp_path / "m")
        damage(folder / "conf/model.conf")
        assert not is_speech_model(folder, TINY)
        with pytest.raises(SpeechModelError, match=rf"m/conf/model\.conf {message}") as error:
            verify_speech_model(folder, TINY)
        assert error.value.fix == fix

    def test_a_wrong_byte_is_found_by_the_sum_only(self, damaged: Cache) -> None:
        assert is_speech_model(damaged.destination, TINY)
        with pytest.raises(SpeechModelError, match=r"tiny/conf/model\.conf is not .* \(its sha256 differs\)"):
            verify_speech_model(damaged.destination, TINY)

    def test_a_file_where_the_folder_should_be(self, tmp_path: Path) -> None:
        (tmp_path / "m").write_text("")
        assert not is_speech_model(tmp_path / "m", TINY)

    def test_the_pinned_model_is_well_formed(self) -> None:
        assert ENGLISH.size == 70_898_768
        assert {"am/final.mdl", "conf/mfcc.conf", "ivector/final.ie", "graph/Gr.fst"} <= set(ENGLISH.files)
        assert all(len(bytes.fromhex(file.sha256)) == 32 for file in ENGLISH.files.values())


class TestExistingFiles:
    def test_a_second_call_requests_nothing(self, cache: Cache, official: Official) -> None:
        cache.fetch(model=official.model())
        before = {path: path.stat().st_mtime_ns for path in cache.folder.rglob("*")}
        cache.fetch(model=official.model())
        cache.fetch(Path("/nonexistent"), model=official.model())
        assert official.hits == 1
        assert {path: path.stat().st_mtime_ns for path in cache.folder.rglob("*")} == before
        assert cache.announced[-1] == f"tiny is complete in {cache.destination}"

    def test_a_damaged_model_is_replaced_and_that_is_announced(self, damaged: Cache, official: Official) -> None:
        damaged.fetch(model=official.model())
        assert damaged.is_complete()
        assert any("sha256 differs): replacing the model" in line for line in damaged.announced)

    @pytest.mark.parametrize("content", ["file", "link", "folder"])
    def test_whatever_is_in_the_way_is_replaced(self, content: str, cache: Cache, tmp_path: Path) -> None:
        cache.folder.mkdir()
        other = write(tmp_path / "other", {"other": b"other"})
        match content:
            case "file":
                cache.destination.write_text("")
            case "link":
                cache.destination.symlink_to(other)
            case "folder":
                cache.destination.mkdir()
        cache.fetch(write(tmp_path / "source"))
        assert cache.is_complete()
        assert not cache.destination.is_symlink()
        assert (other / "other").exists()

    def test_a_failing_fetch_leaves_a_damaged_model_unchanged(self, damaged: Cache) -> None:
        with pytest.raises(SpeechModelError):
            damaged.fetch()
        assert damaged.names() == ["tiny"]
        assert (damaged.destination / "conf/model.conf").read_bytes() == WITH_A_WRONG_BYTE["conf/model.conf"]

    def test_files_of_a_killed_fetch_are_removed(self, cache: Cache, tmp_path: Path) -> None:
        write(cache.folder / ".tiny.fetch-x1y2", {"official.zip": b"half"})
        cache.fetch(write(tmp_path / "source"))
        assert cache.is_complete()


def fill_the_disk(descriptor: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class TestPutInPlace:
    def test_a_full_disk(self, cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "fsync", fill_the_disk)
        with pytest.raises(SpeechModelError, match=r"into .*cache: No space left on device; make the folder writable"):
            cache.fetch(write(tmp_path / "source"))
        assert cache.names() == []

    def test_a_full_disk_is_not_mistaken_for_a_bad_source(
        self, cache: Cache, official: Official, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os, "fsync", fill_the_disk)
        with pytest.raises(SpeechModelError, match="cannot put the speech model"):
            cache.fetch(model=official.model())
        assert cache.announced == ["Downloading tiny", "Checking official.zip"]

    def test_a_cache_that_cannot_be_created(self, tmp_path: Path) -> None:
        (tmp_path / "cache").write_text("a file")
        with pytest.raises(SpeechModelError, match=r"cannot put the speech model into .*/cache: File exists"):
            Cache(tmp_path / "cache").fetch()

    def test_an_interruption_midway_leaves_nothing(
        self, damaged: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        synced = []

        def interrupt(descriptor: int) -> None:
            synced.append(descriptor)
            if len(synced) == 2:
                raise KeyboardInterrupt

        monkeypatch.setattr(os, "fsync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            damaged.fetch(write(tmp_path / "source"))
        assert damaged.names() == ["tiny"]

    def test_without_locks_a_verified_model_that_came_first_is_kept(
        self, cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = write(tmp_path / "source")

        def refuse(descriptor: int, operation: int) -> None:
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

        def overtake(descriptor: int) -> None:
            if not cache.destination.exists():
                shutil.copytree(source, cache.destination)
                inodes.append(cache.destination.stat().st_ino)

        inodes: list[int] = []
        monkeypatch.setattr(fcntl, "flock", refuse)
        monkeypatch.setattr(os, "fsync", overtake)
        cache.fetch(source)
        assert cache.is_complete()
        assert inodes == [cache.destination.stat().st_ino]

    @pytest.mark.parametrize("overtaken", [True, False])
    def test_a_failing_rename(
        self, overtaken: bool, cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = write(tmp_path / "source")

        def lose(path: Path, target: Path) -> None:
            if overtaken:
                shutil.copytree(source, target)
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY))

        monkeypatch.setattr(Path, "rename", lose)
        if overtaken:
            cache.fetch(source)
            assert cache.is_complete()
        else:
            with pytest.raises(SpeechModelError, match="Directory not empty"):
                cache.fetch(source)
            assert cache.names() == []

    def test_many_at_once_download_once(self, damaged: Cache, official: Official) -> None:
        official.delay_s = 0.2
        model = official.model()
        with ThreadPoolExecutor(8) as pool:
            assert {future.result() for future in [pool.submit(damaged.fetch, None, model) for _ in range(8)]} == {
                damaged.destination
            }
        assert damaged.is_complete()
        assert official.hits == 1
        assert "another process is fetching tiny: waiting for it" in damaged.announced
