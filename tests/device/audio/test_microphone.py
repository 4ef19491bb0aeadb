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
from device.system.sound_cards import sound_cards
from tests.conftest import import_again

USB = "USB PnP Sound Device: Audio (hw:1,0)"
PLUGINS = (
    "sysdefault", "front", "surround21", "surround51", "iec958", "spdif", "hdmi", "dmix", "dsnoop", "lavrate",
    "lavrate_best", "samplerate", "samplerate_medium", "speexrate", "speexrate_best", "speex", "upmix", "vdownmix",
    "jack", "oss", "null", "a52", "usbstream",
)  # fmt: skip
REFUSALS = {-9998: "Invalid number of channels", -9997: "Invalid sample rate", -9985: "Device unavailable"}


class PortAudioError(Exception):
    pass


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let PortAudio list these names as inputs of 48 kHz, the first one as the default."""

    def plug(
        *names: str,
        system: str = "ALSA",
        default: int = 0,
        refusals: dict[int, int] | None = None,
        channels: int = 2,
        most_recorded: int = 1000,
    ) -> None:
        fake = types.ModuleType("sounddevice")

        def check_input_settings(index: int, channels: int, kind: str, samplerate: int) -> None:
            os.write(2, b"ALSA lib pcm.c:2721: Unknown PCM\n")
            code = -9998 if channels > most_recorded else (refusals or {}).get(samplerate)
            if code is not None:
                raise PortAudioError(f"{REFUSALS[code]} [PaErrorCode {code}]", code)

        def query_devices() -> list[dict[str, object]]:
            os.write(2, b"jack server is not running or cannot be started\n")
            return [
                {
                    "index": index,
                    "name": name,
                    "default_samplerate": 48_000.0,
                    "max_input_channels": channels,
                    "hostapi": 0,
                }
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
    """Delivers two blocks as soon as it is started: one of a constant value on each channel, and one that differs.

    The last channel differs; the values are 7, -300, -600 and so on.
    """

    def __init__(self, *, callback: Callable[..., None], blocksize: int, channels: int, **_: object) -> None:
        self._callback = callback
        self._samples = np.tile(np.array([7, *range(-300, -300 * channels, -300)], np.int16)[:channels], (blocksize, 1))

    def start(self) -> None:
        other = self._samples.copy()
        other[-1, -1] += 1
        for samples in (self._samples, other):
            self._callback(memoryview(samples.tobytes()), len(samples), None, None)


@pytest.fixture
def opened(listed: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[microphone.Block]]:
    """Opens the microphone of this name with this number of channels, and returns two blocks."""

    def open_it(
        name: str, offered: int, channels: str | tuple[int, ...] = "auto", most_recorded: int = 1000
    ) -> list[microphone.Block]:
        listed(name, channels=offered, most_recorded=most_recorded)
        monkeypatch.setattr(sys.modules["sounddevice"], "RawInputStream", RawInputStream, raising=False)
        each = microphone.Microphone(name, channels)
        blocks = [each.block(1), each.block(1)]
        return [block for block in blocks if block is not None]

    return open_it


def test_blocks_of_a_constant_value(opened: Callable[..., list[microphone.Block]]) -> None:
    assert [block.constant for block in opened(USB, 2)] == [True, False]
    assert [block.constant for block in opened(USB, 8, (7,))] == [True, False]
    assert [block.constant for block in opened("pulse", 32, "loudest")] == [True, False]


def test_audio_from_before_it_is_read_is_skipped_but_for_the_latest_block(
    listed: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    listed(USB)
    now = 100.0
    monkeypatch.setattr("device.audio.microphone.time.monotonic", lambda: now)
    monkeypatch.setattr(sys.modules["sounddevice"], "RawInputStream", RawInputStream, raising=False)
    each = microphone.Microphone(USB)  # which delivers two blocks at once
    each.dropped_blocks = 3
    each.skip_waiting()
    latest = each.block(0)
    assert latest is not None
    assert not latest.constant
    assert (each.dropped_blocks, each.block(0)) == (0, None)

    each = microphone.Microphone(USB)
    now += 60  # the queue was full long ago, so these two are not the latest
    each.skip_waiting()
    assert each.block(0) is None


@pytest.mark.parametrize(
    ("name", "offered", "most_recorded", "recorded"),
    [
        (USB, 1, 1000, 1),
        (USB, 8, 1000, 8),
        (USB, 8, 2, 2),
        (USB, 32, 1000, 16),
        ("default", 32, 1000, 2),
        ("default", 128, 1000, 2),
        ("array", 6, 1000, 6),
    ],
)
def test_as_many_channels_as_the_microphone_has(
    name: str, offered: int, most_recorded: int, recorded: int, opened: Callable[..., list[microphone.Block]]
) -> None:
    for channels in ("auto", "loudest", "mean"):
        block, _ = opened(name, offered, channels, most_recorded)
        assert block.samples.shape[1] == recorded


def test_selected_channels(opened: Callable[..., list[microphone.Block]]) -> None:
    for channels, values in {(0,): [7], (5,): [-1500], (6, 1): [-1800, -300]}.items():
        block, _ = opened(USB, 8, channels)
        assert block.samples[0].tolist() == values
    block, _ = opened("default", 32, (3,))
    assert block.samples[0].tolist() == [-900]
    with pytest.raises(AudioError, match="Invalid number of channels"):
        opened(USB, 8, (5,), most_recorded=2)


@pytest.mark.parametrize(
    ("offered", "channels", "message"),
    [
        (2, (5,), "has 2 channels, 0 to 1, and microphone.channels is [5]"),
        (8, (0, 8), "has 8 channels, 0 to 7, and microphone.channels is [0, 8]"),
        (1, (1,), "has one channel, 0, and microphone.channels is [1]"),
    ],
)
def test_a_channel_that_the_microphone_does_not_have(
    offered: int, channels: tuple[int, ...], message: str, opened: Callable[..., list[microphone.Block]]
) -> None:
    with pytest.raises(AudioError) as error:
        opened(USB, offered, channels)
    assert error.value.message == f"microphone {USB!r} {message}"
    assert error.value.fix == 'write other numbers, or channels = "auto", under [microphone]'


TWIN = USB.replace("hw:1", "hw:2")
BUILT_IN = "sof-hda: Analog (hw:0,0)"


@pytest.fixture
def cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Write /proc/asound: the ID of each card by its number, and with a slash vendor and product."""

    def write(**ids: str) -> None:
        for number, id_and_usb in ids.items():
            folder = tmp_path / "proc/asound" / number
            folder.mkdir(parents=True)
            for name, value in zip(("id", "usbid"), id_and_usb.split("/"), strict=False):
                (folder / name).write_text(f"{value}\n")
        monkeypatch.setattr(microphone, "sound_cards", lambda: sound_cards(tmp_path))

    return write


