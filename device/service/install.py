"""Installs the daemon as a systemd service, and removes it.

The changes are planned first, each with a description, so that a dry run can print them and nothing is changed before
everything that can be checked has been checked. The text of the unit comes from `device.service.unit`.
"""

import contextlib
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from device.adaptation.profile_path import NO_PROFILE, SERVICE_PROFILE, default_profile_path, profile_in_home
from device.bundle import SHIPPED_BUNDLES, bundle_path, read_bundle
from device.errors import EdgeMcnnError, ProfileError, ServiceError
from device.outputs.create import create_publishers
from device.outputs.gpio.chip import GROUP as GPIO_GROUP
from device.outputs.gpio.chip import UDEV_COMMANDS, UDEV_RULE, UDEV_RULE_FILE, describe_access, opened_chip
from device.outputs.lights import light_kind, usable_buttons
from device.outputs.mqtt.client import device_name
from device.outputs.mqtt.forget import forget
from device.recognition.speech_model.fetch import (
    SPEECH_MODEL_NAME,
    fetch_speech_model,
    find_speech_model,
    is_speech_model,
    speech_model_path,
)
from device.service.file_modes import describe_wrong_mode, make_folder, set_mode, tree, write_file
from device.service.systemctl import (
    DROP_IN_FOLDER,
    NAME,
    NETWORK_DROP_IN,
    UNIT_FILE,
    is_active,
    is_enabled,
    require_systemd,
    restart,
    run_program,
    systemctl,
)
from device.service.unit import network_drop_in, unit_text
from device.settings.schema import ClassifierSettings, MqttSettings, Settings
from device.settings.toml import as_toml, read_settings
from device.system.display import counted, displayable
from device.system.permissions import AUDIO_GROUP, device_group, has_group, open_to_everyone

_LOG = logging.getLogger(__name__)
CONFIG = Path("/etc/edge-mcnn/config.toml")
DATA = Path("/var/lib/edge-mcnn")
"""Folder of the service's speech model and bundle; owned by root and readable by everyone."""
MODEL = DATA / "Model.tflite"
PROFILE = SERVICE_PROFILE
"""Voice profile of the service, in a folder that systemd makes for it."""
_PRISTINE = DATA / "config.toml.as-installed"
"""Copy of the settings as they were installed, to recognise a settings file that the user has edited."""
_PRIVATE_PROFILE_FOLDER = Path("/var/lib/private", PROFILE.parent.name)
"""Where systemd puts the folder of the profile, because the user of the service exists only while it runs."""

Announce = Callable[[str], None]


@dataclass(frozen=True)
class ServiceChange:
    """A change to this machine that installing or removing the service needs."""

    description: str
    """The change in words, such as `unit: write /etc/systemd/system/edge-mcnn.service`."""
    apply: Callable[[], None] | None = None
    """Makes the change; None if the machine is already in that state."""


@dataclass(frozen=True)
class InstallationPlan:
    """What installing the service requires and changes on this machine."""

    settings: Settings
    """Settings of the daemon, which the machine must satisfy; a user-supplied model still has its original path."""
    changes: Sequence[ServiceChange]
    """All changes, in the order in which they are applied."""


