"""A real mosquitto that requires a password or TLS; names and ids; and settings that can never work."""

import sys
from pathlib import Path

import pytest

from device.errors import PublishingError
from device.outputs.mqtt import client
from device.outputs.mqtt.client import broker_address, client_id, machine, topic_name
from device.outputs.mqtt.output import MqttOutput
from device.settings.schema import MqttSettings
from tests.device.outputs.mqtt.broker import Broker, Subscriber, needs_mosquitto
from tests.device.outputs.mqtt.conftest import Start
from tests.device.outputs.mqtt.locked_broker import make_certificates, with_password, with_tls
from tests.device.outputs.mqtt.output_process import running
from tests.device.outputs.predictions import LIT_AT, Announcements, numbered_prediction


@needs_mosquitto
def test_a_password_from_a_file(tmp_path: Path, start: Start, announced: Announcements) -> None:
    (tmp_path / "right").write_text("s3cret\n")
    (tmp_path / "wrong").write_text("secret\n")
    for path in ("right", "wrong"):
        (tmp_path / path).chmod(0o600)
    with Broker(tmp_path, with_password(tmp_path, "lamp", "s3cret")) as broker:
        start(broker.settings("wrong", user="lamp", password_file=str(tmp_path / "wrong")))
        announced.wait_for("refuses the connection (Not authorized); next attempt in 1 s")
        announced.wait_for(
            f"  fix: correct mqtt.user or the password in {tmp_path}/wrong, which is read again each time"
        )
        with Subscriber(broker.port, user="lamp", password="s3cret") as subscriber:
            start(broker.settings("lamp", user="lamp", password_file=str(tmp_path / "right"))).prediction(
                numbered_prediction(1), LIT_AT
            )
            assert subscriber.numbers("lamp", 1) == [1]
    assert not [line for line in announced.lines if "s3cret" in line or "can read" in line]


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the certificates of an authority and of a broker signed by it."""
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@needs_mosquitto
def test_tls_verifies_the_broker(certificates: Path, tmp_path: Path, start: Start, announced: Announcements) -> None:
    authority = str(certificates / "ca.pem")
    with Broker(tmp_path, *with_tls(certificates)) as broker:
        with Subscriber(broker.port, ca_file=authority) as subscriber:
            start(broker.settings("safe", tls=True, ca_file=authority)).prediction(numbered_prediction(1), LIT_AT)
            assert subscriber.numbers("safe", 1) == [1]
        for wrong, reason in (
            (broker.settings("stranger", tls=True), "is not among those that this system trusts"),
            (
                broker.settings("other", tls=True, ca_file=authority, host="localhost"),
                "cannot be trusted: its certificate is not for the host name localhost",
            ),
            (broker.settings("open"), "closes the connection without a response to the login"),
        ):
            with running(
                wrong
            ) as lines:  # a process, because paho leaves its sockets to the garbage collector, which warns
                assert reason in lines.readline()


HOST = "set mqtt.host to the name or IP address of the broker"
DIRECT = 'write host = "192.168.1.2", port = 1883 under [mqtt]'
NAME = "set mqtt.device to a name with letters (a to z) or digits in it"
PASSWORD = "write the password into that file, or set mqtt.password_file to another one"  # noqa: S105  # not a password
AUTHORITY = "set mqtt.ca_file to the PEM file of the authority that signed the broker's certificate"


@pytest.mark.parametrize(
    ("settings", "message", "fix"),
    [
        (MqttSettings("h", device="厨房"), "mqtt.device is '厨房', of which topics can carry no character", NAME),
        (MqttSettings("h", password_file="/no/such"), "mqtt.password_file is set, but mqtt.user is not",
         "set mqtt.user to the user of that password"),
        (MqttSettings("h", user="u", password_file="/no/such"),
         "mqtt.password_file: /no/such cannot be read (No such file or directory)", PASSWORD),
        (MqttSettings("h", user="u", password_file="/dev/null"),
         "mqtt.password_file: /dev/null is not a file", PASSWORD),
        (MqttSettings("h", user="u", password_file="/"), "mqtt.password_file: / is not a file", PASSWORD),
        (MqttSettings("h", user="u", password_file="a\0b"),
         "mqtt.password_file is 'a\\x00b', which contains a NUL character", "remove it"),
        (MqttSettings("h", user="u", password_file="/bin/true"),
         "mqtt.password_file: /bin/true is not text in UTF-8", PASSWORD),
        (MqttSettings("h", tls=True, ca_file="/no/such"),
         "mqtt.ca_file: /no/such cannot be read (No such file or directory)", AUTHORITY),
        (MqttSettings("h", tls=True, ca_file="/dev/null"),
         "mqtt.ca_file: /dev/null is not a certificate in PEM format", AUTHORITY),
        (MqttSettings("h", ca_file="/dev/null"),
         "mqtt.ca_file is set, but mqtt.tls is false, so no certificate would be checked",
         "set mqtt.tls to true, or remove mqtt.ca_file"),
        (MqttSettings("h", user="\udcff"), "mqtt.user is '\\udcff', which is not text in UTF-8",
         "set mqtt.user to text in UTF-8"),
        (MqttSettings("a..b"), "mqtt.host is 'a..b', in which a part between two dots is empty", HOST),
        (MqttSettings("192.168.1.2:1883"), "mqtt.host is '192.168.1.2:1883', which includes a port", DIRECT),
    ],
)  # fmt: skip
def test_settings_that_can_never_work_are_refused_at_once(
    settings: MqttSettings, message: str, fix: str, announced: Announcements
) -> None:
    with pytest.raises(PublishingError) as caught:
        MqttOutput(settings, announced)
    assert (caught.value.message, caught.value.fix) == (message, fix)


def test_a_password_file_that_everyone_can_read_is_reported(tmp_path: Path, announced: Announcements) -> None:
    path = tmp_path / "password"
    path.write_text("x")
    path.chmod(0o644)
    MqttOutput(MqttSettings("h", user="u", password_file=str(path)), announced)
    assert announced.lines == [f"mqtt.password_file: everyone on this machine can read {path}; run: chmod o-r {path}"]


def test_a_password_file_that_is_empty_or_too_long(tmp_path: Path, announced: Announcements) -> None:
    path = tmp_path / "password"
    for content, problem in (("\n", "is empty"), ("x" * 65_536, "is too long for a password")):
        path.write_text(content)
        path.chmod(0o600)
        with pytest.raises(PublishingError) as caught:
            MqttOutput(MqttSettings("h", user="u", password_file=str(path)), announced)
        assert caught.value.message == f"mqtt.password_file: {path} {problem}"
    path.write_text("x" * 65_535 + "\r\n")
    MqttOutput(MqttSettings("h", user="u", password_file=str(path)), announced)


def test_a_port_that_is_usual_for_the_other_kind_of_connection_is_reported(announced: Announcements) -> None:
    MqttOutput(MqttSettings("h", tls=True, port=1883), announced)
    MqttOutput(MqttSettings("h", port=8883), announced)
    assert [line.partition("; ")[2] for line in announced.lines] == [
        "set mqtt.port to the broker's port for TLS, usually 8883",
        "set mqtt.tls to true, or mqtt.port to 1883",
    ]


def test_an_ipv6_address_is_shown_in_brackets() -> None:
    assert broker_address(MqttSettings("::1", tls=True)) == "[::1]:8883"


def test_without_paho(monkeypatch: pytest.MonkeyPatch, announced: Announcements) -> None:
    monkeypatch.setitem(sys.modules, "paho.mqtt.enums", None)  # as in 1.x
    with pytest.raises(PublishingError) as caught:
        MqttOutput(MqttSettings("h"), announced)
    assert caught.value.message == "mqtt.host is set, but paho-mqtt 2 is not installed"
    assert caught.value.fix == "run: pip install 'edge-mcnn[mqtt]'"


@pytest.mark.parametrize(
    ("name", "cleaned"),
    [
        ("Küche 2", "Kuche-2"),
        ("pi.local", "pi-local"),
        ("a/b+#c", "a-b-c"),
        (" $x ", "x"),
        ("living_room", "living_room"),
    ],
)
def test_topic_names(name: str, cleaned: str) -> None:
    assert topic_name(name) == cleaned


def test_the_client_id_is_the_same_after_a_restart_and_differs_between_devices() -> None:
    assert client_id("a") == client_id("a") != client_id("b")


def test_machines_with_copies_of_one_sd_card_have_different_ids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else each would remove the other from the broker, as its own former name."""
    (tmp_path / "machine-id").write_text("of the card\n")
    monkeypatch.setattr(client, "_MACHINE_ID", tmp_path / "machine-id")
    found = set()
    for board in ("first", "second", "without a serial number"):
        monkeypatch.setattr(client, "_BOARD", tmp_path / board)
        if board != "without a serial number":
            (tmp_path / board).write_text(f"{board}\0")
        assert machine() == machine()
        found.add(machine())
    assert len(found) == 3
    (tmp_path / "machine-id").unlink()
    assert machine() == ""
