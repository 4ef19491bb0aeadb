"""Against a real mosquitto: delivery, discovery, last will, a broker that goes away, passwords and TLS."""

import contextlib
import itertools
import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import IO

import pytest

from device.errors import PublishingError
from device.publishing import mqtt
from device.publishing.mqtt import MqttPublisher
from device.settings import MqttSettings
from tests.device.publishing.answers import LIMIT_S, Told, answer
from tests.device.publishing.broker import MOSQUITTO, Broker, Witness

REPOSITORY = Path(__file__).parents[3]
REACHED = "is told each answer"
pytestmark = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed; see `make test`")


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with Broker(tmp_path_factory.mktemp("broker")) as broker:
        yield broker


@pytest.fixture
def away(tmp_path: Path) -> Iterator[Broker]:
    """One that is not there yet, and that will keep for a witness with a session what is published when it is."""
    with Broker(tmp_path, remembers=True) as broker:
        with Witness(broker.port, session="w"):
            pass
        broker.stop()
        yield broker


@pytest.fixture
def told() -> Told:
    return Told()


Start = Callable[[MqttSettings], MqttPublisher]


@pytest.fixture
def start(told: Told) -> Iterator[Start]:
    started = []

    def begin(settings: MqttSettings) -> MqttPublisher:
        publisher = MqttPublisher(settings, told)
        publisher.open()
        started.append(publisher)
        return publisher

    yield begin
    for each in started:
        each.close(LIMIT_S)


def at(broker: Broker, device: str, **others: object) -> MqttSettings:
    return MqttSettings(**{"host": "127.0.0.1", "port": broker.port, "device": device, **others})  # type: ignore[arg-type]  # as told


def numbers(witness: Witness, device: str, count: int) -> list[float]:
    return [json.loads(witness.next(f"edge-mcnn/{device}/prediction").payload)["seconds"] for _ in range(count)]


@pytest.mark.parametrize("words", [False, True])
def test_an_answer_arrives_as_json(broker: Broker, start: Start, words: bool) -> None:
    device = f"plain-{words}"
    with Witness(broker.port) as witness:
        start(at(broker, device, words=words)).publish(answer(7))
        message = witness.next(f"edge-mcnn/{device}/prediction")
    table = answer(7)
    if not words:
        del table["text"]
    assert json.loads(message.payload) == table
    assert not message.retained


def test_an_answer_is_an_event_and_not_retained(broker: Broker, start: Start, told: Told) -> None:
    publisher = start(at(broker, "event"))
    publisher.publish(answer(1))
    with Witness(broker.port) as witness:  # whether before or after the first one
        publisher.publish(answer(2))
        while json.loads((message := witness.next("edge-mcnn/event/prediction")).payload)["seconds"] != 2:
            assert not message.retained
        publisher.publish(answer(3))
        publisher.close(LIMIT_S)
        assert numbers(witness, "event", 1) == [3]
    with Witness(broker.port) as later:
        assert later.next("edge-mcnn/event/availability").payload == "offline"
        start(at(broker, "event")).publish(answer(4))
        assert numbers(later, "event", 1) == [4], "the first that a newcomer hears"


def test_home_assistant_finds_it_later_too(broker: Broker, start: Start, told: Told) -> None:
    publisher = start(at(broker, "Küche 2"))
    publisher.microphone(heard=True)
    told.wait_for(REACHED)
    publisher.publish(answer(1))
    publisher.close(LIMIT_S)  # by when all of it has arrived
    with Witness(broker.port) as late:
        config = late.next("homeassistant/sensor/edge-mcnn-Kuche-2/label/config")
        microphone = late.next("edge-mcnn/Kuche-2/microphone")
    assert config.retained
    about = json.loads(config.payload)
    assert about["device"]["name"] == "Küche 2"
    assert about["device"]["identifiers"] == ["edge-mcnn-Kuche-2"]
    assert about["availability_topic"] == "edge-mcnn/Kuche-2/availability"
    assert about["state_topic"] == "edge-mcnn/Kuche-2/prediction"
    assert (microphone.payload, microphone.retained) == ("ON", True)


