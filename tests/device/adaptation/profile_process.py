"""A process that changes a voice profile, for tests that kill it or let it run beside another.

    python -m tests.device.adaptation.profile_process PATH save
    python -m tests.device.adaptation.profile_process PATH die CALL NUMBER
    python -m tests.device.adaptation.profile_process PATH lock
    python -m tests.device.adaptation.profile_process PATH correct SEED COUNT

`save` writes a small and a large profile in turn without end, and prints a line before each; `die` saves the large one
and kills itself at a call of a function of `os`; `lock` locks the profile, prints a line, and waits; `correct` corrects
utterances of a speaker, one after another, as soon as a line arrives on standard input.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from device.adaptation.profile import locked, write_profile
from tests.device.adaptation.voices import IMAGE, LABELS, Speaker, ids, profile

SMALL, LARGE = profile(2), profile(300)


def save(path: Path) -> None:
    """Write the profiles in turn until the process is killed."""
    while True:
        for each in (SMALL, LARGE):
            print("saving", flush=True)
            write_profile(path, each)


def die(path: Path, call: str, number: int) -> None:
    """Save the large profile, and die at the start of a call of a function of `os`."""
    original, calls = getattr(os, call), [0]

    def counted(*given: Any, **named: Any) -> Any:
        calls[0] += 1
        if calls[0] == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*given, **named)

    setattr(os, call, counted)
    write_profile(path, LARGE)
    sys.exit(f"os.{call} was called {calls[0]} times only")


def hold_lock(path: Path) -> None:
    """Lock the profile until the process is killed."""
    with locked(path):
        print("locked", flush=True)
        sys.stdin.read()


def correct(path: Path, seed: int, count: int) -> None:
    """Correct `count` utterances of the speaker with the number `seed`."""
    speaker = Speaker(seed, count)
    adapted = speaker.classifier(path)
    print("ready", flush=True)
    sys.stdin.readline()
    for place in range(count):
        _, utterance = adapted.rate(IMAGE, ids(place))
        adapted.correct(utterance, LABELS[speaker.classes[place]])


if __name__ == "__main__":
    _path, _task = Path(sys.argv[1]), sys.argv[2]
    if _task == "save":
        save(_path)
    elif _task == "die":
        die(_path, sys.argv[3], int(sys.argv[4]))
    elif _task == "lock":
        hold_lock(_path)
    else:
        correct(_path, int(sys.argv[3]), int(sys.argv[4]))
