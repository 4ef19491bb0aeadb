"""A daemon with the microphone, models and outputs of a test, to which signals are sent.

The first argument names what goes wrong.
"""

import itertools
import logging
import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import ClassVar, cast

import numpy as np

from device.audio.liveness import Liveness
from device.audio.microphone import Block, MicrophoneInfo
from device.daemon import daemon as daemon_module
from device.daemon.controls import Controls
from device.daemon.daemon import Daemon
from device.daemon.systemd import Systemd
from device.errors import BundleError, EdgeMcnnError
from device.events import Frame, Prediction, Preview, Utterance
from device.loading import LoadedModels
from device.outputs.create import create_publishers
from device.outputs.fan_out import Outputs
from device.outputs.json_lines import LineOutput, as_line
from device.pipeline import SpeechMonitor
from device.settings.schema import LivenessSettings
from device.settings.toml import read_settings

PROBLEM = sys.argv[1]


def hang_if(problem: str) -> None:
    """Never return if this is what goes wrong."""
    if problem == PROBLEM:
        print(problem, flush=True)
        threading.Event().wait()


class Microphone:
    info = MicrophoneInfo(0, "fake", 16_000, 1, is_default=True)
    rate = 16_000
    ended = False
    batch_size = 1

    def __init__(self, _name: str) -> None:
        hang_if("opening hangs")
        self.dropped_blocks = 1000 if PROBLEM == "drops" else 0
        self._delivered = 0

    def block(self, limit_s: float) -> Block | None:
        if PROBLEM == "closing hangs" and self._delivered == 5:
            time.sleep(limit_s)
            return None
        self._delivered += 1
        time.sleep(0.032)
        return Block(np.tile(np.array([[3000], [-3000]], np.int16), (256, 1)), time.monotonic(), constant=False)

    def skip_waiting(self) -> None:
        pass

    def wake(self) -> None:
        pass

    def close(self) -> None:
        hang_if("closing hangs")
        if PROBLEM == "reader gone":
            print("closed", flush=True)


class FakePipeline:
    """Makes three predictions, in order, the last one with low confidence, and then only listens."""

    batch_size = 4

    def predictions(self, frames: Iterable[Frame]) -> Iterator[Prediction]:
        labels: Iterator[str] = iter("a" if PROBLEM == "reader gone" else "abc")
        if PROBLEM == "real lines":
            labels = itertools.cycle("a")
        for frame in frames:
            hang_if("classifying hangs")
            if (label := next(labels, None)) is not None:
                utterance = Utterance(0.0, 0.5, 1.0, frame.arrived_at, "silence")
                yield Prediction(
                    datetime.now(UTC), label, {label: 1.0}, "secret words" * 1000, utterance, confident=label != "c"
                )


class FakeModels:
    class classifier:  # noqa: N801  # named as the field that it replaces
        labels = ("a", "b", "c")
        runtime = "ai-edge-litert"

    class adapted_classifier:  # noqa: N801  # as above
        adapted = True
        uses_examples = True

        class profile:  # noqa: N801  # as above
            examples = (1, 2, 3)

    confidences: ClassVar[dict[str, float]] = {}

    def pipeline(self, monitor: SpeechMonitor | None, *, live: bool = False) -> FakePipeline:
        assert live
        return FakePipeline()


class FakeLight:
    name = "lights"

    def open(self, labels: Sequence[str]) -> None:
        assert labels == FakeModels.classifier.labels

    def prediction(self, prediction: Prediction, lit_at: float) -> None:
        print(f"light {prediction.label}", flush=True)
        hang_if("the light hangs")
        if PROBLEM == "the light fails" and prediction.label == "b":
            raise ZeroDivisionError("no")

    def corrected(self, label: str) -> None:
        print(f"light corrected to {label}", flush=True)

    def preview(self, preview: Preview) -> None:
        print(f"light previews {preview.light}", flush=True)

    def show(self, label: str) -> None:
        print(f"light shows {label}", flush=True)

    def microphone(self, liveness: Liveness) -> None:
        pass

    def close(self, limit_s: float) -> None:
        print("off", flush=True)


class FakeLines(FakeLight):
    name = "lines"

    def prediction(self, prediction: Prediction, lit_at: float) -> None:
        print(f"line {prediction.label}", flush=True)
        if PROBLEM == "an output fails" and prediction.label == "b":
            raise ZeroDivisionError("no")
        if PROBLEM == "reader gone":
            stop(BrokenPipeError())

    def close(self, limit_s: float) -> None:
        hang_if("closing an output hangs")


def load() -> LoadedModels:
    hang_if("loading hangs")
    if PROBLEM == "no model":
        raise BundleError("there is no such model", fix="convert one")
    return cast(LoadedModels, FakeModels())


def announce(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def stop(error: BaseException) -> None:
    daemon.stop(error)


if __name__ == "__main__":
    logging.basicConfig(format="%(message)s")
    daemon_module._TICK_S = 0.2
    liveness = LivenessSettings(no_sound_limit_s=0.5, stuck_limit_s=1 if "closing" in PROBLEM else 100)
    settings = replace(read_settings(None, os.environ), liveness=liveness)
    controls = Controls()
    if PROBLEM == "real lines":
        outputs = Outputs(others=[LineOutput(as_line, announce, stop, sys.stdout)])
    else:
        outputs = Outputs(FakeLight(), (), [*create_publishers(settings, announce, controls), FakeLines()])
    daemon: Daemon = Daemon(
        settings, load, outputs, announce, patient=True, systemd=Systemd(), status_socket=None,
        open_microphone=Microphone, controls=controls, open_ahead=True,
    )  # fmt: skip
    try:
        daemon.run()
    except EdgeMcnnError as error:
        announce(f"edge-mcnn: {error}")
        sys.exit(1)
    except BrokenPipeError:
        if PROBLEM == "reader gone":
            print("broken pipe", flush=True)
        sys.stdout = None
