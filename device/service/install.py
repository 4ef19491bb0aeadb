"""The daemon as a service of systemd: installed, removed, and asked how it is.

What is to be done is planned first, as steps that say in words what they do; a dry run shows them, and nothing is
touched before everything that can be checked has been. The unit itself is made by `device.service.unit`.
"""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from device.bundle import read_bundle
from device.doctor.checks import needs_of_service
from device.doctor.findings import Finding, Verdict
from device.doctor.isolation import examine
from device.errors import ServiceError
from device.outputs.publishers import publishers
from device.recognition.speech_model import fetch as speech_model
from device.service.unit import GROUPS, NAME, network_drop_in, unit_text
from device.settings.schema import ClassifierSettings, Settings
from device.settings.toml import as_toml, read_settings
from device.system.atomic_write import written_whole
from device.system.permissions import has_group

UNIT = Path("/etc/systemd/system") / NAME
DROP_INS = UNIT.with_name(f"{NAME}.d")
NETWORK = DROP_INS / "network.conf"
CONFIG = Path("/etc/edge-mcnn/config.toml")
DATA = Path("/var/lib/edge-mcnn")
"""Where the service finds its speech model and its bundle; of root, and readable by all."""
MODEL = DATA / "Model.tflite"
_PRISTINE = DATA / "config.toml.as-installed"
"""By which an edited file of settings is told from one that is as it was written."""
_SYSTEMCTL_LIMIT_S = 240

Announce = Callable[[str], None]


@dataclass(frozen=True)
class Step:
    """Something to be done, or that is done already."""

    told: str
    """In words."""
    do: Callable[[], None] | None = None
    """None if there is nothing left to do."""


@dataclass(frozen=True)
class Plan:
    """What installing comes to on this machine."""

    findings: Sequence[Finding]
    """What the daemon needs."""
    steps: Sequence[Step]
    """In order."""

    @property
    def lacks(self) -> list[Finding]:
        """What stands in the way."""
        return [finding for finding in self.findings if finding.verdict == Verdict.BAD]


def plan_install(model: Path | None, announce: Announce) -> Plan:
    """Look at this machine and say what installing will do.

    Args:
        model: a bundle to listen with; None to keep what the settings say.
        announce: is told what takes long.

    Raises:
        ServiceError, SettingsError, BundleError, PublishingError: it cannot be installed.
    """
    _check_systemd()
    settings = read_settings(CONFIG) if CONFIG.exists() else Settings()
    publishers(settings, announce)  # what they complain of would end each start
    steps: list[Step] = []
    checked = settings
    if model is not None:
        read_bundle(model)
        if _is_edited() and Path(settings.classifier.model) != MODEL:
            named = settings.classifier.model or "the model that ships"
            raise ServiceError(
                f'{CONFIG} names {named}; write model = "{MODEL}" under [classifier] there, and try again'
            )
        checked = replace(settings, classifier=replace(settings.classifier, model=str(model)))
        settings = replace(settings, classifier=replace(settings.classifier, model=str(MODEL)))
        steps.append(_file_step(MODEL, model.read_bytes(), f"model: {model}"))
    if settings.transcriber.speech_model:
        speech_model.find(Path(settings.transcriber.speech_model), announce=announce)
        steps.append(Step(f"speech model: {settings.transcriber.speech_model}, as the settings say"))
    else:
        steps.append(_speech_model_step(announce))
    steps.append(_config_step(settings, stays=CONFIG.exists() and settings == read_settings(CONFIG)))
    readable = [path for path in _named_paths(settings) if not path.is_relative_to(DATA)]
    groups = [group for group in GROUPS if has_group(group)]
    steps.append(_file_step(UNIT, unit_text(CONFIG, groups, readable).encode(), "unit"))
    if settings.mqtt.host:
        opened = f"network, closed otherwise, opened for the broker {settings.mqtt.host}"
        steps.append(_file_step(NETWORK, network_drop_in(settings.mqtt).encode(), opened))
    elif NETWORK.exists():
        steps.append(Step(f"network, closed again: remove {NETWORK}", NETWORK.unlink))
    changed = [step for step in steps if step.do is not None]
    if changed or not _is("active") or not _is("enabled"):
        steps += [
            Step(f"enable {NAME}: it starts with this machine", lambda: _systemctl("enable", "--quiet", NAME)),
            Step(f"start {NAME}", _start),
        ]
    findings = [each for each in examine(needs_of_service(checked)) if isinstance(each, Finding)]
    return Plan(findings, steps)


def plan_uninstall(*, purge: bool) -> list[Step]:
    """What removing will do.

    Args:
        purge: remove edited settings as well.

    Raises:
        ServiceError: nothing is installed.
    """
    steps: list[Step] = []
    if NETWORK.exists():
        steps.append(Step(f"remove {NETWORK}", NETWORK.unlink))
    if UNIT.exists():
        _check_systemd()
        steps += [
            Step(f"stop and disable {NAME}", lambda: _systemctl("disable", "--now", "--quiet", NAME)),
            Step(f"remove {UNIT}", _remove_unit),
        ]
    if _is_edited() and not purge:
        steps.append(Step(f"{CONFIG} was edited and stays; --purge removes it, too"))
    elif CONFIG.parent.exists():
        steps.append(Step(f"remove {CONFIG.parent}", lambda: shutil.rmtree(CONFIG.parent)))
    if DROP_INS.exists():
        kept = Step(f"{DROP_INS} is yours and stays; --purge removes it, too")
        yours = any(path != NETWORK for path in DROP_INS.iterdir())
        steps.append(kept if yours and not purge else Step(f"remove {DROP_INS}", lambda: shutil.rmtree(DROP_INS)))
    if DATA.exists():
        steps.append(Step(f"remove {DATA}", lambda: shutil.rmtree(DATA)))
    if not any(step.do for step in steps):
        raise ServiceError("no service is installed")
    return steps


