"""Reads inputs and sizes from a Keras configuration, and rewrites the configuration so that TFLite can express it.

It works on JSON in the notation of Keras 2: unsuitable networks are refused before tensorflow is loaded.
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
    lstm_layers: int
    """Number of LSTM layers, each of which must become one fused operator."""


def read_spec(configuration: Mapping[str, Any]) -> ModelSpec:
    """Find the two inputs, by shape and not by name or order, and check that the network can be converted.

    Raises:
        ConversionError: the network does not have an image and an id input and one softmax output.
    """
    try:
        layers = {layer["config"]["name"]: layer for layer in configuration["config"]["layers"]}
        inputs = [layers[name] for name in _names(configuration["config"].get("input_layers", []))]
        shapes = [tuple(layer["config"]["batch_input_shape"]) for layer in inputs]
        outputs = _names(configuration["config"].get("output_layers", []))
    except (KeyError, TypeError, AttributeError):
        raise ConversionError("not a functional Keras model", fix="build it with Model(inputs, outputs)") from None
    images = [i for i, shape in enumerate(shapes) if len(shape) == 4 and shape[3] == 3]
    ids = [i for i, shape in enumerate(shapes) if len(shape) == 2]
    if len(shapes) != 2 or len(images) != 1 or len(ids) != 1:
        found = ", ".join(_shown_shape(shape) for shape in shapes) or "none"
        raise ConversionError(
            f"the inputs of the network are {found}, expected two",
            fix="build it with an image input (None, height, width, 3) and an id input (None, length)",
        )
    if len(outputs) != 1:
        raise ConversionError(
            f"the network has {len(outputs)} outputs, expected one", fix="build it with one softmax over the labels"
        )
    layers_and_more = list(parts(configuration))
    embeddings: list[Any] = [part.get("config") for part in layers_and_more if part["class_name"] == "Embedding"]
    if not all(isinstance(each, dict) and type(each.get("input_dim")) is int for each in embeddings):
        raise ConversionError(
            "an Embedding does not state how many rows it has (input_dim)", fix="save the model again"
        )
    if any(embedding.get("mask_zero") for embedding in embeddings):
        # Without the mask the LSTM would read the padding, and the device would predict something else than Keras.
        raise ConversionError(
            "an Embedding has mask_zero=True, which a fused TFLite LSTM does not support",
            fix="train it with mask_zero=False",
        )
    return ModelSpec(
        image_input=inputs[images[0]]["config"]["name"],
        ids_input=inputs[ids[0]]["config"]["name"],
        image_size=(shapes[images[0]][1], shapes[images[0]][2]),
        sequence_length=shapes[ids[0]][1],
        embedding_rows=min((embedding["input_dim"] for embedding in embeddings), default=None),
        lstm_layers=sum(part["class_name"] == "LSTM" for part in layers_and_more),
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


def freeze(configuration: Mapping[str, Any], spec: ModelSpec) -> dict[str, Any]:
    """The configuration of the same network as TFLite needs it: batch 1, integer ids, an LSTM that can be fused.

    Its inputs are [images, ids] and its output is one tensor, however they were nested before.
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
        if part["class_name"] == "LSTM":
            # Neither changes a prediction, and with either of them the LSTM would stay a loop.
            part["config"].update(recurrent_dropout=0.0, unroll=False)
    (output,) = references(graph["output_layers"])
    graph["input_layers"] = [[spec.image_input, 0, 0], [spec.ids_input, 0, 0]]
    graph["output_layers"] = [list(output)]
    return changed


def _names(node: object) -> list[str]:
    return [name for name, _, _ in references(node)]


def _shown_shape(shape: tuple[int | None, ...]) -> str:
    return f"({', '.join(map(str, shape))})"


def _pixels(size: tuple[int | None, int | None]) -> str:
    return f"{size[0]} x {size[1]} pixels"
