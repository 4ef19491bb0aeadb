"""The broker, a real mosquitto in each state that one is found in, and the program of the user's."""

import os
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from device.doctor import publishing
from device.doctor.checks import all_checks
from device.doctor.findings import Finding
from device.doctor.isolation import Check, run_checks
from device.outputs.mqtt.publisher import MqttPublisher
from device.service import systemctl
from device.settings.schema import MqttSettings, PublishSettings, Settings
from tests.device.outputs.mqtt.broker import MOSQUITTO, Broker, Witness
from tests.device.outputs.mqtt.locked_broker import make_certificates, with_password, with_tls
from tests.device.outputs.published_predictions import LIMIT_S, CheckEvent, answer

with_mosquitto = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed; see `make test`")

Line = tuple[str, str, str]
"""Verdict, what was found, what to do."""


def looked(settings: MqttSettings, limit_s: float = publishing.LIMIT_S) -> list[Line]:
    """As the doctor looks, in a process of its own."""
    found = run_checks([Check("broker", lambda: publishing.check_broker(settings, limit_s), LIMIT_S)])
    return [(each.verdict.value, each.message, each.fix) for each in found if isinstance(each, Finding)]


def at(port: int, **others: object) -> MqttSettings:
    return MqttSettings(**{"host": "127.0.0.1", "port": port, "device": "kitchen", **others})  # type: ignore[arg-type]  # as message


@pytest.fixture(autouse=True)
def _no_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this machine has."""
    monkeypatch.setattr(systemctl, "UNIT_FILE", tmp_path / "unit")
    monkeypatch.setattr(systemctl, "NETWORK_DROP_IN", tmp_path / "network")


@pytest.fixture
def quiet() -> Iterator[int]:
    """A port that takes calls and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@with_mosquitto
def test_a_broker_that_lets_us_in_hears_nothing_and_keeps_the_daemon(tmp_path: Path) -> None:
    message = CheckEvent()
    with Broker(tmp_path, "log_type all") as broker, Witness(broker.port) as witness:
        daemon = MqttPublisher(at(broker.port), message)
        daemon.open()
        daemon.publish(answer(0))
        assert witness.next("edge-mcnn/kitchen/prediction").payload  # and so the broker has heard all before it
        before = broker.log.read_text().count("Received PUBLISH from")
        assert looked(at(broker.port)) == [
            ("OK", f"127.0.0.1:{broker.port} lets us in; answers go to edge-mcnn/kitchen/prediction", "")
        ]
        log = broker.log.read_text()
        assert log.count("Received PUBLISH from") == before
        assert "-doctor-" in log
        daemon.publish(answer(1))
        assert witness.next("edge-mcnn/kitchen/prediction").payload
        daemon.close(LIMIT_S)
    assert not [line for line in message.lines if "lost" in line], "the daemon was pushed out"


@with_mosquitto
def test_passwords(tmp_path: Path) -> None:
    (tmp_path / "right").write_text("s3cret\n")
    (tmp_path / "wrong").write_text("secret\n")
    (tmp_path / "right").chmod(0o600)
    (tmp_path / "wrong").chmod(0o604)
    right, wrong = str(tmp_path / "right"), str(tmp_path / "wrong")
    with Broker(tmp_path, with_password(tmp_path, "lamp", "s3cret")) as broker:
        where = f"127.0.0.1:{broker.port}"
        [(verdict, message, _)] = looked(at(broker.port, user="lamp", password_file=right))
        assert (verdict, message.partition(";")[0]) == ("OK", f"{where} lets us in as lamp")
        assert looked(at(broker.port, user="lamp", password_file=wrong)) == [
            ("FAIL", f"{where} refuses us (Not authorized)", f"check mqtt.user and what is in {wrong}"),
            (
                "WARN",
                f"mqtt.password_file: everyone on this machine can read {wrong}",
                f"run: chmod o-r {wrong}",
            ),
        ]
        assert looked(at(broker.port)) == [
            ("FAIL", f"{where} refuses us (Not authorized)", "set mqtt.user and mqtt.password_file")
        ]


