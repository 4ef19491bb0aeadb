import pytest

from device.errors import SettingsError
from device.recognition.classifier import low_confidence_label, required_confidences

EMOTIONS = ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise")


def test_classes_without_a_confidence_have_the_common_one() -> None:
    assert required_confidences(0.5, ("happy", "sad")) == {"happy": 0.5, "sad": 0.5}
    assert required_confidences({"sad": 0.5}, ("happy", "sad")) == {"happy": 0.0, "sad": 0.5}


@pytest.mark.parametrize(
    ("label", "fix"),
    [("sadd", "did you mean sad?"), ("Sad", "did you mean sad?"), ("SAD", "did you mean sad?"),
     ("calm", "rename or remove the class in confidence under [classifier]")],
)  # fmt: skip
def test_a_class_that_the_model_does_not_have(label: str, fix: str) -> None:
    with pytest.raises(SettingsError) as error:
        required_confidences({"happy": 0.1, label: 0.2}, ("happy", "sad"))
    assert error.value.message == (
        f"classifier.confidence has {label}, and the model has no such class (it has happy, sad)"
    )
    assert error.value.fix == fix


def test_the_class_that_is_shown() -> None:
    required = dict.fromkeys(EMOTIONS, 0.5)
    assert low_confidence_label(required, "dark") is None
    assert low_confidence_label(required, "neutral") == "neutral"


def test_a_model_without_the_class() -> None:
    with pytest.raises(SettingsError, match=r"no such class \(it has happy, sad\)") as error:
        low_confidence_label({"happy": 0.0, "sad": 0.5}, "neutral")
    assert error.value.fix == 'write low_confidence = "dark" under [classifier]'
    assert "\n" not in str(error.value)
    assert low_confidence_label({"happy": 0.0, "sad": 0.0}, "neutral") is None, "no threshold"
