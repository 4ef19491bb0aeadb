"""The settings of a training: every choice that it depends on, in one place."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from device.front_end.parameters import FrontEnd
from training.base_model.base import BaseModel
from training.data.corpus import TextKind
from training.networks.network import LEARNING_RATES, Vgg19Weights


@dataclass(frozen=True)
class TrainingSettings:
    """Settings of a training; the defaults are the tutorial's."""

    network: str = "tutorial"
    """Name of the network, one of `training.networks.network.NETWORKS`."""
    epochs: int = 13
    """Maximum number of passes over the train rows."""
    batch_size: int = 16
    """Rows per step, summed over all workers."""
    learning_rate: float | None = None
    """Step size of Adam; None uses the network's default."""
    patience: int | None = None
    """Epochs without a better validation loss until training stops and uses the weights of the best epoch; None trains
    all epochs and uses those of the last."""
    seed: int = 1
    """Seed of all randomness: the same seed gives the same weights on the same machine."""
    balanced: bool = False
    """Whether each class is weighted by the inverse of its share of the train rows."""
    augment: bool | None = None
    """Whether to train on augmented copies of the recordings as well; None does if there are few recordings, see
    `training.fit.augmentation`."""
    audio_root: Path | None = None
    """Folder that relative audio paths in a table start from; None is the table's own."""
    text: TextKind = "reference"
    """Which text to train on, see `with_text`."""
    image_cache: Path | None = None
    """Folder that caches images and their features for the next training, see `ImageCache`; None caches none."""
    vgg19_weights: Vgg19Weights = "imagenet"
    """Source of the frozen weights, see `build_network`."""
    fast_lstm: bool = False
    """Whether to train the network `tutorial` without recurrent dropout, which is faster on a GPU."""
    allow_identical: bool = False
    """Whether to train although validation recordings are identical to train recordings."""
    resume: bool = False
    """Whether to continue from the checkpoint of an unfinished training."""
    tensorboard: Path | None = None
    """Folder that the metrics of each epoch are logged to for TensorBoard, see `EventLog`; None logs none."""
    worker_wait_s: float = 300.0
    """Seconds to wait for the other machines, if there are any, see `training.fit.workers`."""
    card: Mapping[str, Any] = field(default_factory=dict)
    """Additional entries of the model card."""
    front_end: FrontEnd = field(default_factory=FrontEnd)
    """Settings of image and ids, saved with the model."""
    base: BaseModel | None = None
    """The trained network to start from; it requires its own network and front end, see `starting_from`."""

    def starting_from(self, base: BaseModel, network: str | None = None) -> "TrainingSettings":
        """Return the same settings with a base and its front end.

        Args:
            base: the trained network to start from.
            network: name of the network that the user requires; None is that of the base.
        """
        return replace(self, base=base, network=network or base.network, front_end=base.companions.front_end)

    @property
    def step_size(self) -> float:
        """The learning rate: `learning_rate`, or else the network's default."""
        return LEARNING_RATES.get(self.network, 0.0) if self.learning_rate is None else self.learning_rate
