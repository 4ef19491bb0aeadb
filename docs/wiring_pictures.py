"""Draws the diagrams in `docs/wiring.md`, as `edge-mcnn lights wiring --svg` does: `python docs/wiring_pictures.py`."""

from pathlib import Path

from device.bundle import SHIPPED_BUNDLES, read_bundle
from device.outputs.wiring.svg import wiring_svg
from device.settings.buttons import Button
from device.settings.schema import LightsSettings

HERE = Path(__file__).parent
RGB = LightsSettings(rgb={"red": 17, "green": 27, "blue": 22})
DIAGRAMS = {
    "wiring.svg": ("sentiment", LightsSettings(), ()),
    "wiring-rgb.svg": ("sentiment", RGB, ()),
    "wiring-emotions.svg": ("emotions", LightsSettings(), ()),
    "wiring-buttons.svg": ("sentiment", LightsSettings(), (Button("mute", 12, "low"), Button("learn", 26, "low"))),
}
"""Model, settings and buttons of each diagram, by the name of its file."""


def diagrams() -> dict[str, str]:
    """Content of each diagram by the name of its file."""
    return {
        name: wiring_svg(settings, read_bundle(SHIPPED_BUNDLES[model]).companions.labels, buttons)
        for name, (model, settings, buttons) in DIAGRAMS.items()
    }


if __name__ == "__main__":
    for name, diagram in diagrams().items():
        (HERE / name).write_text(diagram, "utf-8")
