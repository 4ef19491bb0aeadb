"""A stand-in for VGG19 that is quick to build, run and save; what is trained on top of it is the network's own."""

from typing import Any

from tf_keras import Model, layers


def small_vgg19(include_top: bool, weights: str | None, input_tensor: Any) -> Model:
    """Called as `tf_keras.applications.VGG19` is; (64, 64, 3) -> (2, 2, 512)."""
    assert not include_top
    assert weights is None
    found = layers.AveragePooling2D(4)(input_tensor)
    return Model(input_tensor, layers.Conv2D(512, 10, 8, padding="same", activation="relu", name="block1")(found))