def carry_out(steps: Sequence[Step], announce: Announce) -> None:
    """Do what was planned.

    Raises:
        ServiceError: a step failed; what came before it is done, and installing again goes on from there.
    """
    if os.geteuid() != 0:
        raise ServiceError("only root may change services; run it with sudo")
    for step in steps:
        announce(step.told)
        if step.do is not None:
            try:
                step.do()
            except OSError as error:
                raise ServiceError(f"{step.told}: {error.strerror or error}") from None


def manager_says() -> dict[str, str]:
    """What systemd knows of the service, by the names that `systemctl show` gives.

    They are LoadState, ActiveState, SubState, UnitFileState, StatusText, NRestarts, ActiveEnterTimestamp and MainPID.

    Raises:
        ServiceError: there is no systemd.
    """
    _check_systemd()
    names = "LoadState,ActiveState,SubState,UnitFileState,StatusText,NRestarts,ActiveEnterTimestamp,MainPID"
    shown = _run("systemctl", "show", NAME, f"--property={names}").stdout
    return dict(line.partition("=")[::2] for line in shown.splitlines())


def _named_paths(settings: Settings) -> list[Path]:
    """What the service must be able to read of what its settings name.

    Raises:
        ServiceError: where that is depends on where one is.
    """
    paths = {
        "classifier.model": settings.classifier.model,
        "transcriber.speech_model": settings.transcriber.speech_model,
        "mqtt.ca_file": settings.mqtt.ca_file if settings.mqtt.host else "",
        "publish.command": next(iter(settings.publish.command), ""),
    }
    for name, path in paths.items():
        if path and not Path(path).is_absolute():
            raise ServiceError(f"{CONFIG}: {name} is {path!r}; a service needs a whole path")
    return [Path(path) for path in paths.values() if path]


def _check_systemd() -> None:
    if not Path("/run/systemd/system").is_dir():
        raise ServiceError(
            "this machine was not started by systemd, so it has no services; run `edge-mcnn listen --wait`"
        )


def _speech_model_step(announce: Announce) -> Step:
    place = DATA / speech_model.MODEL_NAME
    if speech_model.is_present(place):
        return Step(f"speech model: {place} is there")
    # Fetched already by whoever called sudo, perhaps.
    caches = [speech_model.default_path()]
    if user := os.environ.get("SUDO_USER"):
        caches.append(Path(f"~{user}").expanduser() / ".cache" / "edge-mcnn" / speech_model.MODEL_NAME)
    source = next((cache for cache in caches if speech_model.is_present(cache)), None)

    def do() -> None:
        DATA.mkdir(mode=0o755, parents=True, exist_ok=True)
        speech_model.fetch(source, announce=announce, destination=place)
        _open_to_all(place)

    return Step(f"speech model: {f'copy {source}' if source else 'fetch it (68 MB)'} to {place}", do)


def _is_edited() -> bool:
    """Whether there are settings that are not just as they were installed."""
    return CONFIG.exists() and not (_PRISTINE.exists() and _PRISTINE.read_bytes() == CONFIG.read_bytes())


def _config_step(settings: Settings, *, stays: bool) -> Step:
    if stays:
        return Step(f"settings: {CONFIG} is there, and stays as it is")
    only = {"classifier": ["model"]} if settings != Settings() else {}
    text = as_toml(Settings(classifier=ClassifierSettings(model=settings.classifier.model)), only=only).encode()

    def do() -> None:
        _write(CONFIG, text)
        _write(_PRISTINE, text)

    return Step(f"settings: write {CONFIG}, with every setting and its default", do)


def _file_step(path: Path, content: bytes, what: str) -> Step:
    if path.is_file() and path.read_bytes() == content:
        return Step(f"{what}: {path} is up to date")
    return Step(f"{what}: write {path}", lambda: _write(path, content))


def _write(path: Path, content: bytes) -> None:
    """Put a file into place at once, readable by all."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    with written_whole(path) as stream:
        stream.write(content)
        os.fchmod(stream.fileno(), 0o644)


def _open_to_all(folder: Path) -> None:
    for each in (folder, *folder.rglob("*")):
        each.chmod(0o755 if each.is_dir() else 0o644)


def _remove_unit() -> None:
    UNIT.unlink()
    _systemctl("daemon-reload")
    with contextlib.suppress(ServiceError):  # it never failed
        _systemctl("reset-failed", NAME)


def _start() -> None:
    _systemctl("daemon-reload")
    try:
        _systemctl("restart", NAME)
    except ServiceError:
        _systemctl("stop", NAME)
        said = _run("journalctl", f"--unit={NAME}", "--lines=5", "--output=cat", "--no-pager").stdout
        told = [line for line in said.splitlines() if line.startswith("edge-mcnn: ")] or said.splitlines()[-1:]
        raise ServiceError(
            f"it does not start: {told[-1] if told else 'no word from it'}; see journalctl -u {NAME}"
        ) from None


def _is(what: str) -> bool:
    return _run("systemctl", f"is-{what}", "--quiet", NAME).returncode == 0


def _systemctl(*arguments: str) -> None:
    done = _run("systemctl", *arguments)
    if done.returncode:
        raise ServiceError(f"systemctl {' '.join(arguments)}: {' '.join(done.stderr.split()) or done.returncode}")


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=_SYSTEMCTL_LIMIT_S)
    except FileNotFoundError:
        raise ServiceError(f"{command[0]} is not installed; run: sudo apt-get install systemd") from None
    except subprocess.TimeoutExpired:
        raise ServiceError(f"{' '.join(command)} did not come to an end within {_SYSTEMCTL_LIMIT_S} s") from None
