"""The plan of an installation, on a machine whose folders are in a temporary one."""

import os
import pwd
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from device.adaptation.adapted_classifier import identity_of
from device.adaptation.profile import CORRECTION, Example, Profile, read_profile, write_profile
from device.bundle import SHIPPED_BUNDLES, read_bundle
from device.errors import ServiceError
from device.events import UtteranceFeatures
from device.outputs import lights as lights_module
from device.outputs.gpio import chip
from device.recognition.speech_model.fetch import SPEECH_MODEL_NAME
from device.service import file_modes, install, systemctl
from device.service.changes import ServiceChange, apply_changes
from device.service.install import installed_paths, plan_install, plan_uninstall
from tests.device.outputs.mqtt.broker import Broker, Subscriber, free_port, needs_mosquitto
from tests.device.outputs.mqtt.recorded_commands import Publisher

GPIO = '[lights]\nkind = "gpio"\n'


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A root of a file system, a speech model, and an unusual umask; nothing is started."""
    root = tmp_path / "root"
    for name in ("CONFIG", "DATA", "MODEL", "_PRISTINE", "UNIT_FILE", "DROP_IN_FOLDER", "NETWORK_DROP_IN"):
        path = root / getattr(install, name).relative_to("/")
        monkeypatch.setattr(install, name, path)
        monkeypatch.setattr(systemctl, name, path, raising=False)
    for module in (install, chip):
        monkeypatch.setattr(module, "UDEV_RULE_FILE", root / "etc/udev/rules.d/60-edge-mcnn-gpio.rules")
    for name in ("require_systemd", "restart"):
        monkeypatch.setattr(install, name, lambda: None)
    for name in ("is_active", "is_enabled"):
        monkeypatch.setattr(install, name, lambda: True)
    monkeypatch.setattr(install, "systemctl", lambda *_: None)
    monkeypatch.setattr(install, "unit_text", lambda _config, groups, _readable: f"Groups={' '.join(groups)}\n")
    monkeypatch.setattr(install, "is_speech_model", Path.is_dir)
    monkeypatch.setattr(install, "fetch_speech_model", fetch)
    monkeypatch.setattr(install, "speech_model_path", lambda: root / "cache")
    monkeypatch.setattr(install, "opened_chip", lambda: root / "dev/gpiochip0")
    monkeypatch.setattr(install, "has_group", lambda group: group == "audio")
    for name in ("PROFILE", "_PRIVATE_PROFILE_FOLDER"):
        monkeypatch.setattr(install, name, root / getattr(install, name).relative_to("/"))
    monkeypatch.delenv("SUDO_USER", raising=False)
    monkeypatch.setattr(install, "default_profile_path", lambda: root / "home/profile.json")
    monkeypatch.setattr(file_modes, "_OWNER", (os.getuid(), os.getgid()))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(lights_module, "DEVICE_TREE_MODEL", root / "none")
    (root / "dev").mkdir(parents=True)
    before = os.umask(0o077)
    yield root
    os.umask(before)


def fetch(_source: Path | None, *, announce: object, destination: Path) -> None:
    del announce
    (destination / "am").mkdir(parents=True)
    (destination / "am" / "final.mdl").write_text("x")


def planned(changes: Sequence[ServiceChange]) -> list[str]:
    """Descriptions of the changes that are still to be made."""
    return [change.description for change in changes if change.apply is not None]


def run_install() -> list[str]:
    changes = plan_install(None, print).changes
    apply_changes(changes, print)
    return planned(changes)


def test_an_installation_under_an_unusual_umask_is_readable(machine: Path) -> None:
    run_install()
    paths = list(installed_paths())
    assert [path.name for path in paths if path.is_file()] == [
        "config.toml", "config.toml.as-installed", "final.mdl", "edge-mcnn.service",
    ]  # fmt: skip
    for path in paths:
        assert path.stat().st_mode & 0o7777 == (0o755 if path.is_dir() else 0o644), path
    assert planned(plan_install(None, print).changes) == []


def test_a_model_that_ships_is_named_in_the_settings_and_not_copied(machine: Path) -> None:
    plan = plan_install(Path("emotions"), print)
    assert plan.settings.classifier.model == "emotions"
    assert "model: emotions, which ships with edge-mcnn" in [change.description for change in plan.changes]
    apply_changes(plan.changes, print)
    assert 'model = "emotions"' in install.CONFIG.read_text("utf-8")
    assert not install.MODEL.exists()
    assert planned(plan_install(Path("emotions"), print).changes) == []
    assert planned(plan_install(None, print).changes) == [], "a later installation does not change the model"


def test_a_model_that_ships_does_not_replace_the_one_in_edited_settings(machine: Path) -> None:
    run_install()
    install.CONFIG.write_text("[endpoint]\nhang_over_s = 1\n", "utf-8")
    with pytest.raises(ServiceError, match="was edited and names the default model") as error:
        plan_install(Path("emotions"), print)
    assert 'write model = "emotions" under [classifier] there' in error.value.fix


def test_a_second_installation_repairs_modes_visibly(machine: Path) -> None:
    run_install()
    install.CONFIG.write_text("[endpoint]\nhang_over_s = 1\n")
    systemctl.NETWORK_DROP_IN.parent.mkdir()
    broken = list(installed_paths())
    assert {path.name for path in broken} >= {"edge-mcnn", "config.toml", "am", "final.mdl", "edge-mcnn.service.d"}
    for path in broken:
        path.chmod(0o700 if path.is_dir() else 0o600)
    changes = planned(plan_install(None, print).changes)
    assert len(changes) == 3 + 1 + 2 + 1 + 2, "folders, speech model, settings, unit, start"
    model = machine / "var/lib/edge-mcnn" / SPEECH_MODEL_NAME
    for text in (
        f"folder: repair owner and mode of {machine}/etc/edge-mcnn: ",
        f"settings: repair owner and mode of {machine}/etc/edge-mcnn/config.toml: ",
        f"speech model: repair owner and mode of {model} (",
        f"and 2 more in {model}",
        f"unit: repair owner and mode of {systemctl.UNIT_FILE}: ",
    ):
        assert any(text in change for change in changes), text
    assert sum("0600 instead of root:root 0644" in change for change in changes) == 3
    run_install()
    assert [path for path in broken if file_modes.describe_wrong_mode(path)] == []
    assert install.CONFIG.read_text() == "[endpoint]\nhang_over_s = 1\n", "the content stays"


@pytest.fixture
def chip_of_root(machine: Path) -> Path:
    """A machine of plain Debian: the pins are used, and only root may open the chip."""
    install.CONFIG.parent.mkdir(parents=True)
    install.CONFIG.write_text(GPIO)
    path = machine / "dev/gpiochip0"
    path.touch(mode=0o600)
    return path


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The programs that an installation runs."""
    run: list[str] = []
    monkeypatch.setattr(install, "run_program", lambda *command, package: run.append(" ".join(command)))
    return run


