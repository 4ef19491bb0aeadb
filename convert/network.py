"""What a Keras configuration says about a network, and that network rewritten so that TFLite can express it.

Works on the JSON alone: a network that cannot be converted is refused before tensorflow is loaded, and one that carries
code before any of it could run.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from device.bundle import Companions
from device.errors import ConversionError

_TRUSTED_PACKAGES = ("keras", "tf_keras")


@dataclass(frozen=True)
class Network:
    """What the converter must know of a network."""

    picture: str
    """Name of the input layer that takes the picture."""
    ids: str
    """Name of the input layer that takes the word ids."""
    picture_size: tuple[int, int]
    """Height and width, pixels."""
    sequence_length: int
    """Ids per utterance."""
    embedding_rows: int | None
    """Rows of the smallest embedding, so ids must lie below it; None without an embedding."""
    lstm_layers: int
    """Each must become one fused operator."""


def examine(configuration: Mapping[str, Any]) -> Network:
    """Find the two inputs, by shape and not by name or order, and what else decides whether the network fits.

    Raises:
        ConversionError: the network carries code, or is not "picture and ids in, one softmax out".
    """
    parts = list(_parts(configuration))
    for part in parts:
        _refuse_code(part)
    try:
        layers = {layer["config"]["name"]: layer for layer in configuration["config"]["layers"]}
        inputs = [layers[name] for name in _names(configuration["config"].get("input_layers", []))]
        shapes = [tuple(layer["config"]["batch_input_shape"]) for layer in inputs]
        outputs = _names(configuration["config"].get("output_layers", []))
    except (KeyError, TypeError, AttributeError):
        raise ConversionError("not a functional Keras 2 model; build it with tf_keras.Model(inputs, outputs)") from None
    pictures = [i for i, shape in enumerate(shapes) if len(shape) == 4 and shape[3] == 3 and None not in shape[1:]]
    ids = [i for i, shape in enumerate(shapes) if len(shape) == 2 and None not in shape[1:]]
    if len(shapes) != 2 or len(pictures) != 1 or len(ids) != 1:
        found = ", ".join(_written(shape) for shape in shapes) or "none"
        raise ConversionError(
            f"the inputs of the network are {found}; expected two, "
            "a picture (None, height, width, 3) and ids (None, length)"
        )
    if len(outputs) != 1:
        raise ConversionError(f"the network has {len(outputs)} outputs; expected one softmax over the labels")
    embeddings = [part["config"] for part in parts if part["class_name"] == "Embedding"]
    if any(embedding.get("mask_zero") for embedding in embeddings):
        # Dropping the mask would let the LSTM read the padding, and the device would answer otherwise than Keras.
        raise ConversionError(
            "an Embedding has mask_zero=True, which a fused TFLite LSTM cannot honour; train it with mask_zero=False"
        )
    return Network(
        picture=inputs[pictures[0]]["config"]["name"],
        ids=inputs[ids[0]]["config"]["name"],
        picture_size=(shapes[pictures[0]][1], shapes[pictures[0]][2]),
        sequence_length=shapes[ids[0]][1],
        embedding_rows=min((embedding["input_dim"] for embedding in embeddings), default=None),
        lstm_layers=sum(part["class_name"] == "LSTM" for part in parts),
    )


def check_companions(network: Network, companions: Companions) -> None:
    """Hold the network's inputs against the front end and the vocabulary that travel with it.

    Raises:
        ConversionError: they do not belong together.
    """
    front_end = companions.front_end
    expected = (front_end.picture_height, front_end.picture_width)
    if network.picture_size != expected:
        raise ConversionError(
            f"the network takes pictures of {_pixels(network.picture_size)}, its front end makes {_pixels(expected)}; "
            "train it again with the front end that it is used with"
        )
    if network.sequence_length != front_end.sequence_length:
        raise ConversionError(
            f"the network takes {network.sequence_length} ids, its front end gives {front_end.sequence_length} "
            "(sequence_length); train it again with the front end that it is used with"
        )
    highest = min(len(companions.vocabulary), front_end.num_words - 1)
    if network.embedding_rows is not None and highest >= network.embedding_rows:
        raise ConversionError(
            f"the vocabulary gives ids up to {highest}, the embedding has {network.embedding_rows} rows; "
            f"give the vocabulary that it was trained with, or an Embedding with {highest + 1} rows or more"
        )


def frozen(configuration: Mapping[str, Any], network: Network) -> dict[str, Any]:
    """The same network, with the same weights, as TFLite needs it: batch 1, whole ids, an LSTM that fuses.

    Its inputs are [picture, ids] and its output is one tensor, whatever structure they had.
    """
    changed = copy.deepcopy(dict(configuration))
    graph = changed["config"]
    for layer in graph["layers"]:
        settings = layer["config"]
        if settings.get("name") in (network.picture, network.ids):
            settings["batch_input_shape"][0] = 1  # a dynamic batch keeps the LSTM from being converted at all
        if settings.get("name") == network.ids:
            settings["dtype"] = "int32"  # as floats, quantisation would destroy them
    for part in _parts(changed):
        if part["class_name"] == "LSTM":
            # Neither changes an answer, and with either the LSTM stays a loop.
            part["config"].update(recurrent_dropout=0.0, unroll=False)
    (output,) = _references(graph["output_layers"])
    graph["input_layers"] = [[network.picture, 0, 0], [network.ids, 0, 0]]
    graph["output_layers"] = [list(output)]
    return changed


def check_operators(operators: Sequence[str], network: Network) -> None:
    """Hold the operators of the converted model against what every runtime can do.

    Args:
        operators: names as TFLite gives them, such as "CONV_2D".
        network: what was converted.

    Raises:
        ConversionError: a loop, an operator outside TFLite, or an LSTM that was not fused.
    """
    foreign = sorted({name for name in operators if name.startswith("Flex") or name == "CUSTOM"})
    if foreign:
        raise ConversionError(f"needs {', '.join(foreign)}, which TFLite itself does not have; use other layers")
    fused = operators.count("UNIDIRECTIONAL_SEQUENCE_LSTM")
    if "WHILE" in operators or fused < network.lstm_layers:
        raise ConversionError(
            f"{fused} of {network.lstm_layers} LSTM layers became one operator, and a loop is left, which quantisation "
            "breaks; use LSTM layers with tanh, sigmoid and a bias (Keras's defaults), and no other recurrent layer"
        )


def _parts(node: object) -> Iterator[dict[str, Any]]:
    """Every `{"class_name": ..., "config": ...}` in the tree: layers, nested models, initialisers and so on."""
    if isinstance(node, dict):
        if isinstance(node.get("class_name"), str) and "config" in node:
            yield node
        for value in node.values():
            yield from _parts(value)
    elif isinstance(node, list):
        for value in node:
            yield from _parts(value)


def _refuse_code(part: Mapping[str, Any]) -> None:
    kind = part["class_name"]
    name = part["config"].get("name", kind) if isinstance(part["config"], dict) else kind
    if kind.endswith("Lambda") or kind == "__lambda__":
        raise ConversionError(
            f"layer {name!r} is a {kind}: it carries code, which edge-mcnn does not run; use Keras's own layers instead"
        )
    module = part.get("module")
    if module is not None and str(module).split(".")[0] not in _TRUSTED_PACKAGES:
        raise ConversionError(
            f"{name!r} comes from the Python module {module!r}, which edge-mcnn does not import; use Keras's own layers"
        )


def _references(node: object) -> Iterator[tuple[str, int, int]]:
    """The `[layer, node, tensor]` triples in whatever lists or tables Keras nested them."""
    if isinstance(node, dict):
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        if len(node) == 3 and isinstance(node[0], str) and isinstance(node[1], int):
            yield (node[0], node[1], node[2])
        else:
            for value in node:
                yield from _references(value)


def _names(node: object) -> list[str]:
    return [name for name, _, _ in _references(node)]


def _written(shape: tuple[int | None, ...]) -> str:
    return f"({', '.join(map(str, shape))})"


def _pixels(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]} pixels"
