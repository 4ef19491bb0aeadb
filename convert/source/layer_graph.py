"""The graph of a network's layers, read from a Keras 2 configuration; nested models are flattened.

It works on the JSON alone. A layer is identified by its path: the names of the nested models that contain it, outermost
first, then its own name.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

LayerPath = tuple[str, ...]


class LayerGraph:
    """The layers of a network and their connections.

    Args:
        configuration: `{"class_name": ..., "config": ...}` of a functional or sequential Keras 2 model.
    """

    def __init__(self, configuration: Mapping[str, Any]) -> None:
        self.layers: dict[LayerPath, Mapping[str, Any]] = {}
        """Class name and settings of each layer that is not a model itself; a layer that is used twice occurs once."""
        self._followers: defaultdict[LayerPath, list[LayerPath]] = defaultdict(list)
        self._add(configuration["config"], configuration["class_name"], ())

    def followers(self, path: LayerPath) -> Sequence[LayerPath]:
        """The layers whose input is the layer's output, once per use."""
        return self._followers[path]

    def uses(self, path: LayerPath) -> int:
        """How often the layer is called: once, unless it is shared."""
        return sum(path in following for following in self._followers.values())

    def _add(
        self, settings: Mapping[str, Any], kind: str, prefix: LayerPath
    ) -> tuple[list[LayerPath], list[LayerPath]]:
        """Add a model and return its input and its output layers."""
        ends: dict[str, tuple[list[LayerPath], list[LayerPath]]] = {}
        for layer in settings["layers"]:
            # Some layers of sequential models, and all in files of Keras 2.4, have their name only in the settings.
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

    def _connect(self, sources: Sequence[LayerPath], targets: Sequence[LayerPath]) -> None:
        for source in sources:
            self._followers[source] += targets


def references(node: object) -> Iterator[tuple[str, int, int]]:
    """Yield the `[layer, node, tensor]` triples, however Keras nested them in lists and tables."""
    if isinstance(node, dict):
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        if len(node) >= 3 and isinstance(node[0], str) and all(type(number) is int for number in node[1:3]):
            yield (node[0], node[1], node[2])
        else:
            for value in node:
                yield from references(value)
