"""The list of checks: all of them for `edge-mcnn doctor`, and those that `service install` requires.

Modules whose libraries may be broken are imported inside the check, in its own process.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from device.daemon.status import SERVICE_SOCKET, Status, running_daemon, socket_path
from device.doctor import machine, packages
from device.doctor.findings import CheckEvent, Finding, Verdict
from device.doctor.isolation import Check, run_checks
from device.errors import SettingsError
from device.recognition.speech_model.fetch import is_speech_model, speech_model_path
from device.recognition.speech_model.manifest import ENGLISH
from device.settings.schema import Settings
from device.settings.toml import PREFIX, check_file, read_settings

_SLOW_READ_LIMIT_S = 60.0
"""Seconds for checks that read or checksum large files, on the slowest memory cards."""
_NETWORK_LIMIT_S = 60.0
"""Seconds for the broker check, which has shorter limits of its own, but a host name may have many addresses."""
_PATIENCE = 3
"""By how much more time a check may need when every other process goes first."""


def diagnose(config: Path | None, environment: Mapping[str, str], model: Path | None) -> Iterator[CheckEvent]:
    """Check every part that listening needs, with the given settings, and yield each event as soon as it is known.

    Args:
        config: the TOML file with the settings; None for the defaults.
        environment: environment variables by name, as `read_settings` accepts them.
        model: a bundle that replaces the one in the settings; None to use that one.
    """
    settings, finding = check_settings(config, environment)
    yield finding
    if model is not None:
        settings = replace(settings, classifier=replace(settings.classifier, model=str(model)))
    checks = all_checks(settings)
    if os.getpriority(os.PRIO_PROCESS, 0) > 0:
        checks = [replace(check, limit_s=_PATIENCE * check.limit_s) for check in checks]
    yield from run_checks(checks)


def check_settings(config: Path | None, environment: Mapping[str, str]) -> tuple[Settings, Finding]:
    """Read the settings and report every problem in them.

    Returns:
        The settings, or the defaults if there is a problem; and the finding.
    """
    errors: list[SettingsError] = []
    fixes: list[str] = []
    try:
        errors = check_file(config) if config is not None else []
    except SettingsError as error:
        errors = [error]
    if len(errors) == 1:
        fixes.append(errors[0].fix)
    elif errors:
        fixes.append(f"run: edge-mcnn settings --check {config}")  # prints the fix of each problem
    try:
        read_settings(None, environment)
    except SettingsError as error:
        errors.append(error)
        fixes.append(error.fix)
    if errors:
        message = f"{'; '.join(error.message for error in errors)}; the other checks use the defaults"
        return Settings(), Finding("settings", Verdict.FAIL, message, "; ".join(filter(None, fixes)))
    variables = sum(name.startswith(PREFIX) for name in environment)
    message = f"{config} is valid" if config is not None else "defaults"
    message += f"; {variables} set by environment variables or options" if variables else ""
    return read_settings(config, environment), Finding("settings", Verdict.OK, message)


def all_checks(settings: Settings) -> list[Check]:
    """All checks for this machine and this user, from the hardware up to the service."""
    daemon = running_daemon()
    started_by_daemon = daemon is not None and daemon.pid == os.getppid()
    within_service = started_by_daemon and socket_path() == SERVICE_SOCKET
    return [
        Check("machine", machine.check_board),
        Check("Python", machine.check_python),
        Check("memory", partial(machine.check_memory, daemon_runs=daemon is not None)),
        Check("memory", partial(machine.check_memory_limits, settings.transcriber, daemon_runs=daemon is not None)),
        Check("disk", partial(_check_disk, settings)),
        Check("temperature", machine.check_temperature),
        Check("power", machine.check_power),
        Check("packages", packages.check_packages, _SLOW_READ_LIMIT_S),
        Check("interpreter", partial(packages.check_interpreter, settings.classifier), _SLOW_READ_LIMIT_S),
        Check("model", partial(_check_model, settings), _SLOW_READ_LIMIT_S),
        Check("voice profile", partial(_check_profile, settings), _SLOW_READ_LIMIT_S),
        Check("speech model", partial(_check_speech_model, settings), _SLOW_READ_LIMIT_S),
        Check("voice detector", _check_voice_detector),
        Check("lights", partial(_check_lights, settings, service=False)),
        Check("sound cards", _check_sound_cards),
        Check("microphone", partial(_check_microphone, settings, daemon, started_by_daemon=started_by_daemon)),
        *_publishing_checks(settings),
        Check("service", partial(_check_service, daemon, within=within_service), _SLOW_READ_LIMIT_S),
    ]


def service_checks(settings: Settings) -> list[Check]:
    """The checks that must pass before the service is installed; the installation provides the speech model itself."""
    return [
        Check("model", partial(_check_model, settings), _SLOW_READ_LIMIT_S),
        Check("lights", partial(_check_lights, settings, service=True)),
        Check("microphone", partial(_check_microphone_for_service, settings)),
    ]


def _check_disk(settings: Settings) -> Iterator[Finding]:
    path = speech_model_path()
    to_fetch = not settings.transcriber.speech_model and not is_speech_model(path)
    # Room for the archive, for its unpacked files, and some to spare.
    return machine.check_disk(path.parent, 3 * ENGLISH.size / 1e6 if to_fetch else 0.0)


def _check_model(settings: Settings) -> Iterator[Finding]:
    from device.doctor import models

    return models.check_bundle(settings)


def _check_profile(settings: Settings) -> Iterator[Finding]:
    from device.doctor import models

    return models.check_profile(settings)


def _check_speech_model(settings: Settings) -> Iterator[Finding]:
    from device.doctor import models

    return models.check_speech_model(settings.transcriber)


def _check_voice_detector() -> Iterator[Finding]:
    from device.doctor import models

    return models.check_voice_detector()


def _check_lights(settings: Settings, *, service: bool) -> Iterator[Finding]:
    from device.doctor import pins

    return pins.check_lights(settings, service=service)


def _check_sound_cards() -> Iterator[Finding]:
    from device.doctor import microphone

    return microphone.check_sound_cards()


def _check_microphone(settings: Settings, daemon: Status | None, *, started_by_daemon: bool) -> Iterator[CheckEvent]:
    """Check three things in one process, so that a PortAudio that hangs costs its time limit only once."""
    from device.doctor import microphone

    yield from microphone.check_portaudio()
    yield from microphone.check_selected(settings.microphone.name, daemon)
    if started_by_daemon and daemon is not None:
        yield from microphone.report_level(daemon)
    else:
        yield from microphone.measure_level(settings, daemon)


def _check_microphone_for_service(settings: Settings) -> Iterator[Finding]:
    """Warn about a missing microphone, which the service waits for; fail without PortAudio, which it does not."""
    from device.doctor import microphone

    yield from microphone.check_portaudio()
    yield from microphone.check_selected(settings.microphone.name, if_missing=Verdict.WARN)


def _publishing_checks(settings: Settings) -> Iterator[Check]:
    """Yield the checks of the outputs that the settings configure."""
    if settings.mqtt.host:
        yield Check("broker", partial(_check_broker, settings), _NETWORK_LIMIT_S)
    if settings.publish.command:
        yield Check("command", partial(_check_command, settings))


def _check_broker(settings: Settings) -> Iterator[Finding]:
    from device.doctor import publishing

    return publishing.check_broker(settings.mqtt)


def _check_command(settings: Settings) -> Iterator[Finding]:
    from device.doctor import publishing

    return publishing.check_command(settings.publish)


def _check_service(daemon: Status | None, *, within: bool) -> Iterator[Finding]:
    from device.doctor import service

    return service.check_service(daemon, within=within)
