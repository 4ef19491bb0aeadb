"""Why the network predicts a class: what it predicts from the audio alone and from the words alone.

Each modality is classified by the same network, with the input of the other one blanked: word ids that are all 0, or
the image of digital silence. `edge-mcnn evaluate` blanks its rows in the same way, so that both give the same numbers.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from device.events import Probabilities
from device.front_end.parameters import FrontEnd
from device.front_end.spectrogram import silent_image

AUTO, ALWAYS, NEVER = "auto", "always", "never"
EXPLAIN = (AUTO, ALWAYS, NEVER)
"""Values of `explain` under `[classifier]`."""
SLOW_CALL_S = 0.02
"""With `auto`, a network whose call takes longer (seconds) is not run for an explanation.

Two calls are needed; they run in the listening thread, which gets a block of audio every 128 ms.
"""


class ProbabilityModel(Protocol):
    """Rates the classes: `device.recognition.classifier.Classifier`."""

    def probabilities(self, image: NDArray[np.float32], ids: NDArray[np.int32]) -> dict[str, float]:
        """Compute the probability of each class, from an image (height, width, 3) and ids (sequence_length,)."""


class Explainer:
    """Computes what each modality alone predicts.

    Args:
        classifier: rates the classes.
        front_end: settings of the classifier's inputs.
    """

    def __init__(self, classifier: ProbabilityModel, front_end: FrontEnd) -> None:
        self._classifier = classifier
        self._silence = silent_image(front_end)
        self._no_words = np.zeros(front_end.sequence_length, np.int32)

    def modalities(
        self, image: NDArray[np.float32], ids: NDArray[np.int32], both: Probabilities
    ) -> tuple[Probabilities | None, Probabilities | None]:
        """Return the probabilities from audio alone and from words alone, each None where the input is missing.

        If one input is missing, the other one alone is what the network has classified already.

        Args:
            image: spectrogram image, shape (height, width, 3), float32, 0 to 1; audio is missing if it is that of
                digital silence.
            ids: word ids, shape (sequence_length,), int32; words are missing if all are 0.
            both: probabilities for this image and these ids.
        """
        audio, words = not np.array_equal(image, self._silence), bool(ids.any())
        audio_only = both if audio and not words else None
        text_only = both if words and not audio else None
        if audio and words:
            audio_only = self._classifier.probabilities(image, self._no_words)
            text_only = self._classifier.probabilities(self._silence, ids)
        return audio_only, text_only
