"""The settings that define the network's input, as they are stored inside a bundle (`front_end.json`).

A network works only with the front end that it was trained with, so the model carries these values and the device
refuses any that it cannot honour.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from device.errors import BundleError

FORMAT_VERSION = 1
_STORED_NAMES = {"image_height": "picture_height", "image_width": "picture_width"}
"""Names in `front_end.json` that differ from the field's, so that models that were packed earlier can still be read."""


@dataclass(frozen=True)
class FrontEnd:
    """Settings of the spectrogram image and of the word ids; the defaults are those of the tutorial at 16 kHz.

    The mel spectrogram follows `librosa.feature.melspectrogram` and `librosa.power_to_db`, the image follows
    `librosa.display.specshow`, the ids follow Keras's `Tokenizer` and `pad_sequences`.

    Raises:
        BundleError: this device cannot honour a value.
    """

    version: int = FORMAT_VERSION
    """Version of the format of these settings; any other number is refused."""
    sample_rate: int = 16_000
    """Sample rate of the audio, Hz."""
    n_fft: int = 2048
    """Length of one analysis window, samples."""
    hop_length: int = 512
    """Distance from one column to the next, samples."""
    window: str = "hann"
    """Analysis window: a periodic Hann window."""
    n_mels: int = 128
    """Number of mel bands, the rows of the spectrogram."""
    f_min: float = 0.0
    """Lower edge of the lowest band, Hz."""
    f_max: float = 8000.0
    """Upper edge of the highest band, Hz."""
    mel_norm: str = "slaney"
    """Normalisation of the mel filters: each band's triangle has unit area."""
    mel_scale: str = "slaney"
    """Mel scale: linear up to 1 kHz, logarithmic above (Slaney's Auditory Toolbox)."""
    pad_mode: str = "constant"
    """Padding: half a window of zeros before and after the audio (librosa >= 0.10; older versions reflected)."""
    db_reference: str = "max"
    """Reference level: 0 dB is the loudest cell of the image."""
    db_floor: float = 80.0
    """Cells more than this many dB below the reference are raised to it."""
    trim_db: float | None = 30.0
    """Columns at either edge more than this many dB below the loudest column are cut off; None: nothing is cut."""
    image_height: int = 64
    """Height of the spectrogram image, pixels."""
    image_width: int = 64
    """Width of the spectrogram image, pixels."""
    colour_map: str = "magma"
    """Colour map of the image, by Matplotlib's name."""
    text_normaliser: int = 1
    """Version of the text normaliser, `device.front_end.tokens.normalise`."""
    sequence_length: int = 200
    """Number of word ids per utterance."""
    padding: str = "pre"
    """Where zeros are added: "pre", before the words, or "post", after them; of a longer text the last words are used.

    Both follow Keras's `pad_sequences(padding=...)`, whose `truncating` stays "pre".
    """
    out_of_vocabulary: str = "drop"
    """Treatment of a word that is not in the vocabulary: "drop", it gets no id, or "first", it gets id 1.

    The latter follows Keras's `Tokenizer(oov_token=...)`, whose token comes first in the vocabulary.
    """
    num_words: int = 5000
    """Words with this id or a higher one are treated as out of vocabulary (Keras's `Tokenizer(num_words=...)`)."""

    def __post_init__(self) -> None:
        for name, allowed in _ONLY.items():
            value = getattr(self, name)
            if value not in allowed:
                raise BundleError(
                    f"front end: {_stored_name(name)} is {value!r}, this version of edge-mcnn supports "
                    f"{' or '.join(map(repr, allowed))} only",
                    fix="update edge-mcnn or convert the model again",
                )
        for name, (lowest, highest) in _RANGES.items():
            value = getattr(self, name)
            if value is None and name == "trim_db":
                continue
            # Not isfinite of an int: one of 400 digits is too large for a float.
            not_finite = isinstance(value, float) and not math.isfinite(value)
            if isinstance(value, bool) or not isinstance(value, int | float) or not_finite:
                raise BundleError(f"front end: {_stored_name(name)} is {value!r}, expected a number", fix=_fix(name))
            if not lowest <= value <= highest:
                raise BundleError(
                    f"front end: {_stored_name(name)} is {value!r}, expected {lowest} to {highest}", fix=_fix(name)
                )
            if _TYPES[name] is int and not isinstance(value, int):
                raise BundleError(
                    f"front end: {_stored_name(name)} is {value!r}, expected a whole number", fix=_fix(name)
                )
        if not self.f_min < self.f_max <= self.sample_rate / 2:
            raise BundleError(
                f"front end: f_min {self.f_min} and f_max {self.f_max} must rise and stay within half the sample rate",
                fix=f"set f_min below f_max, and f_max to at most {self.sample_rate / 2:g} Hz",
            )
        if self.hop_length > self.n_fft or self.n_fft % 2:
            raise BundleError(
                f"front end: n_fft is {self.n_fft}, expected an even number not below hop_length {self.hop_length}",
                fix="set n_fft to an even number, and hop_length to at most n_fft",
            )

    @staticmethod
    def stored_names() -> tuple[str, ...]:
        """Return the name of each setting in `front_end.json`, in the order of the fields."""
        return tuple(_stored_name(field.name) for field in fields(FrontEnd))

    def to_table(self) -> dict[str, Any]:
        """Return all settings by their names in `front_end.json`."""
        return {_stored_name(name): value for name, value in asdict(self).items()}

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> "FrontEnd":
        """Build from settings by their names in `front_end.json`; a setting that is absent has its default.

        Raises:
            BundleError: this device cannot honour a value.
            KeyError: `front_end.json` has no setting of such a name.
        """
        field_names = dict(zip(cls.stored_names(), (field.name for field in fields(cls)), strict=True))
        return cls(**{field_names[name]: value for name, value in table.items()})

    def to_json(self) -> str:
        """Format the settings as JSON, one key per setting."""
        return json.dumps(self.to_table(), indent=2) + "\n"

    def image_settings(self) -> dict[str, Any]:
        """Return the settings that the spectrogram image depends on, by their names in `front_end.json`."""
        return {name: value for name, value in self.to_table().items() if name not in _TEXT_SETTINGS}

    @classmethod
    def from_json(cls, text: str) -> "FrontEnd":
        """Read the format that `to_json` writes.

        Raises:
            BundleError: not JSON, an unknown or missing key, or a value that this device cannot honour.
        """
        try:
            table = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise BundleError(f"front end: not valid JSON ({error})", fix=_CONVERT_AGAIN) from None
        if not isinstance(table, Mapping):
            raise BundleError("front end: expected a JSON object", fix=_CONVERT_AGAIN)
        version = table.get("version")
        if version != FORMAT_VERSION:
            raise BundleError(
                f"front end: format version is {version!r}, this edge-mcnn reads {FORMAT_VERSION}",
                fix="update edge-mcnn",
            )
        names = cls.stored_names()
        unknown = [str(name) for name in table if name not in names]
        missing = [name for name in names if name not in table]
        if unknown or missing:
            raise BundleError(
                "front end: "
                + "; ".join(
                    f"{what} {', '.join(keys[:5])}"
                    for what, keys in (("unknown", unknown), ("missing", missing))
                    if keys
                ),
                fix="update edge-mcnn or convert the model again",
            )
        return cls.from_table(table)


