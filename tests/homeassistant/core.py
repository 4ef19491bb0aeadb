"""A Home Assistant core in a folder of its own, used as its frontend uses it: through its REST and WebSocket APIs.

Home Assistant is installed in its own environment, because its dependencies conflict with those of this project. Its
owner and its MQTT integration are set up as in a browser: by the onboarding and by a configuration flow.
"""

import json
import re
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.device.outputs.mqtt.broker import free_port
from tests.waiting import wait_until

_LIMIT_S = 60.0
"""Seconds allowed for a request, and for a start or an end."""
_LOG_LINE = re.compile(r"^\d{4}-\d\d-\d\d [\d:.]+ (?P<level>[A-Z]+) \([^)]*\) \[(?P<logger>[^\]]+)\]")
_ABOUT_THE_INSTALLATION = (
    "aiohttp_fast_zlib", "homeassistant.bootstrap", "homeassistant.components.camera.img_util", "homeassistant.setup",
)  # fmt: skip
"""Loggers whose warnings are about the installed packages, the Python version and the speed of this machine."""
_MQTT = "homeassistant.components.mqtt"


class HomeAssistantError(AssertionError):
    """Home Assistant did not start, has ended, or refuses a request."""


@dataclass(frozen=True)
class State:
    """State of one entity."""

    state: str
    attributes: dict[str, Any]
    changed: str
    """Time of the latest change, also to an equal state if the entity forces updates; ISO 8601."""


def log_entries(log: str) -> list[str]:
    """Split a log into its entries, each with its traceback."""
    entries: list[str] = []
    for line in log.splitlines():
        if _LOG_LINE.match(line):
            entries.append(line)
        elif entries:
            entries[-1] += f"\n{line}"
    return entries


def problems(log: str) -> list[str]:
    """Warnings and errors in a log of Home Assistant, but those about its own installation."""
    return [
        entry
        for entry in log_entries(log)
        if (parts := _LOG_LINE.match(entry))
        and parts["level"] in ("WARNING", "ERROR", "CRITICAL")
        and parts["logger"] not in _ABOUT_THE_INSTALLATION
    ]


def mqtt_entries(log: str) -> list[str]:
    """Entries of the MQTT integration in a log of Home Assistant."""
    return [
        entry for entry in log_entries(log) if (parts := _LOG_LINE.match(entry)) and parts["logger"].startswith(_MQTT)
    ]