def access(monkeypatch: pytest.MonkeyPatch, group: Callable[[Path], str | None]) -> None:
    monkeypatch.setattr(install, "device_group", group)


def test_plain_debian_gets_a_group_and_a_udev_rule(
    chip_of_root: Path, commands: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    access(monkeypatch, lambda _: "gpio" if commands else None)
    changes = run_install()
    assert [change for change in changes if change.startswith("pins: ")] == [
        "pins: create the group gpio",
        f"pins: udev rule: write {chip.UDEV_RULE_FILE}",
        f"pins: {chip.describe_access(chip_of_root)}; give it to the group gpio",
    ]
    assert commands == [
        "groupadd --system gpio", "udevadm control --reload", "udevadm trigger --settle --subsystem-match=gpio",
    ]  # fmt: skip
    assert chip.UDEV_RULE_FILE.read_text() == f"{chip.UDEV_RULE}\n"
    assert systemctl.UNIT_FILE.read_text() == "Groups=audio gpio\n"
    monkeypatch.setattr(install, "has_group", lambda group: True)
    assert planned(plan_install(None, print).changes) == []
    uninstalled = planned(plan_uninstall(purge=True))
    assert f"remove {chip.UDEV_RULE_FILE}; the group gpio stays" in uninstalled
    apply_changes(plan_uninstall(purge=True), print)
    assert not chip.UDEV_RULE_FILE.exists()


def test_a_button_needs_the_rule_even_without_leds(
    chip_of_root: Path, commands: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    access(monkeypatch, lambda _: None)
    install.CONFIG.write_text('[lights]\nkind = "none"\n[mute]\nbutton = 23\n')
    monkeypatch.setattr(lights_module, "DEVICE_TREE_MODEL", tmp_path / "model")

    def pins() -> list[str]:
        return [change for change in planned(plan_install(None, print).changes) if change.startswith("pins: ")]

    assert pins() == []
    (tmp_path / "model").write_text("Raspberry Pi 4 Model B\0")
    assert pins()[0] == "pins: create the group gpio"


def test_a_rule_that_has_no_effect_is_reported(
    chip_of_root: Path, commands: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    access(monkeypatch, lambda _: None)
    with pytest.raises(ServiceError, match=r"although .*60-edge-mcnn-gpio.rules gives it to the group gpio") as error:
        run_install()
    assert error.value.fix == "restart this machine, then run the command again"
    assert any("give it to the group" in change for change in planned(plan_install(None, print).changes))


@pytest.mark.parametrize(
    ("mode", "group", "settings", "expected"),
    [
        (0o660, "gpio", GPIO, "Groups=audio gpio\n"),  # Raspberry Pi OS
        (0o660, "dialout", GPIO, "Groups=audio dialout\n"),  # Ubuntu
        (0o666, None, GPIO, "Groups=audio\n"),
        (0o600, None, '[lights]\nkind = "none"\n', "Groups=audio\n"),
        (0o600, None, "", "Groups=audio\n"),  # not a Raspberry Pi
        (0o600, None, "[mute]\nbutton = 23\n", "Groups=audio\n"),
    ],
)
def test_other_systems_need_no_rule(
    mode: int, group: str | None, settings: str, expected: str, chip_of_root: Path, commands: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    access(monkeypatch, lambda _: group)
    chip_of_root.chmod(mode)
    install.CONFIG.write_text(settings)
    assert not any(change.startswith("pins") for change in run_install())
    assert (commands, chip.UDEV_RULE_FILE.exists()) == ([], False)
    assert systemctl.UNIT_FILE.read_text() == expected


def test_a_missing_program_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ServiceError, match="udevadm is not installed") as error:
        systemctl.run_program("udevadm", "control", "--reload", package="udev")
    assert error.value.fix == "run: sudo apt-get install udev"


def profile_of_user(machine: Path, model: str = "sentiment") -> Path:
    """A profile with one example, in the home folder of the user who installs the service."""
    identity = identity_of(read_bundle(SHIPPED_BUNDLES[model]))
    features = UtteranceFeatures(np.ones(identity.features), np.zeros(len(identity.labels)))
    path = machine / "home/profile.json"
    write_profile(path, Profile(identity).with_examples([Example.now("neutral", features, CORRECTION)]))
    return path


def test_the_service_gets_the_voice_profile_of_the_user_unless_it_has_one(machine: Path) -> None:
    source = profile_of_user(machine)
    plan = planned(plan_install(None, print).changes)
    assert f"voice profile: copy {source} (1 example) to {install.PROFILE}" in plan
    assert not install.PROFILE.exists(), "a plan changes nothing"
    run_install()
    assert [example.label for example in read_profile(install.PROFILE).examples] == ["neutral"]
    folder = install.PROFILE.parent
    assert [path.stat().st_mode & 0o777 for path in (folder, install.PROFILE)] == [0o700, 0o600]
    learnt = install.PROFILE.read_bytes()
    source.write_text("changed")
    again = [change.description for change in plan_install(None, print).changes]
    assert f"voice profile: keep {install.PROFILE} unchanged" in again
    assert planned(plan_install(None, print).changes) == []
    assert install.PROFILE.read_bytes() == learnt


def test_sudo_takes_the_profile_of_the_user_who_called_it(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user = pwd.getpwuid(os.getuid())
    monkeypatch.setenv("SUDO_USER", user.pw_name)
    assert install._profile_of_user() == Path(user.pw_dir, ".local/share/edge-mcnn/profile.json")


def test_a_profile_that_does_not_fit_the_model_of_the_service_is_not_copied(machine: Path) -> None:
    source = profile_of_user(machine, "emotions")
    descriptions = [change.description for change in plan_install(None, print).changes]
    assert any(
        each.startswith(f"voice profile: none, because {source}: was learnt with another") for each in descriptions
    )
    fits = planned(plan_install(Path("emotions"), print).changes)
    assert any(each.startswith("voice profile: copy ") for each in fits)
    source.write_text("{}")
    damaged = [change.description for change in plan_install(None, print).changes if "voice" in change.description]
    assert damaged[0].startswith(f"voice profile: none, because {source}: not a voice profile")
    run_install()
    assert not install.PROFILE.exists()


def test_the_settings_may_choose_no_profile_and_no_other_place(machine: Path) -> None:
    profile_of_user(machine)
    install.CONFIG.parent.mkdir(parents=True)
    install.CONFIG.write_text('[classifier]\nprofile = "none"\n')
    assert not any("voice" in change.description for change in plan_install(None, print).changes)
    install.CONFIG.write_text('[classifier]\nprofile = "/home/me/profile.json"\n')
    with pytest.raises(ServiceError, match="the service may only write") as error:
        plan_install(None, print)
    assert error.value.fix == 'remove it there, or write profile = "none"'


def test_a_voice_profile_is_removed_only_with_purge(machine: Path) -> None:
    profile_of_user(machine)
    run_install()
    # As systemd leaves it after the first start.
    folder, private = install.PROFILE.parent, install._PRIVATE_PROFILE_FOLDER
    private.parent.mkdir(parents=True)
    folder.rename(private)
    folder.symlink_to(Path("private") / private.name)
    stays = [change.description for change in plan_uninstall(purge=False)]
    assert f"keep {install.PROFILE}, the voice profile; --purge removes it, too" in stays
    apply_changes(plan_uninstall(purge=False), print)
    assert install.PROFILE.exists()
    run_install()
    assert f"remove {folder}" in planned(plan_uninstall(purge=True))
    apply_changes(plan_uninstall(purge=True), print)
    assert not os.path.lexists(folder)
    assert not private.exists()


def test_a_folder_without_a_profile_is_always_removed(machine: Path) -> None:
    run_install()
    install.PROFILE.parent.mkdir(parents=True)
    changes = plan_uninstall(purge=False)
    assert not any("broker" in each for each in planned(changes)), "the settings name none"
    apply_changes(changes, print)
    assert not install.PROFILE.parent.exists()


MQTT = '[mqtt]\nhost = "127.0.0.1"\nport = {port}\ndevice = "lamp"\n'


def installed_with(settings: str) -> None:
    install.CONFIG.parent.mkdir(parents=True, exist_ok=True)
    install.CONFIG.write_text(settings)
    run_install()


@needs_mosquitto
def test_the_device_is_removed_from_its_broker(machine: Path, tmp_path: Path) -> None:
    with Broker(tmp_path) as broker:
        installed_with(MQTT.format(port=broker.port))
        with Publisher(broker.port) as publish:
            publish("homeassistant/sensor/edge-mcnn-lamp/label/config", "{}", retain=True)
            publish("edge-mcnn/lamp/availability", "offline", retain=True)
        changes = plan_uninstall(purge=True)
        descriptions = planned(changes)
        removal = descriptions.index("remove the device lamp from the MQTT broker 127.0.0.1")
        stop = next(place for place, each in enumerate(descriptions) if each.startswith("stop and disable"))
        assert stop < removal < descriptions.index(f"remove {install.CONFIG.parent}"), "with the password, and stopped"
        apply_changes(changes, print)
        with Subscriber(broker.port) as late, Publisher(broker.port) as publish:
            publish("end", "x")
            late.next("end")
            assert late._messages == []


def test_a_broker_that_is_away_does_not_stop_the_removal(machine: Path, caplog: pytest.LogCaptureFixture) -> None:
    port = free_port()
    installed_with(MQTT.format(port=port))
    apply_changes(plan_uninstall(purge=False), print)
    assert not systemctl.UNIT_FILE.exists()
    [line] = caplog.messages
    assert line.startswith(f"Home Assistant may still show this device: 127.0.0.1:{port} cannot be reached")
    assert line.endswith(f"; to try again, run: edge-mcnn mqtt forget --config {install.CONFIG}")


def test_settings_that_are_damaged_do_not_stop_the_removal(machine: Path) -> None:
    run_install()
    install.CONFIG.write_text("[mqtt\n")
    changes = plan_uninstall(purge=False)
    assert f"leave the MQTT broker unchanged, because {install.CONFIG} cannot be used" in [
        change.description for change in changes
    ]
    apply_changes(changes, print)
    assert not systemctl.UNIT_FILE.exists()