def _fix(name: str) -> str:
    """The fix of a numeric setting: its allowed values."""
    lowest, highest = _RANGES[name]
    kind = "a whole number" if _TYPES[name] is int else "a number"
    none = ", or null to cut nothing" if name == "trim_db" else ""
    return f"set {_stored_name(name)} to {kind} from {lowest} to {highest}{none}, as the network was trained"


def _stored_name(field_name: str) -> str:
    return _STORED_NAMES.get(field_name, field_name)


_CONVERT_AGAIN = "copy the model again, or convert it again"
_TEXT_SETTINGS = frozenset({"text_normaliser", "sequence_length", "padding", "out_of_vocabulary", "num_words"})
_ONLY: dict[str, tuple[Any, ...]] = {
    "version": (FORMAT_VERSION,),
    "sample_rate": (16_000,),  # what Vosk and the voice activity detector expect
    "window": ("hann",),
    "mel_norm": ("slaney",),
    "mel_scale": ("slaney",),
    "pad_mode": ("constant",),
    "db_reference": ("max",),
    "colour_map": ("magma",),
    "text_normaliser": (1,),
    "padding": ("pre", "post"),
    "out_of_vocabulary": ("drop", "first"),
}
_RANGES: dict[str, tuple[float, float]] = {
    "n_fft": (64, 16_384),
    "hop_length": (16, 16_384),
    "n_mels": (8, 512),
    "f_min": (0, 8000),
    "f_max": (1, 8000),
    "db_floor": (1, 200),
    "trim_db": (1, 200),
    "image_height": (8, 512),
    "image_width": (8, 512),
    "sequence_length": (1, 2000),
    "num_words": (2, 1_000_000),
}
_TYPES = {field.name: field.type for field in fields(FrontEnd)}