def test_available_while_it_runs_and_microphone_as_it_is(broker: Broker, start: Start) -> None:
    with Witness(broker.port) as witness:
        publisher = start(at(broker, "there"))
        assert witness.next("edge-mcnn/there/availability").payload == "online"
        publisher.microphone(heard=True)
        assert witness.next("edge-mcnn/there/microphone").payload in ("ON", "OFF")
        publisher.microphone(heard=False)
        publisher.microphone(heard=True)
        publisher.publish(answer(1))
        publisher.close(LIMIT_S)
        assert witness.next("edge-mcnn/there/availability").payload == "offline"
    with Witness(broker.port) as late:
        message = late.next("edge-mcnn/there/availability")
        assert (message.payload, message.retained) == ("offline", True)
    with Witness(broker.port) as late:
        assert late.next("edge-mcnn/there/microphone").payload == "ON", "the last word"


@contextlib.contextmanager
def process(settings: MqttSettings) -> Iterator[IO[str]]:
    """What a device of its own process tells; in the end that is killed."""
    device = subprocess.Popen(
        [sys.executable, "-m", "tests.device.publishing.publisher_process", json.dumps(asdict(settings))],
        cwd=REPOSITORY, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert device.stdout is not None
    try:
        yield device.stdout
    finally:
        device.kill()
        device.communicate()


def test_killed_its_last_will_is_published(broker: Broker) -> None:
    with Witness(broker.port) as witness:
        with process(at(broker, "killed")):
            assert witness.next("edge-mcnn/killed/availability").payload == "online"
        assert witness.next("edge-mcnn/killed/availability").payload == "offline"


def until(witness: Witness, device: str, last: float) -> list[float]:
    """Which ones come, up to the last; one that is repeated, since its acknowledgement was lost, counts once."""
    found = numbers(witness, device, 1)
    while found[-1] != last:
        found += numbers(witness, device, 1)
    return [number for number, _ in itertools.groupby(found)]


def test_a_broker_that_comes_late_gets_all(away: Broker, start: Start, told: Told) -> None:
    publisher = start(at(away, "early"))
    for number in range(5):
        publisher.publish(answer(number))
    told.wait_for("cannot be reached (Connection refused)")
    away.start()
    with Witness(away.port, session="w") as witness:
        assert until(witness, "early", 4) == [0, 1, 2, 3, 4]


def test_a_broker_that_is_away_for_a_while_misses_nothing(away: Broker, start: Start, told: Told) -> None:
    away.start()
    publisher = start(at(away, "back"))
    told.wait_for(REACHED)
    publisher.publish(answer(0))
    away.stop()
    told.wait_for("is lost")
    for number in range(1, 200):
        publisher.publish(answer(number))
        publisher.microphone(heard=number % 2 == 0)
    told.wait_for("cannot be reached")
    away.start()
    told.wait_for(REACHED, times=2)
    assert sum("cannot be reached" in line for line in told.lines) == 1
    with Witness(away.port, session="w") as witness:
        assert until(witness, "back", 199) == list(range(200))
    with Witness(away.port) as late:
        assert late.next("edge-mcnn/back/availability").payload == "online"
    with Witness(away.port) as late:
        assert late.next("edge-mcnn/back/microphone").payload == "OFF", "as it is, not as it was meanwhile"


def test_no_more_is_kept_than_the_bound(
    away: Broker, start: Start, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt, "_BOUND", 5)
    publisher = start(at(away, "bound"))
    for number in range(20):
        publisher.publish(answer(number))
    away.start()
    with Witness(away.port, session="w") as witness:
        assert until(witness, "bound", 19) == [15, 16, 17, 18, 19]
    told.wait_for("15 answers were dropped so far")


def test_a_broker_that_lost_its_memory_is_told_anew(tmp_path: Path, start: Start, told: Told) -> None:
    with Broker(tmp_path) as forgetful:
        start(at(forgetful, "known"))
        told.wait_for(REACHED)
        forgetful.stop()
        forgetful.start()
        told.wait_for(REACHED, times=2)
        with Witness(forgetful.port) as late:
            assert late.next("homeassistant/sensor/edge-mcnn-known/label/config").payload
            assert late.next("edge-mcnn/known/availability").payload == "online"


def test_a_broker_that_hangs_holds_nobody_up(told: Told) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = MqttSettings(host="127.0.0.1", port=silent.getsockname()[1], device="hung")
        publisher = MqttPublisher(settings, told)
        publisher.open()
        silent.accept()[0].close()
        for number in range(3):
            publisher.publish(answer(number))
            publisher.microphone(heard=True)
        publisher.close(0.2)
    assert told.lines[-1] == "mqtt: 3 answers were left at the end"


def test_with_no_time_left_it_is_still_offline(broker: Broker, start: Start, told: Told) -> None:
    publisher = start(at(broker, "hasty"))
    told.wait_for(REACHED)
    with Witness(broker.port) as witness:
        assert witness.next("edge-mcnn/hasty/availability").payload == "online"
        publisher.close(-1)
        assert witness.next("edge-mcnn/hasty/availability").payload == "offline"


def test_two_devices_need_no_more_than_a_name(broker: Broker, start: Start, told: Told) -> None:
    with Witness(broker.port) as witness:
        first, second = start(at(broker, "one")), start(at(broker, "two"))
        told.wait_for(REACHED, times=2)
        first.publish(answer(1))
        assert numbers(witness, "one", 1) == [1]
        second.publish(answer(2))
        assert numbers(witness, "two", 1) == [2]
        first.close(LIMIT_S)
        second.publish(answer(3))
        assert numbers(witness, "two", 1) == [3]
    assert not [line for line in told.lines if "lost" in line], "they do not push each other out"
    with Witness(broker.port) as late:
        ids = [json.loads(late.next(f"homeassistant/sensor/edge-mcnn-{device}/label/config").payload)["unique_id"]
               for device in ("one", "two")]  # fmt: skip
    assert len(set(ids)) == 2


def test_a_password_from_a_file(tmp_path: Path, start: Start, told: Told) -> None:
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, "lamp", "s3cret"], check=True, capture_output=True)
    (tmp_path / "right").write_text("s3cret\n")
    (tmp_path / "wrong").write_text("secret\n")
    for path in ("right", "wrong"):
        (tmp_path / path).chmod(0o600)
    with Broker(tmp_path, f"password_file {passwords}") as broker:
        start(at(broker, "liar", user="lamp", password_file=str(tmp_path / "wrong")))
        told.wait_for("refuses us (Not authorized)")
        with Witness(broker.port, user="lamp", password="s3cret") as witness:
            start(at(broker, "lamp", user="lamp", password_file=str(tmp_path / "right"))).publish(answer(1))
            assert numbers(witness, "lamp", 1) == [1]
    assert not [line for line in told.lines if "s3cret" in line or "can read" in line]


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of an authority, and of a broker that it vouches for."""
    folder = tmp_path_factory.mktemp("certificates")
    new = ["openssl", "req", "-newkey", "rsa:2048", "-nodes", "-sha256"]
    for command in (
        [*new, "-x509", "-days", "2", "-subj", "/CN=test authority", "-keyout", "ca.key", "-out", "ca.pem"],
        [*new, "-subj", "/CN=127.0.0.1", "-keyout", "broker.key", "-out", "broker.csr"],
        ["openssl", "x509", "-req", "-in", "broker.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
         "-days", "2", "-extfile", "names", "-out", "broker.pem"],
    ):  # fmt: skip
        (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


def test_tls_proves_the_broker(certificates: Path, tmp_path: Path, start: Start, told: Told) -> None:
    authority = str(certificates / "ca.pem")
    lines = (f"cafile {authority}", f"certfile {certificates}/broker.pem", f"keyfile {certificates}/broker.key")
    with Broker(tmp_path, *lines) as broker:
        with Witness(broker.port, ca_file=authority) as witness:
            start(at(broker, "safe", tls=True, ca_file=authority)).publish(answer(1))
            assert numbers(witness, "safe", 1) == [1]
        for wrong, why in (
            (at(broker, "stranger", tls=True), "not to be trusted: self-signed certificate in certificate chain"),
            (
                at(broker, "other", tls=True, ca_file=authority, host="localhost"),
                "not to be trusted: Hostname mismatch",
            ),
            (at(broker, "open"), "hangs up without an answer; does it want tls = true?"),
        ):
            with process(wrong) as lines_told:  # paho leaves its sockets to the garbage collector, which complains
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