class HomeAssistant:
    """A core; a context manager, which can be stopped and started again at the same port.

    Args:
        folder: empty folder for its configuration and its log.
        python: interpreter of the environment in which `homeassistant` is installed.

    Raises:
        HomeAssistantError: it does not start.
    """

    def __init__(self, folder: Path, python: Path) -> None:
        self._python = python
        self._configuration = folder / "configuration"
        self._configuration.mkdir()
        self._log = folder / "homeassistant.log"
        self._url = f"http://127.0.0.1:{free_port()}"
        port = self._url.rpartition(":")[2]
        (self._configuration / "configuration.yaml").write_text(
            f"http:\n  server_host: 127.0.0.1\n  server_port: {port}\nlogger:\n  default: info\n"
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._session: _Session | None = None
        self._token = ""

    def __enter__(self) -> "HomeAssistant":
        try:
            self.start()
        except BaseException:
            self.stop()  # no process is left behind
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def log(self) -> str:
        """What it has logged, in all of its runs."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @property
    def version(self) -> str:
        """Its version, such as 2024.3.3."""
        return str(self._request("GET", "/api/config")["version"])

    def start(self) -> None:
        """Start it, and wait until all of it runs."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._python, "-m", "homeassistant", "--config", self._configuration, "--skip-pip", "--log-no-color"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        wait_until(self._responds, limit_s=_LIMIT_S, message=lambda: f"no response:\n{self.log}")
        if not self._token:
            self._token = self._owner_token()
        session = _Session(self._url, self._token)
        self._session = session
        session.follow_states()
        wait_until(
            lambda: session.command("get_config")["state"] == "RUNNING",
            limit_s=_LIMIT_S,
            message=lambda: f"it does not run:\n{self.log}",
        )

    def stop(self) -> None:
        """Stop it as a service manager does."""
        if self._session is not None:
            self._session.close()
            self._session = None
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(_LIMIT_S)
            finally:
                self._process.kill()
                self._process.wait()
                self._process = None

    def add_broker(self, port: int, user: str, password: str) -> None:
        """Add the MQTT integration with a broker on this machine, as a user does in a browser."""
        flow = self._request("POST", "/api/config/config_entries/flow", {"handler": "mqtt"})
        table = {"broker": "127.0.0.1", "port": port, "username": user, "password": password}
        result = self._request("POST", f"/api/config/config_entries/flow/{flow['flow_id']}", table)
        if result["type"] != "create_entry":
            raise HomeAssistantError(f"the MQTT integration was not added: {result}")
        self.wait_for_broker()

    def wait_for_broker(self) -> None:
        """Wait until the MQTT integration is set up."""
        wait_until(
            lambda: [entry["state"] for entry in self._integrations("mqtt")] == ["loaded"],
            limit_s=_LIMIT_S,
            message=lambda: f"the MQTT integration is not loaded: {self._integrations('mqtt')}",
        )

    def states(self) -> dict[str, State]:
        """The states of all entities by entity ID, as they were reported last; costs no request."""
        return self._connected.states()

    def entities(self) -> list[dict[str, Any]]:
        """The entries of all MQTT entities in the entity registry."""
        entries = self._connected.command("config/entity_registry/list")
        return [entry for entry in entries if entry["platform"] == "mqtt"]

    def devices(self) -> list[dict[str, Any]]:
        """The devices of the MQTT integration in the device registry."""
        entries = {entry["entry_id"] for entry in self._integrations("mqtt")}
        devices = self._connected.command("config/device_registry/list")
        return [device for device in devices if entries & set(device["config_entries"])]

    def call_service(self, domain: str, service: str, entity_id: str, **data: Any) -> None:
        """Call a service for one entity, and wait until it has been carried out.

        Raises:
            HomeAssistantError: Home Assistant refuses it, for example because a value is out of range.
        """
        self._connected.command(
            "call_service", domain=domain, service=service, service_data=data, target={"entity_id": entity_id}
        )

    @property
    def _connected(self) -> "_Session":
        assert self._session is not None, "it is stopped"
        return self._session

    def _integrations(self, domain: str) -> list[dict[str, Any]]:
        entries = self._connected.command("config_entries/get")
        return [entry for entry in entries if entry["domain"] == domain]

    def _responds(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise HomeAssistantError(f"it has ended:\n{self.log}")
        try:
            self._request("GET", "/manifest.json")
        except OSError:
            return False
        return True

    def _owner_token(self) -> str:
        """Create the owner, and return an access token, which is valid for 30 minutes."""
        owner = {"name": "Owner", "username": "owner", "password": "owner", "language": "en"}
        code = self._request("POST", "/api/onboarding/users", {**owner, "client_id": self._url})["auth_code"]
        form = {"grant_type": "authorization_code", "code": code, "client_id": self._url}
        return str(self._request("POST", "/auth/token", form, is_form=True)["access_token"])

    def _request(self, method: str, path: str, body: dict[str, Any] | None = None, *, is_form: bool = False) -> Any:
        """Send a request to the REST API, and return the JSON value of the response."""
        encoded = None
        if body is not None:
            encoded = (urllib.parse.urlencode(body) if is_form else json.dumps(body)).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded" if is_form else "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        request = urllib.request.Request(f"{self._url}{path}", encoded, headers, method=method)  # noqa: S310 - our URL
        try:
            with urllib.request.urlopen(request, timeout=_LIMIT_S) as response:  # noqa: S310 - our URL
                return json.load(response)
        except urllib.error.HTTPError as error:
            raise HomeAssistantError(f"{method} {path}: {error} {error.read().decode()}") from None


class _Session:
    """A connection to the WebSocket API, whose messages are read by a thread."""

    def __init__(self, url: str, token: str) -> None:
        self._changed = threading.Condition()
        self._states: dict[str, State] = {}
        self._results: dict[int, dict[str, Any]] = {}
        self._number = 0
        self._ended = False
        self._connection: ClientConnection = connect(
            f"ws{url.removeprefix('http')}/api/websocket", open_timeout=_LIMIT_S, max_size=None
        )
        self._receive()  # it requests the token
        self._connection.send(json.dumps({"type": "auth", "access_token": token}))
        answer = self._receive()
        if answer["type"] != "auth_ok":
            raise HomeAssistantError(f"the token is refused: {answer}")
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def follow_states(self) -> None:
        """Subscribe to all changes of states, and get the present ones."""
        self.command("subscribe_events", event_type="state_changed")
        present = {table["entity_id"]: _state(table) for table in self.command("get_states")}
        with self._changed:
            self._states = {**present, **self._states}  # a change that arrived meanwhile is newer

    def states(self) -> dict[str, State]:
        with self._changed:
            return dict(self._states)

    def command(self, command: str, **arguments: Any) -> Any:
        """Send a command, and wait for its result.

        Raises:
            HomeAssistantError: it is refused, there is no response in time, or the connection has ended.
        """
        with self._changed:
            self._number += 1
            number = self._number
            self._connection.send(json.dumps({"id": number, "type": command, **arguments}))
            self._changed.wait_for(lambda: number in self._results or self._ended, _LIMIT_S)
            if number not in self._results:
                raise HomeAssistantError(f"{command}: no response")
            result = self._results.pop(number)
        if not result["success"]:
            raise HomeAssistantError(f"{command} {arguments}: {result['error']['message']}")
        return result["result"]

    def close(self) -> None:
        self._connection.close()
        self._reader.join(_LIMIT_S)

    def _receive(self) -> dict[str, Any]:
        message = json.loads(self._connection.recv())
        assert isinstance(message, dict)
        return message

    def _read(self) -> None:
        while True:
            try:
                message = self._receive()
            except ConnectionClosed:
                break
            with self._changed:
                if message["type"] == "result":
                    self._results[message["id"]] = message
                elif message["type"] == "event":
                    self._update(message["event"]["data"])
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _update(self, change: dict[str, Any]) -> None:
        if change["new_state"] is None:
            self._states.pop(change["entity_id"], None)
        else:
            self._states[change["entity_id"]] = _state(change["new_state"])


def _state(table: dict[str, Any]) -> State:
    return State(table["state"], table["attributes"], table["last_changed"])
