"""Mixers as `amixer scontents` prints those of real cards, and a program of that name that records how it is called."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from device.room import capture_gain
from device.room.capture_gain import CaptureControl, GainChange, Mixer, apply_change, read_mixer

USB_MICROPHONE = """Simple mixer control 'Mic',0
  Capabilities: cvolume cvolume-joined cswitch cswitch-joined
  Capture channels: Mono
  Limits: Capture 0 - 16
  Mono: Capture 10 [62%] [14.88dB] [on]
"""
USB_ADAPTER = """Simple mixer control 'Speaker',0
  Capabilities: pvolume pswitch pswitch-joined
  Playback channels: Front Left - Front Right
  Limits: Playback 0 - 37
  Mono:
  Front Left: Playback 20 [54%] [-17.00dB] [on]
  Front Right: Playback 20 [54%] [-17.00dB] [on]
Simple mixer control 'Mic',0
  Capabilities: pvolume pvolume-joined cvolume cvolume-joined pswitch pswitch-joined cswitch cswitch-joined
  Playback channels: Mono
  Capture channels: Mono
  Limits: Playback 0 - 31 Capture 0 - 35
  Mono: Playback 23 [74%] [0.00dB] [off] Capture 27 [77%] [15.00dB] [on]
Simple mixer control 'Auto Gain Control',0
  Capabilities: pswitch pswitch-joined
  Playback channels: Mono
  Mono: Playback [on]
"""
ONBOARD = """Simple mixer control 'Master',0
  Capabilities: pvolume pvolume-joined pswitch pswitch-joined
  Playback channels: Mono
  Limits: Playback 0 - 87
  Mono: Playback 87 [100%] [0.00dB] [on]
Simple mixer control 'Internal Mic Boost',0
  Capabilities: volume
  Playback channels: Front Left - Front Right
  Capture channels: Front Left - Front Right
  Limits: 0 - 3
  Front Left: 1 [33%] [10.00dB]
  Front Right: 1 [33%] [10.00dB]
Simple mixer control 'Capture',0
  Capabilities: cvolume cswitch
  Capture channels: Front Left - Front Right
  Limits: Capture 0 - 63
  Front Left: Capture 63 [100%] [30.00dB] [off]
  Front Right: Capture 63 [100%] [30.00dB] [off]
Simple mixer control 'Auto-Mute Mode',0
  Capabilities: enum
  Items: 'Disabled' 'Enabled'
  Item0: 'Enabled'
"""
WITHOUT_DB = """Simple mixer control 'Capture',1
  Capabilities: cvolume cvolume-joined
  Capture channels: Mono
  Limits: Capture 0 - 10
  Mono: Capture 9 [90%]
"""
PLAYBACK_ONLY = """Simple mixer control 'PCM',0
  Capabilities: pvolume pvolume-joined pswitch pswitch-joined
  Playback channels: Mono
  Limits: Playback -10239 - 400
  Mono: Playback -2000 [77%] [-20.00dB] [on]
