"""What a Keras configuration says about a network, and that network rewritten so that TFLite can express it.

Works on the JSON alone, as Keras 2 writes it: a network that will not do is refused before tensorflow is loaded.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from convert.source.allowlist import parts
from convert.source.layer_graph import references
from device.bundle import Companions
from device.errors import ConversionError


@dataclass(frozen=True)
class Network:
    """What the converter must know of a network."""

    picture: str
    """Name of the input layer that takes the picture."""
    ids: str
    """Name of the input layer that takes the word ids."""
    picture_size: tuple[int | None, int | None]
    """Height and width, pixels; None where the network takes any."""
    sequence_length: int | None
    """Ids per utterance; None if the network takes any number."""
    embedding_rows: int | None
    """Rows of the smallest embedding, so ids must lie below it; None without an embedding."""
    lstm_layers: int
    """Each must become one fused operator."""


def examine(configuration: Mapping[str, Any]) -> Network:
    """Find the two inputs, by shape and not by name or order, and what else decides whether the network fits.

    Raises:
        ConversionError: the network is not "picture and ids in, one softmax out".
    """
    try:
        layers = {layer["config"]["name"]: layer for layer in configuration["config"]["layers"]}
        inputs = [layers[name] for name in _names(configuration["config"].get("input_layers", []))]
        shapes = [tuple(layer["config"]["batch_input_shape"]) for layer in inputs]
        outputs = _names(configuration["config"].get("output_layers", []))
    except (KeyError, TypeError, AttributeError):
        raise ConversionError("not a functional Keras model; build it with Model(inputs, outputs)") from None
    pictures = [i for i, shape in enumerate(shapes) if len(shape) == 4 and shape[3] == 3]
    ids = [i for i, shape in enumerate(shapes) if len(shape) == 2]
    if len(shapes) != 2 or len(pictures) != 1 or len(ids) != 1:
        found = ", ".join(_written(shape) for shape in shapes) or "none"
        raise ConversionError(
            f"the inputs of the network are {found}; expected two, "
            "a picture (None, height, width, 3) and ids (None, length)"
        )
    if len(outputs) != 1:
        raise ConversionError(f"the network has {len(outputs)} outputs; expected one softmax over the labels")
    layers_and_more = list(parts(configuration))
    embeddings: list[Any] = [part.get("config") for part in layers_and_more if part["class_name"] == "Embedding"]
    if not all(isinstance(each, dict) and type(each.get("input_dim")) is int for each in embeddings):
        raise ConversionError("an Embedding does not say how many rows it has (input_dim); save the model again")
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
        lstm_layers=sum(part["class_name"] == "LSTM" for part in layers_and_more),
    )


def check_companions(network: Network, companions: Companions) -> Network:
    """Hold the network's inputs against the front end and the vocabulary that travel with it.

    Returns:
        The network, with the sizes that it leaves open as the front end gives them.

    Raises:
        ConversionError: they do not belong together.
    """
    front_end = companions.front_end
    expected = (front_end.image_height, front_end.image_width)
    if any(size not in (None, given) for size, given in zip(network.picture_size, expected, strict=True)):
        raise ConversionError(
            f"the network takes pictures of {_pixels(network.picture_size)}, its front end makes {_pixels(expected)}; "
            "train it again with the front end that it is used with"
        )
    if network.sequence_length not in (None, front_end.sequence_length):
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
    return replace(network, picture_size=expected, sequence_length=front_end.sequence_length)


def frozen(configuration: Mapping[str, Any], network: Network) -> dict[str, Any]:
    """The same network, with the same weights, as TFLite needs it: batch 1, whole ids, an LSTM that fuses.

    Its inputs are [picture, ids] and its output is one tensor, whatever structure they had.
    """
    changed = copy.deepcopy(dict(configuration))
    graph = changed["config"]
    for layer in graph["layers"]:
        settings = layer["config"]
        # A dynamic batch keeps the LSTM from being converted at all.
        if settings.get("name") == network.picture:
            settings["batch_input_shape"] = [1, *network.picture_size, 3]
        if settings.get("name") == network.ids:
            settings["batch_input_shape"] = [1, network.sequence_length]
            settings["dtype"] = "int32"  # as floats, quantisation would destroy them
    for part in parts(changed):
        if part["class_name"] == "LSTM":
            # Neither changes an answer, and with either the LSTM stays a loop.
            part["config"].update(recurrent_dropout=0.0, unroll=False)
    (output,) = references(graph["output_layers"])
    graph["input_layers"] = [[network.picture, 0, 0], [network.ids, 0, 0]]
    graph["output_layers"] = [list(output)]
    return changed


def _names(node: object) -> list[str]:
    return [name for name, _, _ in references(node)]


def _written(shape: tuple[int | None, ...]) -> str:
    return f"({', '.join(map(str, shape))})"


def _pixels(size: tuple[int | None, int | None]) -> str:
    return f"{size[0]} x {size[1]} pixels"
