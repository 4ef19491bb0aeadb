import pytest

from device.errors import SettingsError
from device.recognition.classifier import shown_instead
from device.settings.schema import ClassifierSettings

EMOTIONS = ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise")


def test_what_is_shown_instead() -> None:
    assert shown_instead(ClassifierSettings(confidence=0.5), EMOTIONS) is None
    assert shown_instead(ClassifierSettings(confidence=0.5, unsure="neutral"), EMOTIONS) == "neutral"


def test_a_model_without_the_class() -> None:
    with pytest.raises(SettingsError, match=r"no such class \(it has happy, sad\); write unsure = .dark.") as caught:
        shown_instead(ClassifierSettings(confidence=0.5, unsure="neutral"), ("happy", "sad"))
    assert "\n" not in str(caught.value)
    assert shown_instead(ClassifierSettings(unsure="neutral"), ("happy", "sad")) is None, "there are no unsure answers"