"""
NAME = "USB PnP Sound Device: Audio (hw:1,0)"
MIC = CaptureControl("1", "Mic", 0, 62, 14.88, muted=False)
Amixer = Callable[..., Path]


@pytest.fixture
def amixer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Amixer:
    """Installs a program `amixer`, and returns the file in which it notes its locale and arguments."""

    def install(output: str, *, status: int = 0, error: str = "") -> Path:
        (tmp_path / "output").write_text(output)
        calls = tmp_path / "calls"
        program = tmp_path / "amixer"
        program.write_text(
            f'#!/bin/sh\necho "$LC_ALL" "$@" >> {calls}\ncat {tmp_path}/output\necho "{error}" >&2\nexit {status}\n'
        )
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        return calls

    return install


def test_a_usb_microphone(amixer: Amixer) -> None:
    calls = amixer(USB_MICROPHONE)
    mixer = read_mixer(NAME)
    assert mixer == Mixer([MIC])
    assert calls.read_text() == "C -c 1 scontents\n"
    assert mixer.controls[0].description == "'Mic' of card 1 is at 62 % (14.88 dB)"


def test_a_usb_adapter_with_playback_beside_capture_and_automatic_gain(amixer: Amixer) -> None:
    amixer(USB_ADAPTER)
    mixer = read_mixer(NAME)
    assert list(mixer.controls) == [CaptureControl("1", "Mic", 0, 77, 15.0, muted=False)], "not the values of playback"
    assert mixer.automatic is not None
    assert mixer.automatic.command == "amixer -c 1 -- sset 'Auto Gain Control,0' off"
    amixer(USB_ADAPTER.replace("Mono: Playback [on]", "Mono: Playback [off]"))
    assert read_mixer(NAME).automatic is None


def test_an_onboard_card_with_a_boost(amixer: Amixer) -> None:
    amixer(ONBOARD)
    mixer = read_mixer("HDA Intel PCH: ALC256 Analog (hw:0,0)")
    assert list(mixer.controls) == [
        CaptureControl("0", "Capture", 0, 100, 30.0, muted=True),
        CaptureControl("0", "Internal Mic Boost", 0, 33, 10.0, muted=False, boost=True),
    ]
    switched_on = mixer.change(0)
    assert switched_on is not None
    assert switched_on.command == "amixer -c 0 -- sset Capture,0 cap"
    amixer(ONBOARD.replace("[off]", "[on]"))
    raised = read_mixer("ALC256 (hw:0,0)").change(12)
    assert raised is not None
    assert raised.command == "amixer -c 0 -- sset 'Internal Mic Boost,0' capture 22.0dB", "the other one is at its end"


def test_the_most_useful_control_is_the_first(amixer: Amixer) -> None:
    amixer(ONBOARD + WITHOUT_DB.replace("'Capture',1", "'Line',0") + USB_MICROPHONE)
    assert [each.name for each in read_mixer(NAME).controls] == ["Mic", "Capture", "Line", "Internal Mic Boost"]


def test_a_control_without_db_changes_by_a_share_of_its_range(amixer: Amixer) -> None:
    amixer(WITHOUT_DB)
    mixer = read_mixer(NAME)
    higher, lower = mixer.change(15), mixer.change(-15)
    assert higher is not None
    assert lower is not None
    assert higher.arguments == ("amixer", "-c", "1", "--", "sset", "Capture,1", "capture", "100%")
    assert lower.description == "set 'Capture' of card 1 from 90 % to 70 %"


def test_a_control_with_db_changes_by_that_many(amixer: Amixer) -> None:
    amixer(USB_MICROPHONE)
    mixer = read_mixer(NAME)
    lower = mixer.change(-20)
    assert lower is not None
    assert lower.command == "amixer -c 1 -- sset Mic,0 capture -5.1dB", "-- keeps it from being an option"
    assert mixer.change(0) is None
    full = Mixer([CaptureControl("1", "Mic", 0, 100, 23.0, muted=False)])
    assert full.change(5) is None


def test_a_card_without_a_capture_control(amixer: Amixer) -> None:
    amixer(PLAYBACK_ONLY)
    mixer = read_mixer(NAME)
    assert (mixer.controls, mixer.problem) == ((), "card 1 has no capture control")
    assert mixer.change(10) is None


def test_amixer_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    mixer = read_mixer(NAME)
    assert mixer.problem == "amixer is not installed, so the gain is not known"
    assert mixer.fix == "run: sudo apt-get install alsa-utils"


def test_amixer_fails(amixer: Amixer) -> None:
    amixer("", status=1, error="amixer: Mixer attach hw:1 error: No such device")
    mixer = read_mixer(NAME)
    assert mixer.problem == "amixer -c 1: amixer: Mixer attach hw:1 error: No such device"
    assert "alsamixer" in mixer.fix


def test_amixer_cannot_be_run(amixer: Amixer, monkeypatch: pytest.MonkeyPatch) -> None:
    program = amixer("").with_name("amixer")
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    monkeypatch.setattr(capture_gain, "_LIMIT_S", 0.1)
    assert "timed out" in read_mixer(NAME).problem
    program.write_text("#!/nowhere\n")
    program.chmod(0o644)
    monkeypatch.setenv("PATH", str(program.parent))
    mixer = read_mixer(NAME)
    assert mixer.problem.startswith("amixer cannot be run (")
    assert mixer.fix == "set the gain by hand: alsamixer, F4"


@pytest.mark.parametrize("name", ["default", "pipewire", "usbmic", "a (hw:x)"])
def test_a_microphone_that_is_no_card(name: str) -> None:
    mixer = read_mixer(name)
    assert mixer.problem == f"{name!r} is no ALSA card, so its gain is not known"
    assert mixer.controls == ()


@pytest.mark.parametrize("output", ["", "garbage\n'\x1b[31m", "Simple mixer control 'Mic',0\n", ONBOARD[:300]])
def test_any_output_is_read(amixer: Amixer, output: str) -> None:
    amixer(output)
    assert [each.name for each in read_mixer(NAME).controls] in ([], ["Internal Mic Boost"])


def test_a_change_runs_its_command(amixer: Amixer) -> None:
    calls = amixer("")
    change = GainChange("set it", ("amixer", "-c", "1", "--", "sset", "Mic,0", "capture", "20.0dB"))
    assert apply_change(change) == ("", "")
    assert calls.read_text() == "C -c 1 -- sset Mic,0 capture 20.0dB\n"
    amixer("", status=1, error="Invalid command!")
    assert apply_change(change)[0] == "amixer -c 1: Invalid command!"
