"""The commands under "Follow the tutorial" in the README work as they are printed there, one after the other."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import soundfile
import tf_keras
from tf_keras import layers
from typer.testing import CliRunner

from edge_mcnn.main import app
from tests.conftest import CLIPS
from tests.training.small_vgg19 import small_vgg19

ROOT = Path(__file__).parents[2]
SPEECH: dict[str, dict[str, tuple[str, ...]]] = {
    "Training": {"calm": ("austen-0870", "austen-0880"), "happy": ("austen-0890", "espeak-thank-you")},
    "Validation": {"calm": ("austen-0920",), "happy": ("austen-0930",)},
    "Test": {"calm": ("austen-0920",), "happy": ("austen-0930",)},
}
"""The tutorial's three folders: classes and recordings."""


def commands() -> list[list[str]]:
    section = (ROOT / "README.md").read_text("utf-8").partition("## Follow the tutorial\n")[2]
    block = re.search(r"```sh\n(.*?)```", section, re.DOTALL)
    assert block
    return [shlex.split(line, comments=True) for line in block[1].splitlines()]


def vgg19(include_top: bool, weights: str | None, input_tensor: Any = None) -> Any:
    """Build the small substitute, also in place of the weights that Keras would download."""
    return small_vgg19(include_top, None, layers.Input((64, 64, 3)) if input_tensor is None else input_tensor)


@pytest.mark.slow
@pytest.mark.usefixtures("speech_model")
def test_from_a_folder_of_clips_to_a_model_for_the_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for split, classes in SPEECH.items():
        for label, names in classes.items():
            folder = tmp_path / "clips" / split / label
            folder.mkdir(parents=True)
            for name in names:
                samples, rate = soundfile.read(CLIPS / f"{name}.flac", frames=3 * 16_000)
                soundfile.write(folder / f"{split}-{name}.wav", samples, rate)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tf_keras.applications, "VGG19", vgg19)
    *run, (program, listen, option, model) = commands()
    assert [words[:2] for words in run] == [
        ["edge-mcnn", name] for name in ("transcribe", "pictures", "train", "convert")
    ]
    output = ""
    for _, *arguments in run:
        result = CliRunner().invoke(app, arguments, catch_exceptions=False, env={"COLUMNS": "200"})
        assert result.exit_code == 0, result.output
        output += result.output
    assert "steps per epoch: 1;" in output
    assert "epoch 13/13" in output
    assert (tmp_path / "labels.txt").read_text("utf-8") == "calm\nhappy\n"
    # `listen` would classify utterances from the microphone as `classify` does those from a recording.
    assert (program, listen, option) == ("edge-mcnn", "listen", "--model")
    clip = "clips/Test/calm/Test-austen-0920.wav"
    result = CliRunner().invoke(app, ["classify", "--json", option, model, clip], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert set(json.loads(result.stdout.splitlines()[0])["probabilities"]) == {"calm", "happy"}
