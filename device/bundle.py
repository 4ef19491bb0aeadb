"""The bundle: a TFLite model with its labels, vocabulary and front end in one file, so that they cannot be mismatched.

`Model.tflite` is a normal flatbuffer followed by a zip, the way TFLite Metadata packs associated files, so any TFLite
runtime loads it unchanged and `unzip -l` lists its entries. The HDF5 group `edge_mcnn` of a `Model.h5` holds the same
entries. This module is independent of what the network computes.

    bundle = read_bundle(Path("Model.tflite"))
    print(bundle.companions.labels, bundle.companions.card)
"""

import hashlib
import io
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from device.errors import BundleError
from device.front_end.parameters import FrontEnd
from device.system.display import as_json, displayable
from device.system.paths import GIT_LFS, cannot_use, error_about, expanded, is_git_lfs_pointer, open_file

LONGEST_LABEL = 100
"""Bytes of the name of a class. Bundles of earlier versions may have longer ones, and still work."""
HDF5_GROUP = "edge_mcnn"
"""Name of the HDF5 group with the companions in a `Model.h5`."""
HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
"""First bytes of an HDF5 file."""
SHIPPED_BUNDLES = {name: Path(__file__).parent / "models" / f"{name}.tflite" for name in ("sentiment", "emotions")}
"""Paths of the bundles that ship with edge-mcnn, by the names that settings and options accept instead of a path."""
DEFAULT_BUNDLE = SHIPPED_BUNDLES["sentiment"]
"""Path of the bundle that is used if neither the settings nor an option name one."""
NAME_A_MODEL = f"give the path of a Model.tflite, or the name of a model that ships: {', '.join(SHIPPED_BUNDLES)}"
"""The fix for a text that names no model."""
FLATBUFFER_SUM = "flatbuffer_sha256"
"""Key in the model card: SHA-256 of the flatbuffer, hexadecimal."""
OTHER_IMAGES = "images_of_another_program"
"""Key in the model card: whether the network was trained on images that edge-mcnn did not compute."""

TRANSITIONS_FILE = "transitions.json"
"""Name of the entry with the class transitions; a model that was trained without dialogues has none."""
SPEAKER_VARIATION_FILE = "speaker_variation.json"
"""Name of the entry with the speaker variation; a model that was trained without known speakers has none."""
LABELS_FILE = "labels.txt"
"""Name of the entry with the labels, one per line; `edge-mcnn train` writes a file of this name beside `Model.h5`."""

_LABELS, _VOCABULARY, _FRONT_END, _CARD = LABELS_FILE, "vocabulary.txt", "front_end.json", "model_card.json"
ENTRIES = (_LABELS, _VOCABULARY, _FRONT_END, _CARD, TRANSITIONS_FILE, SPEAKER_VARIATION_FILE)
"""Names of all entries of a bundle, and of the HDF5 group of a `Model.h5`."""
_LARGEST_ENTRY = 16 << 20
_LARGEST_BUNDLE = 1 << 30
_MOST_ENTRIES = 100
_MOST_LABELS = 100
_ROUNDING = 1e-3
"""How far the sum of probabilities may be from 1."""
_MOST_WORDS = 500_000
_AGAIN = "copy the model again, or convert it again"


@dataclass(frozen=True)
class Transitions:
    """How often each class follows each other class in the conversations of the training corpus.

    Raises:
        BundleError: a probability is not above 0 and at most 1, or a row or the frequencies do not add up to 1.
    """

    following: tuple[tuple[float, ...], ...]
    """Row i: probability of each class for the utterance after one of class i, in the order of the labels."""
    frequencies: tuple[float, ...]
    """Share of each class among all utterances of the conversations, in the order of the labels."""

    def __post_init__(self) -> None:
        for row in (*self.following, self.frequencies):
            if len(row) != len(self.following):
                raise BundleError("transitions: not a row and a frequency for each class", fix=_AGAIN)
            if not all(0 < value <= 1 for value in row) or abs(sum(row) - 1) > _ROUNDING:
                raise BundleError("transitions: a row is not a list of probabilities that add up to 1", fix=_AGAIN)

    def to_json(self) -> str:
        """Return the entry of a bundle."""
        return as_json({"following": [list(row) for row in self.following], "frequencies": list(self.frequencies)})

    @classmethod
    def from_json(cls, text: str) -> "Transitions":
        """Read what `to_json` returns.

        Raises:
            BundleError: not such an entry.
        """
        try:
            table = json.loads(text)
            return cls(tuple(_numbers(row) for row in table["following"]), _numbers(table["frequencies"]))
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            raise BundleError(
                f"{TRANSITIONS_FILE}: expected a JSON object with the numbers `following` and `frequencies`", fix=_AGAIN
            ) from None


