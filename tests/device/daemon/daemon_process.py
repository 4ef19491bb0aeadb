"""A daemon with a microphone, an understanding and lights of the test, to be sent signals.

What goes wrong is the first argument.
"""

import logging
import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import numpy as np

from device.audio.microphone import Block, MicrophoneInfo
from device.daemon import daemon
from device.daemon.daemon import Daemon
from device.daemon.systemd import Systemd
from device.errors import BundleError, EdgeMcnnError
from device.events import Frame, Prediction, Utterance
from device.loading import LoadedModels
from device.outputs.base import Observer, Trouble
from device.outputs.lights import Lights
from device.outputs.publishers import publishers
from device.settings.schema import LivenessSettings
from device.settings.toml import read_settings

WHAT = sys.argv[1]


def never_returns(what: str) -> None:
    if what == WHAT:
        print(what, flush=True)
        threading.Event().wait()


class Microphone:
    info = MicrophoneInfo(0, "fake", 16_000, 1, is_default=True)
    rate = 16_000
    ended = False
    blocks_at_once = 1

    def __init__(self, _name: str) -> None:
        never_returns("opens for ever")
        self.dropped_blocks = 1000 if WHAT == "drops" else 0
        self._given = 0

    def block(self, limit_s: float) -> Block | None:
        if WHAT == "closes for ever" and self._given == 5:
            time.sleep(limit_s)
            return None
        self._given += 1
        time.sleep(0.032)
        return Block(np.full((512, 1), 3000, np.int16), time.monotonic(), zero=False)

    def wake(self) -> None:
        pass

    def close(self) -> None:
        never_returns("closes for ever")
        if WHAT == "nobody reads":
            print("closed", flush=True)


class Hearing:
    """Answers three utterances, in order, the last one unsure, and then only listens."""

    hearing = False

    def predictions(self, frames: Iterable[Frame]) -> Iterator[Prediction]:
        labels = iter("abc")
        for frame in frames:
            never_returns("thinks for ever")
            if (label := next(labels, None)) is not None:
                utterance = Utterance(0.0, 0.5, 1.0, frame.arrived_at, "silence")
                yield Prediction(
                    datetime.now(UTC), label, {label: 1.0}, "secret words", utterance, confident=label != "c"
                )


class Understands:
    class classifier:  # noqa: N801  # named as the field it stands for
        labels = ("a", "b", "c")
        runtime = "ai-edge-litert"

    def pipeline(self, observer: Observer | None) -> Hearing:
        return Hearing()


class TestLights:
    def show(self, prediction: Prediction) -> None:
        print(f"show {prediction.label}", flush=True)
        never_returns("shows for ever")

    def trouble(self, trouble: Trouble | None) -> None:
        pass

    def __enter__(self) -> "TestLights":
        return self

    def __exit__(self, *_: object) -> None:
        print("off", flush=True)


def load() -> LoadedModels:
    never_returns("loads for ever")
    if WHAT == "no model":
        raise BundleError("there is no such model")
    return cast(LoadedModels, Understands())


def tell(table: dict[str, Any]) -> None:
    print(f"tell {table['label']}", flush=True)
    if WHAT == "nobody reads":
        raise BrokenPipeError


def announce(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    logging.basicConfig(format="%(message)s")
    daemon._TICK_S = 0.2
    liveness = LivenessSettings(no_sound_limit_s=0.5, stuck_limit_s=1 if "closes" in WHAT else 100)
    settings = replace(read_settings(None, os.environ), liveness=liveness)
    try:
        Daemon(
            settings, load, lambda labels: cast(Lights, TestLights()), tell, announce, patient=True, systemd=Systemd(),
            status_socket=None, publishers=publishers(settings, announce), open_microphone=Microphone,
        ).run()  # fmt: skip
    except EdgeMcnnError as error:
        announce(f"edge-mcnn: {error}")
        sys.exit(1)
    except BrokenPipeError:
        print("told", flush=True)
