"""Measures what the events cost the daemon: no event socket, a socket that nobody reads, and one reader, in turns.

    python -m benchmarks.watch.events [ROUNDS]

The daemon records the scenes of `benchmarks.listening` from a virtual microphone; the CPU time of the reader is not
part of the result. `[events] words` is on, which costs most.
"""

import os
import statistics
import sys
import tempfile
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import soundfile

from benchmarks.listening import QUIET, SPEECH, scenes
from benchmarks.processes import running
from device.event_client import EventReader
from device.events import SAMPLE_RATE
from tests.system.virtual_microphone import VirtualMicrophone

NO_SOCKET, NOBODY, ONE_READER = "no socket", "nobody reads", "one reader"


def measure(rounds: int) -> dict[tuple[str, str], list[float]]:
    """Let the daemon record the scenes in each case, in turns.

    Returns:
        CPU seconds per second by case and scene, one value for each round.
    """
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    command = [sys.executable, "-m", "edge_mcnn", "listen", "--json", "--lights", "none"]
    with tempfile.TemporaryDirectory(prefix="bench") as name:
        folder = Path(name)
        chosen = {scene: samples for scene, samples in scenes().items() if scene in (QUIET, SPEECH)}
        for scene, samples in chosen.items():
            soundfile.write(folder / f"{scene}.wav", samples, SAMPLE_RATE, subtype="PCM_16")
        with VirtualMicrophone(folder / "mic", rate=SAMPLE_RATE, channels=1, strict=False) as microphone:
            for _ in range(rounds):
                for case in (NO_SOCKET, NOBODY, ONE_READER):
                    environment = {**os.environ, **microphone.environment, "EDGE_MCNN_EVENTS_WORDS": "true"}
                    environment.pop("XDG_RUNTIME_DIR", None)
                    environment["XDG_STATE_HOME"] = name
                    if case != NO_SOCKET:
                        environment["XDG_RUNTIME_DIR"] = name
                    with running(command, environment, "listening to") as process, _reader(folder, case == ONE_READER):
                        for scene, samples in chosen.items():
                            before = process.cpu_s()
                            microphone.play(folder / f"{scene}.wav")
                            found[case, scene].append((process.cpu_s() - before) / (len(samples) / SAMPLE_RATE))
    return found


@contextmanager
def _reader(folder: Path, reads: bool) -> Iterator[None]:
    """Read the events in a thread, and discard them."""
    if not reads:
        yield
        return
    with EventReader.connect(folder / "edge-mcnn" / "events.sock") as reader:
        thread = threading.Thread(target=lambda: [None for _ in reader], daemon=True)
        thread.start()
        yield
    thread.join(5)


def main() -> None:
    """Print the median CPU time in each case as a percentage of a core, and all values."""
    found = measure(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
    print("| scene | case | % of a core | more than without a socket | all rounds |")
    print("|---|---|---|---|---|")
    for scene in (QUIET, SPEECH):
        base = statistics.median(found[NO_SOCKET, scene])
        for case in (NO_SOCKET, NOBODY, ONE_READER):
            values = found[case, scene]
            cost = statistics.median(values)
            rounds = ", ".join(f"{100 * value:.2f}" for value in values)
            print(f"| {scene} | {case} | {100 * cost:.2f} | {100 * (cost - base):+.2f} | {rounds} |")


if __name__ == "__main__":
    main()
