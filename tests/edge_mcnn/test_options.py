from pathlib import Path

import pytest

from edge_mcnn.options import ListenLights, load_settings


def test_options_override_the_environment_and_the_environment_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "my.toml"
    config.write_text('[lights]\nkind = "gpio"\n[microphone]\nname = "file"\n[classifier]\nmodel = "file.tflite"\n')
    monkeypatch.setenv("EDGE_MCNN_LIGHTS_KIND", "none")
    monkeypatch.setenv("EDGE_MCNN_MICROPHONE_NAME", "environment")
    settings = load_settings(config)
    assert (settings.lights.kind, settings.microphone.name) == ("none", "environment")
    assert settings.classifier.model == "file.tflite"
    settings = load_settings(config, model=Path("m.tflite"), microphone="USB", lights=ListenLights.AUTO)
    assert (settings.lights.kind, settings.microphone.name) == ("auto", "USB")
    assert settings.classifier.model == "m.tflite"
