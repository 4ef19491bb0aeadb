"""What the history returns: predictions, counts of them, and the state of the device over time."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

Counts = Mapping[str, int]
"""Number of predictions per class, the most frequent first; a corrected prediction counts for its corrected class."""
Modality = Mapping[str, Any]
"""What one modality alone predicts: `label`, and `probabilities` per class."""


@dataclass(frozen=True)
class StoredPrediction:
    """A prediction in the history."""

    sequence: int
    """Order of arrival, whatever the clock showed; later ones have larger numbers, with gaps."""
    time: datetime
    """When the prediction was made, with the offset that the local time had."""
    clock_doubtful: bool
    """Whether the clock was certainly wrong: before an earlier prediction of the same boot, or years ago."""
    label: str
    """The most probable class."""
    corrected: str | None
    """The class that a person named; None if nobody corrected the prediction."""
    probabilities: Mapping[str, float]
    """Probability per class, 0 to 1."""
    confident: bool
    """Whether the label reached the probability that the settings required."""
    light: str | None
    """The class whose light was to show the prediction; None for no light."""
    lights_stay: bool
    """Whether the lights stayed as they were."""
    seconds: float | None
    """Duration of the utterance, seconds."""
    latency_ms: float | None
    """Milliseconds from the end of speech to the light."""
    adapted: bool
    """Whether a voice profile changed the probabilities."""
    audio_only: Modality | None
    """What the audio alone predicts; None if that was not computed."""
    text_only: Modality | None
    """What the words alone predict; None if there were none, or if that was not computed."""
    text: str | None
    """The words; None if they were not stored."""
    daemon: str
    """Random name of the start of the daemon."""
    number: int
    """Number of the prediction since that start, from 1 on."""
    boot: str
    """Boot id of the kernel."""

    def as_table(self) -> dict[str, Any]:
        """Return the prediction for JSON, with the keys of a `prediction` event and those that only the history has."""
        return {
            "sequence": self.sequence,
            "time": self.time.isoformat(timespec="milliseconds"),
            "clock_doubtful": self.clock_doubtful,
            "label": self.label,
            "corrected": self.corrected,
            "probabilities": dict(self.probabilities),
            "audio_only": self.audio_only,
            "text_only": self.text_only,
            "adapted": self.adapted,
            "confident": self.confident,
            "light": self.light,
            "lights_stay": self.lights_stay,
            "text": self.text,
            "seconds": self.seconds,
            "ms_speech_to_light": self.latency_ms,
            "daemon": self.daemon,
            "number": self.number,
        }


@dataclass(frozen=True)
class Filter:
    """Which predictions a page shows; every condition must hold."""

    day: date | None = None
    """Local day; None for all."""
    label: str | None = None
    """Class, the corrected one where there is one; None for all."""
    low_confidence: bool = False
    """Whether to show those with a low confidence alone."""


@dataclass(frozen=True)
class Page:
    """Some predictions, the latest first."""

    predictions: tuple[StoredPrediction, ...]
    """The predictions, by descending sequence."""
    before: int | None
    """What to pass as `before` for the next page, whatever arrives meanwhile; None if this is the last one."""


@dataclass(frozen=True)
class Day:
    """What was predicted on a local day."""

    day: date
    """The day."""
    labels: Counts
    """Predictions per class."""
    low_confidence: int = 0
    """Number of predictions with a low confidence."""
    corrected: int = 0
    """Number of corrected predictions."""
    clock_doubtful: int = 0
    """Number of predictions at which the clock was certainly wrong."""

    @property
    def predictions(self) -> int:
        """Number of predictions."""
        return sum(self.labels.values())


@dataclass(frozen=True)
class HealthRecord:
    """The state of the device in a minute; a value is None where it was not known."""

    time: datetime
    """Beginning of the minute, with the offset that the local time had."""
    memory_mb: float | None
    """Memory of the daemon, MB."""
    uptime_s: float | None
    """Seconds since the daemon started."""
    blocks_dropped: int | None
    """Blocks of audio that it dropped since then."""
    microphone_losses: int | None
    """How often it lost the microphone since then."""
    temperature_c: float | None
    """Temperature of the processor, degrees Celsius."""
    low_voltage: bool | None
    """Whether the supply voltage was too low."""
    slowed: bool | None
    """Whether the processor was slowed down."""


@dataclass(frozen=True)
class Contents:
    """What a history contains."""

    predictions: int
    """Number of predictions."""
    corrected: int
    """Number of corrected predictions."""
    with_words: int
    """Number of predictions whose words are stored."""
    first: datetime | None
    """Time of the first prediction that is stored; None if none is."""
    last: datetime | None
    """Time of the last one."""
    health: int
    """Number of minutes for which the state of the device is stored."""
    file_bytes: int
    """Size of the file and of the journal beside it, bytes."""
