"""Findings in plain words, for measurements of plain values."""

import pytest

from device.doctor.findings import Finding, Verdict
from device.room.advice import findings
from device.room.capture_gain import CaptureControl, GainChange, Mixer
from device.room.channel_faults import ChannelState
from device.room.hum import Hum
from device.room.measurement import Measurement
from tests.device.room.audio import measured

MIXER = Mixer([CaptureControl("1", "Mic", 0, 62, 15.0, muted=False)])
NO_MIXER = Mixer(
    problem="amixer is not installed, so the gain is not known", fix="run: sudo apt-get install alsa-utils"
)
GOOD = ChannelState(-28.0, 0.001, dead=False, inverted=False)


def found(
    measurement: Measurement, *, gate: float = -52.0, mixer: Mixer = MIXER, where: str = "in my.toml"
) -> dict[str, Finding]:
    return {each.topic: each for each in findings(measurement, gate, mixer, where)}


def warned(measurement: Measurement, mixer: Mixer = MIXER) -> dict[str, Finding]:
    return {name: each for name, each in found(measurement, mixer=mixer).items() if each.verdict == Verdict.WARN}


def test_a_good_microphone() -> None:
    assert found(measured()) == {
        "speech": Finding("speech", Verdict.OK, "Speech is 30 dB above the room: good"),
        "gate": Finding("gate", Verdict.OK, "the gate of -52 dBFS fits; the best value is -51"),
    }
    assert found(measured(), gate=-51)["gate"].message == "the gate of -51 dBFS fits"


def test_too_loud() -> None:
    clipping = warned(measured(speech=-20, clipped=0.02, peak=0))["clipping"]
    assert clipping.message == "Too loud: 2 % of the samples are clipped"
    assert clipping.fix.endswith("amixer -c 1 -- sset Mic,0 capture 5.0dB")
    level = warned(measured(speech=-10, peak=-1))["level"]
    assert level.message == "Loud: speech is at -10 dBFS, so a louder voice will be clipped"
    assert level.fix.endswith("amixer -c 1 -- sset Mic,0 capture -5.0dB")


def test_too_quiet() -> None:
    quiet = measured(floor=-80, loud=-77, speech=-52, quiet=-58, peak=-35)
    level = warned(quiet)["level"]
    assert level.message == "Too quiet: speech is at -52 dBFS"
    assert level.fix.endswith("amixer -c 1 -- sset Mic,0 capture 37.0dB")
    assert warned(quiet, NO_MIXER)["level"].fix == f"{NO_MIXER.problem}; {NO_MIXER.fix}"
    at_its_end = Mixer([CaptureControl("1", "Mic", 0, 100, 15.0, muted=False)])
    assert warned(quiet, at_its_end)["level"].fix == "raise the gain, or move closer to the microphone"


@pytest.mark.parametrize(
    ("floor", "message"),
    [
        (-45.0, "Speech is 15 dB above the room: fair, some words will be lost"),
        (-35.0, "Speech is 5 dB above the room: too little to understand words reliably"),
    ],
)
def test_a_loud_room(floor: float, message: str) -> None:
    speech = warned(measured(floor=floor, loud=floor + 3))["speech"]
    assert speech.message == message
    assert speech.fix.startswith("move closer to the microphone")


def test_the_gate() -> None:
    high = found(measured(), gate=-40)["gate"]
    assert high.verdict == Verdict.WARN
    assert high.message == ("the gate of -40 dBFS is too high: quiet speech is not detected; the best value is -51")
    assert high.fix == "write gate_dbfs = -51 under [endpoint] in my.toml"
    assert "below the noise of the room" in found(measured(), gate=-70)["gate"].message
    assert found(measured(), gate=-70, where="")["gate"].fix == "", "it will be written"


def test_no_speech_and_a_muted_microphone() -> None:
    missing = found(measured(speech=None))
    assert list(missing) == ["speech"]
    assert missing["speech"].verdict == Verdict.FAIL
    assert missing["speech"].message == "no speech was detected in the second part"
    muted = found(measured(speech=None, silent=True))
    assert list(muted) == ["microphone"]
    assert muted["microphone"].verdict == Verdict.FAIL
    assert "alsamixer" in muted["microphone"].fix
    off = Mixer([CaptureControl("1", "Mic", 0, 62, 15.0, muted=True)])
    assert found(measured(speech=None, silent=True), mixer=off)["microphone"].fix.endswith("sset Mic,0 cap")
    assert warned(measured(), off)["gain"].fix.endswith("sset Mic,0 cap")


def test_speech_in_the_room() -> None:
    room = warned(measured(room_speech_s=2.5))["room"]
    assert room.message == "2.5 s of speech while the room was measured, which were left out"
    assert room.fix.endswith("run again: edge-mcnn calibrate")


def test_hum() -> None:
    hum = warned(measured(hum=Hum(50, (50, 100), -61.0)))["hum"]
    assert hum.message == "hum of the 50 Hz mains at -61 dBFS (at 50, 100 Hz)"
    assert "hum" not in found(measured(hum=Hum(50, (50,), -68.0))), "the noise is louder"
    assert "hum" not in found(measured(floor=-74, loud=-73, hum=Hum(50, (50,), -74.0))), "far below speech"


def test_faulty_channels() -> None:
    dead, inverted = ChannelState(-80.0, 0.0, dead=True, inverted=False), ChannelState(-30.0, 0.0, False, True)
    assert warned(measured(channels=[GOOD, dead]))["channels"].message == "channel 1 is dead: no voice reaches it"
    phase = warned(measured(channels=[GOOD, inverted]))["channels"]
    assert phase.message == (
        "channel 1 is in opposite phase; unless channels under [microphone] is mean, edge-mcnn takes care of it"
    )
    offset = warned(measured(channels=[ChannelState(-28.0, -0.05, False, False)]))["offset"]
    assert offset.message == "channel 0 has a constant offset (DC) of -5.0 % of full scale; edge-mcnn removes it"


def test_automatic_gain() -> None:
    off = GainChange("turn off 'AGC' of card 1", ("amixer", "-c", "1", "--", "sset", "AGC,0", "off"))
    gain = warned(measured(), Mixer(MIXER.controls, automatic=off))["gain"]
    assert gain.message.startswith("automatic gain control is on")
    assert gain.fix == "turn off 'AGC' of card 1: amixer -c 1 -- sset AGC,0 off"
