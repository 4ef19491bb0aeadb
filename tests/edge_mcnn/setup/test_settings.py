from pathlib import Path

from tests.edge_mcnn.command_line import assert_refused, edge_mcnn


def test_printed_settings_are_a_valid_file(tmp_path: Path) -> None:
    shown = edge_mcnn("settings", "--show", environment={"EDGE_MCNN_ENDPOINT_HANG_OVER_S": "0.8"})
    assert "hang_over_s = 0.8" in shown.stdout
    path = tmp_path / "my.toml"
    path.write_text(shown.stdout)
    assert edge_mcnn("settings", "--check", path).stdout == f"{path}: no mistakes found\n"


def test_every_mistake_is_reported_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text("[endpoint]\nhangover_s = 1\nonset_s = 9\n")
    done = edge_mcnn("settings", "--check", path)
    assert done.returncode == 1
    assert [line.partition(": ")[0] for line in done.stdout.splitlines()] == [f"{path}:2", f"{path}:3"]
    assert_refused(edge_mcnn("settings", "--check", tmp_path / "none.toml"), "no such file")
    assert edge_mcnn("settings").returncode == 2


def test_a_host_with_a_port_is_refused_with_what_to_write(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text('[mqtt]\nhost = "192.168.1.2:1883"\n')
    done = edge_mcnn("settings", "--check", path)
    message = "mqtt.host is '192.168.1.2:1883', which includes a port"
    assert done.returncode == 1
    assert done.stdout == f'{path}:2: {message}; write host = "192.168.1.2", port = 1883 under [mqtt]\n'


def test_settings_that_are_probably_not_meant_are_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text('[mqtt]\nhost = "pi"\ntls = true\nport = 1883\n')
    done = edge_mcnn("settings", "--check", path)
    assert done.returncode == 0
    first, second = done.stdout.splitlines()
    assert first.startswith(f"{path}: warning: mqtt.tls is true, and mqtt.port is 1883")
    assert second == f"{path}: no mistakes found"
