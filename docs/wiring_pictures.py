"""Draws the diagrams in `docs/wiring.md`, as `edge-mcnn lights wiring --svg` does: `python docs/wiring_pictures.py`."""

from pathlib import Path

from device.bundle import DEFAULT_BUNDLE, read_bundle
from device.outputs.wiring.svg import wiring_svg
from device.settings.schema import LightsSettings

HERE = Path(__file__).parent
DIAGRAMS = {
    "wiring.svg": LightsSettings(),
    "wiring-rgb.svg": LightsSettings(rgb={"red": 17, "green": 27, "blue": 22}),
}


def diagrams() -> dict[str, str]:
    """Content of each diagram by the name of its file."""
    labels = read_bundle(DEFAULT_BUNDLE).companions.labels
    return {name: wiring_svg(settings, labels) for name, settings in DIAGRAMS.items()}


if __name__ == "__main__":
    for name, diagram in diagrams().items():
        (HERE / name).write_text(diagram, "utf-8")
