"""Counts the machine instructions of listening per second of audio: in a quiet room, and while someone speaks.

    python -m benchmarks.instructions

It is the pipeline's work, without the sound system, also with the previews that an LED shows. Takes two minutes. Prints
one JSON object: millions of instructions per second of audio.
"""

import json
import platform
import sys

from benchmarks.instructions.counting import can_count, count
from benchmarks.instructions.replay import SECONDS


def main() -> None:
    """Print the counts; an empty object where they cannot be measured."""
    found = {}
    if can_count():
        marks = count([sys.executable, "-m", "benchmarks.instructions.replay"])
        for number, (name, seconds) in enumerate(SECONDS.items()):
            found[f"{name}, {platform.machine()}"] = (marks[2 * number + 1] - marks[2 * number]) / seconds / 1e6
    print(json.dumps(found))


if __name__ == "__main__":
    main()
