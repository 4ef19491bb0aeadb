import pytest

from device.errors import ServiceError
from device.service.unit import network_drop_in
from device.settings.schema import MqttSettings


def lines(settings: MqttSettings) -> list[str]:
    return network_drop_in(settings).splitlines()[1:]


@pytest.mark.parametrize("host", ["192.168.1.5", "fd00::5", "localhost"])
def test_where_the_address_is_known_nothing_else_is_reached(host: str) -> None:
    assert lines(MqttSettings(host)) == [
        "[Service]", "PrivateNetwork=no", "RestrictAddressFamilies=AF_INET AF_INET6", f"IPAddressAllow={host}",
    ]  # fmt: skip


def test_a_name_has_to_be_looked_up_first() -> None:
    assert lines(MqttSettings("broker.local"))[-1] == "IPAddressDeny="


def test_the_password_is_handed_over_by_systemd() -> None:
    found = lines(MqttSettings("broker.local", user="lamp", password_file="/etc/mqtt-password"))
    assert found[-2:] == [
        "LoadCredential=mqtt-password:/etc/mqtt-password", "Environment=EDGE_MCNN_MQTT_PASSWORD_FILE=%d/mqtt-password",
    ]  # fmt: skip


@pytest.mark.parametrize("path", ["password", "/etc/my password", "/etc/50%", "~/password"])
def test_a_path_that_systemd_would_misread(path: str) -> None:
    with pytest.raises(ServiceError, match=r"mqtt.password_file is .*; a service needs a whole path"):
        lines(MqttSettings("broker.local", user="lamp", password_file=path))
