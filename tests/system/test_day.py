"""A quarter of an hour of the simulated day of `make soak`."""

from pathlib import Path

from device.loading import LoadedModels
from device.settings.schema import Settings, TranscriberSettings
from tests.system.day import simulate


def test_each_sentence_gets_one_prediction(speech_model: Path) -> None:
    settings = Settings(transcriber=TranscriberSettings(speech_model=str(speech_model)))
    day = simulate(LoadedModels.load(settings, print), 0.25)
    assert len(day.script) > 5
    assert day.losses >= 1, "the microphone was lost in between"
    assert not day.missed
    assert not day.spurious
