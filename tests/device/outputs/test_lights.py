from pathlib import Path

import pytest

from device.outputs import lights as lights_module
from device.outputs.lights import has_gpio, light_kind
from device.settings.schema import LightsSettings


def test_auto_means_the_pins_on_a_pi_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(lights_module, "DEVICE_TREE_MODEL", tmp_path / "model")
    assert not has_gpio()
    assert light_kind(LightsSettings()) == "terminal"
    (tmp_path / "model").write_text("Raspberry Pi 5 Model B Rev 1.0\0")
    assert has_gpio()
    assert light_kind(LightsSettings()) == "gpio"
    (tmp_path / "model").write_text("Some other board\0")
    assert not has_gpio()


@pytest.mark.parametrize("kind", ["gpio", "terminal", "none"])
def test_a_kind_in_the_settings_wins(kind: str) -> None:
    assert light_kind(LightsSettings(kind=kind)) == kind
