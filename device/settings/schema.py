"""The settings of every stage: one frozen dataclass each, with defaults, units and limits.

How a table is checked against the limits, `device.settings.check` knows, and where settings come from,
`device.settings.toml`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, get_type_hints

from device.settings.leds import CLASS_COLOURS, COLOURS, Problems, colour_problems, pin_problems, rgb_problems

_TOPIC = r"[^+#\x00/]+(/[^+#\x00/]+)*"


def _number(default: float, lowest: float, highest: float, unit: str, about: str) -> Any:
    return field(default=default, metadata={"range": (lowest, highest), "unit": unit, "about": about})


def _choice(default: str, *allowed: str, about: str) -> Any:
    return field(default=default, metadata={"choices": allowed, "about": about})


def _text(default: str, about: str) -> Any:
    return field(default=default, metadata={"about": about})


def _table(default: Mapping[str, Any], check: Callable[[str, Any], Problems], about: str) -> Any:
    return field(default_factory=lambda: dict(default), metadata={"check": check, "about": about})


def _text_like(default: str, pattern: str, allowed: str, about: str) -> Any:
    return field(default=default, metadata={"pattern": pattern, "allowed": allowed, "about": about})


def _texts(about: str) -> Any:
    return field(default=(), metadata={"about": about})


def _switch(default: bool, about: str) -> Any:
    return field(default=default, metadata={"about": about})


@dataclass(frozen=True)
class MicrophoneSettings:
    """`[microphone]`: which one."""

    name: str = _text(
        "",
        "Its name or a part of it, as `edge-mcnn microphones` lists it (numbers of cards move between boots, names do "
        "not); empty: the default one.",
    )


@dataclass(frozen=True)
class LivenessSettings:
    """`[liveness]`: when the microphone counts as lost, and how it is taken back."""

    no_sound_limit_s: float = _number(
        3.0, 1, 600, "s", "It is lost when no block of sound came for so long; a first block may take 1.2 s."
    )
    retry_s: float = _number(1.0, 0.1, 600, "s", "While it is lost it is looked for this often.")
    silent_after_s: float = _number(
        30.0, 1, 86400, "s", "It is silent, perhaps muted, when each sample was zero for so long; no real room is."
    )
    reopen_silent_s: float = _number(
        60.0, 1, 86400, "s", "While it is silent it is opened anew this often: the sound may come from elsewhere now."
    )
    stuck_limit_s: float = _number(
        20.0, 1, 600, "s", "If it cannot be opened or closed within this time, the sound system hangs and we give up."
    )


@dataclass(frozen=True)
class EndpointSettings:
    """`[endpoint]`: when an utterance begins and ends."""

    gate_dbfs: float = _number(
        -60.0,
        -96,
        0,
        "dB relative to full scale",
        "Frames with a lower RMS level are never speech, and the detector is not asked.",
    )
    speech_probability: float = _number(
        0.5, 0.05, 0.99, "", "What the voice activity detector must say for speech to begin; 0.15 less keeps it going."
    )
    onset_s: float = _number(
        0.1, 0, 2, "s", "Speech begins after this much voiced sound without a gap, so that a click is not an utterance."
    )
    pre_roll_s: float = _number(
        0.5,
        0,
        5,
        "s",
        "Sound kept from before the onset: the first consonant is quieter than what gives speech away.",
    )
    hang_over_s: float = _number(
        0.6,
        0.1,
        5,
        "s",
        "Pause after which an utterance is over: shorter answers sooner, longer splits fewer sentences.",
    )
    longest_s: float = _number(
        15.0, 1, 120, "s", "An utterance is cut here, so that a noisy room cannot keep it open for ever."
    )


@dataclass(frozen=True)
class TranscriberSettings:
    """`[transcriber]`: the words."""

    speech_model: str = _text(
        "",
        "Folder of a Vosk model; empty: the one that `edge-mcnn fetch-speech-model` puts into the user's cache.",
    )
    lone_word_confidence: float = _number(
        0.7, 0, 1, "", "A single word that Vosk is less sure of is dropped: noise comes back as `huh`."
    )
    search: str = _choice(
        "quick",
        *("quick", "thorough"),
        about="How many guesses at the words Vosk follows at once. thorough: as many as the model's maker set; quick: "
        "those that may win, for two thirds of the CPU time and, clear or noisy, as many words right.",
    )
    utterances_per_recogniser: int = _number(
        16,
        1,
        1000,
        "utterances",
        "A recogniser serves so many: with each it gets faster and larger. 1: 255 MB and 1.8 times the CPU time of 16, "
        "which takes 310 MB; 32: 330 MB and 15 % less.",
    )


@dataclass(frozen=True)
class ClassifierSettings:
    """`[classifier]`: the network."""

    model: str = _text("", "Path of a bundle (`Model.tflite`); empty: the one that ships.")
    runtime: str = _choice(
        "auto",
        *("auto", "ai-edge-litert", "tflite-runtime"),
        about="Which TFLite interpreter; auto takes LiteRT when installed, else tflite-runtime.",
    )
    threads: int = _number(2, 1, 64, "threads", "Of the interpreter.")
    confidence: float = _number(
        0.0,
        0,
        1,
        "",
        "Below this probability of the most probable class the answer is unsure and not shown: fewer wrong lights, and "
        "fewer lights. Of the model that ships, asked by MELD's dev texts, 59 % of the lights are right at 0; at 0.5 "
        "63 %, and two of three are left; at 0.6 70 %, and 41 % are left.",
    )
    low_confidence: str = _choice(
        "dark",
        *("dark", "neutral"),
        about="What is shown of an unsure answer: dark: no light, so that you see that it does not know; neutral: the "
        "light of the class neutral, for lamps that are to say something each time.",
    )


@dataclass(frozen=True)
class LightsSettings:
    """`[lights]`: where an answer is shown."""

    kind: str = _choice(
        "auto",
        *("auto", "gpio", "terminal", "none"),
        about="gpio: LEDs, and in a terminal also lights drawn on it; terminal: those alone; none: neither; auto: gpio "
        "on a Raspberry Pi, elsewhere terminal.",
    )
    hold_s: float = _number(
        5.0, 0.1, 3600, "s", "A light stays on for so long after an utterance, unless the next one comes first."
    )
    brightness: str = _choice(
        "full",
        *("full", "confidence"),
        about="full: an LED is on or off; confidence: the surer the answer, the brighter its LED (PWM in software).",
    )
    common: str = _choice(
        "cathode",
        *("cathode", "anode"),
        about="What the LEDs have in common: cathode: their short legs, at ground; anode: their long legs, at 3V3, "
        "which many an RGB LED wants.",
    )
    pins: Mapping[str, int] = _table(
        {"positive": 17, "neutral": 27, "negative": 22},
        pin_problems,
        "One LED per class: BCM number of the GPIO pin of each, 0 to 27.",
    )
    rgb: Mapping[str, int] = _table(
        {},
        rgb_problems,
        "Instead of them one RGB LED, which pins are not asked for then: its BCM numbers, such as { red = 17, "
        "green = 27, blue = 22 }.",
    )
    colours: Mapping[str, str] = _table(
        {},
        colour_problems,
        f'Of the RGB LED for each class, e.g. {{ positive = "blue", tired = "#804000" }}; names are '
        f"{', '.join(COLOURS)}. Without a word of yours: {', '.join(f'{a} {b}' for a, b in CLASS_COLOURS.items())}.",
    )


@dataclass(frozen=True)
class PublishSettings:
    """`[publish]`: a program of yours that is told each answer."""

    command: tuple[str, ...] = _texts(
        "The program and its arguments, run for each answer without a shell; on its standard input it gets the JSON "
        "object that --json prints. Empty: none.",
    )
    command_limit_s: float = _number(
        5.0, 0.1, 600, "s", "It is killed, with what it started, when it is not done within this time."
    )
    words: bool = _switch(False, "Give it the words, too.")


@dataclass(frozen=True)
class MqttSettings:
    """`[mqtt]`: a broker that is told each answer, as Home Assistant has one; needs `pip install edge-mcnn[mqtt]`."""

    host: str = _text_like(
        "", r"[^\s/\x00]*", "a host name or an address", "Name or address of the broker; empty: nothing is published."
    )
    port: int = _number(0, 0, 65535, "", "Of the broker; 0: 8883 with tls, 1883 without.")
    user: str = _text("", "Name to log in with; empty: none.")
    password_file: str = _text("", "File that holds the password of that user; best one that only you can read.")
    tls: bool = _switch(False, "Encrypt, and prove that it is the right broker.")
    ca_file: str = _text(
        "", "Certificate (PEM) of who vouches for the broker; empty: those whom this system trusts. Needs tls."
    )
    device: str = _text(
        "", "Name of this device, which must differ from the others' at the same broker; empty: this machine's name."
    )
    topic_prefix: str = _text_like(
        "edge-mcnn", _TOPIC, "an MQTT topic without + and #", "Topics are below this and the name of the device."
    )
    discovery_prefix: str = _text_like(
        "homeassistant",
        f"({_TOPIC})?",
        "an MQTT topic without + and #",
        "Where Home Assistant looks for new devices; empty: it is told of none.",
    )
    words: bool = _switch(False, "Publish the words, too.")


@dataclass(frozen=True)
class Settings:
    """All settings of the daemon."""

    microphone: MicrophoneSettings = MicrophoneSettings()
    liveness: LivenessSettings = LivenessSettings()
    endpoint: EndpointSettings = EndpointSettings()
    transcriber: TranscriberSettings = TranscriberSettings()
    classifier: ClassifierSettings = ClassifierSettings()
    lights: LightsSettings = LightsSettings()
    publish: PublishSettings = PublishSettings()
    mqtt: MqttSettings = MqttSettings()


def sections() -> dict[str, type]:
    """The dataclass of each stage, by the name of its table."""
    return get_type_hints(Settings)
