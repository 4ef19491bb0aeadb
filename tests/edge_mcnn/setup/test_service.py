from collections.abc import Iterator

import pytest
import typer

from device.doctor import isolation
from device.doctor.findings import Finding, Verdict
from device.errors import ServiceError
from device.service import install as installation
from device.service import systemctl
from device.service.changes import ServiceChange
from device.service.install import InstallationPlan
from device.settings.schema import Settings
from edge_mcnn.setup.service import install, service_status


def test_a_failed_check_prevents_the_installation(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def change() -> None:
        pytest.fail("something was installed")

    def findings(_checks: object) -> Iterator[Finding]:
        yield Finding("model", Verdict.FAIL, "damaged", "copy it again")
        yield Finding("microphone", Verdict.WARN, "no microphone found", "plug one in")
        yield Finding("pins", Verdict.FAIL, "there is no group gpio", "run: sudo groupadd gpio")

    plan = InstallationPlan(Settings(), [ServiceChange("unit: write it", change)])
    monkeypatch.setattr(installation, "plan_install", lambda _model, _announce, **_: plan)
    monkeypatch.setattr(isolation, "run_checks", findings)
    with pytest.raises(ServiceError) as caught:
        install()
    assert caught.value.message == "nothing was installed, because these checks failed: model, pins"
    assert caught.value.fix == "do what each of them suggests, then run the command again"
    printed = capsys.readouterr().out
    assert all(text in printed for text in ("copy it again", "plug one in", "sudo groupadd gpio"))


def test_a_service_that_failed_is_shown_with_its_last_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    unit = {
        "LoadState": "loaded", "ActiveState": "failed", "SubState": "failed", "UnitFileState": "enabled",
        "NRestarts": "3",
    }  # fmt: skip
    monkeypatch.setattr(systemctl, "service_properties", lambda: unit)
    monkeypatch.setattr(systemctl, "last_error", lambda: ("no pin for joy", "write one"))
    with pytest.raises(typer.Exit):
        service_status()
    assert capsys.readouterr().out.splitlines() == [
        "failed (failed), enabled, restarted 3 times",
        "its last error: no pin for joy; write one",
        "to read its last messages, run: journalctl -u edge-mcnn -n 20",
    ]
