"""`edge-mcnn mqtt forget` with a real mosquitto."""

from pathlib import Path

from tests.device.outputs.mqtt.broker import Broker, needs_mosquitto
from tests.device.outputs.mqtt.recorded_commands import Publisher
from tests.edge_mcnn.command_line import assert_refused, edge_mcnn


@needs_mosquitto
def test_a_device_is_removed(tmp_path: Path) -> None:
    settings = tmp_path / "my.toml"
    with Broker(tmp_path) as broker, Publisher(broker.port) as publish:
        settings.write_text(f'[mqtt]\nhost = "127.0.0.1"\nport = {broker.port}\ndevice = "new"\n')
        for device in ("new", "old"):
            publish(f"edge-mcnn/{device}/availability", "online" if device == "new" else "offline", retain=True)
            publish(f"homeassistant/sensor/edge-mcnn-{device}/label/config", "{}", retain=True)
        where = f"127.0.0.1:{broker.port}"
        former = edge_mcnn("mqtt", "forget", "--config", str(settings), "--device", "old")
        assert (former.returncode, former.stdout, former.stderr) == (0, f"removed 2 messages of old from {where}\n", "")
        own = edge_mcnn("mqtt", "forget", "--config", str(settings))
        assert (own.returncode, own.stdout) == (0, f"removed 2 messages of new from {where}\n")
        assert own.stderr == "new is online and will be back when it connects again; stop it, then repeat this\n"
        again = edge_mcnn("mqtt", "forget", "--config", str(settings))
        assert again.stdout == f"{where} has no messages of new, or its user may not read them\n"


def test_without_a_broker() -> None:
    assert_refused(edge_mcnn("mqtt", "forget"), "mqtt.host is empty", "--config /etc/edge-mcnn/config.toml")


def test_a_name_that_no_device_has(tmp_path: Path) -> None:
    settings = tmp_path / "my.toml"
    settings.write_text('[mqtt]\nhost = "127.0.0.1"\n')
    for name, message in (("***", "of which topics can carry no character"), ("x" * 200, "200 characters")):
        assert_refused(edge_mcnn("mqtt", "forget", "--config", str(settings), "--device", name), message)