@dataclass(frozen=True)
class Companions:
    """Everything that belongs to a network and that it cannot be used without.

    Raises:
        BundleError: too few or too many labels or words, or one of them is empty, repeated or contains spaces at the
            wrong place; or the transitions are those of another number of classes.
    """

    labels: tuple[str, ...]
    """Class names in the order of the softmax."""
    vocabulary: tuple[str, ...]
    """Words, most frequent first; the word at index i has id i + 1."""
    front_end: FrontEnd
    """Settings of the spectrogram image and of the word ids that the network was trained with."""
    card: Mapping[str, Any] = field(default_factory=dict)
    """Model card: the training data, the scores and the limitations."""
    transitions: Transitions | None = None
    """How classes follow each other in conversations; None if the training corpus had no dialogues."""
    speaker_variation: str | None = None
    """How the training speakers differ, to adapt to a voice: a JSON object that `device.adaptation.speaker_variation`
    reads; None if the speakers were not known."""

    def __post_init__(self) -> None:
        _check_names("labels", self.labels, at_least=2, at_most=_MOST_LABELS)
        _check_names("vocabulary", self.vocabulary, at_least=1, at_most=_MOST_WORDS)
        if any(word != "".join(word.split()) for word in self.vocabulary):
            raise BundleError("vocabulary: a word contains a space", fix="write each word without spaces")
        if self.transitions is not None and len(self.transitions.following) != len(self.labels):
            raise BundleError(
                f"transitions: of {len(self.transitions.following)} classes, and there are {len(self.labels)} labels",
                fix=_AGAIN,
            )

    def entries(self) -> dict[str, str]:
        """Return the packed texts by their file name."""
        optional = {
            TRANSITIONS_FILE: None if self.transitions is None else self.transitions.to_json(),
            SPEAKER_VARIATION_FILE: self.speaker_variation,
        }
        return {
            _LABELS: "".join(f"{label}\n" for label in self.labels),
            _VOCABULARY: "".join(f"{word}\n" for word in self.vocabulary),
            _FRONT_END: self.front_end.to_json(),
            _CARD: as_json(self.card, indent=2) + "\n",
            **{name: f"{text}\n" for name, text in optional.items() if text is not None},
        }

    @classmethod
    def from_entries(cls, entries: Mapping[str, str]) -> "Companions":
        """Build companions from the texts that `entries` returns.

        Raises:
            BundleError: an entry is missing or does not have its format.
        """
        missing = [name for name in (_LABELS, _VOCABULARY, _FRONT_END) if name not in entries]
        if missing:
            raise BundleError(f"the model carries no {', '.join(missing)}", fix=_AGAIN)
        try:
            card = json.loads(entries.get(_CARD, "{}"))
        except (ValueError, RecursionError) as error:
            raise BundleError(f"{_CARD}: not valid JSON ({error})", fix=_AGAIN) from None
        if not isinstance(card, dict):
            raise BundleError(f"{_CARD}: expected a JSON object", fix=_AGAIN)
        transitions, variation = entries.get(TRANSITIONS_FILE), entries.get(SPEAKER_VARIATION_FILE)
        return cls(
            labels=_lines(entries[_LABELS]),
            vocabulary=_lines(entries[_VOCABULARY]),
            front_end=FrontEnd.from_json(entries[_FRONT_END]),
            card=card,
            transitions=None if transitions is None else Transitions.from_json(transitions),
            speaker_variation=None if variation is None else variation.strip(),
        )


@dataclass(frozen=True)
class Bundle:
    """A model and its companions, as read from one file."""

    path: Path
    """The file that was read."""
    model: bytes
    """The complete file: a flatbuffer that a TFLite interpreter loads unchanged, followed by the companions."""
    companions: Companions
    """Labels, vocabulary, front end, model card and, if there are any, class transitions and speaker variation."""
    flatbuffer_size: int
    """Length of the flatbuffer at the beginning of `model`, bytes."""


def bundle_path(model: str) -> Path:
    """Return the path of the bundle that a setting or an option names.

    Args:
        model: a name in `SHIPPED_BUNDLES`, which wins over a file of that name; the path of a file, in which `~` is
            replaced; or an empty text for the default.
    """
    return SHIPPED_BUNDLES.get(model) or (expanded(model) if model else DEFAULT_BUNDLE)


def shipped_name(path: Path) -> str | None:
    """Return the name of the bundle that ships at this path, or None for any other path."""
    return next((name for name, shipped in SHIPPED_BUNDLES.items() if shipped == path), None)


