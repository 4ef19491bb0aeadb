"""Which layer follows which, read from a Keras 2 configuration, through nested models as if they were not nested.

Works on the JSON alone. A layer is named by its path: its name, after those of the models that it is nested in.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Path = tuple[str, ...]


class Graph:
    """The layers of a network and their connections.

    Args:
        configuration: `{"class_name": ..., "config": ...}` of a functional or sequential Keras 2 model.
    """

    def __init__(self, configuration: Mapping[str, Any]) -> None:
        self.layers: dict[Path, Mapping[str, Any]] = {}
        """Class name and settings of each layer that is no model itself; a layer that is used twice is there once."""
        self._followers: defaultdict[Path, list[Path]] = defaultdict(list)
        self._add(configuration["config"], configuration["class_name"], ())

    def followers(self, path: Path) -> Sequence[Path]:
        """The layers that take the layer's output, once for each time that they do."""
        return self._followers[path]

    def uses(self, path: Path) -> int:
        """How often the layer takes an input: 1, unless it is shared."""
        return sum(path in following for following in self._followers.values())

    def _add(self, settings: Mapping[str, Any], kind: str, prefix: Path) -> tuple[list[Path], list[Path]]:
        """Add a model; returns its input and its output layers."""
        ends: dict[str, tuple[list[Path], list[Path]]] = {}
        for layer in settings["layers"]:
            # In a sequential model some layers, and in files of Keras 2.4 all, have their name in their settings alone.
            name = layer["config"]["name"]
            path = (*prefix, name)
            if isinstance(layer["config"].get("layers"), list):
                ends[name] = self._add(layer["config"], layer["class_name"], path)
            else:
                self.layers[path] = layer
                ends[name] = [path], [path]
        names = list(ends)
        if kind == "Sequential":
            for before, after in itertools.pairwise(names):
                self._connect(ends[before][1], ends[after][0])
            return ends[names[0]][0], ends[names[-1]][1]
        for layer in settings["layers"]:
            for node in layer.get("inbound_nodes", []):
                sources = [ends[name] for name, _, _ in references(node)]
                targets = ends[layer["config"]["name"]][0]
                if len(sources) == len(targets) > 1:  # a nested model with several inputs, in their order
                    for source, target in zip(sources, targets, strict=True):
                        self._connect(source[1], [target])
                else:
                    for source in sources:
                        self._connect(source[1], targets)
        inputs = [path for name, _, _ in references(settings["input_layers"]) for path in ends[name][0]]
        outputs = [path for name, _, _ in references(settings["output_layers"]) for path in ends[name][1]]
        return inputs, outputs

    def _connect(self, sources: Sequence[Path], targets: Sequence[Path]) -> None:
        for source in sources:
            self._followers[source] += targets


def references(node: object) -> Iterator[tuple[str, int, int]]:
    """The `[layer, node, tensor]` triples in whatever lists or tables Keras nested them."""
    if isinstance(node, dict):
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        if len(node) >= 3 and isinstance(node[0], str) and all(type(number) is int for number in node[1:3]):
            yield (node[0], node[1], node[2])
        else:
            for value in node:
                yield from references(value)
