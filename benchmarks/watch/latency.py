"""Measures whether an open page makes the light later: no page, one page, and 20 of which one never reads, in turns.

    python -m benchmarks.watch.latency [ROUNDS]

A daemon with its real web server and history records the same sentences in each case; it reports the milliseconds from
the end of the pause to the light by itself, in `--json`.
"""

import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import soundfile

from benchmarks.listening import SPEECH, scenes
from benchmarks.processes import Process, running
from device.events import SAMPLE_RATE
from tests.system.virtual_microphone import VirtualMicrophone

CASES = {"no page": 0, "one page": 1, "20 pages, one of them frozen": 20}
_LIMIT_S = 30.0


def main(rounds: int) -> None:
    """Print a table."""
    found: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="bench") as name:
        folder = Path(name)
        soundfile.write(folder / "speech.wav", scenes()[SPEECH], SAMPLE_RATE, subtype="PCM_16")
        (folder / "config.toml").write_text("[history]\nkeep_days = 30\n")
        with VirtualMicrophone(folder / "mic", rate=SAMPLE_RATE, channels=1, strict=False) as microphone:
            environment = {
                **os.environ, **microphone.environment, "XDG_RUNTIME_DIR": name, "XDG_STATE_HOME": name,
            }  # fmt: skip
            listen = [sys.executable, "-m", "edge_mcnn", "listen", "--json", "--lights", "none"]
            with running(listen, environment, "listening to") as daemon:
                for _ in range(rounds):
                    for case, pages in CASES.items():
                        with _pages(pages, folder, environment):
                            microphone.play(folder / "speech.wav")
                            time.sleep(2)  # the last pause
                        found[case] += _latencies_ms(daemon)
    print("| case | predictions | median | 95th percentile |")
    print("| --- | ---: | ---: | ---: |")
    for case, latencies in found.items():
        ordered = sorted(latencies)
        print(f"| {case} | {len(ordered)} | {statistics.median(ordered):.1f} ms | {_percentile(ordered):.1f} ms |")


def _percentile(ordered: list[float]) -> float:
    return ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]


def _latencies_ms(daemon: Process) -> list[float]:
    found = []
    while not daemon.lines.empty():
        line = daemon.lines.get()
        if line.startswith("{"):
            found.append(json.loads(line)["ms_endpoint_to_light"])
    return found


@contextlib.contextmanager
def _pages(count: int, folder: Path, environment: dict[str, str]) -> Iterator[None]:
    """Serve the page, and keep its stream open in some readers; the first of several never reads."""
    if not count:
        yield
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    web = [sys.executable, "-m", "edge_mcnn", "web", "--port", str(port), "--config", str(folder / "config.toml")]
    with contextlib.ExitStack() as stack:
        process = stack.enter_context(
            subprocess.Popen(web, env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        )
        stack.callback(process.terminate)
        for number in range(count):
            page = stack.enter_context(_connected(port))
            page.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            if number or count == 1:
                threading.Thread(target=_read, args=(page,), daemon=True).start()
        yield


def _connected(port: int) -> socket.socket:
    end = time.monotonic() + _LIMIT_S
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port))
        except OSError:
            assert time.monotonic() < end, "no page is served"
            time.sleep(0.05)


def _read(page: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while page.recv(65536):
            pass


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 4)