@with_mosquitto
def test_tls(tmp_path: Path) -> None:
    authority = str(make_certificates(tmp_path) / "ca.pem")
    with Broker(tmp_path, *with_tls(tmp_path)) as broker:
        where = f"127.0.0.1:{broker.port}"
        assert looked(at(broker.port, tls=True, ca_file=authority))[0][0] == "OK"
        [(verdict, message, fix)] = looked(at(broker.port, tls=True))
        assert (verdict, message) == (
            "FAIL",
            f"{where} cannot be reached (its certificate is not to be trusted: self-signed certificate in "
            "certificate chain)",
        )
        assert "set mqtt.ca_file" in fix
        [(verdict, message, fix)] = looked(at(broker.port, tls=True, ca_file=authority, host="localhost"))
        assert (verdict, "Hostname mismatch" in message) == ("FAIL", True)
        assert "mqtt.host to the name that is in it" in fix
        assert looked(at(broker.port)) == [("FAIL", f"{where} hangs up without an answer", "does it want tls = true?")]


@with_mosquitto
def test_tls_that_the_broker_has_not(tmp_path: Path) -> None:
    with Broker(tmp_path) as broker:
        [(verdict, message, fix)] = looked(at(broker.port, tls=True))
    assert verdict == "FAIL"
    assert message.startswith(f"127.0.0.1:{broker.port} cannot be reached (")
    assert "tls = false" in fix


def test_nobody_at_the_port() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        [(verdict, message, fix)] = looked(at(port))
    assert (verdict, message) == ("WARN", f"127.0.0.1:{port} cannot be reached (Connection refused)")
    assert "does the broker run" in fix


@pytest.mark.parametrize(("tls", "message"), [
    (False, "takes the call and says nothing within 0.3 s"),
    (True, "cannot be reached (timed out)"),
])  # fmt: skip
def test_a_port_that_says_nothing(quiet: int, tls: bool, message: str) -> None:
    [line] = looked(at(quiet, tls=tls), limit_s=0.3)
    assert line[0] == "WARN"
    assert line[1].startswith(f"127.0.0.1:{quiet} {message}"), line


def test_a_name_that_nobody_knows() -> None:
    [(verdict, message, fix)] = looked(at(1883, host="no-such-broker.invalid"), limit_s=LIMIT_S)
    assert verdict == "WARN"
    assert message.startswith("no-such-broker.invalid is not found (")
    assert fix == "check mqtt.host, or write the broker's address there"


def test_a_name_server_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: threading.Event().wait())
    [(verdict, message, fix)] = looked(at(1883, host="homeassistant.local"), limit_s=0.2)
    assert (verdict, message) == ("WARN", "homeassistant.local is not found (no answer within 0.2 s)")
    assert "libnss-mdns" in fix


@pytest.mark.parametrize(
    ("settings", "message", "fix"),
    [
        (MqttSettings("h", user="u", password_file="/no/such"), "/no/such cannot be read (No such file", ""),
        (MqttSettings("h", password_file="/no/such"), "mqtt.password_file is set, but mqtt.user is not", ""),
        (MqttSettings("h", tls=True, ca_file="/no/such"), "mqtt.ca_file: /no/such cannot be read", ""),
        (MqttSettings("h", ca_file="/dev/null"), "mqtt.ca_file is set, but mqtt.tls is false", ""),
        (MqttSettings("h", device="厨房"), "mqtt.device is '厨房'", "topics need a name with letters"),
    ],
)
def test_what_can_never_work(settings: MqttSettings, message: str, fix: str) -> None:
    [line] = looked(settings)
    assert line[0] == "FAIL"
    assert message in line[1]
    assert line[2].startswith(fix)
    assert bool(line[2]) == bool(fix)


