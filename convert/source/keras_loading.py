"""Builds networks from their configuration and weights, in the Keras version that saved them and in Keras 2.

It builds the configuration that `convert.source.keras_source` checked to contain no code; only the weights are read
from the file itself. This module and its users in the child process import tensorflow.
"""

import importlib
import inspect
import json
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from convert.source.allowlist import MASK_OPERATIONS, OPERATIONS_MODULE, parts
from convert.source.keras_h5 import refuse_external_data
from convert.source.keras_source import WEIGHTS_ENTRY, Format
from device.errors import ConversionError

_MODULES_OF_MODELS = {"Functional": "keras.src.models.functional"}


def load_network(path: Path, format_: Format, keras: int, stored: Mapping[str, Any]) -> Any:
    """Build the trained network in the Keras version that saved it.

    Args:
        path: file or folder of the model.
        format_: its file format.
        keras: major version of the Keras that saved it: 2 or 3.
        stored: its configuration, checked to contain no code.

    Raises:
        ConversionError: Keras cannot build it, or its weights are missing or do not fit.
    """
    try:
        import tensorflow as tf

        if keras == 3:
            import keras as own_keras
        else:
            import tf_keras as own_keras
        # An HDF5 file of Keras 3 lacks the module of the outermost model, by which Keras 3 looks up the class.
        module = _MODULES_OF_MODELS.get(stored["class_name"], "keras")
        configuration = (
            _with_modules({"module": module, "registered_name": None, **stored})
            if keras == 3
            else strip_module_names(stored)
        )
        model = own_keras.models.model_from_json(json.dumps(configuration))
        with tempfile.TemporaryDirectory(prefix="edge-mcnn-weights-") as name:
            weights = _weights(path, format_, Path(name))
            if weights.suffix == ".h5":
                refuse_external_data(weights)
            loaded = model.load_weights(str(weights))
            if format_ == "saved_model":
                loaded.assert_existing_objects_matched().expect_partial()
    except ModuleNotFoundError as error:
        raise ConversionError(
            f"the network is of Keras {keras}, and {error.name} is not installed",
            fix='run: pip install "edge-mcnn[train]"',
        ) from error
    except (
        *(OSError, EOFError, ValueError, TypeError, KeyError, IndexError, AttributeError, AssertionError, RuntimeError),
        *(tf.errors.OpError, zipfile.BadZipFile, zlib.error),
    ) as error:
        raise ConversionError(
            f"Keras cannot load the network: {first_line(error)}", fix="save the complete model again with model.save"
        ) from error
    return model


def _with_modules(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """A Keras 3 configuration in which the operations of masks have the module that a `.h5` lacks.

    Keras 3 itself cannot load such a `.h5`, because it looks them up among its layers.
    """
    copied: dict[str, Any] = json.loads(json.dumps(configuration))
    for part in parts(copied):
        if part["class_name"] in MASK_OPERATIONS:
            part |= {"module": OPERATIONS_MODULE, "registered_name": None}
    return copied


def in_keras_2(trained: Any, configuration: Mapping[str, Any]) -> Any:
    """Build the same network in Keras 2, with the same weights.

    Args:
        trained: the network that `load_network` returned, of Keras 2 or 3.
        configuration: its configuration in the notation of Keras 2.

    Raises:
        ConversionError: Keras 2 cannot build it.
    """
    import tf_keras

    try:
        model = tf_keras.models.model_from_json(json.dumps(_supported_by_keras_2(configuration)))
        copy_weights(trained, model)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConversionError(
            f"Keras 2, which TFLite needs, cannot build the network: {first_line(error)}",
            fix="use layers and settings that Keras 2 has, too",
        ) from error
    return model


def copy_weights(source: Any, target: Any) -> None:
    """Copy the weights of `source` to `target`, which has layers of the same names.

    They are copied layer by layer, because Keras 2 and 3 list the weights of a model in different orders.
    """
    for name, layer in _leaves(target):
        layer.set_weights(layer_at(source, name).get_weights())


def layer_at(model: Any, path: tuple[str, ...]) -> Any:
    """The layer at a path: the names of the nested models that contain it, outermost first, then its own name."""
    for name in path:
        model = model.get_layer(name)
    return model


def strip_module_names(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """A Keras 2 configuration without the module names that later versions added, which point to the latest Keras."""
    copied: dict[str, Any] = json.loads(json.dumps(configuration))
    for part in parts(copied):
        for key in ("module", "registered_name", "build_config"):
            part.pop(key, None)
    return copied


def with_ordered_inputs(trained: Any, labels: int) -> Any:
    """The same network, with the same weights, whose inputs are [images, features].

    Args:
        trained: a Keras model with an image and an id input, in any order, and one output.
        labels: number of classes that the output must have.

    Raises:
        ConversionError: its output is not one number per label.
    """
    by_rank = {len(tensor.shape): tensor for tensor in trained.inputs}
    keras = importlib.import_module(keras_package(trained))
    model = keras.Model([by_rank[4], by_rank[2]], trained.outputs[0])
    shape = tuple(model.output_shape)
    if len(shape) != 2 or shape[1] != labels:
        raise ConversionError(
            f"the output of the network has shape {shape}, but there are {labels} labels, so it should be "
            f"(None, {labels}), one probability per label",
            fix="give one label per output of the network",
        )
    return model


def keras_package(model: Any) -> str:
    """Name of the package that a model's class comes from: `keras` or `tf_keras`."""
    return type(model).__module__.split(".")[0]


def first_line(error: Exception) -> str:
    """The first line of an error's message, at most 300 characters of it."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[0].strip()[:300]


def _weights(path: Path, format_: Format, folder: Path) -> Path:
    """Path of the weights, with a name from which Keras recognises their format."""
    if format_ == "saved_model":
        return path.resolve() / "variables" / "variables"
    if format_ == "hdf5":
        link = folder / "model.h5"
        link.symlink_to(path.resolve())
        return link
    with zipfile.ZipFile(path) as archive:
        return Path(archive.extract(WEIGHTS_ENTRY, folder))


def _supported_by_keras_2(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration without settings that the layers of Keras 2 do not have, and would refuse."""
    import tf_keras

    copied = strip_module_names(configuration)
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