def plan_install(model: Path | None, announce: Announce) -> InstallationPlan:
    """Inspect this machine and plan the installation; nothing is changed.

    Args:
        model: bundle to classify with, or the name of one that ships; None for the one that the settings name.
        announce: called with a line before work that takes long.

    Raises:
        ServiceError, SettingsError, BundleError, PublishingError: the service cannot be installed.
    """
    require_systemd()
    settings = read_settings(CONFIG) if CONFIG.exists() else Settings()
    create_publishers(settings, announce)  # their errors would end every start of the service
    changes: list[ServiceChange] = [
        _mode_change(folder, "folder")
        for folder in (CONFIG.parent, DATA, DROP_IN_FOLDER)
        if describe_wrong_mode(folder)
    ]
    required = settings
    if model is not None:
        name = str(model)
        ships = name in SHIPPED_BUNDLES
        read_bundle(SHIPPED_BUNDLES.get(name, model))
        wanted = name if ships else str(MODEL)
        if _is_edited() and settings.classifier.model != wanted:
            named = settings.classifier.model or "the default model"
            raise ServiceError(
                f"{CONFIG} was edited and names {named}",
                fix=f'write model = "{wanted}" under [classifier] there, and try again',
            )
        required = replace(settings, classifier=replace(settings.classifier, model=name))
        settings = replace(settings, classifier=replace(settings.classifier, model=wanted))
        if ships:
            changes.append(ServiceChange(f"model: {name}, which ships with edge-mcnn"))
        else:
            changes.append(_file_change(MODEL, model.read_bytes(), f"model: {model}"))
    elif describe_wrong_mode(MODEL):
        changes.append(_mode_change(MODEL, "model"))
    if settings.transcriber.speech_model:
        find_speech_model(Path(settings.transcriber.speech_model), announce=announce)
        changes.append(ServiceChange(f"speech model: {settings.transcriber.speech_model}, named by the settings"))
    else:
        changes.append(_speech_model_change(announce))
    changes.append(_config_change(settings, unchanged=CONFIG.exists() and settings == read_settings(CONFIG)))
    changes += [_mode_change(path, "settings") for path in (CONFIG, _PRISTINE) if describe_wrong_mode(path)]
    changes += _profile_changes(required)
    readable = [path for path in _named_paths(settings) if not path.is_relative_to(DATA)]
    groups, pin_changes = _plan_pins(settings)
    changes += pin_changes
    changes.append(_file_change(UNIT_FILE, unit_text(CONFIG, groups, readable).encode(), "unit"))
    if settings.mqtt.host:
        network = f"network access for the broker {settings.mqtt.host}"
        changes.append(_file_change(NETWORK_DROP_IN, network_drop_in(settings.mqtt).encode(), network))
    elif NETWORK_DROP_IN.exists():
        changes.append(ServiceChange(f"no network access: remove {NETWORK_DROP_IN}", NETWORK_DROP_IN.unlink))
    if any(change.apply is not None for change in changes) or not is_active() or not is_enabled():
        changes += [
            ServiceChange(f"enable {NAME}: it starts with this machine", lambda: systemctl("enable", "--quiet", NAME)),
            ServiceChange(f"start {NAME}", restart),
        ]
    return InstallationPlan(required, changes)


def plan_uninstall(*, purge: bool) -> list[ServiceChange]:
    """Plan the removal of the service; nothing is changed.

    Args:
        purge: remove edited settings and the voice profile as well.

    Raises:
        ServiceError: no service is installed.
    """
    changes: list[ServiceChange] = []
    if NETWORK_DROP_IN.exists():
        changes.append(ServiceChange(f"remove {NETWORK_DROP_IN}", NETWORK_DROP_IN.unlink))
    if UNIT_FILE.exists():
        require_systemd()
        changes += [
            ServiceChange(f"stop and disable {NAME}", lambda: systemctl("disable", "--now", "--quiet", NAME)),
            ServiceChange(f"remove {UNIT_FILE}", _remove_unit),
        ]
    changes += _broker_changes()  # after the daemon has stopped, and before its password is removed
    if _is_edited() and not purge:
        changes.append(ServiceChange(f"keep {CONFIG}, which was edited; --purge removes it, too"))
    elif CONFIG.parent.exists():
        changes.append(_removal(CONFIG.parent))
    if DROP_IN_FOLDER.exists():
        edited = any(path != NETWORK_DROP_IN for path in DROP_IN_FOLDER.iterdir())
        stays = ServiceChange(f"keep {DROP_IN_FOLDER}, which has drop-ins of yours; --purge removes it, too")
        changes.append(stays if edited and not purge else _removal(DROP_IN_FOLDER))
    if DATA.exists():
        changes.append(_removal(DATA))
    folder = PROFILE.parent
    if _exists(PROFILE) and not purge:
        changes.append(ServiceChange(f"keep {PROFILE}, the voice profile; --purge removes it, too"))
    elif os.path.lexists(folder) or _exists(_PRIVATE_PROFILE_FOLDER):
        changes.append(ServiceChange(f"remove {folder}", _remove_profile_folder))
    if UDEV_RULE_FILE.exists():
        changes.append(ServiceChange(f"remove {UDEV_RULE_FILE}; the group {GPIO_GROUP} stays", UDEV_RULE_FILE.unlink))
    if not any(change.apply for change in changes):
        raise ServiceError("no service is installed")
    return changes


def apply_changes(changes: Sequence[ServiceChange], announce: Announce) -> None:
    """Apply the planned changes in their order.

    Args:
        changes: the plan.
        announce: called with the description of each change before it is applied.

    Raises:
        ServiceError: a change failed. Those before it are applied; the next installation continues from there.
        SpeechModelError: the speech model cannot be fetched or stored; the changes before it are applied.
    """
    if os.geteuid() != 0:
        raise ServiceError("only root may change services", fix="run it with sudo")
    for change in changes:
        announce(change.description)
        if change.apply is not None:
            try:
                change.apply()
            except OSError as error:
                raise ServiceError(f"{change.description}: {error.strerror or error}") from None


