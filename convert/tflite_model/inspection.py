"""Describes a bundle without running it: sizes, checksums, runtimes, inputs, operators, weights, and companions."""

import hashlib
import json
from collections import defaultdict
from dataclasses import dataclass, fields
from itertools import islice
from pathlib import Path
from typing import Any

from convert.tflite_model.flatbuffer import FlatbufferModel, Tensor, read_flatbuffer
from convert.tflite_model.operators import MEASURED_VERSIONS, unsupported
from device.adaptation.speaker_variation import speaker_variation
from device.bundle import read_bundle
from device.errors import BundleError
from device.recognition.classifier import SIGNATURE

_FIRST_WORDS = 12
_DEEPEST_CARD = 20


@dataclass(frozen=True)
class OperatorGroup:
    """All calls of one version of one operator."""

    name: str
    """Name of the operator in the schema."""
    version: int
    """Version of the operator."""
    count: int
    """Number of calls."""
    bytes: int
    """Size of the constants that the calls read; one that several groups read counts only for the first."""
    stored: dict[str, int]
    """These bytes by how they are stored, such as "int8 per channel", the largest first."""


@dataclass(frozen=True)
class Inspection:
    """The description of a bundle."""

    file: str
    """Path of the bundle."""
    bytes: int
    """Size of the file in bytes."""
    sha256: str
    """SHA-256 of the file."""
    flatbuffer_bytes: int
    """Size of the model without its companions in bytes."""
    flatbuffer_sha256: str
    """SHA-256 of the model without its companions."""
    weights_bytes: int
    """Size of all constants in bytes, each counted once."""
    stored: dict[str, int]
    """These bytes by how they are stored, the largest first."""
    runtimes: dict[str, list[dict[str, Any]]]
    """For each runtime the unsupported operators: name, version, and newest supported version (0: none)."""
    requires: Any
    """Package name of the only runtime that the model card allows; None if it names none."""
    description: str
    """Text with which the converter describes itself."""
    inputs: list[dict[str, Any]]
    """Inputs of the signature `serving_default`: name, shape, dtype."""
    outputs: list[dict[str, Any]]
    """Outputs of the signature `serving_default`: name, shape, dtype."""
    operators: list[OperatorGroup]
    """Operators with their weights, the largest first."""
    labels: list[str]
    """Class names in the order of the softmax."""
    vocabulary: dict[str, Any]
    """Size of the vocabulary, and its first words."""
    front_end: dict[str, Any]
    """Parameters of the front end."""
    transitions: dict[str, Any] | None
    """How classes follow each other in conversations: `following` and `frequencies`; None if the model has none."""
    speaker_variation: dict[str, Any] | None
    """What the bundle carries for adapting to a voice: the `layer` of the embedding, its number of `features`, and the
    number of `kinds` of speech in the classes; None if the model has none."""
    card: dict[str, Any]
    """The model card."""

    def as_dict(self) -> dict[str, Any]:
        """The fields as plain data, ready for JSON."""
        table = {field.name: getattr(self, field.name) for field in fields(self)}
        return {**table, "operators": [vars(group) for group in self.operators]}


def inspect_bundle(path: Path) -> Inspection:
    """Describe a bundle. It is not run, and no TFLite runtime is needed.

    Raises:
        BundleError: there is no such file, or it is not a bundle, or damaged.
    """
    bundle = read_bundle(path)
    companions = bundle.companions
    card = dict(companions.card)
    flatbuffer = bundle.model[: bundle.flatbuffer_size]
    try:
        _check_depth(card)
        model = read_flatbuffer(flatbuffer)
        variation = speaker_variation(companions)
    except BundleError as error:
        raise BundleError(f"{path}: {error.message}", fix=error.fix) from None
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
            for runtime in MEASURED_VERSIONS
        },
        requires=card.get("requires"),
        description=model.description,
        inputs=[_described(name, tensor) for name, tensor in signature.inputs.items()] if signature else [],
        outputs=[_described(name, tensor) for name, tensor in signature.outputs.items()] if signature else [],
        operators=_groups(model),
        labels=list(companions.labels),
        vocabulary={"size": len(companions.vocabulary), "first": list(islice(companions.vocabulary, _FIRST_WORDS))},
        front_end=json.loads(companions.front_end.to_json()),
        transitions=None if companions.transitions is None else json.loads(companions.transitions.to_json()),
        speaker_variation=None
        if variation is None
        else {
            "layer": variation.layer,
            "features": variation.directions.shape[1],
            "kinds": len(variation.statistics.classes),
        },
        card=card,
    )


def _groups(model: FlatbufferModel) -> list[OperatorGroup]:
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
        raise BundleError(
            f"model_card.json: nested more than {_DEEPEST_CARD} levels deep", fix="convert the model again"
        )


def _parts(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
