"""The trained network that a training starts from, and the network that the training then changes.

A base defines the network, the front end and the vocabulary. Classes that the base has begin with their part of the
last layer; the part of other classes begins at zero: no evidence for or against them, whatever the words.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.source.keras_h5 import read_companions, read_configuration, refuse_external_data
from device.bundle import HDF5_SIGNATURE, OTHER_IMAGES, SHIPPED_BUNDLES, Companions, read_bundle
from device.errors import ConversionError, TrainingError
from device.front_end.parameters import FrontEnd
from device.front_end.tokens import normalise
from device.system.display import as_json, displayable
from device.system.paths import cannot_use, open_file
from training.base_model.bundle_weights import rebuild
from training.data.clips import TRAIN, Clip
from training.networks.network import (
    AUDIO_HIDDEN,
    AUDIO_KINDS,
    AUDIO_PRODUCTS,
    FIXED_WITH_A_BASE,
    NETWORKS,
    OUTPUT_LAYERS,
    AudioShape,
    Network,
    audio_shape,
    build_network,
    evidence_network,
    set_joint_factors,
)

AUDIO_SHARE = 0.3
"""Share of the last layer of the audio that a network with the base's classes begins with: in full, it is so confident
about an unknown voice that a few clips correct it too little, see `benchmarks/little_data/own_voice.md`."""
_EVIDENCE = "evidence"
_WORDS_LOGITS, *_AUDIO_OUTPUTS = OUTPUT_LAYERS[_EVIDENCE]
_FIX = "give a Model.h5 that `edge-mcnn train` wrote"
_FIX_OTHER_NETWORK = "a base is of one of the networks of `edge-mcnn train --network`; " + _FIX
_MOST_NAMED = 8
"""Unknown words that are named in a message."""
_INHERITED = ("name", "data", "licence", "limits")
"""Entries of a base's card that the card of the new model repeats: they hold for it, too."""

Weights = tuple[NDArray[Any], ...]


@dataclass(frozen=True)
class BaseModel:
    """A trained network of `training.networks`, with all that belongs to it."""

    path: Path
    """The file that it was read from: a `Model.h5` or a bundle."""
    name: str
    """What the user calls it: the path, or the name of a shipped model; printable."""
    sha256: str
    """SHA-256 of that file, hexadecimal."""
    network: str
    """Name of the network, one of `training.networks.network.NETWORKS`."""
    companions: Companions
    """Labels, vocabulary, front end, card and class transitions."""
    audio_shape: AudioShape | None
    """What the audio branch of the network `evidence` consists of; None for another network."""
    weights: tuple[Weights, ...]
    """Weights of each layer, in the order of the network's layers."""

    def build(self, labels: Sequence[str], *, fast_lstm: bool = False) -> Network:
        """Build the network for some labels, with the base's weights.

        The meaning of words is frozen: a few clips contain few words, and not the ones of later. So are the logits of
        the words of the network `evidence` if the base has all classes. Linear discriminants, which the default model's
        recipe fits, are trained on with the other layers here, since new classes begin without any.

        Args:
            labels: labels in the order of the outputs, in any relation to those of the base.
            fast_lstm: see `build_network`.
        """
        network = _build(self.network, len(labels), self.companions, self.audio_shape, fast_lstm=fast_lstm)
        known = [self.companions.labels.index(label) if label in self.companions.labels else -1 for label in labels]
        columns, places = [place for place in known if place >= 0], [place >= 0 for place in known]
        for layer, weights in zip(_layers(network.full), self.weights, strict=True):
            values = list(weights)
            if layer.name in OUTPUT_LAYERS[self.network]:
                share = AUDIO_SHARE if layer.name in _AUDIO_OUTPUTS else 1.0
                values = [share * _of_classes(each, len(self.companions.labels), columns, places) for each in weights]
                layer.trainable = True
            layer.set_weights(values)
            if layer.name in FIXED_WITH_A_BASE[self.network] or (all(places) and layer.name == _WORDS_LOGITS):
                layer.trainable = False
        if self.network == _EVIDENCE and not all(places):
            set_joint_factors(network.full, 1.0, 1.0)  # fitted to the base's classes
        return network

    def card(self) -> dict[str, Any]:
        """Return the entry `base` of the card of a new model."""
        own = self.companions.card
        return {
            "file": self.path.name,
            "sha256": self.sha256,
            "labels": list(self.companions.labels),
            **{name: own[name] for name in _INHERITED if name in own},
            **({"base": own["base"]} if "base" in own else {}),
        }


