"""A fake network as the pipeline uses one, without a voice profile."""

import numpy as np
from numpy.typing import NDArray

from device.events import UtteranceFeatures

FEATURES = UtteranceFeatures(np.zeros(2), np.zeros(2))


class Unadapted:
    """Rates by `probabilities`, which the subclass has, and adapts to nothing."""

    adapted = False

    def probabilities(self, image: NDArray[np.float32], ids: NDArray[np.int32]) -> dict[str, float]:
        raise NotImplementedError

    def rate(self, image: NDArray[np.float32], ids: NDArray[np.int32]) -> tuple[dict[str, float], UtteranceFeatures]:
        return self.probabilities(image, ids), FEATURES

    def add_unlabelled(self, utterance: UtteranceFeatures) -> None:
        """Nothing learns from it."""

    def load_if_changed(self) -> bool:
        return False
