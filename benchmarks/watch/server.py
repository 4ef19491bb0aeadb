"""Measures the process behind the page: its start, its memory, and its CPU time with pages open.

    python -m benchmarks.watch.server

starts `edge-mcnn web` with a history beside a fake daemon that sends what a real one sends while someone speaks, and
prints a table.
"""

import base64
import contextlib
import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

STARTS = 7
PAGES = 20
SECONDS = 20.0
_TICK_S = 0.2
_LIMIT_S = 30.0
_LABELS = ("negative", "neutral", "positive")
_START = (
    {"event": "hello", "protocol": 1, "version": "0", "daemon": "d", "boot": "b", "labels": _LABELS, "hold_s": 5.0,
     "gate_dbfs": -60.0, "mel_bands": 64, "column_s": 0.032, "db_floor": 80.0, "words": False, "learns": True},
    {"event": "state", "state": "healthy", "reason": "", "fix": "", "microphone": "USB", "rate": 48000},
    {"event": "mute", "muted": False},
)  # fmt: skip


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory(prefix="web") as name:
        folder = Path(name)
        (folder / "config.toml").write_text("[history]\nkeep_days = 30\n")
        starts = [_start_s(folder) for _ in range(STARTS)]
        with _daemon(folder) as daemon, _web(folder) as (process, port):
            _wait_for_page(port)
            memory = _memory_mb(process.pid)
            print("| what | measured |")
            print("| --- | --- |")
            print(f"| start to the first page served, median of {STARTS} | {statistics.median(starts):.2f} s |")
            print(f"| memory after the first page | {memory:.1f} MB |")
            daemon.speaks = False
            with _pages(port, 1):
                print(f"| CPU, one page open, room quiet | {_cpu(process.pid):.2%} of a core |")
            daemon.speaks = True
            with _pages(port, 1):
                print(f"| CPU, one page open, speech all the time | {_cpu(process.pid):.2%} of a core |")
            with _pages(port, PAGES):
                print(f"| CPU, {PAGES} pages open, speech all the time | {_cpu(process.pid):.2%} of a core |")
            for _ in range(100):
                for path in ("/", "/history", "/health", "/settings", "/api/heat-map"):
                    _get(port, path)
            print(f"| memory after {PAGES} pages and 500 requests | {_memory_mb(process.pid):.1f} MB |")


class _Daemon:
    """Sends levels, and columns and predictions while someone speaks, as often as a daemon does."""

    def __init__(self, path: Path) -> None:
        self.speaks = True
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen()
        self._readers: list[socket.socket] = []
        for task in (self._accept, self._send):
            threading.Thread(target=task, daemon=True).start()

    def _accept(self) -> None:
        while True:
            reader, _ = self._listener.accept()
            reader.sendall(b"".join(_line(event) for event in _START))
            self._readers.append(reader)

    def _send(self) -> None:
        columns = base64.b64encode(os.urandom(6 * 64)).decode()
        number = 0
        while True:
            time.sleep(_TICK_S)
            number += 1
            events: list[dict[str, object]] = [{"event": "level", "dbfs": -43.2}]
            if self.speaks:
                events.append({"event": "speech", "first": 6 * number, "columns": columns})
            if self.speaks and number % 20 == 0:
                events.append(_prediction(number))
            for reader in list(self._readers):
                try:
                    reader.sendall(b"".join(map(_line, events)))
                except OSError:
                    self._readers.remove(reader)


def _prediction(number: int) -> dict[str, object]:
    label = _LABELS[number % 3]
    probabilities = {each: 0.8 if each == label else 0.1 for each in _LABELS}
    modality = {"label": label, "probabilities": probabilities}
    return {
        "event": "prediction", "number": number, "daemon": "d", "lights_stay": False, "replayed": False,
        "time": time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime()), "label": label, "light": label,
        "probabilities": probabilities, "raw_probabilities": None, "audio_only": modality, "text_only": modality,
        "adapted": False, "confident": True, "start_s": 0.0, "seconds": 1.5, "ending": "silence",
        "ms_speech_to_light": 640.0, "ms_endpoint_to_light": 1.0,
    }  # fmt: skip


def _line(event: dict[str, object]) -> bytes:
    return json.dumps(event).encode() + b"\n"


@contextlib.contextmanager
def _daemon(folder: Path) -> Iterator[_Daemon]:
    (folder / "edge-mcnn").mkdir(exist_ok=True)
    yield _Daemon(folder / "edge-mcnn" / "events.sock")


@contextlib.contextmanager
def _web(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "edge_mcnn", "web", "--port", str(port), "--config", str(folder / "config.toml")]
    environment = {**os.environ, "STATE_DIRECTORY": str(folder / "state"), "XDG_RUNTIME_DIR": str(folder)}
    with subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield process, port
        finally:
            process.terminate()


def _start_s(folder: Path) -> float:
    started = time.monotonic()
    with _web(folder) as (_, port):
        _wait_for_page(port)
        return time.monotonic() - started


def _wait_for_page(port: int) -> None:
    end = time.monotonic() + _LIMIT_S
    while True:
        try:
            _get(port, "/")
        except OSError:
            assert time.monotonic() < end, "no page is served"
            time.sleep(0.005)
        else:
            return


def _get(port: int, path: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_LIMIT_S)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
        assert response.status == 200, (path, response.status)
    finally:
        connection.close()


@contextlib.contextmanager
def _pages(port: int, count: int) -> Iterator[None]:
    """Open streams of events, and read them from threads."""
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            page = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            page.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            threading.Thread(target=_read, args=(page,), daemon=True).start()
        time.sleep(1)
        yield


def _read(page: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while page.recv(65536):
            pass


def _cpu(process: int) -> float:
    """Share of a core that a process uses."""
    before, started = _cpu_s(process), time.monotonic()
    time.sleep(SECONDS)
    return (_cpu_s(process) - before) / (time.monotonic() - started)


def _cpu_s(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory_mb(process: int) -> float:
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    main()
