"""The wiring diagrams in the documentation are those that the code draws."""

import runpy
from pathlib import Path

import pytest

from device.bundle import SHIPPED_BUNDLES, read_bundle
from device.outputs.wiring.pinout import header_pin
from device.settings.schema import LightsSettings

DOCS = Path(__file__).parents[2] / "docs"


def test_the_diagrams_are_up_to_date() -> None:
    drawn = runpy.run_path(str(DOCS / "wiring_pictures.py"))["diagrams"]()
    assert sorted(drawn) == sorted(path.name for path in DOCS.glob("wiring*.svg"))
    for name, diagram in drawn.items():
        assert (DOCS / name).read_text("utf-8") == diagram, "run: python docs/wiring_pictures.py"
        assert f"]({name})" in (DOCS / "wiring.md").read_text("utf-8")


@pytest.mark.parametrize(("page", "models"), [("docs/wiring.md", list(SHIPPED_BUNDLES)), ("README.md", ["sentiment"])])
def test_the_pages_name_the_default_pins(page: str, models: list[str]) -> None:
    text = (DOCS.parent / page).read_text("utf-8")
    for model in models:
        for label in read_bundle(SHIPPED_BUNDLES[model]).companions.labels:
            pin = LightsSettings().pins[label]
            assert f"| {label} | {pin} | {header_pin(pin)} |" in text
