"""Blocks that are delivered in batches while nobody speaks never delay a prediction, however short the pause is."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from device.audio.endpoint import Endpointer
from device.audio.liveness import LivenessMachine
from device.audio.microphone import Block, MicrophoneInfo
from device.audio.reconnecting import ReconnectingMicrophone
from device.bundle import Companions
from device.events import BLOCK_SECONDS, FRAME_LENGTH, FRAME_SECONDS, SAMPLE_RATE
from device.front_end.parameters import FrontEnd
from device.pipeline import Pipeline
from device.recognition.transcriber import Transcriber
from device.settings.schema import EndpointSettings, LivenessSettings
from tests.device.unadapted import Unadapted

BLOCK_LENGTH = round(BLOCK_SECONDS * SAMPLE_RATE)
VOICED, UNVOICED = 90, 1
FRONT_END = FrontEnd(n_fft=512, n_mels=8, image_height=8, image_width=8)
"""Small, because the image does not matter here."""


class FakeMicrophone:
    """Records a script in real time, on its own clock, and joins what it recorded to blocks as `Microphone` does."""

    def __init__(self, samples: NDArray[np.int16], first_length: int) -> None:
        self.info = MicrophoneInfo(0, "fake", SAMPLE_RATE, 1, is_default=True)
        self.rate = SAMPLE_RATE
        self.dropped_blocks = 0
        self.batch_size = 1
        self.now = 0.0
        self.deliveries = 0
        ends = [*range(first_length, len(samples), BLOCK_LENGTH), len(samples)]
        self._recording = deque(np.split(samples, ends[:-1]))

    @property
    def ended(self) -> bool:
        return not self._recording

    def block(self, _limit_s: float) -> Block | None:
        parts: list[NDArray[np.int16]] = []
        while self._recording and len(parts) < self.batch_size:
            parts.append(self._recording.popleft())
            self.now += len(parts[-1]) / SAMPLE_RATE
        if not parts:
            return None
        self.deliveries += 1
        return Block(np.concatenate(parts)[:, None], self.now, constant=False, callbacks=len(parts))

    def wake(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """Nothing is open."""


class ScriptedDetector:
    def probability(self, samples: NDArray[np.int16]) -> float:
        return float(samples[0]) / 100

    def reset(self) -> None:
        """It remembers nothing."""


class FakeModels(Unadapted):
    """Transcriber, transcription and classifier that record when they are evaluated."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.evaluated_at: list[float] = []

    def begin(self) -> "FakeModels":
        return self

    def feed(self, samples: NDArray[np.int16]) -> None:
        """Samples hold no words."""

    def so_far(self) -> str:
        return ""

    def text(self) -> str:
        return ""

    def probabilities(self, image: NDArray[np.float32], ids: NDArray[np.int32]) -> dict[str, float]:
        self.evaluated_at.append(self._clock())
        return {"a": 0.5, "b": 0.5}


@dataclass(frozen=True)
class Timing:
    """When the predictions of a script were ready, on the microphone's clock, which is also the stream's."""

    ends: list[float]
    """Where each utterance ends in the stream, seconds."""
    predicted_at: list[float]
    evaluated_at: list[float]
    deliveries: int


def run(settings: EndpointSettings, script: list[int], *, batches: bool, first_length: int = BLOCK_LENGTH) -> Timing:
    samples = np.repeat(np.array(script, np.int16), FRAME_LENGTH)
    fake = FakeMicrophone(samples, first_length)
    models = FakeModels(lambda: fake.now)
    pipeline = Pipeline(
        Endpointer(settings, ScriptedDetector()), cast(Transcriber, models), cast(Any, models),
        Companions(("a", "b"), ("word",), FRONT_END),
    )  # fmt: skip
    microphone = ReconnectingMicrophone(
        "fake",
        LivenessMachine(LivenessSettings(), lambda: fake.now),
        stuck_limit_s=20,
        batch_size=lambda: pipeline.batch_size if batches else 1,
        open_microphone=lambda _name: fake,
        refresh=lambda: None,
    )
    ends, predicted_at = [], []
    for frames in microphone.streams():
        for prediction in pipeline.predictions(frames):
            ends.append(prediction.utterance.end_s)
            predicted_at.append(fake.now)
        microphone.stop()
    return Timing(ends, predicted_at, models.evaluated_at, fake.deliveries)


