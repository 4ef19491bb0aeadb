"""The control socket of a running daemon, at which it is muted, checked, and its latest prediction can be corrected.

One request per connection: a JSON object on one line, whose only key names what to do, and a JSON object on one line
as the reply, `{"error": ..., "fix": ...}` if it is not done. A hold lasts as long as its connection, so that it ends
with the process that requested it, however that ends. A check takes as long as it takes. Who may use the microphone of
the service may use its socket.

Clients are served by threads of their own, a few at a time and each for a limited time, so that none can delay the
daemon, and none another one for long.
"""

import contextlib
import json
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from device.daemon.self_check import LIMIT_S, Checked, findings_in
from device.daemon.status import SERVICE_SOCKET, socket_path
from device.errors import EdgeMcnnError, NoDaemonError, ProfileError, StatusError
from device.outputs.commands import Commands
from device.system.display import displayable
from device.system.paths import cannot_use
from device.system.permissions import AUDIO_GROUP, how_to_join, share_with_group
from device.system.unix_server import UnixServer

if TYPE_CHECKING:  # numpy, which the web server does without
    from device.adaptation.adapted_classifier import Learnt

_NAME = "control.sock"
SERVICE_CONTROL_SOCKET = SERVICE_SOCKET.with_name(_NAME)
_LARGEST = 4096
"""Bytes of a request, and of a reply."""
_CLIENT_LIMIT_S = 2.0
"""Seconds in which a client must have sent its request, and then in which it must accept the reply."""
_REPLY_LIMIT_S = 30.0
"""Seconds for which a client waits: learning from hundreds of examples takes a second on a slow board."""
_CHECK_LIMIT_S = LIMIT_S + 10.0
"""Seconds for which a client waits for the result of a check."""
_LARGEST_CHECK = 64 * 1024
"""Bytes of the reply with the result of a check."""
_CLIENTS = 4
"""Number of clients that are served at the same time; others wait."""
_HOLDS = 4
"""Number of processes for which the microphone is closed at the same time; others get an error."""
_CHECKS = 4
"""Number of clients that wait for the result of a check at the same time; others get an error."""
_CREDENTIALS = struct.Struct("3i")
"""The process, user and group of a peer, as Linux reports them."""

Request = Callable[[Any], Mapping[str, Any]]
"""Does what was requested with the value in the request, and returns the reply.

Raises:
    EdgeMcnnError: it cannot be done; the client gets the message and the fix.
"""


