"""Which parts are looked at: all of them by `edge-mcnn doctor`, and by `service install` what the service stands on.

What needs libraries that may be broken is imported where they are looked at, apart from the rest.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from device.daemon.status import Status, running_daemon
from device.doctor import machine, packages
from device.doctor.findings import Finding, Told, Verdict
from device.doctor.isolation import Check, examine
from device.errors import SettingsError
from device.recognition.speech_model import fetch as speech_model
from device.recognition.speech_model.manifest import ENGLISH
from device.settings.schema import Settings
from device.settings.toml import PREFIX, check_file, read_settings

_READS_MUCH_S = 60.0
"""For the sums of the speech model, from the slowest of memory cards."""
_CALLS_S = 60.0
"""For a broker: the looking itself ends sooner, but a name may have many addresses."""


def look(config: Path | None, environment: Mapping[str, str], model: Path | None) -> Iterator[Told]:
    """Look at every part, in the light of the settings; each thing is told as soon as it is known.

    Args:
        config: the file of settings; None for none.
        environment: variables by name, as `read_settings` takes them.
        model: a bundle, to be taken instead of the one in the settings.
    """
    settings, finding = read(config, environment)
    yield finding
    if model is not None:
        settings = replace(settings, classifier=replace(settings.classifier, model=str(model)))
    yield from examine(everything(settings))


def read(config: Path | None, environment: Mapping[str, str]) -> tuple[Settings, Finding]:
    """The settings, the defaults where those given are not right, and what is wrong with them."""
    wrong: list[SettingsError] = []
    mend = []
    try:
        if config is not None and (wrong := check_file(config)):
            mend.append(f"edge-mcnn settings --check {config}")
    except SettingsError as error:
        wrong = [error]
    try:
        read_settings(None, environment)
    except SettingsError as error:
        wrong.append(error)
    if wrong:
        told = f"{'; '.join(map(str, wrong))}; the rest is looked at with the defaults"
        return Settings(), Finding("settings", Verdict.BAD, told, "; ".join(mend))
    variables = sum(name.startswith(PREFIX) for name in environment)
    told = f"{config}: all right" if config is not None else "the defaults"
    told += f", and {variables} in the environment" if variables else ""
    return read_settings(config, environment), Finding("settings", Verdict.GOOD, told)


def everything(settings: Settings) -> list[Check]:
    """For this machine and this user, from the ground up."""
    daemon = running_daemon()
    return [
        Check("machine", machine.board),
        Check("Python", machine.python),
        Check("memory", partial(machine.memory, listening=daemon is not None)),
        Check("disk", partial(_disk, settings)),
        Check("temperature", machine.heat),
        Check("power", machine.power),
        Check("packages", packages.packages, _READS_MUCH_S),
        Check("interpreter", partial(packages.interpreter, settings.classifier), _READS_MUCH_S),
        Check("model", partial(_model, settings), _READS_MUCH_S),
        Check("speech model", partial(_speech_model, settings), _READS_MUCH_S),
        Check("voice detector", _voice_detector),
        Check("lights", partial(_lights, settings, service=False)),
        Check("sound cards", _sound_cards),
        Check("microphone", partial(_microphone, settings, daemon)),
        *_publishing(settings),
        Check("service", partial(_service, daemon)),
    ]


def needs_of_service(settings: Settings) -> list[Check]:
    """What the service stands on, but for the speech model, which installing puts into place."""
    return [
        Check("model", partial(_model, settings), _READS_MUCH_S),
        Check("lights", partial(_lights, settings, service=True)),
        Check("microphone", partial(_microphone_or_later, settings)),
    ]


def _disk(settings: Settings) -> Iterator[Finding]:
    place = speech_model.default_path()
    fetched = not settings.transcriber.speech_model and not speech_model.is_present(place)
    # The archive, what is in it, and room to move.
    return machine.disk(place.parent, 3 * ENGLISH.size / 1e6 if fetched else 0.0)


def _model(settings: Settings) -> Iterator[Finding]:
    from device.doctor import models

    return models.bundle(settings)


def _speech_model(settings: Settings) -> Iterator[Finding]:
    from device.doctor import models

    return models.speech(settings.transcriber)


def _voice_detector() -> Iterator[Finding]:
    from device.doctor import models

    return models.detector()


def _lights(settings: Settings, *, service: bool) -> Iterator[Finding]:
    from device.doctor import pins

    return pins.lights(settings, service=service)


def _sound_cards() -> Iterator[Finding]:
    from device.doctor import sound

    return sound.cards()


def _microphone(settings: Settings, daemon: Status | None) -> Iterator[Told]:
    """In one process: where PortAudio hangs at first, it is not waited for three times."""
    from device.doctor import sound

    yield from sound.portaudio()
    yield from sound.chosen(settings.microphone.name, daemon)
    yield from sound.level(settings, daemon)


def _microphone_or_later(settings: Settings) -> Iterator[Finding]:
    """The service waits for a microphone, not for PortAudio."""
    from device.doctor import sound

    yield from sound.portaudio()
    yield from sound.chosen(settings.microphone.name, missing=Verdict.WARNING)


def _publishing(settings: Settings) -> Iterator[Check]:
    """For those who publish."""
    if settings.mqtt.host:
        yield Check("broker", partial(_broker, settings), _CALLS_S)
    if settings.publish.command:
        yield Check("command", partial(_command, settings))


def _broker(settings: Settings) -> Iterator[Finding]:
    from device.doctor import publishing

    return publishing.broker(settings.mqtt)


def _command(settings: Settings) -> Iterator[Finding]:
    from device.doctor import publishing

    return publishing.command(settings.publish)


def _service(daemon: Status | None) -> Iterator[Finding]:
    from device.doctor import service as service_state

    return service_state.state(daemon)