def scripts() -> Iterator[list[int]]:
    """Short words and long ones that begin at each place of a batch, and what sounds like a voice for a frame."""
    for start in range(16, 33):
        for length in (1, 2, 3, 4, 8, 12):
            yield [UNVOICED] * start + [VOICED] * length + [UNVOICED] * 48


@pytest.mark.parametrize("onset_s", [0.0, 0.1, 0.25])
@pytest.mark.parametrize("hang_over_s", [0.1, 0.2, 0.3, 0.39, 0.45, 0.6])
def test_a_prediction_comes_within_a_block_after_the_pause(hang_over_s: float, onset_s: float) -> None:
    settings = EndpointSettings(hang_over_s=hang_over_s, onset_s=onset_s)
    predictions = 0
    for script in scripts():
        for first_length in (BLOCK_LENGTH, 700):
            batched = run(settings, script, batches=True, first_length=first_length)
            single = run(settings, script, batches=False, first_length=first_length)
            assert batched.predicted_at == single.predicted_at
            assert batched.evaluated_at == single.evaluated_at, "the work begins when the end is expected"
            for end_s, predicted_at in zip(batched.ends, batched.predicted_at, strict=True):
                assert predicted_at - end_s <= BLOCK_SECONDS + 1e-9
                predictions += 1
    assert predictions >= 17 * 2, "at least the longest word is an utterance, at each place"


@pytest.mark.parametrize("onset_s", [0.0, 0.1, 0.5])
@pytest.mark.parametrize(("hang_over_s", "earlier_s"), [(0.2, 0.1), (0.45, 0.2), (0.6, 0.12), (0.6, 0.22)])
def test_a_prediction_after_a_shorter_pause_is_not_later_either(
    monkeypatch: pytest.MonkeyPatch, hang_over_s: float, earlier_s: float, onset_s: float
) -> None:
    monkeypatch.setattr("device.pipeline.voice_falls", lambda _samples: True)
    settings = EndpointSettings(hang_over_s=hang_over_s, earlier_end_s=earlier_s, onset_s=onset_s)
    pauses = set()
    for start in range(16, 33):
        for length in (4, 10, 11, 20):
            script = [UNVOICED] * start + [VOICED] * length + [UNVOICED] * 40
            batched, single = run(settings, script, batches=True), run(settings, script, batches=False)
            assert batched.predicted_at == single.predicted_at
            assert batched.evaluated_at == single.evaluated_at, "the work begins when the end is expected"
            pauses |= {round(end_s / FRAME_SECONDS) - start - length for end_s in single.ends}
    shortest, longest = (
        next(frames for frames in range(40) if (frames + 0.5) * FRAME_SECONDS > pause_s)
        for pause_s in (hang_over_s - earlier_s, hang_over_s)
    )
    assert pauses == ({shortest} if onset_s == 0.5 else {shortest, longest})


def test_an_utterance_that_is_cut_at_once_is_not_late_either() -> None:
    settings = EndpointSettings(pre_roll_s=2.0, longest_s=1.0)
    for start in range(70, 86):
        script = [UNVOICED] * start + [VOICED] * 5 + [UNVOICED] * 48
        batched, single = run(settings, script, batches=True), run(settings, script, batches=False)
        assert batched.predicted_at == single.predicted_at


@pytest.mark.parametrize(("hang_over_s", "size"), [(0.1, 2), (0.2, 2), (0.3, 2), (0.39, 3), (0.6, 4), (2.0, 4)])
def test_the_longer_the_pause_the_larger_are_the_batches_of_a_quiet_room(hang_over_s: float, size: int) -> None:
    settings = EndpointSettings(hang_over_s=hang_over_s)
    assert Endpointer(settings, ScriptedDetector()).batch_size == size
    seconds = 60
    timing = run(settings, [UNVOICED] * round(seconds / FRAME_SECONDS), batches=True)
    assert timing.deliveries == pytest.approx(seconds / BLOCK_SECONDS / size, abs=2)
