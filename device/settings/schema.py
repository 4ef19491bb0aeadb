"""The schema of the settings: one frozen dataclass per section, with defaults, units, limits and explanations.

`device.settings.check` checks tables against it; `device.settings.toml` reads them from a file and the environment.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, get_type_hints

from device.recognition.runtimes import RUNTIMES
from device.settings.broker import PORT, TLS_PORT, Mistake, host_mistakes, text_mistakes, topic_mistakes
from device.settings.leds import (
    CLASS_COLOURS,
    CLASS_PINS,
    COLOURS,
    HIGHEST_BCM_PIN,
    Problems,
    colour_problems,
    pin_problems,
    rgb_problems,
)

_CHANNEL_WORDS = ("auto", "loudest", "mean")
_HIGHEST_CHANNEL = 127
_CHANNELS = f"one of {', '.join(_CHANNEL_WORDS)}, or a list of channel numbers from 0 on, such as [0]"


def _number(default: float, lowest: float, highest: float, unit: str, about: str) -> Any:
    return field(default=default, metadata={"range": (lowest, highest), "unit": unit, "about": about})


def _choice(default: str, *allowed: str, about: str) -> Any:
    return field(default=default, metadata={"choices": allowed, "about": about})


def _text(default: str, about: str) -> Any:
    return field(default=default, metadata={"about": about})


def _table(default: Mapping[str, Any], check: Callable[[str, Any], Problems], about: str) -> Any:
    return field(default_factory=lambda: dict(default), metadata={"check": check, "about": about})


def _text_like(
    default: str, mistakes: Callable[[str, str], Iterator[Mistake]], allowed: str, about: str, *, optional: bool = True
) -> Any:
    """A text that `mistakes` checks, called with the full name of the setting and its value unless that is empty."""
    metadata = {"mistakes": mistakes, "allowed": allowed, "about": about, "optional": optional}
    return field(default=default, metadata=metadata)


def _texts(about: str) -> Any:
    return field(default=(), metadata={"about": about})


def _switch(default: bool, about: str) -> Any:
    return field(default=default, metadata={"about": about})


_CONFIDENCES = "a number from 0 to 1, or a table such as { negative = 0.6, positive = 0.5 }"


def _confidence_problems(name: str, confidence: Any) -> Problems:
    """Check a confidence, or a table of confidences by class, called with the full name of the setting."""
    if not isinstance(confidence, Mapping):
        if not _is_probability(confidence):
            yield (), f"{name} is {confidence!r}, expected {_CONFIDENCES}"
        return
    for label, value in confidence.items():
        if not _is_probability(value):
            yield (label,), f"{name}.{label} is {value!r}, expected a number from 0 to 1"


def _is_probability(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _channel_problems(name: str, channels: Any) -> Problems:
    """Check which channels of a microphone are used, called with the full name of the setting."""
    if isinstance(channels, str) and channels in _CHANNEL_WORDS:
        return
    numbers = channels if isinstance(channels, list | tuple) else ()
    whole = [each for each in numbers if isinstance(each, int) and not isinstance(each, bool)]
    if not numbers or len(whole) < len(numbers) or not all(0 <= each <= _HIGHEST_CHANNEL for each in whole):
        yield (), f"{name} is {channels!r}, expected {_CHANNELS}"
    elif len(set(whole)) < len(whole):
        yield (), f"{name} is {channels!r}, which names a channel twice"


@dataclass(frozen=True)
class MicrophoneSettings:
    """`[microphone]`: which microphone is used."""

    name: str = _text(
        "",
        "Name of the microphone, or a part of it, as `edge-mcnn microphones` lists it; or the ID of its sound card, "
        "such as card:Device; or vendor and product of its USB device, such as 0d8c:0014. The numbers of sound "
        "cards may change at a restart, these do not. Empty: the default microphone.",
    )
    channels: str | tuple[int, ...] = field(
        default="auto",
        metadata={
            "check": _channel_problems,
            "allowed": _CHANNELS,
            "about": "Channels of the microphone that are used. auto: of one or two channels the mean, after inverting "
            "one that would cancel the other; of more the loudest. loudest: the channel with the highest level of "
            "speech; it changes in pauses. mean: the mean of all channels. Numbers: the mean of these channels, for an "
            "array whose loudest channel is not the best: one may be processed, or repeat what a loudspeaker plays.",
        },
    )


@dataclass(frozen=True)
class LivenessSettings:
    """`[liveness]`: when the microphone counts as lost, and how it is opened again."""

    no_sound_limit_s: float = _number(
        3.0, 1, 600, "s", "The microphone is lost when no audio arrived for this long; the first block may take 1.2 s."
    )
    retry_s: float = _number(1.0, 0.1, 600, "s", "Interval between attempts to open a lost microphone again.")
    silent_after_s: float = _number(
        30.0,
        1,
        86400,
        "s",
        "The microphone is silent, perhaps muted, when every sample had the same value for this long, which no real "
        "room delivers.",
    )
    reopen_silent_s: float = _number(
        60.0,
        1,
        86400,
        "s",
        "Interval between attempts to open a silent microphone again, because the audio may come from another device "
        "by now.",
    )
    stuck_limit_s: float = _number(
        20.0,
        1,
        600,
        "s",
        "When opening or closing the microphone takes longer than this, the sound system hangs, and edge-mcnn exits.",
    )


@dataclass(frozen=True)
class EndpointSettings:
    """`[endpoint]`: when an utterance begins and ends."""

    gate_dbfs: float = _number(
        -60.0,
        -96,
        0,
        "dB relative to full scale",
        "Frames with a lower RMS level are never speech; the voice activity detector is not run on them. At the "
        "default the gate also follows a very quiet microphone: until speech of a usual level was received, it is "
        "lowered to 10 dB above the noise. Any other gate stays where it is.",
    )
    speech_probability: float = _number(
        0.5,
        0.05,
        0.99,
        "",
        "Speech begins at this probability from the voice activity detector; it continues down to 0.15 less.",
    )
    onset_s: float = _number(
        0.1,
        0,
        2,
        "s",
        "An utterance begins after this much voiced audio without a gap, so that a click does not start one.",
    )
    pre_roll_s: float = _number(
        0.5,
        0,
        5,
        "s",
        "Audio before the onset that belongs to the utterance: the first consonant is quieter than the voice that is "
        "detected.",
    )
    hang_over_s: float = _number(
        0.6,
        0.1,
        5,
        "s",
        "An utterance ends after a pause of this length. Shorter: the light is on sooner. Longer: fewer sentences are "
        "split.",
    )
    earlier_end_s: float = _number(
        0.0,
        0,
        1,
        "s",
        "Where the last sounds and words are those of an end, the pause may be shorter than hang_over_s by this much, "
        "but not by more than half. 0: every pause must be as long as hang_over_s. 0.12 is for single sentences; of "
        "several in a row, each then often gets a prediction of its own.",
    )
    longest_s: float = _number(
        15.0,
        1,
        120,
        "s",
        "An utterance is cut at this length, so that a noisy room cannot keep it open without end.",
    )


@dataclass(frozen=True)
class TranscriberSettings:
    """`[transcriber]`: how speech becomes words."""

    speech_model: str = _text(
        "",
        "Folder of a Vosk model. Empty: the model that `edge-mcnn fetch-speech-model` stores in the user's cache.",
    )
    lone_word_confidence: float = _number(
        0.7,
        0,
        1,
        "",
        "A transcript of a single word is dropped when Vosk's confidence in it is lower: noise is often transcribed as "
        "`huh`.",
    )
    search: str = _choice(
        "quick",
        *("quick", "thorough"),
        about="How many hypotheses Vosk follows at once. thorough: as many as the maker of the model set. quick: only "
        "those that may win, which needs two thirds of the CPU time and gets as many words right, in quiet and in "
        "noise.",
    )
    utterances_per_recogniser: int = _number(
        16,
        1,
        1000,
        "utterances",
        "A Vosk recogniser is used for this many utterances: with each one it gets faster and larger. 16 needs 250 MB; "
        "4 needs 230 MB and 1.5 times the CPU time of 16; 1 needs 220 MB and 2.4 times; 32 needs 260 MB and 13 % less "
        "CPU time.",
    )


@dataclass(frozen=True)
class ClassifierSettings:
    """`[classifier]`: how an utterance is classified."""

    model: str = _text(
        "",
        "A model that ships with edge-mcnn, `sentiment` (negative, neutral, positive) or `emotions` (MELD's seven), or "
        "the path of a bundle (`Model.tflite`). Empty: sentiment.",
    )
    profile: str = _text(
        "",
        "File of the voice profile, to which `listen` adapts its predictions, and which learns from corrections. "
        "Empty: ~/.local/share/edge-mcnn/profile.json, for the service /var/lib/edge-mcnn-profile/profile.json. none: "
        "no profile, and nothing is learnt.",
    )
    runtime: str = _choice(
        "auto",
        *("auto", *RUNTIMES),
        about="TFLite runtime. auto: LiteRT if it is installed, else tflite-runtime.",
    )
    threads: int = _number(2, 1, 64, "threads", "Number of threads of the TFLite interpreter.")
    confidence: float | Mapping[str, float] = field(
        default=0.0,
        metadata={
            "check": _confidence_problems,
            "allowed": _CONFIDENCES,
            "about": "A prediction whose most probable class has a lower probability is a low-confidence prediction: "
            "fewer wrong lights, and fewer lights. A number is for all classes. A table has a number for each class "
            "that it names; the others have 0, so that their predictions never are low-confidence predictions. With "
            "the model `sentiment` and the texts of MELD's dev split, 59 % of the lights are right at 0; 64 % at 0.5, "
            "where two thirds of the lights are left; 71 % at 0.6, where 41 % are left. For a model and clips of "
            "yours, `edge-mcnn evaluate --thresholds 0.8` finds the lowest numbers for 80 % and prints this setting.",
        },
    )
    low_confidence: str = _choice(
        "dark",
        *("dark", "neutral"),
        about="Light for a low-confidence prediction. dark: no light, so that you can see that there is no confident "
        "prediction. neutral: the light of the class neutral, for lamps that must show something every time.",
    )
    context_s: float = _number(
        0.0,
        0,
        3600,
        "s",
        "The utterances before an utterance influence its prediction, until a pause of this length: in a conversation "
        "a class often follows the same class. It needs a model that was trained on dialogues. 0: each utterance is "
        "classified by itself.",
    )
    explain: str = _choice(
        "auto",
        *("auto", "always", "never"),
        about="Whether each prediction also contains what audio alone and words alone would have predicted. It is "
        "computed after the light is on. always: even if the network is slow. auto: if one run of it takes less than "
        "20 ms, since it runs twice; recordings are always explained.",
    )


@dataclass(frozen=True)
class LightsSettings:
    """`[lights]`: which light shows a prediction."""

    kind: str = _choice(
        "auto",
        *("auto", "gpio", "terminal", "none"),
        about="gpio: LEDs, and in a terminal also lights on the screen. terminal: only lights on the screen. none: no "
        "lights. auto: gpio on a Raspberry Pi, terminal elsewhere.",
    )
    preview: bool = _switch(
        True,
        "The light follows while someone speaks, as soon as a class is certain enough; the prediction when the "
        "utterance is over decides. Not with cooldown_s or smooth, nor if one run of the network takes 20 ms or more.",
    )
    hold_s: float = _number(
        5.0,
        0.1,
        3600,
        "s",
        "A light stays on for this long after an utterance, unless the next one comes first.",
    )
    cooldown_s: float = _number(
        0.0,
        0,
        3600,
        "s",
        "After a light has come on, no light of another class comes on for this long, and none goes out before its "
        "hold_s is over. Predictions in that time are printed and published as usual. One of the class whose light is "
        "on prolongs it; any other leaves the lights as they are. 0: each prediction changes the lights.",
    )
    smooth: int = _number(
        1,
        1,
        10,
        "predictions",
        "The lights change only when so many of the latest predictions agree, more than half of them. 1: each "
        "prediction changes them. 2: two of the last three. 3: three of the last five, and so on. Low-confidence "
        "predictions count for no class: when so many of them are among the latest, the lights show low_confidence. "
        "After 30 s without speech it counts from the beginning. A correction changes the lights at once.",
    )
    brightness: str = _choice(
        "full",
        *("full", "confidence"),
        about="full: an LED is on or off. confidence: the more confident the prediction, the brighter its LED "
        "(software PWM).",
    )
    common: str = _choice(
        "cathode",
        *("cathode", "anode"),
        about="Common connection of the LEDs. cathode: the short legs, connected to ground. anode: the long legs, "
        "connected to 3V3, which many RGB LEDs need.",
    )
    pins: Mapping[str, int] = _table(
        CLASS_PINS,
        pin_problems,
        "One LED per class: BCM number of the GPIO pin of each class, 0 to 27. Pins of classes that the model does not "
        "have are not used.",
    )
    rgb: Mapping[str, int] = _table(
        {},
        rgb_problems,
        "BCM numbers of the GPIO pins of one RGB LED, such as { red = 17, green = 27, blue = 22 }; it replaces the "
        "LEDs per class, whose pins are then ignored. Empty: no RGB LED.",
    )
    colours: Mapping[str, str] = _table(
        {},
        colour_problems,
        f'Colour of the RGB LED for each class, such as {{ positive = "blue", tired = "#804000" }}. The named colours '
        f"are {', '.join(COLOURS)}. Defaults: {', '.join(f'{a} {b}' for a, b in CLASS_COLOURS.items())}.",
    )


@dataclass(frozen=True)
class MuteSettings:
    """`[mute]`: the microphone can be muted, which closes it: `edge-mcnn mute`, a button, the key m, or MQTT."""

    start: str = _choice(
        "last",
        *("last", "on", "off"),
        about="Whether the microphone is muted when edge-mcnn starts. last: as it was when it ended. on: always muted. "
        "off: never.",
    )
    button: int = _number(
        -1,
        -1,
        HIGHEST_BCM_PIN,
        "",
        "BCM number of the GPIO pin of a button that mutes and unmutes, such as 12. -1: no button.",
    )
    active: str = _choice(
        "low",
        *("low", "high"),
        about="Level of the pin while the button is pressed. low: the button connects the pin to ground. high: to 3V3. "
        "The pin's own resistor is used, so the button needs none.",
    )
    sign: str = _choice(
        "blink",
        *("blink", "none"),
        about="What the LEDs show while it is muted. blink: one of them flashes every four seconds. none: nothing.",
    )
    led: str = _text(
        "",
        "Class whose LED is the sign. Empty: neutral, else the first class of the model. With an RGB LED, the colour "
        "of that class is used.",
    )


@dataclass(frozen=True)
class LearnSettings:
    """`[learn]`: a button that corrects predictions."""

    button: int = _number(
        -1,
        -1,
        HIGHEST_BCM_PIN,
        "",
        "BCM number of the GPIO pin of a button for a wrong prediction, such as 26. Each press corrects the latest "
        "prediction to the next most probable class, which is learnt at once and lit; press until the right one is on. "
        "-1: no button.",
    )
    active: str = _choice(
        "low",
        *("low", "high"),
        about="Level of the pin while the button is pressed, as under [mute].",
    )


@dataclass(frozen=True)
class PublishSettings:
    """`[publish]`: a program of yours that is run for each prediction."""

    command: tuple[str, ...] = _texts(
        "The program and its arguments, run without a shell for each prediction. Its standard input is the JSON object "
        "that --json prints. Empty: no program.",
    )
    command_limit_s: float = _number(
        5.0, 0.1, 600, "s", "The program is killed, with every process it started, when it runs longer than this."
    )
    words: bool = _switch(False, "Pass the words that were spoken to the program, too.")


@dataclass(frozen=True)
class MqttSettings:
    """`[mqtt]`: a broker, such as Home Assistant's, for each prediction; needs `pip install edge-mcnn[mqtt]`."""

    host: str = _text_like(
        "",
        lambda _name, value: host_mistakes(value),
        "a host name or an IP address, without a port",
        "Host name or IP address of the MQTT broker. Empty: nothing is published.",
    )
    port: int = _number(0, 0, 65535, "", f"Port of the broker. 0: {TLS_PORT} with tls, {PORT} without.")
    user: str = _text_like("", text_mistakes, "", "User name at the broker. Empty: no login.")
    password_file: str = _text(
        "",
        "File with the password of the user; it should be readable only by you. It is read before each attempt to "
        "connect.",
    )
    tls: bool = _switch(False, "Encrypt the connection and verify the identity of the broker.")
    ca_file: str = _text(
        "",
        "File with the certificate (PEM) of the authority that signed the broker's certificate. Empty: the authorities "
        "that this system trusts. Needs tls.",
    )
    device: str = _text_like(
        "",
        text_mistakes,
        "",
        "Name of this device, which must be unique at the broker. Empty: the host name of this machine.",
    )
    topic_prefix: str = _text_like(
        "edge-mcnn",
        topic_mistakes,
        "an MQTT topic without + and #",
        "Prefix of the topics: they begin with it and the name of the device.",
        optional=False,
    )
    discovery_prefix: str = _text_like(
        "homeassistant",
        topic_mistakes,
        "an MQTT topic without + and #",
        "Topic prefix where Home Assistant looks for new devices. Empty: no discovery.",
    )
    words: bool = _switch(False, "Publish the words that were spoken, too.")
    level: bool = _switch(False, "Publish how loud it is, at most once in 10 s.")
    commands: bool = _switch(
        True,
        "Accept commands from the broker: mute, and the confidence that a class requires. Everyone who may publish at "
        "the broker can send them.",
    )
    corrections: bool = _switch(
        False,
        "Learn from messages with the topic <prefix>/<device>/correct: the payload is the right class of the latest "
        "prediction. Everyone who may publish that topic at the broker can change what is predicted. Needs commands.",
    )


