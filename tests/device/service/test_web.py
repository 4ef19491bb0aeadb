"""The page as a service: what would be installed and removed, on a machine whose folders are in a temporary one."""

import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from device.errors import ServiceError
from device.service import file_modes, unit, web
from device.service.changes import ServiceChange, apply_changes
from device.service.unit import web_socket_text, web_unit_text
from device.service.web import about_page, page_address, plan_web, plan_web_removal
from device.settings.schema import HistorySettings, Settings, WebSettings

CONFIG = Path("/etc/edge-mcnn/config.toml")
EVERY_ADDRESS = "0.0.0.0"  # noqa: S104  # nothing is bound


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Calls of systemctl, on a machine on which the page can be installed."""
    calls: list[str] = []
    running: set[str] = set()
    for name in ("WEB_UNIT_FILE", "WEB_SOCKET_FILE", "WEB_STATE", "_PRIVATE_STATE"):
        monkeypatch.setattr(web, name, tmp_path / getattr(web, name).relative_to("/"))
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "edge-mcnn").touch()
    monkeypatch.setattr(sys, "prefix", str(venv))
    monkeypatch.setattr(sys, "executable", str(venv / "bin" / "python"))
    monkeypatch.setattr(unit, "_TEMPORARY", ())
    monkeypatch.setattr(unit, "_check_readable", lambda *_, **__: None)
    monkeypatch.setattr(unit, "_check_environment", lambda: None)
    monkeypatch.setattr(file_modes, "_OWNER", (os.getuid(), os.getgid()))
    monkeypatch.setattr(os, "geteuid", lambda: 0)

    def systemctl(*arguments: str) -> None:
        calls.append(" ".join(arguments))
        if arguments[0] == "disable":
            running.clear()

    def restart(*units: str) -> None:
        calls.append(f"restart {' '.join(units)}")
        running.update(units)

    monkeypatch.setattr(web, "systemctl", systemctl)
    monkeypatch.setattr(web, "restart", restart)
    for name in ("is_active", "is_enabled"):
        monkeypatch.setattr(web, name, running.__contains__)
    return calls


def planned(changes: Sequence[ServiceChange]) -> list[str]:
    return [change.description for change in changes if change.apply is not None]


def test_it_is_installed_once_and_again_after_a_change(calls: list[str]) -> None:
    apply_changes(plan_web(CONFIG, WebSettings()), print)
    assert calls == [
        "enable --quiet edge-mcnn-web.socket edge-mcnn-web.service",
        "restart edge-mcnn-web.service edge-mcnn-web.socket",
    ]
    assert "ListenStream=127.0.0.1:8350" in web.WEB_SOCKET_FILE.read_text()
    assert planned(plan_web(CONFIG, WebSettings())) == []
    assert planned(plan_web(CONFIG, WebSettings(port=80))) == [
        f"page: socket unit: write {web.WEB_SOCKET_FILE}",
        "enable edge-mcnn-web.service: it starts with this machine",
        "start edge-mcnn-web.service",
    ]


def test_it_is_removed_and_its_history_only_with_purge(calls: list[str]) -> None:
    assert plan_web_removal(purge=True) == []
    apply_changes(plan_web(CONFIG, WebSettings()), print)
    # As systemd leaves it after the first start.
    web._PRIVATE_STATE.mkdir(parents=True)
    web.WEB_STATE.parent.mkdir(parents=True, exist_ok=True)
    web.WEB_STATE.symlink_to(web._PRIVATE_STATE)
    apply_changes(plan_web_removal(purge=False), print)
    assert calls[2:] == [
        "disable --now --quiet edge-mcnn-web.socket edge-mcnn-web.service", "daemon-reload",
        "reset-failed edge-mcnn-web.service",
    ]  # fmt: skip
    assert not web.WEB_UNIT_FILE.exists()
    assert not web.WEB_SOCKET_FILE.exists()
    assert [change.description for change in plan_web_removal(purge=False)] == [
        f"keep {web.WEB_STATE}, the history and the password of the page; --purge removes it, too"
    ]
    apply_changes(plan_web_removal(purge=True), print)
    assert not os.path.lexists(web.WEB_STATE)
    assert not web._PRIVATE_STATE.exists()


@pytest.mark.parametrize("address", [EVERY_ADDRESS, "192.168.1.5", "::"])
def test_others_can_open_it_only_with_a_password(calls: list[str], address: str) -> None:
    with pytest.raises(ServiceError, match="it has no password") as error:
        plan_web(CONFIG, WebSettings(address=address))
    assert error.value.fix == "set one: sudo edge-mcnn web --set-password"
    web.WEB_STATE.mkdir(parents=True)
    (web.WEB_STATE / web.PASSWORD_NAME).touch()
    assert plan_web(CONFIG, WebSettings(address=address))


def test_missing_packages_are_named(calls: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "_PACKAGES", ("aiohttp", "edge_mcnn_missing"))
    with pytest.raises(ServiceError, match="the page needs edge_mcnn_missing, not installed here") as error:
        plan_web(CONFIG, WebSettings())
    assert error.value.fix == "run: pip install 'edge-mcnn[web]'"


@pytest.mark.parametrize(
    ("address", "listens_at"),
    [
        ("127.0.0.1", "127.0.0.1:8350"), ("localhost", "127.0.0.1:8350"), (EVERY_ADDRESS, "0.0.0.0:8350"),
        ("::1", "[::1]:8350"),
    ],
)  # fmt: skip
def test_systemd_opens_the_port(address: str, listens_at: str) -> None:
    assert f"ListenStream={listens_at}" in web_socket_text(CONFIG, WebSettings(address=address)).splitlines()


def test_an_address_that_systemd_cannot_resolve_is_refused() -> None:
    with pytest.raises(ServiceError, match="and a service needs an IP address") as error:
        web_socket_text(CONFIG, WebSettings(address="lamp.example"))
    assert error.value.fix == 'write address = "0.0.0.0" under [web] for every address of this machine'


def test_the_certificate_is_read_by_systemd(calls: list[str]) -> None:
    settings = WebSettings(certificate_file="/etc/ssl/lamp.pem", key_file="/etc/ssl/private/lamp.key")
    lines = web_unit_text(CONFIG, settings).splitlines()
    assert "LoadCredential=certificate_file:/etc/ssl/lamp.pem" in lines
    assert "Environment=EDGE_MCNN_WEB_CERTIFICATE_FILE=%d/certificate_file" in lines
    assert "LoadCredential=key_file:/etc/ssl/private/lamp.key" in lines
    assert not any("@" in line for line in lines if not line.startswith(("#", "SystemCallFilter")))
    with pytest.raises(ServiceError, match=r"web\.key_file is 'lamp.key', which systemd would misread"):
        web_unit_text(CONFIG, WebSettings(key_file="lamp.key"))


def test_people_read_where_the_page_is() -> None:
    assert page_address(WebSettings()) == "http://127.0.0.1:8350"
    assert page_address(WebSettings(address="::1", port=80)) == "http://[::1]:80"
    secure = WebSettings(address=EVERY_ADDRESS, certificate_file="/etc/ssl/lamp.pem")
    assert page_address(secure) == f"https://{socket.gethostname()}.local:8350"
    assert len(list(about_page(Settings()))) == 3
    assert list(
        about_page(Settings(web=WebSettings(address=EVERY_ADDRESS), history=HistorySettings(keep_days=30)))
    ) == [f"The page: http://{socket.gethostname()}.local:8350"]
