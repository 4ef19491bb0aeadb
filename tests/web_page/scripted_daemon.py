"""A daemon that only publishes events: the lines that a test or a script passes to it, on a real socket."""

import base64
import contextlib
import json
import math
import socket
import threading
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

Event = dict[str, Any]
LABELS = ("negative", "neutral", "positive")
DAEMON = "0123456789abcdef" * 2
BANDS = 64


def hello(labels: Sequence[str] = LABELS, daemon: str = DAEMON, **changed: Any) -> Event:
    return {
        "event": "hello", "protocol": 1, "version": "0.2.0", "daemon": daemon, "boot": "b" * 32, "labels": list(labels),
        "gate_dbfs": -60.0, "hold_s": 5.0, "mel_bands": BANDS, "column_s": 0.032, "db_floor": 80.0, "words": True,
        "learns": True, **changed,
    }  # fmt: skip


def state(name: str = "healthy", **changed: Any) -> Event:
    microphone = {"microphone": "USB PnP Sound Device", "rate": 48000} if name == "healthy" else {}
    return {
        "event": "state",
        "state": name,
        "reason": "",
        "fix": "",
        "microphone": "",
        "rate": 0,
        **microphone,
        **changed,
    }


def health(**changed: Any) -> Event:
    return {
        "event": "health", "memory_mb": 229.3, "uptime_s": 12_345.6, "blocks_dropped": 0, "microphone_losses": 0,
        "model": "sentiment", "temperature_c": 51.2, "low_voltage": False, "slowed": False, **changed,
    }  # fmt: skip


def prediction(number: int, label: str, time: datetime, share: float = 0.83, **changed: Any) -> Event:
    """A prediction of one of `LABELS`, or of the classes in `labels`."""
    labels = changed.pop("labels", LABELS)
    others = (1 - share) / (len(labels) - 1)
    probabilities = {each: round(share if each == label else others, 4) for each in labels}
    return {
        "event": "prediction", "number": number, "daemon": DAEMON, "time": time.isoformat(timespec="milliseconds"),
        "label": label, "probabilities": probabilities, "raw_probabilities": None,
        "audio_only": {"label": label, "probabilities": probabilities},
        "text_only": {"label": label, "probabilities": probabilities}, "adapted": False, "confident": True,
        "light": label, "lights_stay": False, "replayed": False, "start_s": 0.0, "seconds": 2.3, "ending": "silence",
        "ms_speech_to_light": 612.0, "ms_endpoint_to_light": 1.8, **changed,
    }  # fmt: skip


def corrected(number: int, label: str) -> Event:
    """The right class of a prediction."""
    return {"event": "corrected", "number": number, "daemon": DAEMON, "label": label}


def speech(first: int, columns: Sequence[Sequence[float]]) -> Event:
    """New columns of the spectrogram image: dB of each mel band, lowest first."""
    codes = [min(255, max(0, round(2 * (100 + level)))) for column in columns for level in column]
    return {"event": "speech", "first": first, "columns": base64.b64encode(bytes(codes)).decode()}


def tone(columns: int, bands: int = BANDS) -> list[list[float]]:
    """Columns with a loud band that rises."""
    return [
        [-70 + 55 * math.exp(-(((band - 2 - column / 2) / 3) ** 2)) for band in range(bands)]
        for column in range(columns)
    ]


class ScriptedDaemon:
    """Publishes events until the context is left.

    Args:
        path: the socket.
        greeting: events that each new reader gets first; a test may change the list.
    """

    def __init__(self, path: Path, greeting: Sequence[Event] = ()) -> None:
        self.greeting: list[Event] = list(greeting) or [hello(), state(), {"event": "mute", "muted": False}, health()]
        self.path = path
        self.latest = 0
        """Number of the latest prediction that was published."""
        self._listener: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._connections: list[socket.socket] = []
        self._lock = threading.Lock()

    def __enter__(self) -> "ScriptedDaemon":
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def start(self) -> None:
        """Open the socket."""
        self.path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self.path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, args=(self._listener,), name="scripted daemon")
        self._thread.start()

    def stop(self) -> None:
        """End, as a daemon that is killed: every reader loses its connection."""
        if self._listener is not None and self._thread is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._thread.join()
            self._listener.close()
            self._listener = self._thread = None
            self.path.unlink(missing_ok=True)
        with self._lock:
            for connection in self._connections:
                connection.close()
            self._connections.clear()

    def send(self, *events: Mapping[str, Any]) -> None:
        """Publish events to every reader."""
        self.latest = max([self.latest, *(event["number"] for event in events if event["event"] == "prediction")])
        with self._lock:
            for connection in list(self._connections):
                try:
                    connection.sendall(_lines(events))
                except (BrokenPipeError, ConnectionResetError):  # the reader has ended
                    self._connections.remove(connection)
                    connection.close()

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                connection.sendall(_lines(self.greeting))
                self._connections.append(connection)


def _lines(events: Sequence[Mapping[str, Any]]) -> bytes:
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)
