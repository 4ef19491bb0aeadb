"""Building networks from their configuration and weights, in the Keras that made them and in Keras 2.

What is built is the configuration that `convert.source.keras_source` found to be free of code; of the file itself only
the weights are read. This module and its users in the child process import tensorflow.
"""

import inspect
import json
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from convert.source.allowlist import parts
from convert.source.keras_h5 import refuse_other_files
from convert.source.keras_source import WEIGHTS_ENTRY, Format
from device.errors import ConversionError

_MODULES_OF_MODELS = {"Functional": "keras.src.models.functional"}


def load_network(path: Path, format_: Format, keras: int, stored: Mapping[str, Any]) -> Any:
    """The network as it was trained, in its own Keras.

    Args:
        path: file or folder.
        format_: of it.
        keras: 2 or 3.
        stored: its configuration, free of code.

    Raises:
        ConversionError: Keras cannot build it, or its weights are missing or do not fit.
    """
    try:
        import tensorflow as tf

        if keras == 3:
            import keras as own_keras
        else:
            import tf_keras as own_keras
        # Of the outermost model, an HDF5 file of Keras 3 tells the class without the module that it must be told by.
        module = _MODULES_OF_MODELS.get(stored["class_name"], "keras")
        configuration = {"module": module, "registered_name": None, **stored} if keras == 3 else plain(stored)
        model = own_keras.models.model_from_json(json.dumps(configuration))
        with tempfile.TemporaryDirectory(prefix="edge-mcnn-weights-") as name:
            weights = _weights(path, format_, Path(name))
            if weights.suffix == ".h5":
                refuse_other_files(weights)
            loaded = model.load_weights(str(weights))
            if format_ == "saved_model":
                loaded.assert_existing_objects_matched().expect_partial()
    except ModuleNotFoundError as error:
        raise ConversionError(f"the network is of Keras {keras}, and {error.name} is not installed") from error
    except (
        *(OSError, EOFError, ValueError, TypeError, KeyError, IndexError, AttributeError, AssertionError, RuntimeError),
        *(tf.errors.OpError, zipfile.BadZipFile, zlib.error),
    ) as error:
        raise ConversionError(f"Keras cannot load the network: {first_line(error)}") from error
    return model


def in_keras_2(trained: Any, configuration: Mapping[str, Any]) -> Any:
    """The same network in Keras 2, with the same weights.

    Args:
        trained: as `load_network` gave it; it may be of Keras 2.
        configuration: as Keras 2 writes it.

    Raises:
        ConversionError: Keras 2 cannot build it.
    """
    import tf_keras

    try:
        model = tf_keras.models.model_from_json(json.dumps(_known_to_keras_2(configuration)))
        copy_weights(trained, model)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConversionError(f"Keras 2, which TFLite needs, cannot build the network: {first_line(error)}") from error
    return model


def copy_weights(source: Any, target: Any) -> None:
    """Give `target` the weights of `source`, which has layers of the same names.

    Layer by layer: across a whole model, the two Keras list them in different orders.
    """
    for name, layer in _leaves(target):
        layer.set_weights(layer_at(source, name).get_weights())


def layer_at(model: Any, path: tuple[str, ...]) -> Any:
    """The layer with the last of these names, in the models with the names before it, each in the one before."""
    for name in path:
        model = model.get_layer(name)
    return model


def plain(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """A Keras 2 configuration without the module names that later versions added, which point at today's Keras."""
    copied: dict[str, Any] = json.loads(json.dumps(configuration))
    for part in parts(copied):
        for key in ("module", "registered_name", "build_config"):
            part.pop(key, None)
    return copied


def first_line(error: Exception) -> str:
    """What an error says, in one line of at most 300 characters."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[0].strip()[:300]


def _weights(path: Path, format_: Format, folder: Path) -> Path:
    """Where Keras finds the weights, under a name from which it tells what they are."""
    if format_ == "saved_model":
        return path.resolve() / "variables" / "variables"
    if format_ == "hdf5":
        link = folder / "model.h5"
        link.symlink_to(path.resolve())
        return link
    with zipfile.ZipFile(path) as archive:
        return Path(archive.extract(WEIGHTS_ENTRY, folder))


def _known_to_keras_2(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Without settings of layers that Keras 2 does not know, and which it would refuse."""
    import tf_keras

    copied = plain(configuration)
    for part in parts(copied):
        kind = getattr(tf_keras.layers, part["class_name"], None)
        settings = part.get("config")
        if kind is None or not isinstance(settings, dict) or "layers" in settings:
            continue
        known = {"name", "dtype", "trainable", "batch_input_shape"}
        for base in kind.__mro__:
            if base is not tf_keras.layers.Layer and base is not object:
                known |= set(inspect.signature(base.__init__).parameters)
        for key in set(settings) - known:
            del settings[key]
    return copied


def _leaves(model: Any, prefix: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from _leaves(layer, (*prefix, layer.name))
        else:
            yield (*prefix, layer.name), layer