def read_base(path: Path) -> BaseModel:
    """Read the trained network that a training starts from.

    Args:
        path: a `Model.h5` that `edge-mcnn train` wrote, or a bundle that was converted from one of the network
            `evidence`, or the name of one that ships; the networks of other bundles cannot be rebuilt.

    Raises:
        ConversionError, BundleError: not such a file, or a damaged one.
        TrainingError: its network is none of `edge-mcnn train`, or cannot be rebuilt from the bundle.
    """
    name = displayable(path)
    path = SHIPPED_BUNDLES.get(str(path), path)
    try:
        with open_file(path) as file:
            digest, start = hashlib.sha256(), b""
            while block := file.read(1 << 20):
                digest.update(block)
                start = start or block[:8]
    except (OSError, ValueError) as error:
        raise cannot_use(path, error, TrainingError, fix=_FIX) from None
    if start[4:] == b"TFL3":
        bundle = read_bundle(path)
        network = rebuild(bundle, name)
        return _base(path, name, digest.hexdigest(), _EVIDENCE, bundle.companions, network)
    if start != HDF5_SIGNATURE:
        raise TrainingError(f"{name}: neither a Keras HDF5 file nor a bundle", fix=_FIX)
    companions = read_companions(path)
    of_card = companions.card.get("network")
    if of_card not in NETWORKS:
        raise TrainingError(
            f"{name}: its model card does not name a network of edge-mcnn, so its layers are unknown",
            fix=_FIX_OTHER_NETWORK,
        )
    try:
        refuse_external_data(path)
        network = _build(of_card, len(companions.labels), companions, _stored_audio_shape(path, len(companions.labels)))
        network.full.load_weights(str(path))
    except (OSError, KeyError, ValueError, RuntimeError, ConversionError):
        raise TrainingError(
            f"{name}: its weights are not those of the network {of_card!r} with its labels, vocabulary and front end",
            fix=_FIX_OTHER_NETWORK,
        ) from None
    return _base(path, name, digest.hexdigest(), of_card, companions, network)


def check_base(base: BaseModel, network: str, front_end: FrontEnd, *, other_images: bool, recordings: bool) -> None:
    """Check that a training does not contradict its base, before any work begins.

    Args:
        base: the base.
        network: name of the network to train.
        front_end: front end of the training.
        other_images: whether the clips have finished images of another program.
        recordings: whether the clips have recordings.

    Raises:
        TrainingError: network, front end or kind of images are other ones.
    """
    name = base.name
    if network != base.network:
        raise TrainingError(
            f"{name}: has the network {base.network!r}, and {network!r} shall be trained",
            fix=f"leave out --network, or give a base of the network {network!r}",
        )
    if front_end != base.companions.front_end:
        own, other = vars(base.companions.front_end), vars(front_end)
        names = sorted(each for each in own if own[each] != other[each])
        differences = "; ".join(f"{each} {as_json(own[each])}, not {as_json(other[each])}" for each in names)
        raise TrainingError(
            f"{name}: has another front end ({differences})", fix="use the base's front end, or train without a base"
        )
    of_other_program = bool(base.companions.card.get(OTHER_IMAGES))
    if of_other_program != other_images and (other_images or recordings):
        which = "images of another program" if of_other_program else "images that edge-mcnn computed"
        raise TrainingError(
            f"{name}: was trained on {which}, and these clips have others",
            fix="train without a base, or on images that were computed in the same way",
        )


