"""The password of the page: stored as an scrypt hash in a file that only its owner may read."""

import hashlib
import hmac
import secrets
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from device.errors import WebError
from device.system.display import displayable
from device.web.access.folder import read_table, remove, write_table

FILE = "web-password"
SHORTEST, LONGEST = 8, 1000
"""Characters of a password."""
_N, _R, _P = 2**15, 8, 1
"""Cost of a hash, see https://www.rfc-editor.org/rfc/rfc7914: 32 MB, and 0.1 to 0.5 s on a Raspberry Pi."""
_MEMORY = 64 << 20
_SALT_BYTES, _HASH_BYTES = 16, 32


@dataclass(frozen=True)
class PasswordHash:
    """What is stored of a password."""

    salt: bytes
    hash: bytes

    def matches(self, password: str) -> bool:
        """Whether this is the password; needs as much time and memory as an attacker for each guess."""
        return hmac.compare_digest(_hashed(password, self.salt), self.hash)

    @property
    def fingerprint(self) -> str:
        """Identifies this hash in other files without containing it."""
        return hashlib.sha256(b"edge-mcnn sessions of\0" + self.salt + self.hash).hexdigest()


def read_password(folder: Path) -> PasswordHash | None:
    """Read what is stored of the password; None if none is set.

    Raises:
        WebError: the file cannot be read, or is damaged.
    """
    path = folder / FILE
    table = read_table(path)
    if not table:
        return None
    try:
        found = PasswordHash(bytes.fromhex(table["salt"]), bytes.fromhex(table["hash"]))
        is_usable = (table["n"], table["r"], table["p"]) == (_N, _R, _P) and len(found.hash) == _HASH_BYTES
    except (KeyError, TypeError, ValueError):
        is_usable = False
    if not is_usable:
        fix = "set the password again: edge-mcnn web --set-password"
        raise WebError(f"{displayable(path)}: the file is damaged", fix=fix)
    return found


def check_length(password: str) -> None:
    """Check that a password can be set.

    Raises:
        WebError: it is too short or too long.
    """
    if not SHORTEST <= len(password) <= LONGEST:
        raise WebError(
            f"the password has {len(password)} characters", fix=f"choose one with {SHORTEST} to {LONGEST} characters"
        )


def write_password(folder: Path, password: str) -> None:
    """Set the password; sessions that were opened with another one end.

    Raises:
        WebError: it is too short or too long, or the file cannot be written.
    """
    check_length(password)
    salt = secrets.token_bytes(_SALT_BYTES)
    cost = {"n": _N, "r": _R, "p": _P}
    write_table(folder / FILE, {**cost, "salt": salt.hex(), "hash": _hashed(password, salt).hex()})


def remove_password(folder: Path) -> bool:
    """Remove the password; return whether there was one.

    Raises:
        WebError: the file cannot be removed.
    """
    return remove(folder / FILE)


def _hashed(password: str, salt: bytes) -> bytes:
    # Keyboards write the same letter in different ways.
    content = unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")
    return hashlib.scrypt(content, salt=salt, n=_N, r=_R, p=_P, maxmem=_MEMORY, dklen=_HASH_BYTES)