def pack(flatbuffer: bytes, companions: Companions) -> bytes:
    """Pack a bundle: the flatbuffer, followed by a zip with the companions and the flatbuffer's checksum.

    Args:
        flatbuffer: a TFLite model.
        companions: what belongs to it; the checksum is added to the card.
    """
    card = {**companions.card, FLATBUFFER_SUM: hashlib.sha256(flatbuffer).hexdigest()}
    entries = replace(companions, card=card).entries()
    buffer = io.BytesIO(flatbuffer)
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, text in entries.items():
            # A fixed date: the same model and companions give the same bytes.
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), text, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def read_bundle(path: Path) -> Bundle:
    """Read and check a bundle.

    Args:
        path: a `Model.tflite` made by `edge-mcnn convert`.

    Raises:
        BundleError: no such file, not a TFLite model, no or damaged companions, or changed since it was packed.
    """
    try:
        with open_file(path) as file:
            # Read by its size: for a read up to the limit Python would reserve memory that a small Pi does not have.
            size = os.fstat(file.fileno()).st_size
            content = file.read(size) if size <= _LARGEST_BUNDLE else b""
    except (OSError, ValueError) as error:
        raise cannot_use(path, error, BundleError, fix=NAME_A_MODEL) from None
    if size > _LARGEST_BUNDLE:
        raise BundleError(f"{path}: larger than {_LARGEST_BUNDLE >> 20} MB, not a model for this device")
    if is_git_lfs_pointer(content):
        raise error_about(path, GIT_LFS, BundleError)
    if content[4:8] != b"TFL3":
        is_keras = content.startswith(HDF5_SIGNATURE)
        fix = "run `edge-mcnn convert` on it first" if is_keras else NAME_A_MODEL
        raise BundleError(f"{path}: not a TFLite model", fix=fix)
    try:
        entries, start = _unzip(content)
        companions = Companions.from_entries(entries)
    except BundleError as error:
        raise BundleError(f"{path}: {error.message}", fix=error.fix) from None
    if hashlib.sha256(content[:start]).hexdigest() != companions.card.get(FLATBUFFER_SUM):
        raise BundleError(
            f"{path}: damaged: the model does not have the checksum that it was packed with", fix="copy it again"
        )
    return Bundle(path, content, companions, start)


def _unzip(content: bytes) -> tuple[dict[str, str], int]:
    """Return the known entries by file name, and the offset of the zip, at which the flatbuffer ends."""
    entries = {}
    # Counted by their signatures in the zip's directory, before zipfile reads a directory of millions into memory.
    if content.count(b"PK\x01\x02") > _MOST_ENTRIES:
        raise BundleError(f"more than {_MOST_ENTRIES} files are packed into it, not a bundle made by edge-mcnn")
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
    except zipfile.BadZipFile:
        raise BundleError(
            "a TFLite model without labels, vocabulary and front end", fix="convert it again with `edge-mcnn convert`"
        ) from None
    except _NOT_UNPACKED as error:
        raise _damaged(error) from None
    with archive:
        for info in archive.infolist():
            if info.filename not in ENTRIES:
                continue
            if info.file_size > _LARGEST_ENTRY or info.filename in entries:
                raise BundleError(f"{info.filename}: larger than {_LARGEST_ENTRY >> 20} MB, or packed twice")
            # zipfile has no limit on what it unpacks of bzip2 and LZMA at once.
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise BundleError(
                    f"{info.filename}: compressed by a method that edge-mcnn does not use", fix="convert it again"
                )
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
"""Exceptions that zipfile raises for a file that is not a zip, or a damaged one."""


def _damaged(error: Exception) -> BundleError:
    return BundleError(f"damaged: its companions cannot be unpacked ({error})", fix="copy it again")


def label_problem(name: str) -> str:
    """Why a text cannot be the name of a class, as the end of a sentence; empty if it can.

    Names of classes are shown on terminals, in plots and in web pages, and are keys in settings files.
    """
    if not name or name != name.strip():
        return "is empty, or begins or ends with a space"
    if displayable(name) != name:
        return "contains characters that cannot be displayed"
    if len(name.encode()) > LONGEST_LABEL:
        return f"is longer than {LONGEST_LABEL} bytes"
    return ""


def _numbers(values: Any) -> tuple[float, ...]:
    """Return a JSON list of numbers; a text or a truth value in it is a `TypeError`."""
    if not isinstance(values, list) or not all(type(value) in (int, float) for value in values):
        raise TypeError("not a list of numbers")
    return tuple(map(float, values))


def _lines(text: str) -> tuple[str, ...]:
    return tuple(text.removesuffix("\n").split("\n"))


def _check_names(what: str, names: tuple[str, ...], *, at_least: int, at_most: int) -> None:
    if not at_least <= len(names) <= at_most:
        raise BundleError(
            f"{what}: {len(names)} found, expected {at_least} to {at_most}", fix=f"give {at_least} to {at_most}"
        )
    if any(not name or name != name.strip() or "\n" in name or "\r" in name for name in names):
        raise BundleError(
            f"{what}: a name is empty, or begins or ends with a space", fix="remove empty names, and spaces at the ends"
        )
    if len(set(names)) != len(names):
        raise BundleError(f"{what}: a name is repeated", fix="give each its own name")
