"""The wiring diagrams in the documentation are those that the code draws."""

import runpy
from pathlib import Path

from device.outputs.wiring.pinout import header_pin
from device.settings.schema import LightsSettings

DOCS = Path(__file__).parents[2] / "docs"


def test_the_diagrams_are_up_to_date() -> None:
    drawn = runpy.run_path(str(DOCS / "wiring_pictures.py"))["diagrams"]()
    assert sorted(drawn) == sorted(path.name for path in DOCS.glob("wiring*.svg"))
    for name, diagram in drawn.items():
        assert (DOCS / name).read_text("utf-8") == diagram, "run: python docs/wiring_pictures.py"
        assert f"]({name})" in (DOCS / "wiring.md").read_text("utf-8")


def test_the_pages_name_the_default_pins() -> None:
    for page in ("docs/wiring.md", "README.md"):
        text = (DOCS.parent / page).read_text("utf-8")
        for label, pin in LightsSettings().pins.items():
            assert f"| {label} | {pin} | {header_pin(pin)} |" in text
