"""`edge-mcnn microphones` with a list of microphones."""

import json

import pytest
from typer.testing import CliRunner

from device.audio import microphone
from device.audio.microphone import MicrophoneInfo, MicrophoneKind
from edge_mcnn.main import app

USB = MicrophoneInfo(1, "USB (hw:1,0)", 48_000, 1, is_default=False, card_id="Device", usb_id="0d8c:0014")
DEFAULT = MicrophoneInfo(0, "default", 44_100, 32, is_default=True, kind=MicrophoneKind.CONFIGURED)
PLUGIN = MicrophoneInfo(2, "samplerate", 44_100, 128, is_default=False, kind=MicrophoneKind.PLUGIN)


def test_what_selects_a_sound_card_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(microphone, "list_microphones", lambda: [USB, DEFAULT])
    lines = CliRunner().invoke(app, ["microphones"]).output.splitlines()
    assert [line.split() for line in lines[1:]] == [
        ["USB", "(hw:1,0)", "48000", "Hz", "1", "device", "card:Device", "0d8c:0014"],
        ["default", "44100", "Hz", "32", "configured", "default"],
    ]
    first, second = map(json.loads, CliRunner().invoke(app, ["microphones", "--json"]).output.splitlines())
    assert (first["card_id"], first["usb_id"]) == ("Device", "0d8c:0014")
    assert (second["card_id"], second["usb_id"]) == ("", "")


def test_plug_ins_are_counted_and_listed_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(microphone, "list_microphones", lambda: [USB, DEFAULT, PLUGIN])
    hidden = "1 plug-in of ALSA not listed: --all lists them"
    short, long = (CliRunner().invoke(app, ["microphones", *options]).output for options in ([], ["--all"]))
    assert ("samplerate" in short, hidden in short) == (False, True)
    assert ("samplerate" in long, hidden in long) == (True, False)
