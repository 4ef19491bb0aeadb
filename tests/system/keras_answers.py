"""What Keras itself answers to the recorded clips: golden values for the bundle that ships.

The `Model.h5` behind that bundle is too large for the repository, its answers are not. To make them anew after the
default model has changed:

    python -m tests.system.keras_answers Model.h5
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from device.audio.audio_file import Recording
from device.audio.endpoint import Endpointer
from device.audio.silero_vad import VoiceDetector
from device.bundle import DEFAULT_BUNDLE, Bundle, read_bundle
from device.pipeline import Pipeline
from device.recognition.speech_model import fetch as speech_model
from device.recognition.transcriber import Transcriber
from device.settings.schema import Settings
from tests.conftest import CLIPS

ANSWERS = Path(__file__).parents[1] / "fixtures" / "keras_answers.json"


@dataclass(frozen=True)
class Heard:
    """What the network is asked about one clip."""

    name: str
    text: str
    picture: NDArray[np.float32]
    ids: NDArray[np.int32]


class _Asked:
    """Stands where the classifier stands and keeps what it is asked."""

    def __init__(self, labels: tuple[str, ...]) -> None:
        self.labels = labels
        self.asked: list[tuple[NDArray[np.float32], NDArray[np.int32]]] = []

    def probabilities(self, picture: NDArray[np.float32], ids: NDArray[np.int32]) -> dict[str, float]:
        self.asked.append((picture, ids))
        return dict.fromkeys(self.labels, 1 / len(self.labels))


def heard(bundle: Bundle, transcriber: Transcriber) -> Iterator[Heard]:
    """Each clip on its way through the stations, up to the network."""
    settings = Settings().endpoint
    for path in sorted(CLIPS.glob("*.flac")):
        asked = _Asked(bundle.companions.labels)
        pipeline = Pipeline(
            Endpointer(settings, VoiceDetector(settings.gate_dbfs)), transcriber, asked, bundle.companions
        )
        [prediction] = pipeline.predictions(Recording(path, settings.hang_over_s + settings.pre_roll_s).frames())
        picture, ids = asked.asked[-1]  # it may be asked before the pause is over, too
        yield Heard(path.stem, prediction.text, picture, ids)


def main(model: Path) -> None:
    """Write the answers of `model`."""
    import tf_keras

    bundle = read_bundle(DEFAULT_BUNDLE)
    transcriber = Transcriber(speech_model.find(announce=print), Settings().transcriber.lone_word_confidence)
    network = tf_keras.models.load_model(model, compile=False)
    answers = {}
    for clip in heard(bundle, transcriber):
        softmax = network([clip.picture[None], clip.ids[None]], training=False).numpy()[0]
        rounded = {
            label: round(float(value), 5) for label, value in zip(bundle.companions.labels, softmax, strict=True)
        }
        answers[clip.name] = {"text": clip.text, "probabilities": rounded}
    ANSWERS.write_text(json.dumps(answers, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
