"""A real mosquitto that wants a password or TLS; and what of the settings can never work."""

import sys
from pathlib import Path

import pytest

from device.errors import PublishingError
from device.outputs.mqtt.publisher import MqttPublisher
from device.settings.schema import MqttSettings
from tests.device.outputs.conftest import Start
from tests.device.outputs.mqtt.broker import Broker, Witness, needs_mosquitto
from tests.device.outputs.mqtt.locked_broker import make_certificates, with_password, with_tls
from tests.device.outputs.published_predictions import Told, answer
from tests.device.outputs.publisher_process import running


@needs_mosquitto
def test_a_password_from_a_file(tmp_path: Path, start: Start, told: Told) -> None:
    (tmp_path / "right").write_text("s3cret\n")
    (tmp_path / "wrong").write_text("secret\n")
    for path in ("right", "wrong"):
        (tmp_path / path).chmod(0o600)
    with Broker(tmp_path, with_password(tmp_path, "lamp", "s3cret")) as broker:
        start(broker.settings("liar", user="lamp", password_file=str(tmp_path / "wrong")))
        told.wait_for("refuses us (Not authorized)")
        with Witness(broker.port, user="lamp", password="s3cret") as witness:
            start(broker.settings("lamp", user="lamp", password_file=str(tmp_path / "right"))).publish(answer(1))
            assert witness.numbers("lamp", 1) == [1]
    assert not [line for line in told.lines if "s3cret" in line or "can read" in line]


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of an authority, and of a broker that it vouches for."""
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@needs_mosquitto
def test_tls_proves_the_broker(certificates: Path, tmp_path: Path, start: Start, told: Told) -> None:
    authority = str(certificates / "ca.pem")
    with Broker(tmp_path, *with_tls(certificates)) as broker:
        with Witness(broker.port, ca_file=authority) as witness:
            start(broker.settings("safe", tls=True, ca_file=authority)).publish(answer(1))
            assert witness.numbers("safe", 1) == [1]
        for wrong, why in (
            (broker.settings("stranger", tls=True), "not to be trusted: self-signed certificate in certificate chain"),
            (
                broker.settings("other", tls=True, ca_file=authority, host="localhost"),
                "not to be trusted: Hostname mismatch",
            ),
            (broker.settings("open"), "hangs up without an answer; does it want tls = true?"),
        ):
            with running(wrong) as lines_told:  # paho leaves its sockets to the garbage collector, which complains
                assert why in lines_told.readline()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (MqttSettings("h", device="厨房"), "mqtt.device is '厨房'; topics need a name with letters"),
        (MqttSettings("h", password_file="/no/such"), "mqtt.password_file is set, but mqtt.user is not"),
        (MqttSettings("h", user="u", password_file="/no/such"), "/no/such cannot be read (No such file or directory)"),
        (MqttSettings("h", user="u", password_file="/dev/null"), "/dev/null is empty"),
        (MqttSettings("h", user="u", password_file="/bin/true"), "/bin/true is not text in UTF-8"),
        (MqttSettings("h", tls=True, ca_file="/no/such"), "mqtt.ca_file: /no/such cannot be read"),
        (MqttSettings("h", tls=True, ca_file="/dev/null"), "mqtt.ca_file: /dev/null is no certificate"),
        (MqttSettings("h", ca_file="/dev/null"), "mqtt.ca_file is set, but mqtt.tls is false"),
        (MqttSettings("h", user="\udcff"), "mqtt.user is '\\udcff', which is not text in UTF-8"),
        (MqttSettings("a..b"), "mqtt.host is 'a..b', which cannot be the name of a host"),
    ],
)
def test_what_can_never_work_is_said_at_once(settings: MqttSettings, message: str, told: Told) -> None:
    with pytest.raises(PublishingError) as caught:
        MqttPublisher(settings, told)
    assert message in str(caught.value)


def test_a_password_that_everyone_can_read(tmp_path: Path, told: Told) -> None:
    path = tmp_path / "password"
    path.write_text("x")
    path.chmod(0o644)
    MqttPublisher(MqttSettings("h", user="u", password_file=str(path)), told)
    assert told.lines == [f"mqtt.password_file: everyone on this machine can read {path}; run: chmod o-r {path}"]


def test_without_paho(monkeypatch: pytest.MonkeyPatch, told: Told) -> None:
    monkeypatch.setitem(sys.modules, "paho.mqtt.enums", None)  # as in 1.x
    with pytest.raises(PublishingError, match=r"run: pip install 'edge-mcnn\[mqtt\]'"):
        MqttPublisher(MqttSettings("h"), told)
