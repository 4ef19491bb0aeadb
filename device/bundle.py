"""The bundle: a TFLite model with its labels, vocabulary and front end inside, one file that cannot be mismatched.

`Model.tflite` is a normal flatbuffer with a zip behind it, the way TFLite Metadata packs associated files, so any
TFLite runtime loads it unchanged and `unzip -l` lists it. The same entries travel in the HDF5 group `edge_mcnn` of a
`Model.h5`. This module does not know what a network computes, only what belongs to it.
"""

import hashlib
import io
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from device.errors import BundleError
from device.front_end.parameters import FrontEnd

HDF5_GROUP = "edge_mcnn"
HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
"""How an HDF5 file begins."""
DEFAULT_BUNDLE = Path(__file__).parent / "models" / "Model.tflite"
"""The bundle that ships."""
FLATBUFFER_SUM = "flatbuffer_sha256"
"""Key of the card."""

_LABELS, _VOCABULARY, _FRONT_END, _CARD = "labels.txt", "vocabulary.txt", "front_end.json", "model_card.json"
_LARGEST_ENTRY = 16 << 20
_LARGEST_BUNDLE = 1 << 30
_MOST_ENTRIES = 100
_MOST_LABELS = 100
_MOST_WORDS = 500_000


@dataclass(frozen=True)
class Companions:
    """What a model is worthless without."""

    labels: tuple[str, ...]
    """Class names in the order of the softmax."""
    vocabulary: tuple[str, ...]
    """Words, most frequent first; index i has id i + 1."""
    front_end: FrontEnd
    """Settings of the picture and of the ids that the network was trained with."""
    card: Mapping[str, Any] = field(default_factory=dict)
    """What it was trained on, how well it does, what it cannot do."""

    def __post_init__(self) -> None:
        _check_names("labels", self.labels, at_least=2, at_most=_MOST_LABELS)
        _check_names("vocabulary", self.vocabulary, at_least=1, at_most=_MOST_WORDS)
        if any(word != "".join(word.split()) for word in self.vocabulary):
            raise BundleError("vocabulary: a word contains a space")

    def entries(self) -> dict[str, str]:
        """The texts by file name, as they are packed."""
        return {
            _LABELS: "".join(f"{label}\n" for label in self.labels),
            _VOCABULARY: "".join(f"{word}\n" for word in self.vocabulary),
            _FRONT_END: self.front_end.to_json(),
            _CARD: json.dumps(self.card, indent=2, ensure_ascii=False) + "\n",
        }

    @classmethod
    def from_entries(cls, entries: Mapping[str, str]) -> "Companions":
        """Read what `entries` gave.

        Raises:
            BundleError: an entry is missing or not what its name says.
        """
        missing = [name for name in (_LABELS, _VOCABULARY, _FRONT_END) if name not in entries]
        if missing:
            raise BundleError(f"the model carries no {', '.join(missing)}")
        try:
            card = json.loads(entries.get(_CARD, "{}"))
        except (ValueError, RecursionError) as error:
            raise BundleError(f"{_CARD}: not valid JSON ({error})") from None
        if not isinstance(card, dict):
            raise BundleError(f"{_CARD}: expected a JSON object")
        return cls(
            labels=_lines(entries[_LABELS]),
            vocabulary=_lines(entries[_VOCABULARY]),
            front_end=FrontEnd.from_json(entries[_FRONT_END]),
            card=card,
        )


@dataclass(frozen=True)
class Bundle:
    """A model and its companions, as read from one file."""

    path: Path
    model: bytes
    """The whole file: a flatbuffer that a TFLite interpreter takes as it is."""
    companions: Companions
    flatbuffer_size: int
    """Bytes of `model` that are the flatbuffer; the companions follow."""