def installed_paths() -> Iterator[Path]:
    """Yield the files and folders of an installation that exist, parents first.

    What this user may not see is left out; the folder that hides it is not.
    """
    with contextlib.suppress(PermissionError):
        yield from filter(Path.exists, (CONFIG.parent, CONFIG))
    with contextlib.suppress(PermissionError):
        yield from filter(Path.exists, (DATA, _PRISTINE, MODEL))
        if (DATA / SPEECH_MODEL_NAME).exists():
            yield from tree(DATA / SPEECH_MODEL_NAME)
    with contextlib.suppress(PermissionError):
        yield from filter(Path.exists, (UNIT_FILE, DROP_IN_FOLDER, NETWORK_DROP_IN))


def _named_paths(settings: Settings) -> list[Path]:
    """Every path that the settings name and that the service must be able to read.

    Raises:
        ServiceError: one of them is relative.
    """
    paths = {
        "classifier.model": "" if settings.classifier.model in SHIPPED_BUNDLES else settings.classifier.model,
        "transcriber.speech_model": settings.transcriber.speech_model,
        "mqtt.ca_file": settings.mqtt.ca_file if settings.mqtt.host else "",
        "publish.command": next(iter(settings.publish.command), ""),
    }
    for name, path in paths.items():
        if path and not Path(path).is_absolute():
            raise ServiceError(
                f"{CONFIG}: {name} is {path!r}, a relative path", fix="a service needs an absolute path there"
            )
    return [Path(path) for path in paths.values() if path]


def _profile_changes(settings: Settings) -> list[ServiceChange]:
    """Plan to give the service the voice profile of the user who installs it, unless it has one.

    Args:
        settings: settings of the daemon, with the original path of a user-supplied model.

    Raises:
        ServiceError: the settings name a profile that the service could not write to.
        BundleError: the model cannot be read.
    """
    chosen = settings.classifier.profile
    if chosen and chosen != NO_PROFILE and Path(chosen) != PROFILE:
        raise ServiceError(
            f"{CONFIG}: classifier.profile is {chosen!r}, and the service may only write {PROFILE}",
            fix=f'remove it there, or write profile = "{NO_PROFILE}"',
        )
    source = _profile_of_user()
    if chosen == NO_PROFILE or not os.path.lexists(source):
        return []
    if _exists(PROFILE):
        return [ServiceChange(f"voice profile: keep {PROFILE} unchanged")]
    # Only here: numpy may be broken, which the checks before the installation report.
    try:
        from device.adaptation.adapted_classifier import identity_of, own_profile
        from device.adaptation.profile import write_profile
    except ImportError:
        return []
    try:
        profile = own_profile(source, identity_of(read_bundle(bundle_path(settings.classifier.model))))
    except ProfileError as error:
        return [ServiceChange(f"voice profile: none, because {error}")]
    examples = counted(len(profile.examples), "example")
    description = f"voice profile: copy {source} ({examples}) to {PROFILE}"
    return [ServiceChange(description, lambda: write_profile(PROFILE, profile))]


def _profile_of_user() -> Path:
    user = os.environ.get("SUDO_USER")
    return profile_in_home(Path(f"~{user}").expanduser()) if user else default_profile_path()


def _broker_changes() -> list[ServiceChange]:
    """Plan to remove the device from its broker; what cannot be done there is reported, and stops nothing."""
    try:
        settings = read_settings(CONFIG).mqtt if CONFIG.exists() else MqttSettings()
    except EdgeMcnnError:
        return [ServiceChange(f"leave the MQTT broker unchanged, because {CONFIG} cannot be used")]
    if not settings.host:
        return []

    def apply() -> None:
        try:
            forget(settings)
        except EdgeMcnnError as error:
            command = f"edge-mcnn mqtt forget --config {CONFIG}"
            _LOG.warning("Home Assistant may still show this device: %s; to try again, run: %s", error, command)

    device = displayable(device_name(settings))
    return [ServiceChange(f"remove the device {device} from the MQTT broker {settings.host}", apply)]


def _exists(path: Path) -> bool:
    return os.path.exists(path)  # noqa: PTH110  # Path.exists raises for a user who may not enter /var/lib/private


def _remove_profile_folder() -> None:
    folder = PROFILE.parent
    if folder.is_symlink():
        folder.unlink()
    for each in (folder, _PRIVATE_PROFILE_FOLDER):
        if each.exists():
            shutil.rmtree(each)


