"""How the page shows a class, by a colour and by a shape, and what it calls the states of the microphone.

The colours are names for which `static/page.css` has a tone in each scheme; that of a class is the colour of its light,
or the nearest to it that has a name.
"""

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from device.audio.liveness import State
from device.settings.leds import CLASS_COLOURS, COLOURS, rgb_levels

STATE_TITLES = {
    "starting": "Starting",
    State.RECOVERING: "Opening the microphone",
    State.HEALTHY: "Listening",
    State.SILENT: "The microphone is silent",
    State.LOST: "The microphone is lost; waiting for it",
    State.FAILED: "The sound system hangs",
    State.MUTED: "Muted",
}
"""What the page calls each state."""
SHAPES = ("circle", "up", "down", "square", "diamond", "star", "hexagon", "drop", "cross", "ring")
"""Shapes that `templates/base.html` draws."""
_CLASS_SHAPES = {
    "positive": "up",
    "neutral": "circle",
    "negative": "down",
    "joy": "star",
    "surprise": "diamond",
    "anger": "square",
    "sadness": "drop",
    "disgust": "cross",
    "fear": "hexagon",
}


class Look:
    """Colours and shapes of classes.

    Args:
        labels: the classes of the model; no two of them look the same while there are colours left.
        colours: colours that the settings choose (`colours` under `[lights]`).
    """

    def __init__(self, labels: Sequence[str] = (), colours: Mapping[str, str] | None = None) -> None:
        self._labels = list(labels)
        chosen = {**CLASS_COLOURS, **(colours or {})}
        self._colours = {label: nearest_colour(chosen[label]) for label in labels if label in chosen}
        self._shapes = {label: _CLASS_SHAPES[label] for label in labels if label in _CLASS_SHAPES}
        for known, all_of_them in ((self._colours, tuple(COLOURS)), (self._shapes, SHAPES)):
            for label in labels:
                if label not in known:
                    free = [each for each in all_of_them if each not in known.values()] or list(all_of_them)
                    known[label] = free[0]
        self._others = {label: nearest_colour(colour) for label, colour in chosen.items()}

    def colour(self, label: str) -> str:
        """Name of the colour of a class, also of one that the model no longer has."""
        return self._colours.get(label) or self._others.get(label) or _any_of(tuple(COLOURS), label)

    def shape(self, label: str) -> str:
        """Name of the shape of a class, also of one that the model no longer has."""
        return self._shapes.get(label) or _CLASS_SHAPES.get(label) or _any_of(SHAPES, label)

    def as_dict(self) -> dict[str, Any]:
        """What the page's modules need of it, for JSON."""
        return {
            "labels": self._labels,
            "colours": {label: self.colour(label) for label in self._labels},
            "shapes": {label: self.shape(label) for label in self._labels},
            "states": STATE_TITLES,
        }


def nearest_colour(colour: str) -> str:
    """The named colour that is nearest to one that `device.settings.leds.colour_problems` accepts."""
    if colour in COLOURS:
        return colour
    levels = rgb_levels(colour)
    scale = 1 / max(*levels, 1e-6)  # at full brightness, as the named ones are

    def distance(name: str) -> float:
        return sum((scale * a - b) ** 2 for a, b in zip(levels, rgb_levels(name), strict=True))

    return min(COLOURS, key=distance)


def _any_of(names: tuple[str, ...], label: str) -> str:
    return names[zlib.crc32(label.encode("utf-8", "replace")) % len(names)]