def test_a_sound_card_is_found_by_what_does_not_change(listed: Callable[..., None], cards: Callable[..., None]) -> None:
    listed("default", BUILT_IN, USB, "Other: Audio (hw:2,0)")
    cards(card0="PCH", card1="Device/0d8c:0014", card2="Webcam/046d:0825")
    for name in ("card:Device", "CARD:DEVICE", "device", "0d8c:0014", "0D8C:0014", "PnP"):
        assert find_microphone(name).name == USB
    assert find_microphone("card:PCH").name == BUILT_IN
    assert (find_microphone("pch").card_id, find_microphone("pch").usb_id) == ("PCH", "")
    assert find_microphone("default").card_id == ""
    for name in ("card:", "card:None"):
        with pytest.raises(AudioError, match=f"no microphone is named '{name}'") as error:
            find_microphone(name)
    assert error.value.fix == (
        f"use one of 'card:PCH' ({BUILT_IN}), '0d8c:0014' ({USB}), '046d:0825' (Other: Audio (hw:2,0)), 'default'"
    )


def test_two_identical_cards(listed: Callable[..., None], cards: Callable[..., None]) -> None:
    listed(USB, TWIN)
    cards(card1="Device/0d8c:0014", card2="Device_1/0d8c:0014")
    for name in ("0d8c:0014", "USB PnP"):
        with pytest.raises(AudioError, match=f"'{name}' matches more than one microphone") as error:
            find_microphone(name)
        assert error.value.fix == f"use one of 'card:Device' ({USB}), 'card:Device_1' ({TWIN})"
    assert find_microphone("Device").name == USB
    assert find_microphone("card:Device_1").name == TWIN


def test_two_inputs_of_one_card(listed: Callable[..., None], cards: Callable[..., None]) -> None:
    second = "USB PnP Sound Device: Line (hw:1,1)"
    listed(USB, second)
    cards(card1="Device/0d8c:0014")
    with pytest.raises(AudioError, match="more than one") as error:
        find_microphone("card:Device")
    assert error.value.fix == "use more of the name"
    assert find_microphone("Line").name == second


def test_cards_of_other_sound_systems_are_unknown(listed: Callable[..., None], cards: Callable[..., None]) -> None:
    cards(card1="Device/0d8c:0014")
    listed(USB, system="JACK Audio Connection Kit")
    assert find_microphone("USB").card_id == ""
    listed("Other (hw:3,0)")
    assert find_microphone("Other").card_id == "", "it was just unplugged"


@pytest.mark.parametrize("value", [0, 1, -1, 500, 32767, -32768])
def test_a_constant_value_of_each_channel(value: int) -> None:
    samples = np.full((2048, 2), value, np.int16)
    assert is_constant(samples)
    samples[:, 1] = -3
    assert is_constant(samples)
    samples[1000, 1] = -4
    assert not is_constant(samples)