def _speech_model_change(announce: Announce) -> ServiceChange:
    destination = DATA / SPEECH_MODEL_NAME
    if is_speech_model(destination):
        if wrong := [path for path in tree(destination) if describe_wrong_mode(path)]:
            return _speech_model_modes(destination, wrong)
        return ServiceChange(f"speech model: {destination} is up to date")
    # The user who ran sudo may have fetched it already.
    caches = [speech_model_path()]
    if user := os.environ.get("SUDO_USER"):
        caches.append(Path(f"~{user}").expanduser() / ".cache" / "edge-mcnn" / SPEECH_MODEL_NAME)
    source = next((cache for cache in caches if is_speech_model(cache)), None)

    def apply() -> None:
        make_folder(DATA)
        fetch_speech_model(source, announce=announce, destination=destination)
        for path in tree(destination):
            set_mode(path)

    origin = f"copy {source}" if source else "fetch it (68 MB)"
    return ServiceChange(f"speech model: {origin} to {destination}", apply)


def _is_edited() -> bool:
    """Whether there is a settings file that differs from what was installed."""
    return CONFIG.exists() and not (_PRISTINE.exists() and _PRISTINE.read_bytes() == CONFIG.read_bytes())


def _config_change(settings: Settings, *, unchanged: bool) -> ServiceChange:
    if unchanged:
        return ServiceChange(f"settings: keep {CONFIG} unchanged")
    only = {"classifier": ["model"]} if settings != Settings() else {}
    text = as_toml(Settings(classifier=ClassifierSettings(model=settings.classifier.model)), only=only).encode()

    def apply() -> None:
        write_file(CONFIG, text)
        write_file(_PRISTINE, text)

    return ServiceChange(f"settings: write {CONFIG}, with every setting and its default", apply)


def _speech_model_modes(folder: Path, wrong: Sequence[Path]) -> ServiceChange:
    def apply() -> None:
        for path in wrong:
            set_mode(path)

    more = f" and {len(wrong) - 1} more in {folder}" if len(wrong) > 1 else ""
    what = f"{wrong[0]} ({describe_wrong_mode(wrong[0])}){more}"
    return ServiceChange(f"speech model: repair owner and mode of {what}", apply)


def _plan_pins(settings: Settings) -> tuple[list[str], list[ServiceChange]]:
    """Plan the access to sound cards and pins.

    Returns:
        The groups that the service needs, and the changes that give the group of the pins access to them.
    """
    groups = [group for group in (AUDIO_GROUP, GPIO_GROUP) if has_group(group)]
    chip = opened_chip()
    uses_pins = light_kind(settings.lights) == "gpio" or usable_buttons(settings)
    if not uses_pins or not chip.exists() or open_to_everyone(chip):
        return groups, []
    if (group := device_group(chip)) is not None:
        return list(dict.fromkeys([*groups, group])), _udev_file_changes() if UDEV_RULE_FILE.exists() else []
    changes = []
    if not has_group(GPIO_GROUP):
        create = ("groupadd", "--system", GPIO_GROUP)
        changes.append(
            ServiceChange(f"pins: create the group {GPIO_GROUP}", lambda: run_program(*create, package="passwd"))
        )

    def apply() -> None:
        for command in UDEV_COMMANDS:
            run_program(*command, package="udev")
        if device_group(chip) is None:
            raise ServiceError(
                f"{describe_access(chip)}, although {UDEV_RULE_FILE} gives it to the group {GPIO_GROUP}",
                fix="restart this machine, then run the command again",
            )

    changes += [
        *_udev_file_changes(),
        ServiceChange(f"pins: {describe_access(chip)}; give it to the group {GPIO_GROUP}", apply),
    ]
    return list(dict.fromkeys([*groups, GPIO_GROUP])), changes


def _udev_file_changes() -> list[ServiceChange]:
    return [_file_change(UDEV_RULE_FILE, f"{UDEV_RULE}\n".encode(), "pins: udev rule")]


def _file_change(path: Path, content: bytes, subject: str) -> ServiceChange:
    if path.is_file() and path.read_bytes() == content:
        if describe_wrong_mode(path):
            return _mode_change(path, subject)
        return ServiceChange(f"{subject}: {path} is up to date")
    return ServiceChange(f"{subject}: write {path}", lambda: write_file(path, content))


def _mode_change(path: Path, subject: str) -> ServiceChange:
    description = f"{subject}: repair owner and mode of {path}: {describe_wrong_mode(path)}"
    return ServiceChange(description, lambda: set_mode(path))


def _removal(folder: Path) -> ServiceChange:
    return ServiceChange(f"remove {folder}", lambda: shutil.rmtree(folder))


def _remove_unit() -> None:
    UNIT_FILE.unlink()
    systemctl("daemon-reload")
    with contextlib.suppress(ServiceError):  # it had never failed
        systemctl("reset-failed", NAME)