def describe_base(base: BaseModel, labels: Sequence[str], clips: Iterable[Clip]) -> list[str]:
    """Return lines about what the training takes over, and which words of the train clips the base does not have."""
    new = [displayable(label) for label in labels if label not in base.companions.labels]
    shared = len(labels) - len(new)
    classes = f"new classes: {', '.join(new)}" if new else "the same classes"
    if new and shared:
        classes += f"; {shared} of the base's remain"
    elif not new and shared < len(base.companions.labels):
        classes = f"{shared} of its {len(base.companions.labels)} classes"
    lines = [f"starting from {base.name}, network {base.network}, {classes}"]
    licence = base.companions.card.get("licence")
    if isinstance(licence, str):
        lines.append(f"licence of the base, which holds for the new model, too: {displayable(licence)}")
    words = {word: None for clip in clips if clip.split == TRAIN for word in normalise(clip.text).split()}
    usable = set(base.companions.vocabulary[: base.companions.front_end.num_words - 1])
    unknown = [word for word in words if word not in usable]
    if unknown:
        more = ", ..." if len(unknown) > _MOST_NAMED else ""
        named = ", ".join(displayable(word) for word in unknown[:_MOST_NAMED])
        lines.append(
            f"{len(unknown)} of the {len(words)} different words of the train rows are not in the base's vocabulary "
            f"and are ignored: {named}{more}"
        )
    return lines


def _of_classes(
    weights: NDArray[Any], classes: int, columns: Sequence[int], places: Sequence[bool]
) -> NDArray[np.float32]:
    """Return the weights of an output layer for other classes, 0 for those that the base does not have.

    Args:
        weights: shape (..., n * classes): once or several times the classes of the base in turn.
        classes: number of classes of the base.
        columns: numbers of the classes of the base that remain.
        places: whether the base has each class of the result; `columns` are in the order of these.
    """
    old = weights.reshape(*weights.shape[:-1], -1, classes)
    new = np.zeros((*old.shape[:-1], len(places)), np.float32)
    new[..., np.flatnonzero(places)] = old[..., list(columns)]
    return new.reshape(*weights.shape[:-1], -1)


def _base(path: Path, name: str, sha256: str, network_name: str, companions: Companions, network: Network) -> BaseModel:
    shape = audio_shape(network, len(companions.labels)) if network_name == _EVIDENCE else None
    weights = tuple(tuple(layer.get_weights()) for layer in _layers(network.full))
    return BaseModel(path, name, sha256, network_name, companions, shape, weights)


def _build(
    name: str, labels: int, companions: Companions, shape: AudioShape | None, *, fast_lstm: bool = False
) -> Network:
    if name == _EVIDENCE and shape is not None and not fast_lstm:
        return evidence_network(labels, len(companions.vocabulary), companions.front_end, shape)
    return build_network(
        name,
        labels=labels,
        vocabulary=len(companions.vocabulary),
        front_end=companions.front_end,
        vgg19_weights=None,
        fast_lstm=fast_lstm,
    )


def _stored_audio_shape(path: Path, labels: int) -> AudioShape | None:
    """Return what the audio branch in a `Model.h5` consists of; None if it has no such branch."""
    units: dict[str, int] = {}
    remaining: list[Any] = [read_configuration(path)[0]]
    while remaining:
        part = remaining.pop()
        if isinstance(part, dict):
            if isinstance(part.get("name"), str):
                units[part["name"]] = part["units"] if isinstance(part.get("units"), int) else 0
            remaining += part.values()
        elif isinstance(part, list):
            remaining += part
    if AUDIO_HIDDEN not in units:
        return None
    return AudioShape(units[AUDIO_HIDDEN], units.get(AUDIO_KINDS, 0) // labels, products=AUDIO_PRODUCTS in units)


def _layers(model: Any) -> list[Any]:
    """Return the layers of a model that are no models, those of inner models included."""
    return [layer for layer in model._flatten_layers(include_self=False) if not hasattr(layer, "layers")]
