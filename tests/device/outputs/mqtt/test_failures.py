"""Each cause for which a broker cannot be used has its own message and fix, and no other one's."""

import errno
import gc
import socket
import ssl
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from device.doctor.publishing import check_broker
from device.outputs.mqtt import failures
from device.outputs.mqtt.client import new_client
from device.outputs.mqtt.failures import Failure, connection_failure, refusal
from device.outputs.mqtt.output import MqttOutput
from device.settings.schema import MqttSettings
from tests.device.outputs.mqtt.conftest import Start
from tests.device.outputs.mqtt.locked_broker import Authority, server_context, serving
from tests.device.outputs.mqtt.output_process import running
from tests.device.outputs.predictions import Announcements

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # paho leaves its sockets to the garbage collector
HOST = MqttSettings("broker.lan", device="kitchen")
SANDBOX = "sudo edge-mcnn service install"


@pytest.fixture(autouse=True)
def _collect_sockets() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def at(port: int, **others: object) -> MqttSettings:
    return MqttSettings(**{"host": "localhost", "port": port, "tls": True, "device": "x", **others})  # type: ignore[arg-type]  # as its fields


def failure_at(settings: MqttSettings) -> Failure:
    """Connect, and return why that fails."""
    client = new_client(settings, "x", print)
    client.connect_timeout = 0.5
    try:
        client.connect(settings.host, settings.port)
    except OSError as error:
        return connection_failure(error, settings)
    raise AssertionError("it is connected")


@pytest.mark.parametrize(
    ("names", "end", "host", "message", "fix"),
    [
        ("DNS:other", "", "localhost", "its certificate is not for the host name localhost", "set mqtt.host to a name"),
        ("DNS:localhost", "", "127.0.0.1", "its certificate is not for the IP address 127.0.0.1", "set mqtt.host to"),
        ("DNS:localhost", "20210101000000Z", "localhost", "its certificate has expired; the clock", "renew the broker"),
        ("DNS:localhost", "later", "localhost", "its certificate is not valid yet; the clock of this machine shows 20",
         "set the clock"),
    ],
)  # fmt: skip
def test_each_fault_of_a_certificate_is_named(
    names: str, end: str, host: str, message: str, fix: str, authority: Authority
) -> None:
    valid = {"start": "20980101000000Z"} if end == "later" else {"end": end} if end else {}
    with serving(server_context(authority.certify("broker", names, **valid))) as port:
        failure = failure_at(at(port, host=host, ca_file=authority.certificate))
    assert failure.message.startswith(f"cannot be trusted: {message}")
    assert failure.fix.startswith(fix)
    assert SANDBOX not in failure.fix


def test_an_untrusted_authority_and_a_self_signed_certificate(authority: Authority, tmp_path: Path) -> None:
    other = Authority(tmp_path)
    with serving(server_context(authority.certify("broker", "DNS:localhost"))) as port:
        unknown = failure_at(at(port))
        wrong = failure_at(at(port, ca_file=other.certificate))
    assert unknown.message.endswith(
        "the authority that signed its certificate is not among those that this system trusts"
    )
    assert wrong.message.endswith(f"the authority that signed its certificate is not in {other.certificate}")
    assert unknown.fix == wrong.fix
    assert unknown.fix.startswith("set mqtt.ca_file to the PEM file of that authority")
    certificate = authority.self_signed("own", "DNS:localhost")
    with serving(server_context(certificate)) as port:
        own = failure_at(at(port))
    assert "its certificate is self-signed" in own.message
    assert own.fix == "set mqtt.ca_file to a copy of the broker's certificate in PEM format"


@pytest.mark.parametrize("silent", [False, True])
def test_tls_at_a_plain_port(silent: bool) -> None:
    with serving(response=b"HTTP/1.1 400 Bad Request\r\n\r\n", silent=silent) as port:
        failure = failure_at(at(port))
    assert failure.message in ("does not use TLS at this port", "accepts the connection, but does not respond to TLS")
    assert ("not respond" in failure.message) == silent
    assert failure.fix == "set mqtt.port to its port for TLS, usually 8883; without TLS set mqtt.tls to false"


def test_a_plain_broker_that_closes_the_connection_when_tls_begins() -> None:
    with serving() as port:
        failure = failure_at(at(port))
    assert failure.message == "closes the connection when TLS begins"
    assert failure.fix.endswith("without TLS set mqtt.tls to false")


def test_no_common_version_of_tls(authority: Authority) -> None:
    context = server_context(authority.certify("broker", "DNS:localhost"))
    with serving(context) as port:
        client = new_client(at(port, ca_file=authority.certificate), "x", print)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        client._ssl_context.maximum_version = ssl.TLSVersion.TLSv1_2  # type: ignore[union-attr]  # it is set, with tls
        with pytest.raises(ssl.SSLError) as caught:
            client.connect("localhost", port)
    failure = connection_failure(caught.value, at(port))
    assert failure.message.startswith("has no version of TLS in common with this machine")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_certificate_is_demanded(version: ssl.TLSVersion, authority: Authority) -> None:
    context = server_context(authority.certify("broker", "DNS:localhost"))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.certificate)
    context.maximum_version = context.minimum_version = version
    with serving(context) as port:
        settings = at(port, ca_file=authority.certificate)
        [finding] = check_broker(settings)
        with running(settings) as lines:
            first, second = lines.readline(), lines.readline()
    assert "certificate" in finding.message + finding.fix
    assert "demands a client certificate" in finding.message + finding.fix
    assert first.startswith(f"mqtt: {finding.message}; next attempt in 1 s")
    assert second == f"  fix: {finding.fix}\n"


