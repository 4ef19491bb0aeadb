"""Predictions of Keras for the recorded clips: golden values for the shipped bundle.

The `Model.h5` of that bundle is too large for the repository, so only its predictions are stored. To update them after
the default model has changed:

    python -m tests.system.keras_predictions Model.h5
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
from device.recognition.speech_model.fetch import find_speech_model
from device.recognition.transcriber import Transcriber
from device.settings.schema import Settings
from tests.conftest import CLIPS
from tests.device.unadapted import Unadapted

PREDICTIONS = Path(__file__).parents[1] / "fixtures" / "keras_predictions.json"


@dataclass(frozen=True)
class NetworkInput:
    """The input of the network for one clip."""

    name: str
    """Name of the clip, without suffix."""
    text: str
    """Transcript of the clip."""
    image: NDArray[np.float32]
    """Spectrogram image, shape (height, width, 3), 0 to 1."""
    ids: NDArray[np.int32]
    """Token ids, shape (sequence length,)."""


class _RecordingClassifier(Unadapted):
    """Replaces the classifier and records its inputs."""

    def __init__(self, labels: tuple[str, ...]) -> None:
        self.labels = labels
        self.inputs: list[tuple[NDArray[np.float32], NDArray[np.int32]]] = []

    def probabilities(self, image: NDArray[np.float32], ids: NDArray[np.int32]) -> dict[str, float]:
        self.inputs.append((image, ids))
        return dict.fromkeys(self.labels, 1 / len(self.labels))


def network_inputs(bundle: Bundle, transcriber: Transcriber) -> Iterator[NetworkInput]:
    """Process each clip up to the network, and yield the network's input."""
    settings = Settings().endpoint
    for path in sorted(CLIPS.glob("*.flac")):
        classifier = _RecordingClassifier(bundle.companions.labels)
        pipeline = Pipeline(
            Endpointer(settings, VoiceDetector(settings.gate_dbfs)), transcriber, classifier, bundle.companions
        )
        [prediction] = pipeline.predictions(Recording(path, settings.hang_over_s + settings.pre_roll_s).frames())
        image, ids = classifier.inputs[-1]  # the classifier may also run before the pause is over
        yield NetworkInput(path.stem, prediction.text, image, ids)


def main(model: Path) -> None:
    """Write the predictions of a Keras model."""
    import tf_keras

    bundle = read_bundle(DEFAULT_BUNDLE)
    transcriber = Transcriber(find_speech_model(announce=print), Settings().transcriber.lone_word_confidence)
    network = tf_keras.models.load_model(model, compile=False)
    predictions = {}
    for clip in network_inputs(bundle, transcriber):
        softmax = network([clip.image[None], clip.ids[None]], training=False).numpy()[0]
        rounded = {
            label: round(float(value), 5) for label, value in zip(bundle.companions.labels, softmax, strict=True)
        }
        predictions[clip.name] = {"text": clip.text, "probabilities": rounded}
    PREDICTIONS.write_text(json.dumps(predictions, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
