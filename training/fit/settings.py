"""How to train: every choice that a training depends on, in one place. Knows nothing of how it is done."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from device.front_end.parameters import FrontEnd
from training.data.corpus import TextKind
from training.networks.network import LEARNING_RATES, Vgg19Weights


@dataclass(frozen=True)
class TrainingSettings:
    """How to train; the defaults are the tutorial's."""

    network: str = "tutorial"
    """One of `training.networks.network.NETWORKS`."""
    epochs: int = 13
    """Passes over the train rows, at most."""
    batch_size: int = 16
    """Rows per step, those of all workers together."""
    learning_rate: float | None = None
    """Step size of Adam; None takes the network's own."""
    patience: int | None = None
    """Stop when the validation loss has not improved for so many epochs, and keep the weights of the best epoch; None
    trains all epochs and keeps the last."""
    seed: int = 1
    """The same seed gives the same weights on the same machine."""
    balanced: bool = False
    """Weigh each class by the inverse of its share of the train rows."""
    audio_root: Path | None = None
    """Folder that relative audio paths start from; None is the table's own."""
    text: TextKind = "reference"
    """Which words to train on, see `with_text`."""
    image_cache: Path | None = None
    """Folder that keeps pictures and their features from one training to the next; None keeps none."""
    vgg19_weights: Vgg19Weights = "imagenet"
    """Where the frozen weights come from, see `build_network`."""
    resume: bool = False
    """Go on from the checkpoint of a training that did not end."""
    worker_wait_s: float = 300.0
    """Seconds to wait for the other machines, where there are any, see `training.fit.workers`."""
    card: Mapping[str, Any] = field(default_factory=dict)
    """Entries to add to the model card."""
    front_end: FrontEnd = field(default_factory=FrontEnd)
    """Settings of picture and ids, saved with the model."""

    @property
    def step_size(self) -> float:
        """The learning rate, whoever chose it."""
        return LEARNING_RATES.get(self.network, 0.0) if self.learning_rate is None else self.learning_rate
