"""What the daemon needs of this machine, each as a finding: there, missing, or missing for now.

It looks and tells; who is told, and what is done about it, it does not know.
"""

import grp
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from device.bundle import DEFAULT_BUNDLE, read_bundle
from device.errors import AudioError, BundleError, InterpreterError, LightsError, SettingsError
from device.settings import LightsSettings, Settings
from device.showing.gpio_lights import check_leds
from device.showing.lights import has_gpio
from device.understanding.unsure import shown_instead

_PINS = "gpiochip*"


class Verdict(StrEnum):
    """How bad it is."""

    GOOD = "good"
    LATER = "later"
    """Missing, and the daemon can wait for it."""
    BAD = "bad"
    """The daemon cannot start."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked for."""

    what: str
    verdict: Verdict
    told: str
    """What was found, or what is wrong and what to do about it."""


def look(settings: Settings) -> list[Finding]:
    """Everything but the speech model, for which `device.understanding.speech_model` speaks."""
    found, labels = _model(settings)
    return [found, *_lights(settings.lights, labels), _microphone(settings.microphone.name)]


def _model(settings: Settings) -> tuple[Finding, Sequence[str]]:
    from device.understanding.classifier import Classifier

    path = Path(settings.classifier.model) if settings.classifier.model else DEFAULT_BUNDLE
    try:
        bundle = read_bundle(path)
        classifier = Classifier(bundle, runtime=settings.classifier.runtime)
        shown_instead(settings.classifier, classifier.labels)
    except (BundleError, InterpreterError, SettingsError) as error:
        return Finding("model", Verdict.BAD, str(error)), ()
    shown = "the one that ships" if path == DEFAULT_BUNDLE else str(path)
    classes = ", ".join(classifier.labels)
    return Finding("model", Verdict.GOOD, f"{shown}: {classes}; {classifier.runtime}"), classifier.labels


def _microphone(name: str) -> Finding:
    from device.hearing.microphone import find_microphone

    try:
        found = find_microphone(name)
    except AudioError as error:
        verdict = Verdict.BAD if "PortAudio" in str(error) else Verdict.LATER
        return Finding("microphone", verdict, str(error))
    return Finding("microphone", Verdict.GOOD, f"{found.name}, {found.rate} Hz")


def _lights(settings: LightsSettings, labels: Sequence[str]) -> list[Finding]:
    if settings.kind in ("terminal", "none") or (settings.kind == "auto" and not has_gpio()):
        why = f"lights.kind is {settings.kind}" if settings.kind != "auto" else "this is no Raspberry Pi"
        return [Finding("lights", Verdict.LATER, f"{why}: no LED will be lit")]
    try:
        check_leds(settings, labels)
    except LightsError as error:
        return [Finding("lights", Verdict.BAD, str(error))]
    return [_pins(), _pin_library()]


def _pins() -> Finding:
    if not list(Path("/dev").glob(_PINS)):
        return Finding("pins", Verdict.BAD, "there is no /dev/gpiochip*; is this a Raspberry Pi with its own kernel?")
    if not has_group("gpio"):
        return Finding("pins", Verdict.BAD, "there is no group gpio to give the pins to; run: sudo groupadd gpio")
    return Finding("pins", Verdict.GOOD, "/dev/gpiochip*, group gpio")


def _pin_library() -> Finding:
    # Not imported: that makes a FIFO in the working directory.
    spec = importlib.util.find_spec("lgpio")
    if spec is None or spec.origin is None:
        told = "lgpio is not installed; run: sudo apt-get install python3-lgpio, and make the venv with"
        return Finding("lgpio", Verdict.BAD, f"{told} --system-site-packages")
    if "gpiochip_open" not in Path(spec.origin).read_text("utf-8", errors="replace"):
        told = (
            f"{spec.origin} is the empty package that pip takes where it has no wheel; run: pip uninstall lgpio, then"
        )
        return Finding("lgpio", Verdict.BAD, f"{told} sudo apt-get install python3-lgpio")
    return Finding("lgpio", Verdict.GOOD, spec.origin)


def has_group(name: str) -> bool:
    """Whether this machine has a group of that name."""
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True
