"""Image augmentation: Keras layers that change images during training only, and that a converted network does without.

Keras runs none of them when it predicts. They are removed from the configuration before the conversion, because some
have no TFLite operator even for what they do not do.
"""

import copy
from collections.abc import Mapping
from typing import Any

_LAYERS = """
    RandomBrightness RandomColorDegeneration RandomColorJitter RandomContrast RandomElasticTransform RandomErasing
    RandomFlip RandomGaussianBlur RandomGrayscale RandomHeight RandomHue RandomInvert RandomPerspective
    RandomPosterization RandomRotation RandomSaturation RandomSharpness RandomShear RandomTranslation RandomWidth
    RandomZoom AugMix CutMix MixUp RandAugment Solarization Equalization
"""
AUGMENTATION = frozenset(_LAYERS.split())
"""Names of the layers. RandomCrop is not among them: it also crops or resizes when the network predicts."""


def without_augmentation(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration, in which each augmentation layer is replaced by one that passes its input on unchanged.

    Args:
        configuration: configuration of a network in the notation of Keras 2; it is not changed.
    """
    changed: dict[str, Any] = copy.deepcopy(dict(configuration))
    stack: list[Any] = [changed]
    while stack:
        node = stack.pop()
        if isinstance(node, list):
            stack += node
        elif isinstance(node, dict):
            settings = node.get("config")
            if node.get("class_name") in AUGMENTATION and isinstance(settings, dict):
                same = {key: settings[key] for key in ("name", "trainable", "batch_input_shape") if key in settings}
                node |= {"class_name": "Activation", "config": {**same, "activation": "linear"}}
            else:
                stack += node.values()
    return changed
