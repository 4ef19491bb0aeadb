"""Configuration of a mosquitto that requires a password, or that has a certificate; and certificates with faults."""

import contextlib
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path


def with_password(folder: Path, user: str, password: str) -> str:
    """A line of configuration for a broker that accepts only this user; its password file is put into the folder."""
    file = folder / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", file, user, password], check=True, capture_output=True)
    return f"password_file {file}"


def make_certificates(folder: Path) -> Path:
    """Make the certificates of an authority, `ca.pem`, and of a broker signed by it, in the folder."""
    new = ["openssl", "req", "-newkey", "rsa:2048", "-nodes", "-sha256"]
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    for command in (
        [*new, "-x509", "-days", "2", "-subj", "/CN=test authority", "-keyout", "ca.key", "-out", "ca.pem"],
        [*new, "-subj", "/CN=127.0.0.1", "-keyout", "broker.key", "-out", "broker.csr"],
        ["openssl", "x509", "-req", "-in", "broker.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
         "-days", "2", "-extfile", "names", "-out", "broker.pem"],
    ):  # fmt: skip
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


def with_tls(certificates: Path) -> tuple[str, ...]:
    """Lines of configuration for a broker with the certificate from `make_certificates`."""
    return (
        f"cafile {certificates}/ca.pem",
        f"certfile {certificates}/broker.pem",
        f"keyfile {certificates}/broker.key",
    )


_AUTHORITY = """
[ca]
default_ca = this
[this]
new_certs_dir = .
database = index.txt
rand_serial = yes
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied
"""
_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class Authority:
    """A certificate authority in a folder; `ca.pem` is its own certificate."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "index.txt").touch()
        (folder / "authority.conf").write_text(_AUTHORITY)
        self._openssl("req", "-x509", *_NEW_KEY, "-days", "9", "-subj", "/CN=authority", "-keyout", "ca.key",
                      "-out", "ca.pem")  # fmt: skip
        self.certificate = str(folder / "ca.pem")

    def certify(self, name: str, names: str, *, start: str = "20200101000000Z", end: str = "20991231000000Z") -> Path:
        """Make the certificate and key `NAME.pem` for these names, such as `DNS:localhost`; return its path."""
        (self._folder / f"{name}.names").write_text(f"subjectAltName={names}\n")
        self._openssl("req", *_NEW_KEY, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        self._openssl("ca", "-config", "authority.conf", "-batch", "-notext", "-cert", "ca.pem", "-keyfile", "ca.key",
                      "-startdate", start, "-enddate", end, "-extfile", f"{name}.names", "-in", f"{name}.csr",
                      "-out", f"{name}.crt")  # fmt: skip
        return self._with_key(name)

    def self_signed(self, name: str, names: str) -> Path:
        """Make a certificate that no authority signed, with its key; return its path."""
        self._openssl("req", "-x509", *_NEW_KEY, "-days", "9", "-subj", f"/CN={name}", "-addext",
                      f"subjectAltName={names}", "-keyout", f"{name}.key", "-out", f"{name}.crt")  # fmt: skip
        return self._with_key(name)

    def _with_key(self, name: str) -> Path:
        path = self._folder / f"{name}.pem"
        path.write_text((self._folder / f"{name}.crt").read_text() + (self._folder / f"{name}.key").read_text())
        return path

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self._folder, check=True, capture_output=True)


def server_context(certificate: Path) -> ssl.SSLContext:
    """TLS of a server with a certificate and key."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@contextlib.contextmanager
def serving(tls: ssl.SSLContext | None = None, response: bytes = b"", *, silent: bool = False) -> Iterator[int]:
    """Serve at a port of 127.0.0.1, which is yielded.

    Args:
        tls: its TLS; None for plain TCP.
        response: what is sent to each client after its first message; then the connection is closed.
        silent: send nothing and close nothing instead.
    """
    with socket.create_server(("127.0.0.1", 0)) as server, contextlib.ExitStack() as open_connections:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                if silent:
                    open_connections.enter_context(connection)
                    continue
                with (
                    contextlib.suppress(OSError),
                    connection,
                    tls.wrap_socket(connection, server_side=True) if tls else connection as wrapped,
                ):
                    wrapped.recv(1000)
                    wrapped.sendall(response)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
