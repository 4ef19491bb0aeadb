"""Checks of a broker, a real mosquitto in various states, and of the user's program."""

import os
import socket
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from device.doctor import publishing
from device.doctor.checks import all_checks
from device.doctor.findings import Finding
from device.doctor.isolation import Check, run_checks
from device.outputs.mqtt import login
from device.outputs.mqtt.output import MqttOutput
from device.service import systemctl
from device.settings.schema import MqttSettings, PublishSettings, Settings
from tests.device.outputs.mqtt.broker import MOSQUITTO, Broker, Subscriber
from tests.device.outputs.mqtt.locked_broker import make_certificates, with_password, with_tls
from tests.device.outputs.predictions import LABELS, LIT_AT, Announcements, numbered_prediction
from tests.waiting import LIMIT_S

with_mosquitto = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed; see `make test`")

Row = tuple[str, str, str]
"""Verdict, message and fix of a finding."""


def check(settings: MqttSettings, limit_s: float = login.LIMIT_S) -> list[Row]:
    """Run the broker check as the doctor does, in a process of its own."""
    found = run_checks([Check("broker", lambda: publishing.check_broker(settings, limit_s), LIMIT_S)])
    return [(each.verdict.value, each.message, each.fix) for each in found if isinstance(each, Finding)]


def at(port: int, **others: object) -> MqttSettings:
    return MqttSettings(**{"host": "127.0.0.1", "port": port, "device": "kitchen", **others})  # type: ignore[arg-type]  # as its fields