def pack(flatbuffer: bytes, companions: Companions) -> bytes:
    """Bytes of a bundle: the flatbuffer, and behind it a zip with the companions and the flatbuffer's own checksum."""
    card = {**companions.card, FLATBUFFER_SUM: hashlib.sha256(flatbuffer).hexdigest()}
    entries = Companions(companions.labels, companions.vocabulary, companions.front_end, card).entries()
    buffer = io.BytesIO(flatbuffer)
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, text in entries.items():
            # A fixed date: the same model and companions give the same bytes.
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), text, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def read_bundle(path: Path) -> Bundle:
    """Read and check a bundle.

    Raises:
        BundleError: no such file, not a TFLite model, no or damaged companions, or changed since it was packed.
    """
    try:
        with path.open("rb") as file:
            # Asked for as much as it is: asked for the most, Python reserves that, which a small Pi has not.
            size = os.fstat(file.fileno()).st_size
            content = file.read(size) if size <= _LARGEST_BUNDLE else b""
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror}); --model takes a Model.tflite") from None
    if size > _LARGEST_BUNDLE:
        raise BundleError(f"{path}: larger than {_LARGEST_BUNDLE >> 20} MB, not a model for this device")
    if content[4:8] != b"TFL3":
        hint = "; run `edge-mcnn convert` on it first" if content.startswith(HDF5_SIGNATURE) else ""
        raise BundleError(f"{path}: not a TFLite model{hint}")
    try:
        entries, start = _unzip(content)
        companions = Companions.from_entries(entries)
    except BundleError as error:
        raise BundleError(f"{path}: {error}") from None
    if hashlib.sha256(content[:start]).hexdigest() != companions.card.get(FLATBUFFER_SUM):
        raise BundleError(f"{path}: damaged: the model does not have the checksum it was packed with; copy it again")
    return Bundle(path, content, companions, start)


def _unzip(content: bytes) -> tuple[dict[str, str], int]:
    """The known entries, and where the zip starts, which is where the flatbuffer ends."""
    entries = {}
    # Counted by the mark that each has in the zip's list, before zipfile reads a list of millions into memory.
    if content.count(b"PK\x01\x02") > _MOST_ENTRIES:
        raise BundleError(f"more than {_MOST_ENTRIES} files are packed into it; not a bundle made by edge-mcnn")
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
    except zipfile.BadZipFile:
        raise BundleError(
            "a TFLite model without labels, vocabulary and front end; convert it again with `edge-mcnn convert`"
        ) from None
    except _NOT_UNPACKED as error:
        raise _damaged(error) from None
    with archive:
        for info in archive.infolist():
            if info.filename not in (_LABELS, _VOCABULARY, _FRONT_END, _CARD):
                continue
            if info.file_size > _LARGEST_ENTRY or info.filename in entries:
                raise BundleError(f"{info.filename}: larger than {_LARGEST_ENTRY >> 20} MB, or there twice")
            # What zipfile unpacks of bzip2 and LZMA at once has no limit.
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise BundleError(f"{info.filename}: packed in another way than edge-mcnn packs; convert it again")
            try:
                with archive.open(info) as stream:
                    entries[info.filename] = stream.read(_LARGEST_ENTRY + 1).decode("utf-8")
            except _NOT_UNPACKED as error:
                raise _damaged(error) from None
        start = min((info.header_offset for info in archive.infolist()), default=len(content))
    return entries, start


_NOT_UNPACKED = (
    ValueError, NotImplementedError, RuntimeError, EOFError, OSError, OverflowError, struct.error, zlib.error,
    zipfile.BadZipFile,
)  # fmt: skip
"""What zipfile raises of a zip that is none, or is damaged."""


def _damaged(error: Exception) -> BundleError:
    return BundleError(f"damaged: its companions cannot be unpacked ({error}); copy it again")


def _lines(text: str) -> tuple[str, ...]:
    return tuple(text.removesuffix("\n").split("\n"))


def _check_names(what: str, names: tuple[str, ...], *, at_least: int, at_most: int) -> None:
    if not at_least <= len(names) <= at_most:
        raise BundleError(f"{what}: {len(names)} found, expected {at_least} to {at_most}")
    if any(not name or name != name.strip() or "\n" in name or "\r" in name for name in names):
        raise BundleError(f"{what}: a name is empty, or begins or ends with a space")
    if len(set(names)) != len(names):
        raise BundleError(f"{what}: a name is there twice")
