"""A process that fetches the tiny model and prints the announcements: `DESTINATION URL [MIRROR...]`."""

import sys
from dataclasses import replace
from pathlib import Path

from device.recognition.speech_model.fetch import fetch_speech_model
from tests.device.recognition.tiny_model import TINY

if __name__ == "__main__":
    destination, url, *mirror = sys.argv[1:]
    fetch_speech_model(
        announce=lambda line: print(line, flush=True),
        destination=Path(destination),
        model=replace(TINY, official=url, mirror=tuple(mirror) or TINY.mirror),
    )