@pytest.mark.parametrize(
    ("error", "message", "fix"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "its name cannot be resolved (Name or",
         "check mqtt.host"),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), "its name cannot be resolved (Temp",
         "check the network connection and the name server of this machine"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), "(Connection refused)",
         "check that the broker runs"),
        (TimeoutError("timed out"), "(timed out)", "check that the broker is on and in this network, and that no"),
        (TimeoutError(errno.ETIMEDOUT, "Connection timed out"), "(timed out)", "check that the broker is on and in"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "(No route to host)", "check that the broker is on, and in"),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), "(Network is unreachable)", "connect this machine to"),
        (OSError(errno.EADDRNOTAVAIL, "Cannot assign"), "(Cannot assign)", "connect this machine to"),
        (OSError(errno.EAFNOSUPPORT, "Address family"), "(Address family)", "use another address of the broker"),
        (PermissionError(errno.EPERM, "Operation not permitted"), "(Operation not", "allow the connection in the fire"),
        (PermissionError(errno.EACCES, "Permission denied"), "(Permission denied)", "allow the connection in the fire"),
    ],
)  # fmt: skip
def test_errors_of_the_system_outside_the_service(
    error: OSError, message: str, fix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    failure = connection_failure(error, HOST)
    assert failure.message.startswith("cannot be reached")
    assert message in failure.message
    assert failure.fix.startswith(fix)
    assert SANDBOX not in failure.fix


BLOCKED = [
    PermissionError(errno.EPERM, "Operation not permitted"),
    OSError(errno.ENETUNREACH, "Network is unreachable"),
    OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol"),
    socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"),
    socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
]


@pytest.mark.parametrize("error", BLOCKED, ids=str)
def test_the_service_without_network_access_is_told_how_to_get_it(
    error: OSError, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/run/edge-mcnn")
    interfaces = tmp_path / "dev"
    interfaces.write_text("Inter-|   Receive\n face |bytes\n    lo: 0 0\n")
    monkeypatch.setattr(failures, "_INTERFACES", interfaces)
    assert SANDBOX in connection_failure(error, HOST).fix
    interfaces.write_text("Inter-|   Receive\n face |bytes\n    lo: 0 0\n  eth0: 9 9\n")
    forbidden = isinstance(error, PermissionError)  # the address filter of the service
    assert (SANDBOX in connection_failure(error, HOST).fix) == forbidden


def test_an_untrusted_certificate_in_the_service_has_nothing_to_do_with_its_sandbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/run/edge-mcnn")
    monkeypatch.setattr(failures, "_INTERFACES", tmp_path / "none")
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = 18, "self-signed certificate"
    assert error.errno == errno.EPERM, "the number that misleads"
    assert SANDBOX not in connection_failure(error, HOST).fix


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("Bad user name or password", "correct mqtt.user or the password in /p, which is read again each time"),
        ("Not authorized", "correct mqtt.user or the password in /p, which is read again each time; or let the broker"),
        ("Client identifier not valid", "set mqtt.device to a short name"),
        ("Server unavailable", "check that the broker has finished starting"),
        ("Unsupported protocol version", "update the broker"),
        ("Server busy", "wait"),
        ("Banned", "let the broker accept this device again"),
        ("Use another server", "set mqtt.host to the server"),
        ("Connection rate exceeded", "wait"),
        ("Unspecified error", "read the broker's log"),
        ("Packet too large", "read the broker's log"),
    ],
)
def test_each_refusal_of_a_login_has_its_fix(name: str, fix: str) -> None:
    failure = refusal(ReasonCode(PacketTypes.CONNACK, name), replace(HOST, user="u", password_file="/p"))  # a path
    assert failure.message == f"refuses the connection ({name})"
    assert failure.fix.startswith(fix)


def test_a_password_that_systemd_copied_needs_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    settings = replace(HOST, user="u", password_file=str(tmp_path / "mqtt-password"))
    fix = refusal(ReasonCode(PacketTypes.CONNACK, "Not authorized"), settings).fix
    assert "sudo systemctl restart edge-mcnn" in fix
    assert "read again each time" not in fix


def test_what_is_not_a_broker(start: Start, announced: Announcements) -> None:
    for response in (b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x20\x03\x00\x00\x00"):
        with serving(response=response) as port:
            settings = at(port, tls=False)
            [finding] = check_broker(settings, 0.5)
            start(settings)
            announced.wait_for(f"mqtt: {finding.message}; next attempt in 1 s")
        assert finding.verdict == "FAIL"
        assert "response to the login" in finding.message or "does not respond as an MQTT broker" in finding.message


def test_foreign_text_is_shown_with_escapes() -> None:
    failure = connection_failure(OSError(5, "\x1b[31mred\nline"), HOST)
    assert "\\x1b[31mred\\nline" in failure.message


def test_the_output_uses_these_failures(announced: Announcements) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    output = MqttOutput(at(port, tls=False), announced)
    output.open(())
    announced.wait_for("  fix: ")
    output.close(0.1)
    [finding] = check_broker(at(port, tls=False))
    assert announced.lines[0].startswith(f"mqtt: {finding.message}; next attempt in 1 s")
    assert finding.fix.startswith(announced.lines[1].removeprefix("  fix: "))
