"""What a bundle is, without running it: sizes, sums, runtimes, inputs, operators, weights, and what travels with it."""

import hashlib
import json
from collections import defaultdict
from dataclasses import dataclass, fields
from itertools import islice
from pathlib import Path
from typing import Any

from convert.tflite_model.flatbuffer import Model, Tensor, read_flatbuffer
from convert.tflite_model.operators import PROBED, unsupported
from device.bundle import read_bundle
from device.errors import BundleError
from device.recognition.classifier import SIGNATURE

_FIRST_WORDS = 12
_DEEPEST_CARD = 20


@dataclass(frozen=True)
class OperatorGroup:
    """All calls of one version of one operator."""

    name: str
    version: int
    count: int
    bytes: int
    """Size of the constants that they read; one that several groups read counts for the first only."""
    stored: dict[str, int]
    """Those bytes by the way that they are stored, such as "int8 per channel", the most first."""


@dataclass(frozen=True)
class Inspection:
    """Everything told of a bundle; `as_table` gives it as plain data."""

    file: str
    bytes: int
    """Of the whole file."""
    sha256: str
    """Of the whole file."""
    flatbuffer_bytes: int
    flatbuffer_sha256: str
    weights_bytes: int
    """Of all constants, each once."""
    stored: dict[str, int]
    """Those bytes by the way that they are stored, the most first."""
    runtimes: dict[str, list[dict[str, Any]]]
    """For each runtime the operators that it lacks: name, version, and the newest version that it knows (0: none)."""
    requires: Any
    """The only runtime that the card lets it run in; None if it names none."""
    description: str
    """What the converter calls itself."""
    inputs: list[dict[str, Any]]
    """Of the signature `serving_default`: name, shape, dtype."""
    outputs: list[dict[str, Any]]
    """The same."""
    operators: list[OperatorGroup]
    """The largest first."""
    labels: list[str]
    vocabulary: dict[str, Any]
    """Its size, and the first words."""
    front_end: dict[str, Any]
    card: dict[str, Any]

    def as_table(self) -> dict[str, Any]:
        """As plain data, ready for JSON."""
        table = {field.name: getattr(self, field.name) for field in fields(self)}
        return {**table, "operators": [vars(group) for group in self.operators]}


def inspect_bundle(path: Path) -> Inspection:
    """Read a bundle and tell what it is. Nothing of it is run, and no TFLite runtime is needed.

    Raises:
        BundleError: no such file, not a bundle, or a damaged one.
    """
    bundle = read_bundle(path)
    companions = bundle.companions
    card = dict(companions.card)
    flatbuffer = bundle.model[: bundle.flatbuffer_size]
    try:
        _check_depth(card)
        model = read_flatbuffer(flatbuffer)
    except BundleError as error:
        raise BundleError(f"{path}: {error}") from None
    signature = model.signatures.get(SIGNATURE)
    constants = {tensor.buffer: tensor for tensor in reversed(model.tensors) if tensor.bytes}
    return Inspection(
        file=str(path),
        bytes=len(bundle.model),
        sha256=hashlib.sha256(bundle.model).hexdigest(),
        flatbuffer_bytes=len(flatbuffer),
        flatbuffer_sha256=hashlib.sha256(flatbuffer).hexdigest(),
        weights_bytes=sum(tensor.bytes for tensor in constants.values()),
        stored=_stored(list(constants.values())),
        runtimes={
            runtime: [
                {"name": name, "version": version, "newest": newest}
                for name, version, newest in unsupported(model.operators, runtime)
            ]
            for runtime in PROBED
        },
        requires=card.get("requires"),
        description=model.description,
        inputs=[_described(name, tensor) for name, tensor in signature.inputs.items()] if signature else [],
        outputs=[_described(name, tensor) for name, tensor in signature.outputs.items()] if signature else [],
        operators=_groups(model),
        labels=list(companions.labels),
        vocabulary={"size": len(companions.vocabulary), "first": list(islice(companions.vocabulary, _FIRST_WORDS))},
        front_end=json.loads(companions.front_end.to_json()),
        card=card,
    )


def _groups(model: Model) -> list[OperatorGroup]:
    counts: defaultdict[tuple[str, int], int] = defaultdict(int)
    constants: defaultdict[tuple[str, int], list[Tensor]] = defaultdict(list)
    counted = set()
    for operator in model.operators:
        group = operator.name, operator.version
        counts[group] += 1
        for index in operator.inputs:
            tensor = model.tensors[index] if index >= 0 else None
            if tensor and tensor.bytes and tensor.buffer not in counted:
                counted.add(tensor.buffer)
                constants[group].append(tensor)
    groups = [
        OperatorGroup(
            name,
            version,
            count,
            sum(each.bytes for each in constants[name, version]),
            _stored(constants[name, version]),
        )
        for (name, version), count in counts.items()
    ]
    return sorted(groups, key=lambda group: (-group.bytes, -group.count, group.name, group.version))


def _stored(constants: list[Tensor]) -> dict[str, int]:
    sizes: defaultdict[str, int] = defaultdict(int)
    for tensor in constants:
        scaled = {0: "", 1: " per tensor"}.get(tensor.scales, " per channel")
        sizes[tensor.dtype + scaled] += tensor.bytes
    return dict(sorted(sizes.items(), key=lambda item: -item[1]))


def _described(name: str, tensor: Tensor) -> dict[str, Any]:
    return {"name": name, "shape": list(tensor.shape), "dtype": tensor.dtype}


def _check_depth(card: dict[str, Any]) -> None:
    level: list[Any] = [card]
    for _ in range(_DEEPEST_CARD):
        level = [part for each in level for part in _parts(each)]
    if level:
        raise BundleError(f"model_card.json: nested more than {_DEEPEST_CARD} deep")


def _parts(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