def test_a_password_that_only_the_service_may_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "password"
    path.write_text("x")

    def refused(*_: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", refused)  # as for a user who is not root
    monkeypatch.setattr(os, "access", lambda of, mode: of == path and mode == os.F_OK)
    [(verdict, message, fix)] = looked(MqttSettings("h", user="u", password_file=str(path)))
    assert (verdict, message) == ("FAIL", f"mqtt.password_file: {path} cannot be read (Permission denied)")
    assert fix.endswith("sudo edge-mcnn doctor")


@with_mosquitto
@pytest.mark.parametrize(("there", "closed"), [((), False), (("unit",), True), (("unit", "network"), False)])
def test_a_service_that_has_no_network(there: tuple[str, ...], closed: bool, tmp_path: Path) -> None:
    for name in there:
        (tmp_path / name).touch()
    with Broker(tmp_path) as broker:
        first, *others = looked(at(broker.port))
    assert first[0] == "OK"
    assert (
        others
        == [
            (
                "WARN",
                "the service was installed without a broker and has no network",
                "if it is to publish, too, run again: sudo edge-mcnn service install",
            )
        ]
        * closed
    )


def test_without_paho(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "paho.mqtt.enums", None)
    assert looked(MqttSettings("h")) == [
        ("FAIL", "mqtt.host is set, but paho-mqtt 2 is not installed", "run: pip install 'edge-mcnn[mqtt]'")
    ]


def test_only_those_who_publish_have_lines_for_it() -> None:
    def names(settings: Settings) -> set[str]:
        return {check.name for check in all_checks(settings)} & {"broker", "command"}

    assert names(Settings()) == set()
    assert names(Settings(mqtt=MqttSettings("h"))) == {"broker"}
    assert names(Settings(publish=PublishSettings(("true",)))) == {"command"}


def told_of(*command: str) -> Line:
    [check] = [check for check in all_checks(Settings(publish=PublishSettings(command))) if check.name == "command"]
    [found] = run_checks([check])
    assert isinstance(found, Finding)
    return found.verdict.value, found.message, found.fix


def script(path: Path, content: bytes, mode: int = 0o755) -> str:
    path.write_bytes(content)
    path.chmod(mode)
    return str(path)


def test_programs_that_can_be_run(tmp_path: Path) -> None:
    assert told_of(sys.executable, "-c", "raise SystemExit(3)")[0] == "OK"
    verdict, message, _ = told_of("true")
    assert (verdict, Path(message).name) == ("OK", "true")
    ran = tmp_path / "ran"
    path = script(tmp_path / "on answer", f"#!/bin/sh\ntouch {ran}\n".encode())
    assert told_of(path) == ("OK", path, "")
    assert not ran.exists(), "it is looked at, not run"


def test_programs_that_cannot_be_run(tmp_path: Path) -> None:
    where = str(tmp_path / "on-answer")
    assert told_of(where)[:2] == ("FAIL", f"{where} is not there")
    assert told_of(str(tmp_path))[:2] == ("FAIL", f"{tmp_path} is a folder")
    assert told_of("no-such-program") == (
        "FAIL", "there is no program 'no-such-program' on the path", "give its whole path in publish.command",
    )  # fmt: skip
    assert told_of("")[0] == "FAIL"
    script(tmp_path / "on-answer", b"#!/bin/sh\n", 0o644)
    assert told_of(where) == ("FAIL", f"{where} may not be executed", f"run: chmod +x {where}")
    script(tmp_path / "on-answer", b"echo hello\n")
    assert told_of(where)[1] == f"{where} is no program, nor a script that says what runs it"
    script(tmp_path / "on-answer", b"#!/bin/sh\r\necho hello\r\n")
    assert "line ends of Windows" in told_of(where)[1]
    script(tmp_path / "on-answer", b"#!/no/such/python\n")
    assert told_of(where)[1] == f"{where} is to be run by /no/such/python, which is not there"
