"""Configuration of a mosquitto that requires a password, or that has a certificate."""

import subprocess
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
