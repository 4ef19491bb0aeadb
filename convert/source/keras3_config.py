"""Translates a Keras 3 configuration into the notation of Keras 2, because only Keras 2 gives TFLite a fused LSTM.

It works on the JSON alone. Settings that only matter for training are left out. Settings that Keras 2 lacks stay in;
`convert.source.keras_loading`, which can inspect Keras 2, removes them, and `convert.worker` compares the probabilities
of the two networks.
"""

from collections.abc import Mapping
from typing import Any

from convert.source.allowlist import is_operation, operation_refusal
from convert.source.layer_graph import references
from device.errors import ConversionError


def as_keras_2(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Translate the configuration of a functional or sequential model.

    Raises:
        ConversionError: a layer is called in a way that a Keras 2 configuration cannot express.
    """
    return _layer(configuration)


def _layer(stored: Mapping[str, Any]) -> dict[str, Any]:
    settings = stored["config"]
    layer: dict[str, Any] = {"class_name": stored["class_name"], "config": _settings(settings)}
    if "name" in settings:
        layer["name"] = settings["name"]
    if isinstance(settings.get("layers"), list):
        nested = {
            each["config"]["name"] for each in settings["layers"] if isinstance(each["config"].get("layers"), list)
        }
        # Keras 3 stores how it computes a mask, as operations that only arguments named `mask` refer to.
        live = _live(settings)
        for each in settings["layers"]:
            if is_operation(each) and each["config"]["name"] in live:
                raise operation_refusal(each["config"]["name"], each["class_name"])
        # For the inputs and outputs of the model, unlike for calls, Keras 3 counts nodes as Keras 2 does, except for
        # those of a nested sequential model.
        sequential = {
            each["config"]["name"] for each in settings["layers"] if each["class_name"] == "Sequential"
        } & nested
        layer["config"] = {"name": settings["name"], "trainable": settings.get("trainable", True)}
        layer["config"]["layers"] = [
            {**_layer(each), "inbound_nodes": [_call(each, node, nested) for node in each.get("inbound_nodes", [])]}
            for each in settings["layers"]
            if each["config"]["name"] in live or each["class_name"] == "InputLayer"
        ]
        for ends in ("input_layers", "output_layers"):
            if ends in settings:
                layer["config"][ends] = [_place(place, sequential) for place in references(settings[ends])]
    return layer


def _settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    renamed = {"batch_shape": "batch_input_shape"}
    return {renamed.get(key, key): _value(key, value) for key, value in settings.items() if key != "layers"}


def _value(key: str, value: Any) -> Any:
    if key.endswith("_initializer"):
        return "zeros"  # the weights are set afterwards
    if key.endswith(("_regularizer", "_constraint")):
        return None
    if isinstance(value, Mapping) and "class_name" in value:
        if key == "dtype":
            return value["config"]["name"]
        return _layer(value)  # the layer inside a wrapper
    return value


def _call(layer: Mapping[str, Any], node: Any, nested: set[str]) -> list[Any]:
    """One call of a layer: `{"args": ..., "kwargs": ...}` becomes a list of `[layer, node, tensor, {}]`."""
    arguments, options = list(node["args"]), node.get("kwargs", {})
    # Neither has an effect: Keras 3 ignores `training` of a call when the network predicts, and Keras 2 passes on masks
    # by itself.
    more = [key for key, value in options.items() if key not in ("training", "mask")]
    if len(arguments) != 1 or more:
        raise ConversionError(
            f"layer {layer['config'].get('name')!r} is called with more than its input "
            f"({', '.join(more) or f'{len(arguments)} arguments'}), which cannot be converted",
            fix="pass one tensor",
        )
    tensors = arguments[0] if isinstance(arguments[0], list) else [arguments[0]]
    try:
        return [[*_place(tensor["config"]["keras_history"], nested), {}] for tensor in tensors]
    except (KeyError, TypeError):
        raise ConversionError(
            f"layer {layer['config'].get('name')!r} is called with a constant or a structure of tensors, which cannot "
            "be converted",
            fix="pass one tensor or a list of them",
        ) from None


def _live(settings: Mapping[str, Any]) -> set[str]:
    """Names of the layers that the outputs of a functional model depend on, other than through a mask."""
    if "output_layers" not in settings:
        return {each["config"]["name"] for each in settings["layers"]}
    sources: dict[str, set[str]] = {}
    for layer in settings["layers"]:
        inputs = sources.setdefault(layer["config"]["name"], set())
        stack: list[Any] = [
            (node["args"], {key: value for key, value in node.get("kwargs", {}).items() if key != "mask"})
            for node in layer.get("inbound_nodes", [])
        ]
        while stack:
            part = stack.pop()
            if isinstance(part, Mapping):
                if "keras_history" in part:
                    inputs.add(part["keras_history"][0])
                stack += part.values()
            elif isinstance(part, (list, tuple)):
                stack += part
    live = set()
    pending = [name for name, _, _ in references(settings["output_layers"])]
    while pending:
        name = pending.pop()
        if name not in live:
            live.add(name)
            pending += sources.get(name, ())
    return live


def _place(place: Any, nested: set[str]) -> list[Any]:
    """`[layer, node, tensor]`; Keras 2 counts building a nested model as its first call, Keras 3 does not."""
    name, node, tensor = place
    return [name, node + (name in nested), tensor]
