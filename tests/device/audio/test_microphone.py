"""Lists of microphones as PortAudio reports them; tests/system has a virtual microphone behind the real PortAudio."""

import os
import re
import sys
import types
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from device.audio import microphone
from device.audio.microphone import MicrophoneKind, find_microphone, is_constant, list_microphones, without_plugins
from device.errors import AudioError
from tests.conftest import import_again

USB = "USB PnP Sound Device: Audio (hw:1,0)"
PLUGINS = (
    "sysdefault", "front", "surround21", "surround51", "iec958", "spdif", "hdmi", "dmix", "dsnoop", "lavrate",
    "lavrate_best", "samplerate", "samplerate_medium", "speexrate", "speexrate_best", "speex", "upmix", "vdownmix",
    "jack", "oss", "null", "a52", "usbstream",
)  # fmt: skip
REFUSALS = {-9997: "Invalid sample rate", -9985: "Device unavailable"}


class PortAudioError(Exception):
    pass


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let PortAudio list these names as inputs of 48 kHz, the first one as the default."""

    def plug(*names: str, system: str = "ALSA", default: int = 0, refusals: dict[int, int] | None = None) -> None:
        fake = types.ModuleType("sounddevice")

        def check_input_settings(index: int, channels: int, kind: str, samplerate: int) -> None:
            os.write(2, b"ALSA lib pcm.c:2721: Unknown PCM\n")
            code = (refusals or {}).get(samplerate)
            if code is not None:
                raise PortAudioError(f"{REFUSALS[code]} [PaErrorCode {code}]", code)

        def query_devices() -> list[dict[str, object]]:
            os.write(2, b"jack server is not running or cannot be started\n")
            return [
                {"index": index, "name": name, "default_samplerate": 48_000.0, "max_input_channels": 2, "hostapi": 0}
                for index, name in enumerate(names)
            ]

        vars(fake).update(
            PortAudioError=PortAudioError,
            default=types.SimpleNamespace(device=(default, 0)),
            check_input_settings=check_input_settings,
            query_devices=query_devices,
            query_hostapis=lambda: ({"name": system},),
        )
        import_again("sounddevice", monkeypatch)
        monkeypatch.setitem(sys.modules, "sounddevice", fake)

    return plug


def shown() -> list[str]:
    return [each.name for each in without_plugins(list_microphones())]


def test_devices_first_and_no_plugins(listed: Callable[..., None]) -> None:
    listed("pulse", *PLUGINS, "default", USB, "studio", default=len(PLUGINS) + 1)
    assert shown() == [USB, "pulse", "default", "studio"]
    kinds = {each.name: each.kind for each in list_microphones()}
    assert {kinds[name] for name in PLUGINS} == {MicrophoneKind.PLUGIN}
    assert (kinds[USB], kinds["pulse"]) == (MicrophoneKind.DEVICE, MicrophoneKind.CONFIGURED)
    assert find_microphone("").name == "default"


def test_plugins_if_there_is_nothing_else(listed: Callable[..., None]) -> None:
    listed("sysdefault", "samplerate", default=-1)
    assert shown() == ["sysdefault", "samplerate"]
    listed("pulse", "samplerate", default=-1)
    assert shown() == ["pulse"]
    listed("samplerate", "pulse")
    assert shown() == ["pulse", "samplerate"], "it is the default"


def test_a_sound_system_that_cannot_be_initialised(
    listed: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = "class PortAudioError(Exception): pass\nraise PortAudioError('Unanticipated host error')"
    (tmp_path / "sounddevice.py").write_text(error)
    monkeypatch.syspath_prepend(str(tmp_path))
    import_again("sounddevice", monkeypatch)
    with pytest.raises(AudioError, match="cannot list the microphones \\(Unanticipated host error\\)"):
        list_microphones()
    listed(USB)

    def initialise() -> None:
        raise PortAudioError("Unanticipated host error")

    fake = sys.modules["sounddevice"]
    monkeypatch.setattr(fake, "_terminate", lambda: None, raising=False)
    monkeypatch.setattr(fake, "_initialize", initialise, raising=False)
    with pytest.raises(AudioError, match="cannot list the microphones"):
        microphone.refresh_devices()


def test_names_in_other_sound_systems_are_devices(listed: Callable[..., None]) -> None:
    listed("jack", "Front", system="Core Audio")
    assert {each.kind for each in list_microphones()} == {MicrophoneKind.DEVICE}


def test_a_plugin_can_be_selected_and_makes_nothing_ambiguous(listed: Callable[..., None]) -> None:
    listed(USB, "Speech Mic: Audio (hw:2,0)", *PLUGINS)
    assert find_microphone("samplerate").name == "samplerate"
    assert find_microphone("surround51").name == "surround51"
    assert find_microphone("spe").name.startswith("Speech Mic")
    with pytest.raises(AudioError, match="no microphone is named") as error:
        find_microphone("Blue Yeti")
    assert not re.search("surround|null", str(error.value))


def test_what_alsa_and_jack_write_is_dropped(listed: Callable[..., None], capfd: pytest.CaptureFixture[str]) -> None:
    listed(USB, refusals=dict.fromkeys((16_000, 44_100, 48_000), -9985))
    with pytest.raises(AudioError):
        microphone.Microphone("USB")
    assert capfd.readouterr().err == ""


def test_the_reason_is_that_of_a_rate_that_the_device_has(listed: Callable[..., None]) -> None:
    listed(USB, refusals={16_000: -9997, 48_000: -9985, 44_100: -9997})
    with pytest.raises(AudioError, match="Device unavailable") as error:
        microphone.Microphone("USB")
    assert error.value.fix.endswith("if it is the service: sudo systemctl stop edge-mcnn")
    listed(USB, refusals=dict.fromkeys((16_000, 44_100, 48_000), -9997))
    with pytest.raises(AudioError, match="Invalid sample rate"):
        microphone.Microphone("USB")


class RawInputStream:
    """Delivers two blocks as soon as it is started: one of a constant value on each channel, and one that differs."""

    def __init__(self, *, callback: Callable[..., None], blocksize: int, channels: int, **_: object) -> None:
        self._callback = callback
        self._samples = np.tile(np.array([7, -300], np.int16)[:channels], (blocksize, 1))

    def start(self) -> None:
        other = self._samples.copy()
        other[-1, -1] += 1
        for samples in (self._samples, other):
            self._callback(memoryview(samples.tobytes()), len(samples), None, None)


def test_blocks_of_a_constant_value(listed: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    listed(USB)
    monkeypatch.setattr(sys.modules["sounddevice"], "RawInputStream", RawInputStream, raising=False)
    opened = microphone.Microphone("USB")
    blocks = [opened.block(1), opened.block(1)]
    assert [block.constant for block in blocks if block is not None] == [True, False]


@pytest.mark.parametrize("value", [0, 1, -1, 500, 32767, -32768])
def test_a_constant_value_of_each_channel(value: int) -> None:
    samples = np.full((2048, 2), value, np.int16)
    assert is_constant(samples)
    samples[:, 1] = -3
    assert is_constant(samples)
    samples[1000, 1] = -4
    assert not is_constant(samples)
