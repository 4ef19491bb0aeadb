from pathlib import Path

import pytest

from device.errors import AudioError
from device.hearing import microphone
from device.hearing.microphone import MicrophoneInfo
from device.running import needs
from device.running.needs import Verdict, look
from device.settings import ClassifierSettings, LightsSettings, Settings
from device.understanding import unsure as unsure_module


@pytest.fixture(autouse=True)
def usb_microphone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        microphone, "find_microphone", lambda name: MicrophoneInfo(0, "USB", 48_000, 1, is_default=True)
    )


def found(settings: Settings) -> dict[str, tuple[str, str]]:
    return {each.what: (each.verdict.value, each.told) for each in look(settings)}


def test_all_is_well_on_a_laptop() -> None:
    told = found(Settings(lights=LightsSettings(kind="none")))
    assert told["model"][0] == "good"
    assert "negative, neutral, positive" in told["model"][1]
    assert told["microphone"] == ("good", "USB, 48000 Hz")
    assert told["lights"] == ("later", "lights.kind is none: no LED will be lit")


def test_a_microphone_that_is_not_there_can_come_later(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> MicrophoneInfo:
        raise AudioError("no microphone found")

    monkeypatch.setattr(microphone, "find_microphone", missing)
    assert found(Settings())["microphone"] == ("later", "no microphone found")

    def no_portaudio(name: str) -> MicrophoneInfo:
        raise AudioError("PortAudio is not installed; run: sudo apt-get install libportaudio2")

    monkeypatch.setattr(microphone, "find_microphone", no_portaudio)
    assert found(Settings())["microphone"][0] == "bad"


def test_a_model_that_is_none(tmp_path: Path) -> None:
    verdict, told = found(Settings(classifier=ClassifierSettings(model=str(tmp_path / "Model.tflite"))))["model"]
    assert verdict == "bad"
    assert "cannot be read" in told


def test_pins_that_no_class_has() -> None:
    told = found(Settings(lights=LightsSettings(kind="gpio", pins={"positive": 1})))
    assert told["lights"][0] == "bad"
    assert told["lights"][1].startswith("no pin for negative, neutral; write e.g. negative = 4 under [lights.pins]")
    told = found(Settings(lights=LightsSettings(kind="gpio", rgb={"red": 1, "green": 2, "blue": 3})))
    assert "lights" not in told, "an RGB LED needs no pin per class"


def test_a_class_to_show_that_the_model_does_not_have(monkeypatch: pytest.MonkeyPatch) -> None:
    unsure = Settings(classifier=ClassifierSettings(confidence=0.5, unsure="neutral"))
    assert found(unsure)["model"][0] == "good"
    monkeypatch.setattr(unsure_module, "NEUTRAL", "calm")
    assert found(unsure)["model"][0] == "bad"
    assert "the model has no such class" in found(unsure)["model"][1]


@pytest.mark.parametrize(
    ("content", "verdict", "part"),
    [
        ("", "bad", "is the empty package that pip takes where it has no wheel"),
        ("def gpiochip_open(number): ...", "good", "lgpio.py"),
        (None, "bad", "lgpio is not installed; run: sudo apt-get install python3-lgpio"),
    ],
)
def test_lgpio_is_real(
    content: str | None, verdict: str, part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sub").mkdir()
    if content is not None:
        (tmp_path / "sub" / "lgpio.py").write_text(content)
    monkeypatch.setattr("sys.path", [str(tmp_path / "sub")])
    monkeypatch.delitem(__import__("sys").modules, "lgpio", raising=False)
    finding = needs._pin_library()
    assert finding.verdict == Verdict(verdict)
    assert part in finding.told


def test_a_machine_without_pins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs, "_PINS", "no-such-chip*")
    assert "there is no /dev/gpiochip*" in needs._pins().told


def test_groups() -> None:
    assert needs.has_group("root")
    assert not needs.has_group("no-such-group")