def control_socket_path(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Control socket of a daemon with this environment; None if it has no runtime directory."""
    path = socket_path(environment)
    return None if path is None else path.with_name(_NAME)


def correct_last(label: str) -> "Learnt":
    """Correct the latest prediction of the running daemon: of the service, else of this user's own `listen`.

    Raises:
        StatusError: no daemon is running, or this user may not correct it.
        ProfileError: the daemon does not learn it, such as for an unknown class.
    """
    from device.adaptation.adapted_classifier import Learnt

    reply = _request({"correct": label})
    try:
        return Learnt(int(reply["examples"]), bool(reply["used"]))
    except (KeyError, TypeError, ValueError):
        raise StatusError("the daemon's reply is not one of this version", fix="restart the daemon") from None


def set_muted(muted: bool | None) -> tuple[bool, str]:
    """Mute or unmute the running daemon: the service, else this user's own `listen`. Waits until that is done.

    Args:
        muted: whether it should be muted; None to change it.

    Returns:
        Whether it is muted now, and a line for people about the microphone.

    Raises:
        StatusError: no daemon is running, or this user may not control it.
    """
    reply = _request({"mute": muted})
    if not isinstance(reply.get("muted"), bool):
        raise StatusError("the daemon's reply is not one of this version", fix="restart the daemon")
    return reply["muted"], displayable(reply.get("message", ""))


def show_light(label: str) -> None:
    """Show the light of a class for as long as after a prediction: of the service, else of this user's own `listen`.

    Raises:
        StatusError: no daemon is running, this user may not control it, or the model has no such class.
    """
    _request({"light": label})


def check_device() -> Checked:
    """Let the running daemon check every part of the device: the service, else this user's own `listen`.

    Returns after some seconds, on a slow board half a minute; at once if a check has just ended.

    Raises:
        StatusError: no daemon is running, this user may not control it, or the check failed.
    """
    with _requested({"check": True}, _CHECK_LIMIT_S, _LARGEST_CHECK) as reply:
        findings, age_s = findings_in(reply.get("findings")), reply.get("age_s")
        if findings is None or not isinstance(age_s, int | float):
            raise StatusError("the daemon's reply is not one of this version", fix="restart the daemon")
        return Checked([{key: displayable(text) for key, text in each.items()} for each in findings], age_s)


@contextlib.contextmanager
def held_microphone(announce: Callable[[str], None]) -> Iterator[bool]:
    """While the context lasts, the running daemon does not use its microphone: the service, else one's own `listen`.

    It listens again when the context is left or this process ends, even if it is killed. A device that was muted, or
    is muted meanwhile, stays muted.

    Args:
        announce: called with a line when the daemon has closed its microphone.

    Yields:
        Whether there is a daemon.

    Raises:
        StatusError: this user may not control the daemon.
    """
    with contextlib.ExitStack() as stack:
        try:
            reply = stack.enter_context(_requested({"hold": True}))
        except NoDaemonError:
            yield False
            return
        announce(f"the daemon (process {displayable(reply.get('pid', '?'))}) does not listen meanwhile")
        yield True


def _request(request: Mapping[str, Any]) -> Mapping[str, Any]:
    with _requested(request) as reply:
        return reply


@contextlib.contextmanager
def _requested(
    request: Mapping[str, Any], limit_s: float = _REPLY_LIMIT_S, largest: int = _LARGEST
) -> Iterator[Mapping[str, Any]]:
    """Send a request to the running daemon; the connection is closed when the context is left.

    Args:
        request: what to do.
        limit_s: seconds to wait for the reply.
        largest: bytes that the reply may have.

    Yields:
        The reply.

    Raises:
        NoDaemonError: no daemon is running.
        StatusError: no daemon can be reached, or it refuses the request.
        ProfileError: it refuses to correct a prediction.
    """
    own = control_socket_path()
    refused: StatusError | None = None
    for path in (SERVICE_CONTROL_SOCKET, own):
        if path is None:
            continue
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            try:
                content = _exchange(connection, path, json.dumps(request).encode() + b"\n", limit_s, largest)
            except (FileNotFoundError, ConnectionRefusedError):
                continue
            except PermissionError:
                fix = f"only members of the group {AUDIO_GROUP} may control it; {how_to_join(AUDIO_GROUP)}"
                refused = StatusError(f"{path}: permission denied", fix=fix)
                continue
            except BlockingIOError:
                raise StatusError(f"{path}: too many programs use it now", fix="try again in a moment") from None
            except OSError as error:
                raise cannot_use(path, error, StatusError, fix="restart the daemon") from None
            reply = _decoded(content)
            if reply is None:
                raise StatusError(f"{path}: the reply is not one of this version", fix="restart the daemon")
            if "error" in reply:
                kind = ProfileError if "correct" in request else StatusError
                raise kind(displayable(reply["error"]), fix=displayable(reply.get("fix", "")))
            yield reply
            return
    raise refused or NoDaemonError(
        f"no daemon is running (no response on {own or SERVICE_CONTROL_SOCKET})",
        fix="start one: edge-mcnn listen",
    )


def _exchange(connection: socket.socket, path: Path, request: bytes, limit_s: float, largest: int) -> bytes:
    """Connect, send a request, and return the line that answers it."""
    content = b""
    connection.settimeout(limit_s)
    connection.connect(str(path))
    connection.sendall(request)
    while len(content) <= largest and not content.endswith(b"\n") and (part := connection.recv(largest)):
        content += part
    return content


def _decoded(content: bytes) -> Mapping[str, Any] | None:
    """The JSON object in a request or reply; None if there is none."""
    try:
        table = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return table if isinstance(table, dict) else None


class ControlServer(UnixServer):
    """Serves the control socket, from separate threads, until the context is left.

    Args:
        path: the socket. If another daemon serves it already, this one does not.
        commands: what may be requested.
        set_muted: mutes or unmutes, waits until that is done, and returns a line about it.
        hold: context in which the microphone is closed for the process with this number.
        show: shows the light of a class.
        check: checks every part of the device, and waits for the result; None if that is not possible.
    """

    def __init__(
        self,
        path: Path,
        commands: Commands,
        set_muted: Callable[[bool | None], str],
        hold: Callable[[int], AbstractContextManager[None]],
        show: Callable[[str], object],
        check: Callable[[], Checked] | None = None,
    ) -> None:
        super().__init__(path, "control")
        self._commands = commands
        self._set_muted = set_muted
        self._hold = hold
        self._show = show
        self._check = check
        self._requests: Mapping[str, Request] = {
            "correct": self._correct_last,
            "mute": self._mute,
            "hold": self._no_hold,
            "light": self._show_light,
            "check": self._no_check,
        }
        self._free = threading.Semaphore(_CLIENTS)
        self._holds = threading.Semaphore(_HOLDS)
        self._checks = threading.Semaphore(_CHECKS)

    def _permit(self) -> None:
        share_with_group(self._path, AUDIO_GROUP)

    def _accept(self, connection: socket.socket) -> None:
        self._free.acquire()  # until a client has been served
        if self._stopping.is_set():
            connection.close()
            return
        threading.Thread(target=self._serve_client, args=(connection,), name="control", daemon=True).start()

    def __exit__(self, *details: object) -> None:
        self._stopping.set()
        self._free.release()  # wakes a thread that waits until a client has been served
        super().__exit__(*details)

    def _serve_client(self, connection: socket.socket) -> None:
        with contextlib.ExitStack() as place, connection, contextlib.suppress(OSError):  # it has gone, or is too slow
            place.callback(self._free.release)
            request = _received(connection)
            if serve := self._lasting(request):
                place.close()  # it lasts, so it takes no place of the others
                serve(connection)
            elif request:
                _send(connection, self._reply(request))

    def _lasting(self, request: bytes) -> Callable[[socket.socket], None] | None:
        """What serves a request that lasts; None for one that does not."""
        match _decoded(request):
            case {"hold": True, **others} if not others:
                return self._serve_hold
            case {"check": True, **others} if not others:
                return self._serve_check
        return None

    def _serve_hold(self, connection: socket.socket) -> None:
        if not self._holds.acquire(blocking=False):
            _send(connection, {"error": f"{_HOLDS} programs use the microphone already", "fix": "end one of them"})
            return
        try:
            with self._hold(_peer(connection)):
                _send(connection, {"held": True, "pid": os.getpid()})
                connection.settimeout(None)
                connection.recv(1)  # returns once the client has ended, or has closed it
        finally:
            self._holds.release()

    def _serve_check(self, connection: socket.socket) -> None:
        if not self._checks.acquire(blocking=False):
            _send(connection, {"error": f"{_CHECKS} programs wait for a check already", "fix": "try again in a moment"})
            return
        try:
            _send(connection, self._checked())
        finally:
            self._checks.release()

    def _checked(self) -> Mapping[str, Any]:
        if self._check is None:
            return {"error": "this device cannot check itself", "fix": "on the device, run: edge-mcnn doctor"}
        try:
            return asdict(self._check())
        except StatusError as error:
            return {"error": error.message, "fix": error.fix}

    def _reply(self, content: bytes) -> Mapping[str, Any]:
        request = _decoded(content) if len(content) <= _LARGEST else None
        if request is None or len(request) != 1:
            return {
                "error": "not a request",
                "fix": f'send a JSON object such as {{"correct": "CLASS"}}, at most {_LARGEST} B',
            }
        [(name, value)] = request.items()
        if name not in self._requests:
            return {"error": f"no such request: {displayable(name)[:40]}", "fix": "restart the daemon after an update"}
        try:
            return self._requests[name](value)
        except EdgeMcnnError as error:
            return {"error": error.message, "fix": error.fix}

    def _correct_last(self, label: Any) -> Mapping[str, Any]:
        if not isinstance(label, str):
            raise ProfileError("the class is not text", fix='send a JSON object such as {"correct": "CLASS"}')
        return {"label": label, **asdict(self._commands.correct(label))}

    def _show_light(self, label: Any) -> Mapping[str, Any]:
        if not isinstance(label, str):
            raise StatusError("the class is not text", fix='send a JSON object such as {"light": "CLASS"}')
        self._show(label)
        return {"light": label}

    @staticmethod
    def _no_hold(_value: Any) -> Mapping[str, Any]:
        raise StatusError("hold needs true", fix='send {"hold": true}, and close the connection to end it')

    @staticmethod
    def _no_check(_value: Any) -> Mapping[str, Any]:
        raise StatusError("check needs true", fix='send {"check": true}')

    def _mute(self, muted: Any) -> Mapping[str, Any]:
        if muted is not None and not isinstance(muted, bool):
            raise StatusError("mute needs true, false or null", fix='send {"mute": true}, or null to change it')
        message = self._set_muted(muted)
        return {"muted": self._commands.muted, "message": message}


def _peer(connection: socket.socket) -> int:
    """Return the process at the other end, which it cannot choose; 0 if it is in another namespace."""
    size = _CREDENTIALS.size
    process, _, _ = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return int(process)


def _send(connection: socket.socket, reply: Mapping[str, Any]) -> None:
    """Send a reply.

    Raises:
        OSError: the client has gone, or takes too long.
    """
    connection.settimeout(_CLIENT_LIMIT_S)
    connection.sendall(json.dumps(reply).encode() + b"\n")


def _received(connection: socket.socket) -> bytes:
    """Receive a request up to the end of its line, or of what is sent; up to one byte more than is allowed.

    Raises:
        OSError: the client has gone, or takes too long.
    """
    content = b""
    end = time.monotonic() + _CLIENT_LIMIT_S
    while len(content) <= _LARGEST and b"\n" not in content:
        connection.settimeout(max(end - time.monotonic(), 1e-3))
        if not (part := connection.recv(_LARGEST + 1 - len(content))):
            break
        content += part
    return content
