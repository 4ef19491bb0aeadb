"""The topics under which one device publishes and receives, and those of Home Assistant that concern it."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

_LONGEST_SLUG = 64


@dataclass(frozen=True)
class Topics:
    """Topics of one device."""

    prefix: str
    """First part of the topics of all devices."""
    device: str
    """Name of the device: ASCII letters, digits, - and _."""

    @property
    def device_id(self) -> str:
        """Name under which Home Assistant knows the device; the ids of its entities begin with it."""
        return f"edge-mcnn-{self.device}"

    @property
    def prediction(self) -> str:
        """Topic of each prediction, as JSON."""
        return self._of("prediction")

    @property
    def microphone(self) -> str:
        """Topic of the state of the microphone: `ON` while it gives audio, else `OFF`; retained."""
        return self._of("microphone")

    @property
    def mute(self) -> str:
        """Topic of whether the microphone is muted and therefore closed: `ON` or `OFF`; retained."""
        return self._of("mute")

    @property
    def set_mute(self) -> str:
        """Topic to which others publish `ON` to mute, and `OFF` to unmute."""
        return f"{self.mute}/set"

    def confidence(self, slug: str) -> str:
        """Topic of the confidence that a class requires, in percent; retained. See `class_slugs`."""
        return self._of(f"confidence/{slug}")

    def set_confidence(self, slug: str) -> str:
        """Topic to which others publish another confidence for a class, in percent."""
        return f"{self.confidence(slug)}/set"

    @property
    def correct(self) -> str:
        """Topic to which others publish the right class of the latest prediction."""
        return self._of("correct")

    @property
    def level(self) -> str:
        """Topic of the loudest level since the message before, in dB relative to full scale."""
        return self._of("level")

    @property
    def diagnostics(self) -> str:
        """Topic of memory, start, drops, losses and model, as JSON; retained."""
        return self._of("diagnostics")

    @property
    def machine(self) -> str:
        """Topic of the id of the machine, by which a device that was renamed finds its former name; retained."""
        return self._of("machine")

    @property
    def availability(self) -> str:
        """Topic of the availability of the device: `online` or `offline`; retained."""
        return self._of("availability")

    @property
    def retained(self) -> Sequence[str]:
        """Topics of retained messages, apart from those for each class."""
        return self.microphone, self.mute, self.diagnostics, self.machine, self.availability

    @property
    def all_of_device(self) -> str:
        """Filter for everything that is published under the name of the device."""
        return self._of("#")

    def _of(self, name: str) -> str:
        return f"{self.prefix}/{self.device}/{name}"

    def config(self, discovery_prefix: str, component: str, entity: str) -> str:
        """Topic of the discovery message of an entity.

        Args:
            discovery_prefix: topic prefix under which Home Assistant expects discovery messages.
            component: kind of the entity in Home Assistant, such as `sensor`.
            entity: name of the entity; `+` for all of them.
        """
        return f"{discovery_prefix}/{component}/{self.device_id}/{entity}/config"


def birth(discovery_prefix: str) -> str:
    """Topic on which Home Assistant publishes `online` when it has started."""
    return f"{discovery_prefix}/status"


def class_slugs(labels: Sequence[str]) -> dict[str, str]:
    """A short name for each class that topics and ids of entities can carry, of a to z, digits and -; no two are equal.

    Returns:
        The names by class, in the order of the classes.
    """
    slugs: dict[str, str] = {}
    for label in labels:
        plain = unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode().lower()
        name = re.sub(r"[^a-z0-9]+", "-", plain)[:_LONGEST_SLUG].strip("-") or "class"
        slug, number = name, 1
        while slug in slugs.values():
            number += 1
            slug = f"{name}-{number}"
        slugs[label] = slug
    return slugs
