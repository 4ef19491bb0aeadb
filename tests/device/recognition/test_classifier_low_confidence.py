import pytest

from device.errors import SettingsError
from device.recognition.classifier import low_confidence_label

EMOTIONS = ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise")


def test_the_class_that_is_shown() -> None:
    assert low_confidence_label(0.5, "dark", EMOTIONS) is None
    assert low_confidence_label(0.5, "neutral", EMOTIONS) == "neutral"


def test_a_model_without_the_class() -> None:
    with pytest.raises(SettingsError, match=r"no such class \(it has happy, sad\)") as error:
        low_confidence_label(0.5, "neutral", ("happy", "sad"))
    assert error.value.fix == 'write low_confidence = "dark" under [classifier]'
    assert "\n" not in str(error.value)
    assert low_confidence_label(0, "neutral", ("happy", "sad")) is None, "no threshold"
