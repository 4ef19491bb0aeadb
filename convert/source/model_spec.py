"""Reads inputs and sizes from a Keras configuration, and rewrites the configuration so that TFLite can express it.

It works on JSON in the notation of Keras 2: unsuitable networks are refused before tensorflow is loaded.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from convert.source.allowlist import parts
from convert.source.layer_graph import references
from device.bundle import Companions
from device.errors import ConversionError
from device.system.display import displayable

_RECURRENT = ("LSTM", "GRU", "SimpleRNN")
_BUILD_TWO_INPUTS = (
    "build it with the functional API, Model([images, ids], output): an image input (None, height, width, 3) and an id "
    "input (None, length); docs/convert.md shows an example"
)


@dataclass(frozen=True)
class ModelSpec:
    """The properties of a network that matter for the conversion."""

    image_input: str
    """Name of the input layer for spectrogram images."""
    ids_input: str
    """Name of the input layer for word ids."""
    image_size: tuple[int | None, int | None]
    """Height and width of the images in pixels; None where the network accepts any."""
    sequence_length: int | None
    """Number of ids per utterance; None if the network accepts any number."""
    embedding_rows: int | None
    """Number of rows of the smallest embedding, so all ids must be lower; None without an embedding."""


def read_spec(configuration: Mapping[str, Any]) -> ModelSpec:
    """Find the two inputs, by shape and not by name or order, and check that the network can be converted.

    Raises:
        ConversionError: the network does not have an image and an id input and one softmax output.
    """
    try:
        layers = {layer["config"]["name"]: layer for layer in configuration["config"]["layers"]}
        if configuration["class_name"] == "Sequential" and "input_layers" not in configuration["config"]:
            raise _sequential(configuration["config"]["layers"])
        inputs = [layers[name] for name in _names(configuration["config"].get("input_layers", []))]
        shapes = [tuple(layer["config"]["batch_input_shape"]) for layer in inputs]
        outputs = _names(configuration["config"].get("output_layers", []))
    except (KeyError, TypeError, AttributeError):
        raise ConversionError("not a functional Keras model", fix="build it with Model(inputs, outputs)") from None
    images = [i for i, shape in enumerate(shapes) if _is_image(shape)]
    ids = [i for i, shape in enumerate(shapes) if len(shape) == 2]
    if len(shapes) != 2 or len(images) != 1 or len(ids) != 1:
        raise _wrong_inputs(shapes)
    if len(outputs) != 1:
        raise ConversionError(
            f"the network has {len(outputs)} outputs ({', '.join(map(displayable, outputs))}), expected one",
            fix="build Model([images, ids], output) with the one output that holds the probabilities of the labels",
        )
    _check_output(layers.get(outputs[0], {}))
    layers_and_more = list(parts(configuration))
    _check_calls(configuration)
    for part in layers_and_more:
        if isinstance(part.get("config"), dict) and part["config"].get("stateful"):
            raise ConversionError(
                f"layer {_shown_name(part)} ({part['class_name']}) has stateful=True, so a prediction would depend on "
                "the utterances before it",
                fix="build the same network with stateful=False, copy the weights with set_weights, and save it",
            )
    embeddings: list[Any] = [part.get("config") for part in layers_and_more if part["class_name"] == "Embedding"]
    if not all(isinstance(each, dict) and type(each.get("input_dim")) is int for each in embeddings):
        raise ConversionError(
            "an Embedding does not state how many rows it has (input_dim)", fix="save the model again"
        )
    return ModelSpec(
        image_input=inputs[images[0]]["config"]["name"],
        ids_input=inputs[ids[0]]["config"]["name"],
        image_size=(shapes[images[0]][1], shapes[images[0]][2]),
        sequence_length=shapes[ids[0]][1],
        embedding_rows=min((embedding["input_dim"] for embedding in embeddings), default=None),
    )


def check_companions(spec: ModelSpec, companions: Companions) -> ModelSpec:
    """Check that the network's inputs match the front end and the vocabulary that are packed with it.

    Returns:
        The spec, in which sizes that the network leaves open are those of the front end.

    Raises:
        ConversionError: they do not match.
    """
    front_end = companions.front_end
    expected = (front_end.image_height, front_end.image_width)
    if any(size not in (None, other) for size, other in zip(spec.image_size, expected, strict=True)):
        raise ConversionError(
            f"the network's images have {_pixels(spec.image_size)}, its front end's {_pixels(expected)}",
            fix="train it again with the front end that it is used with",
        )
    if spec.sequence_length not in (None, front_end.sequence_length):
        raise ConversionError(
            f"the network's input has {spec.sequence_length} ids, its front end's output {front_end.sequence_length} "
            "(sequence_length)",
            fix="train it again with the front end that it is used with",
        )
    highest = min(len(companions.vocabulary), front_end.num_words - 1)
    if spec.embedding_rows is not None and highest >= spec.embedding_rows:
        raise ConversionError(
            f"the vocabulary has ids up to {highest}, the embedding has {spec.embedding_rows} rows",
            fix=f"give the vocabulary that it was trained with, or train an Embedding with {highest + 1} rows or more",
        )
    return replace(spec, image_size=expected, sequence_length=front_end.sequence_length)


def freeze(configuration: Mapping[str, Any], spec: ModelSpec, *, unroll: bool = False) -> dict[str, Any]:
    """The configuration of the same network as TFLite needs it: batch 1, integer ids, an LSTM that can be fused.

    Its inputs are [images, ids] and its output is one tensor, however they were nested before.

    Args:
        configuration: configuration of a functional Keras 2 model.
        spec: its inputs and sizes; all sizes are known.
        unroll: whether recurrent layers consist of one copy per step instead of a loop or a fused operator.
    """
    changed = copy.deepcopy(dict(configuration))
    graph = changed["config"]
    for layer in graph["layers"]:
        settings = layer["config"]
        # With a dynamic batch size TFLite cannot convert the LSTM at all.
        if settings.get("name") == spec.image_input:
            settings["batch_input_shape"] = [1, *spec.image_size, 3]
        if settings.get("name") == spec.ids_input:
            settings["batch_input_shape"] = [1, spec.sequence_length]
            settings["dtype"] = "int32"  # quantisation would destroy ids that are floats
    for part in parts(changed):
        if part["class_name"] in _RECURRENT:
            # Neither changes a prediction, and with either of them an LSTM would not be fused.
            part["config"].update(recurrent_dropout=0.0, unroll=unroll)
        elif part["class_name"] == "RNN":
            part["config"].update(unroll=unroll)
    (output,) = references(graph["output_layers"])
    graph["input_layers"] = [[spec.image_input, 0, 0], [spec.ids_input, 0, 0]]
    graph["output_layers"] = [list(output)]
    return changed


def _is_image(shape: tuple[Any, ...]) -> bool:
    return len(shape) == 4 and shape[3] == 3


def _sequential(layers: Sequence[Mapping[str, Any]]) -> ConversionError:
    """The error about a sequential model, which can have one input only."""
    first = layers[0]["config"] if layers else {}
    shape = first.get("batch_input_shape") or first.get("batch_shape")
    kind = f" ({_kind_of_input(tuple(shape))})" if isinstance(shape, list) else ""
    return ConversionError(
        f"is a Sequential model, which has one input{kind}; the device needs two, an image and word ids",
        fix=_BUILD_TWO_INPUTS,
    )


def _wrong_inputs(shapes: Sequence[tuple[Any, ...]]) -> ConversionError:
    """The error about a network whose inputs are not an image and word ids."""
    found = "; ".join(_kind_of_input(shape) for shape in shapes) or "none"
    images = sum(_is_image(shape) for shape in shapes)
    ids = sum(len(shape) == 2 for shape in shapes)
    fix = _BUILD_TWO_INPUTS
    if len(shapes) == 1:
        count = "one input"
        missing = "word ids" if images else "an image" if ids else "an image and word ids"
        wrong = f"the device needs two, and {missing} {'are' if missing == 'word ids' else 'is'} missing"
        if not images and not ids:
            wrong = "the device needs two, an image and word ids"
    else:
        count = f"{len(shapes)} inputs" if shapes else "no inputs"
        wrong = "the device needs two, one image and one row of word ids"
        if len(shapes) > 2 and images and ids:
            fix = "train it with one image input and one id input; other values do not exist on the device"
    return ConversionError(f"the network has {count} ({found}); {wrong}", fix=fix)


def _kind_of_input(shape: tuple[Any, ...]) -> str:
    """The shape of an input, and what it is taken for."""
    shown = _shown_shape(shape)
    if _is_image(shape):
        return f"an image {shown}"
    if len(shape) == 2:
        return f"word ids {shown}"
    if len(shape) == 4 and shape[1] == 3:
        return f"{shown}: the 3 colours come first, expected last"
    if len(shape) == 4:
        return f"{shown}: an image with {shape[3]} channels, expected 3"
    if len(shape) == 3:
        return f"{shown}: vectors, audio or an image without colours, expected an image with 3 colours or word ids"
    return f"{shown}: neither an image nor word ids"


def _check_output(layer: Mapping[str, Any]) -> None:
    """Check the last layer, as far as the configuration shows what it computes; the worker checks the probabilities."""
    settings = layer.get("config")
    if layer.get("class_name") not in ("Dense", "Activation") or not isinstance(settings, dict):
        return
    name, activation = _shown_name(layer), settings.get("activation")
    if layer["class_name"] == "Dense" and settings.get("units") == 1:
        raise ConversionError(
            f"the output {name} is one number ({activation}), but the device needs one probability per label",
            fix="end the network with Dense(2, activation='softmax') and train it with two labels",
        )
    if activation == "linear":
        raise ConversionError(
            f"the output {name} has no activation, so it holds logits, not probabilities",
            fix="add a softmax without training again: Model(model.inputs, Softmax()(model.output)).save('Model.h5')",
        )
    if isinstance(activation, str) and activation != "softmax":
        raise ConversionError(
            f"the output {name} has the activation {activation!r}, but the device needs a softmax, whose probabilities "
            "add up to 1",
            fix="end the network with Dense(labels, activation='softmax') and train it again",
        )


def _check_calls(configuration: Mapping[str, Any]) -> None:
    """Refuse layers that are called with `training=True`: dropout and augmentation would stay random."""
    stack: list[Any] = [configuration]
    while stack:
        node = stack.pop()
        if not isinstance(node, dict):
            stack += node if isinstance(node, list) else []
            continue
        if "inbound_nodes" in node and _calls_in_training(node["inbound_nodes"]):
            raise ConversionError(
                f"layer {_shown_name(node)} ({node.get('class_name')}) is called with training=True, so predictions "
                "would be random",
                fix="build the same network without training=True, copy the weights with set_weights, and save it",
            )
        stack += node.values()


def _calls_in_training(node: Any) -> bool:
    if isinstance(node, dict):
        return node.get("training") is True or any(map(_calls_in_training, node.values()))
    return isinstance(node, list) and any(map(_calls_in_training, node))


def _shown_name(layer: Mapping[str, Any]) -> str:
    settings = layer.get("config")
    return repr(displayable(settings.get("name", "") if isinstance(settings, dict) else ""))


def _names(node: object) -> list[str]:
    return [name for name, _, _ in references(node)]


def _shown_shape(shape: tuple[int | None, ...]) -> str:
    return f"({', '.join(map(str, shape))})"


def _pixels(size: tuple[int | None, int | None]) -> str:
    return f"{size[0]} x {size[1]} pixels"
