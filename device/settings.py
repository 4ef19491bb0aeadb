"""The settings of every stage, read from one TOML file.

Each stage has one frozen dataclass; its limits are checked here, so that a stage can trust what
it is given.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from device.errors import SettingsError

HIGHEST_BCM_PIN = 27


def _number(default: float, lowest: float, highest: float) -> Any:
    return field(default=default, metadata={"range": (lowest, highest)})


def _choice(default: str, *allowed: str) -> Any:
    return field(default=default, metadata={"choices": allowed})


@dataclass(frozen=True)
class MicrophoneSettings:
    """`[microphone]`: which one."""

    name: str = ""
    """Name of the microphone or a part of it (card numbers move between boots, names do not); empty: the default."""
    no_sound_limit_s: float = _number(5.0, 0.5, 600)
    """Seconds without a block of sound after which the microphone counts as lost."""


@dataclass(frozen=True)
class EndpointSettings:
    """`[endpoint]`: when an utterance begins and ends."""

    gate_dbfs: float = _number(-60.0, -96, 0)
    """Quieter frames are never speech, and the detector is not asked; RMS in dB relative to full scale."""
    speech_probability: float = _number(0.5, 0.05, 0.99)
    """What the voice activity detector must say for speech to begin; 0.15 less keeps it going."""
    onset_s: float = _number(0.1, 0, 2)
    """Speech begins after this much voiced sound without a gap, so that a click is not an utterance."""
    pre_roll_s: float = _number(0.5, 0, 5)
    """Sound kept from before the onset: the first consonant is quieter than what gives speech away."""
    hang_over_s: float = _number(0.6, 0.1, 5)
    """Pause after which an utterance is over: shorter answers sooner, longer splits fewer sentences."""
    longest_s: float = _number(15.0, 1, 120)
    """An utterance is cut here, so that a noisy room cannot keep it open for ever."""


@dataclass(frozen=True)
class TranscriberSettings:
    """`[transcriber]`: the words."""

    speech_model: str = ""
    """Folder of a Vosk model; empty takes the one that `edge-mcnn fetch-speech-model` puts into the user's cache."""
    lone_word_confidence: float = _number(0.7, 0, 1)
    """A single word that Vosk is less sure of is dropped: noise comes back as `huh`."""


@dataclass(frozen=True)
class ClassifierSettings:
    """`[classifier]`: the network."""

    model: str = ""
    """Path of a bundle (`Model.tflite`); empty takes the one that ships."""
    runtime: str = _choice("auto", "auto", "ai-edge-litert", "tflite-runtime")
    """Which TFLite interpreter; auto takes LiteRT when installed, else tflite-runtime."""
    threads: int = _number(2, 1, 64)
    """Threads of the interpreter."""


@dataclass(frozen=True)
class LightsSettings:
    """`[lights]`: where an answer is shown."""

    kind: str = _choice("auto", "auto", "gpio", "terminal", "none")
    """gpio: LEDs; terminal: lights drawn on the screen; auto: LEDs on a Raspberry Pi, elsewhere the terminal."""
    hold_s: float = _number(5.0, 0.1, 3600)
    """Seconds that a light stays on after an utterance, unless the next one comes first."""
    pins: Mapping[str, int] = field(default_factory=lambda: {"positive": 17, "neutral": 27, "negative": 22})
    """BCM number of the GPIO pin of each class's LED."""

    def __post_init__(self) -> None:
        if not isinstance(self.pins, Mapping):
            raise SettingsError(f"lights.pins is {self.pins!r}, expected a table such as positive = 17")
        for label, pin in self.pins.items():
            if isinstance(pin, bool) or not isinstance(pin, int) or not 0 <= pin <= HIGHEST_BCM_PIN:
                raise SettingsError(
                    f"lights.pins.{label} is {pin!r}, expected a BCM pin number from 0 to {HIGHEST_BCM_PIN}"
                )
        shared = sorted(str(pin) for pin in self.pins.values() if list(self.pins.values()).count(pin) > 1)
        if shared:
            raise SettingsError(f"lights.pins: pin {shared[0]} is given to more than one class; each LED needs its own")


@dataclass(frozen=True)
class Settings:
    """All settings of the daemon."""

    microphone: MicrophoneSettings = MicrophoneSettings()
    endpoint: EndpointSettings = EndpointSettings()
    transcriber: TranscriberSettings = TranscriberSettings()
    classifier: ClassifierSettings = ClassifierSettings()
    lights: LightsSettings = LightsSettings()


def read_settings(path: Path) -> Settings:
    """Read a TOML file; what it does not name keeps its default.

    Raises:
        SettingsError: the file cannot be read, is not TOML, or has an unknown key or a value that is not allowed.
    """
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:  # TOMLDecodeError and UnicodeDecodeError are both of this kind
        raise SettingsError(f"{path}: not valid TOML: {error}") from None
    try:
        return settings_from_table(table)
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from None


def settings_from_table(table: Mapping[str, Any]) -> Settings:
    """Build settings from nested tables as TOML gives them.

    Raises:
        SettingsError: naming the key, the value and what is allowed.
    """
    stages = {stage.name: stage.type for stage in fields(Settings)}
    _refuse_unknown("", table, list(stages))
    values = {}
    for name, content in table.items():
        if not isinstance(content, Mapping):
            raise SettingsError(f"{name} is {content!r}, expected a table [{name}]")
        values[name] = _stage(name, stages[name], content)
    return Settings(**values)


def _stage(name: str, kind: Any, table: Mapping[str, Any]) -> Any:
    allowed = {each.name: each for each in fields(kind)}
    _refuse_unknown(f"{name}.", table, list(allowed))
    return kind(**{key: _value(f"{name}.{key}", allowed[key], value) for key, value in table.items()})


def _value(key: str, setting: Any, value: Any) -> Any:
    if "range" in setting.metadata:
        lowest, highest = setting.metadata["range"]
        wanted = "a whole number" if setting.type is int else "a number"
        right_type = isinstance(value, int if setting.type is int else int | float) and not isinstance(value, bool)
        if not right_type or not lowest <= value <= highest:
            raise SettingsError(f"{key} is {value!r}, expected {wanted} from {lowest} to {highest}")
        return setting.type(value)
    if "choices" in setting.metadata and value not in setting.metadata["choices"]:
        raise SettingsError(f"{key} is {value!r}, expected one of {', '.join(setting.metadata['choices'])}")
    if setting.default is not MISSING and not isinstance(value, str):
        raise SettingsError(f"{key} is {value!r}, expected text in quotes")
    return value


def _refuse_unknown(prefix: str, table: Mapping[str, Any], allowed: list[str]) -> None:
    for key in table:
        if key not in allowed:
            near = get_close_matches(key, allowed, n=1)
            hint = f"did you mean {prefix}{near[0]}?" if near else f"known are {', '.join(allowed)}"
            raise SettingsError(f"{prefix}{key}: no such setting; {hint}")