@pytest.fixture(autouse=True)
def _no_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the tests independent of a service that is installed on this machine."""
    monkeypatch.setattr(systemctl, "UNIT_FILE", tmp_path / "unit")
    monkeypatch.setattr(systemctl, "NETWORK_DROP_IN", tmp_path / "network")


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that accepts connections and never sends anything."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@with_mosquitto
def test_the_check_publishes_nothing_and_does_not_disconnect_the_daemon(tmp_path: Path) -> None:
    announced = Announcements()
    with Broker(tmp_path, "log_type all") as broker, Subscriber(broker.port) as subscriber:
        daemon = MqttOutput(at(broker.port), announced)
        daemon.open(LABELS)
        daemon.prediction(numbered_prediction(0), LIT_AT)
        assert subscriber.next(
            "edge-mcnn/kitchen/prediction"
        ).payload  # so the broker has received everything before it
        before = broker.log.read_text().count("Received PUBLISH from")
        assert check(at(broker.port)) == [
            (
                "OK",
                f"127.0.0.1:{broker.port} accepts the connection; predictions go to edge-mcnn/kitchen/prediction",
                "",
            )
        ]
        log = broker.log.read_text()
        assert log.count("Received PUBLISH from") == before
        assert "-doctor-" in log
        daemon.prediction(numbered_prediction(1), LIT_AT)
        assert subscriber.next("edge-mcnn/kitchen/prediction").payload
        daemon.close(LIMIT_S)
    assert not [line for line in announced.lines if "lost" in line], "the daemon was disconnected"


@with_mosquitto
def test_passwords(tmp_path: Path) -> None:
    (tmp_path / "right").write_text("s3cret\n")
    (tmp_path / "wrong").write_text("secret\n")
    (tmp_path / "right").chmod(0o600)
    (tmp_path / "wrong").chmod(0o604)
    right, wrong = str(tmp_path / "right"), str(tmp_path / "wrong")
    with Broker(tmp_path, with_password(tmp_path, "lamp", "s3cret")) as broker:
        where = f"127.0.0.1:{broker.port}"
        [(verdict, message, _)] = check(at(broker.port, user="lamp", password_file=right))
        assert (verdict, message.partition(";")[0]) == ("OK", f"{where} accepts the connection as lamp")
        assert check(at(broker.port, user="lamp", password_file=wrong)) == [
            (
                "FAIL",
                f"{where} refuses the connection (Not authorized)",
                f"correct mqtt.user or the password in {wrong}, which is read again each time; "
                "or let the broker accept this user and this device",
            ),
            (
                "WARN",
                f"mqtt.password_file: every user of this machine can read {wrong}",
                f"run: chmod o-r {wrong}",
            ),
        ]
        assert check(at(broker.port)) == [
            (
                "FAIL",
                f"{where} refuses the connection (Not authorized)",
                "set mqtt.user and mqtt.password_file; or let the broker accept this user and this device",
            )
        ]


@with_mosquitto
def test_tls(tmp_path: Path) -> None:
    authority = str(make_certificates(tmp_path) / "ca.pem")
    with Broker(tmp_path, *with_tls(tmp_path)) as broker:
        where = f"127.0.0.1:{broker.port}"
        assert check(at(broker.port, tls=True, ca_file=authority))[0][0] == "OK"
        [(verdict, message, fix)] = check(at(broker.port, tls=True))
        assert (verdict, message) == (
            "FAIL",
            f"{where} cannot be trusted: the authority that signed its certificate is not among those that this "
            "system trusts",
        )
        assert "set mqtt.ca_file" in fix
        [(verdict, message, fix)] = check(at(broker.port, tls=True, ca_file=authority, host="localhost"))
        assert (verdict, "not for the host name localhost" in message) == ("FAIL", True)
        assert "mqtt.host to a name or address in the certificate" in fix
        assert check(at(broker.port)) == [
            (
                "FAIL",
                f"{where} closes the connection without a response to the login",
                "if mqtt.port is its port for TLS, set mqtt.tls to true; without TLS the port is usually 1883",
            )
        ]


@with_mosquitto
def test_tls_with_a_broker_without_tls(tmp_path: Path) -> None:
    with Broker(tmp_path) as broker:
        [(verdict, message, fix)] = check(at(broker.port, tls=True))
    assert verdict == "FAIL"
    assert message == f"127.0.0.1:{broker.port} closes the connection when TLS begins"
    assert "set mqtt.tls to false" in fix


def test_a_closed_port() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        [(verdict, message, fix)] = check(at(port))
    assert (verdict, message) == ("WARN", f"127.0.0.1:{port} cannot be reached (Connection refused)")
    assert "check that the broker runs" in fix


@pytest.mark.parametrize(("tls", "message"), [
    (False, "accepts the connection, but does not respond within 0.3 s"),
    (True, "accepts the connection, but does not respond to TLS"),
])  # fmt: skip
def test_a_port_that_does_not_respond(silent_port: int, tls: bool, message: str) -> None:
    [row] = check(at(silent_port, tls=tls), limit_s=0.3)
    assert row[0] == "WARN"
    assert row[1].startswith(f"127.0.0.1:{silent_port} {message}"), row


def test_an_unknown_host_name() -> None:
    [(verdict, message, fix)] = check(at(1883, host="no-such-broker.invalid"), limit_s=LIMIT_S)
    assert verdict == "WARN"
    assert message.startswith("no-such-broker.invalid:1883 cannot be reached: its name cannot be resolved (")
    assert "or use the broker's IP address" in fix


def test_a_name_server_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: threading.Event().wait())
    [(verdict, message, fix)] = check(at(1883, host="homeassistant.local"), limit_s=0.2)
    reason = "its name cannot be resolved (no response within 0.2 s)"
    assert (verdict, message) == ("WARN", f"homeassistant.local:1883 cannot be reached: {reason}")
    assert "libnss-mdns" in fix


@pytest.mark.parametrize(
    ("settings", "message", "fix"),
    [
        (
            MqttSettings("h", user="u", password_file="/no/such"),
            "/no/such cannot be read (No such file",
            "write the password into that file",
        ),
        (
            MqttSettings("h", password_file="/no/such"),
            "mqtt.password_file is set, but mqtt.user is not",
            "set mqtt.user",
        ),
        (
            MqttSettings("h", tls=True, ca_file="/no/such"),
            "mqtt.ca_file: /no/such cannot be read",
            "set mqtt.ca_file to the PEM file",
        ),
        (MqttSettings("h", ca_file="/dev/null"), "mqtt.ca_file is set, but mqtt.tls is false", "set mqtt.tls to true"),
        (MqttSettings("h", device="厨房"), "mqtt.device is '厨房'", "set mqtt.device to a name with letters"),
    ],
)
def test_settings_that_can_never_work(settings: MqttSettings, message: str, fix: str) -> None:
    [row] = check(settings)
    assert row[0] == "FAIL"
    assert message in row[1]
    assert row[2].startswith(fix)
    assert bool(row[2]) == bool(fix)


def test_a_password_file_that_only_the_service_can_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "password"
    path.write_text("x")

    opened = Path.open

    def denied(opening: Path, *mode: Any, **others: Any) -> Any:
        if opening == path:
            raise PermissionError(13, "Permission denied")
        return opened(opening, *mode, **others)

    monkeypatch.setattr(Path, "open", denied)  # as for a user who is not root
    monkeypatch.setattr(os, "access", lambda of, mode: of == path and mode == os.F_OK)
    [(verdict, message, fix)] = check(MqttSettings("h", user="u", password_file=str(path)))
    assert (verdict, message) == ("FAIL", f"mqtt.password_file: {path} cannot be read (Permission denied)")
    assert fix.endswith("sudo edge-mcnn doctor")


@pytest.mark.parametrize(
    ("settings", "fix"),
    [
        (MqttSettings("h", user="u", device="厨房"), "set mqtt.device to a name with letters"),
        (MqttSettings("h"), "set mqtt.user"),
    ],
)
def test_other_faults_have_their_own_fix_beside_such_a_password_file(
    settings: MqttSettings, fix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "password"
    path.touch()
    monkeypatch.setattr(os, "access", lambda of, mode: of == path and mode == os.F_OK)
    [row] = check(replace(settings, password_file=str(path)))
    assert row[2].startswith(fix)


@with_mosquitto
def test_a_port_that_is_usual_for_the_other_kind_of_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Broker(tmp_path) as broker:
        monkeypatch.setattr("device.settings.broker.TLS_PORT", broker.port)
        first, second = check(at(broker.port))
    assert first[0] == "OK"
    assert second == (
        "WARN",
        f"mqtt.tls is false, and mqtt.port is {broker.port}, which is the usual port for TLS",
        "set mqtt.tls to true, or mqtt.port to 1883",
    )


@with_mosquitto
@pytest.mark.parametrize(("installed", "offline"), [((), False), (("unit",), True), (("unit", "network"), False)])
def test_a_service_without_network_access(installed: tuple[str, ...], offline: bool, tmp_path: Path) -> None:
    for name in installed:
        (tmp_path / name).touch()
    with Broker(tmp_path) as broker:
        first, *others = check(at(broker.port))
    assert first[0] == "OK"
    assert (
        others
        == [
            (
                "WARN",
                "the service was installed without a broker and has no network access",
                "to let the service publish, run: sudo edge-mcnn service install",
            )
        ]
        * offline
    )


def test_without_paho(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "paho.mqtt.enums", None)
    assert check(MqttSettings("h")) == [
        ("FAIL", "mqtt.host is set, but paho-mqtt 2 is not installed", "run: pip install 'edge-mcnn[mqtt]'")
    ]


def test_outputs_that_are_not_configured_are_not_checked() -> None:
    def names(settings: Settings) -> set[str]:
        return {check.topic for check in all_checks(settings)} & {"broker", "command"}

    assert names(Settings()) == set()
    assert names(Settings(mqtt=MqttSettings("h"))) == {"broker"}
    assert names(Settings(publish=PublishSettings(("true",)))) == {"command"}


def check_program(*command: str) -> Row:
    [check] = [check for check in all_checks(Settings(publish=PublishSettings(command))) if check.topic == "command"]
    [found] = run_checks([check])
    assert isinstance(found, Finding)
    return found.verdict.value, found.message, found.fix


def script(path: Path, content: bytes, mode: int = 0o755) -> str:
    path.write_bytes(content)
    path.chmod(mode)
    return str(path)


def test_programs_that_can_start(tmp_path: Path) -> None:
    assert check_program(sys.executable, "-c", "raise SystemExit(3)")[0] == "OK"
    verdict, message, _ = check_program("true")
    assert (verdict, Path(message).name) == ("OK", "true")
    ran = tmp_path / "ran"
    path = script(tmp_path / "on prediction", f"#!/bin/sh\ntouch {ran}\n".encode())
    assert check_program(path) == ("OK", path, "")
    assert not ran.exists(), "the program is checked, not run"


def test_programs_that_cannot_start(tmp_path: Path) -> None:
    where = str(tmp_path / "on-prediction")
    assert check_program(where)[:2] == ("FAIL", f"{where}: no such file or folder")
    assert check_program(str(tmp_path))[:2] == ("FAIL", f"{tmp_path}: is a folder, not a file")
    assert check_program("no-such-program") == (
        "FAIL", "there is no program 'no-such-program' on the PATH", "use its absolute path in publish.command",
    )  # fmt: skip
    assert check_program("")[0] == "FAIL"
    script(tmp_path / "on-prediction", b"#!/bin/sh\n", 0o644)
    assert check_program(where) == ("FAIL", f"{where} is not executable", f"run: chmod +x {where}")
    script(tmp_path / "on-prediction", b"echo hello\n")
    assert check_program(where)[1] == f"{where} is neither a binary nor a script with an interpreter line"
    script(tmp_path / "on-prediction", b"#!/bin/sh\r\necho hello\r\n")
    assert "Windows line endings" in check_program(where)[1]
    script(tmp_path / "on-prediction", b"#!/no/such/python\n")
    assert check_program(where)[1] == f"{where} needs the interpreter /no/such/python, which is not installed"