@dataclass(frozen=True)
class EventsSettings:
    """`[events]`: what `edge-mcnn events`, the page of `edge-mcnn web` and the history get from the device."""

    words: bool = _switch(False, "Include the words that were spoken.")


@dataclass(frozen=True)
class HistorySettings:
    """`[history]`: predictions that `edge-mcnn web` stores, for its page."""

    keep_days: int = _number(
        0, 0, 3650, "days", "Days for which predictions stay stored, without audio. 0: none are stored."
    )
    max_mb: int = _number(
        200, 1, 100_000, "MB", "Largest size of the file; when it is reached, the oldest predictions are removed."
    )
    words: bool = _switch(False, "Store the words that were spoken, too. Needs words under [events].")


@dataclass(frozen=True)
class WebSettings:
    """`[web]`: the page that `edge-mcnn web` serves; needs `pip install edge-mcnn[web]`."""

    address: str = _text_like(
        "127.0.0.1",
        lambda _name, value: host_mistakes(value),
        "an IP address or a host name of this machine",
        "Address at which the page can be opened. 127.0.0.1: on this machine alone. 0.0.0.0: from every device in the "
        "network; every address but 127.0.0.1 needs a password, see edge-mcnn web --set-password.",
        optional=False,
    )
    port: int = _number(8350, 1, 65535, "", "Port of the page.")
    names: tuple[str, ...] = _texts(
        'Further host names under which browsers open the page, such as ["lamp.example.org"]; requests for other names '
        "are refused. The name of this machine, also with .local, and addresses are always accepted."
    )
    certificate_file: str = _text("", "Certificate (PEM) for https, followed by its chain. Empty: http.")
    key_file: str = _text("", "Private key (PEM) of the certificate.")


@dataclass(frozen=True)
class Settings:
    """All settings, one attribute per section of the settings file."""

    microphone: MicrophoneSettings = MicrophoneSettings()
    liveness: LivenessSettings = LivenessSettings()
    endpoint: EndpointSettings = EndpointSettings()
    transcriber: TranscriberSettings = TranscriberSettings()
    classifier: ClassifierSettings = ClassifierSettings()
    lights: LightsSettings = LightsSettings()
    mute: MuteSettings = MuteSettings()
    learn: LearnSettings = LearnSettings()
    publish: PublishSettings = PublishSettings()
    mqtt: MqttSettings = MqttSettings()
    events: EventsSettings = EventsSettings()
    history: HistorySettings = HistorySettings()
    web: WebSettings = WebSettings()


def sections() -> dict[str, type]:
    """The dataclass of each section, by the name of the section."""
    return get_type_hints(Settings)
