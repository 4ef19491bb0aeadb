"""Microphones that nobody has plugged in, and what they give. A real one is in tests/system/test_doctor.py."""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from device.audio import microphone
from device.audio.microphone import Block, MicrophoneInfo
from device.doctor import sound
from device.doctor.findings import Finding, Level, Verdict
from device.doctor.isolation import Check, examine
from device.errors import AudioError
from device.settings.schema import EndpointSettings, MicrophoneSettings, Settings
from tests.device.daemon.test_status import STATUS

USB = MicrophoneInfo(1, "USB Audio (hw:1,0)", 48_000, 1, is_default=False)
DEFAULT = MicrophoneInfo(0, "default", 44_100, 32, is_default=True)


@pytest.fixture
def plugged(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def plug(*found: MicrophoneInfo) -> None:
        monkeypatch.setattr(microphone, "list_microphones", lambda: list(found))

    return plug


def test_cards_that_this_user_may_open_or_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(sound.cards(tmp_path)) == []
    folder = tmp_path / "dev" / "snd"
    folder.mkdir(parents=True)
    for name in ("controlC0", "pcmC0D0p", "pcmC1D0c"):
        (folder / name).touch()
    [good] = sound.cards(tmp_path)
    assert (good.verdict.value, good.told) == ("good", "pcmC1D0c; open to this user")
    monkeypatch.setattr(sound, "may_open", lambda path: False)
    monkeypatch.setattr(sound, "how_to_join", lambda group: f"join {group}")
    [bad] = sound.cards(tmp_path)
    assert (bad.verdict.value, bad.mend) == ("bad", "join audio")
    assert bad.told == f"this user may not open {folder}/pcmC1D0c"


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ("closed\n", "pcmC1D0c; open to this user"),
        ("state: RUNNING\nowner_pid   : 1234\n", "pcmC1D0c (held by arecord, process 1234); open to this user"),
        ("state: RUNNING\nowner_pid   : 1235\n", "pcmC1D0c; open to this user"),
    ],
    ids=["free", "held", "held by one that has ended"],
)
def test_who_has_a_card(status: str, told: str, tmp_path: Path) -> None:
    for name, content in {
        "dev/snd/pcmC1D0c": "", "proc/asound/card1/pcm0c/sub0/status": status, "proc/1234/comm": "arecord\n",
    }.items():  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(content)
    [found] = sound.cards(tmp_path)
    assert found.told == told


@pytest.fixture
def sounddevice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The module file of one that is found first."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    return tmp_path / "sounddevice.py"


def test_portaudio_is_missing(sounddevice: Path) -> None:
    sounddevice.write_text("raise OSError('PortAudio library not found')")
    [found] = sound.portaudio()
    assert (found.verdict.value, found.told) == ("bad", "PortAudio is not installed")
    assert found.mend == "run: sudo apt-get install libportaudio2"
    assert list(sound.chosen("")) == list(sound.level(Settings(), None)) == [], "that line says it all"


def test_portaudio_is_there(sounddevice: Path) -> None:
    sounddevice.write_text("def get_portaudio_version(): return 1246720, 'PortAudio V19.7.0-devel, revision 147dd722'")
    [found] = sound.portaudio()
    assert (found.verdict.value, found.told) == ("good", "PortAudio V19.7.0-devel")


def test_portaudio_hangs(sounddevice: Path) -> None:
    sounddevice.write_text("import threading; threading.Event().wait()")
    [found] = examine([Check("microphone", sound.portaudio, limit_s=0.5)])
    assert isinstance(found, Finding)
    assert (found.verdict, found.told) == (Verdict.BAD, "it hangs: no answer within 0.5 s")


def chosen(name: str = "") -> Finding:
    [found] = sound.chosen(name)
    return found


def test_the_microphone_that_the_settings_choose(plugged: Callable[..., None]) -> None:
    plugged(DEFAULT, USB)
    assert chosen().told == "default, 44100 Hz, the default; not chosen: USB Audio (hw:1,0), 48000 Hz"
    found = chosen("usb")
    assert found.told == "USB Audio (hw:1,0), 48000 Hz; not chosen: default, 44100 Hz"
    assert (found.verdict.value, found.mend) == ("good", "")


def test_no_microphone_one_of_another_name_and_too_many(plugged: Callable[..., None]) -> None:
    plugged()
    assert chosen().told == "no microphone found"
    assert chosen().mend.startswith("plug one in")
    plugged(USB)
    assert chosen("Blue Yeti").told == "no microphone is named 'Blue Yeti'"
    assert chosen("Blue Yeti").mend.startswith("there are 'USB Audio (hw:1,0)'; one that another program holds")
    plugged(DEFAULT, USB)
    assert "more than one" in chosen("u").told
    assert chosen("u").mend.startswith("give more of the name")
    assert {chosen(name).verdict for name in ("Blue Yeti", "u")} == {Verdict.BAD}
    [later] = sound.chosen("Blue Yeti", missing=Verdict.WARNING)
    assert later.verdict == Verdict.WARNING


def test_the_daemon_has_the_only_one_so_it_is_not_listed(plugged: Callable[..., None]) -> None:
    plugged()
    [found] = sound.chosen("", STATUS)
    assert (found.verdict.value, found.told) == ("good", 'the daemon, process 42, has a "USB" mic, 48000 Hz')
    [lost] = sound.chosen("", replace(STATUS, microphone=""))
    assert lost.verdict.value == "bad"


def test_a_number_that_moves_between_boots(plugged: Callable[..., None]) -> None:
    plugged(USB)
    found = chosen("hw:1,0")
    assert found.verdict.value == "warning"
    assert "the number in 'hw:1,0' moves between boots" in found.told


def test_a_device_that_a_service_does_not_have(plugged: Callable[..., None]) -> None:
    plugged(MicrophoneInfo(3, "pulse", 44_100, 32, is_default=False), USB)
    found = chosen("pulse")
    assert found.verdict.value == "warning"
    assert "a service has no such session" in found.mend


class FakeMicrophone:
    """Gives its blocks, then nothing."""

    closed = 0

    def __init__(self, blocks: Sequence[NDArray[np.int16]], rate: int = 16_000, *, ended: bool = False) -> None:
        self.rate, self.ended = rate, ended
        self._blocks: Iterator[NDArray[np.int16]] = iter(blocks)

    def block(self, limit_s: float) -> Block | None:
        assert limit_s == Settings().liveness.no_sound_limit_s
        samples = next(self._blocks, None)
        return None if samples is None else Block(samples, 0.0, zero=not samples.any())

    def close(self) -> None:
        FakeMicrophone.closed += 1


def tone(dbfs: float, rate: int = 16_000, blocks: int = 100, channels: int = 1) -> list[NDArray[np.int16]]:
    """A sine of 400 Hz whose RMS level that is."""
    length = round(rate * microphone.BLOCK_SECONDS)
    time = np.arange(blocks * length) / rate
    wave = 32768 * 10 ** (dbfs / 20) * np.sqrt(2) * np.sin(2 * np.pi * 400 * time)
    both = np.repeat(np.rint(wave).astype(np.int16)[:, None], channels, axis=1)
    return np.split(both, blocks)


def zeros(blocks: int = 100) -> list[NDArray[np.int16]]:
    return [np.zeros((2048, 1), np.int16)] * blocks


@pytest.fixture
def measured(
    plugged: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[list[float], Finding]]:
    def measure(opened: FakeMicrophone, **settings: float) -> tuple[list[float], Finding]:
        plugged(USB)
        monkeypatch.setattr(microphone, "Microphone", lambda name: opened)
        before = FakeMicrophone.closed
        *levels, finding = sound.level(Settings(endpoint=EndpointSettings(**settings)), None)
        assert FakeMicrophone.closed == before + 1
        assert isinstance(finding, Finding)
        assert finding.name == "level"
        return [each.dbfs for each in levels if isinstance(each, Level)], finding

    return measure


@pytest.mark.parametrize(
    ("dbfs", "verdict", "told"),
    [
        (-20.0, "good", "loudest -20 dBFS, quietest -20, at 16000 Hz; the gate is at -60"),
        (-59.4, "good", "loudest -59 dBFS, quietest -59, at 16000 Hz; the gate is at -60"),
        (-65.0, "warning",
         "loudest -65 dBFS, quietest -65, at 16000 Hz: all below the gate of -60, never speech"),
    ],
)  # fmt: skip
def test_how_loud_it_is(
    dbfs: float, verdict: str, told: str, measured: Callable[..., tuple[list[float], Finding]]
) -> None:
    levels, found = measured(FakeMicrophone(tone(dbfs)))
    assert (found.verdict.value, found.told) == (verdict, told)
    assert levels == pytest.approx([dbfs] * len(levels), abs=0.3)
    assert len(levels) == 12, "a moment and a half, and no more"


def test_the_gate_is_that_of_the_settings(measured: Callable[..., tuple[list[float], Finding]]) -> None:
    assert measured(FakeMicrophone(tone(-20)), gate_dbfs=-10.0)[1].verdict.value == "warning"


def test_another_rate_and_two_channels(measured: Callable[..., tuple[list[float], Finding]]) -> None:
    _, found = measured(FakeMicrophone(tone(-20, rate=44_100, channels=2), rate=44_100))
    assert found.verdict.value == "good"
    assert "loudest -20 dBFS" in found.told
    assert "at 44100 Hz resampled to 16000" in found.told


def test_one_word_in_a_quiet_moment(measured: Callable[..., tuple[list[float], Finding]]) -> None:
    blocks = zeros(4) + tone(-30, blocks=2) + zeros()
    _, found = measured(FakeMicrophone(blocks))
    assert found.verdict.value == "good"
    assert found.told.startswith("loudest -30 dBFS, quietest -96")


def test_nothing_but_zeros(measured: Callable[..., tuple[list[float], Finding]]) -> None:
    levels, found = measured(FakeMicrophone(zeros()))
    assert (found.verdict.value, found.told) == ("bad", "each sample is zero, at 16000 Hz")
    assert "is it muted?" in found.mend
    assert set(levels) == {-96.0}


@pytest.mark.parametrize("blocks", [[], tone(-20, blocks=2)], ids=["from the start", "after a moment"])
@pytest.mark.parametrize(("ended", "told"), [(True, "it is gone"), (False, "opened, but no sound came for 3 s")])
def test_a_microphone_that_stops(
    blocks: list[NDArray[np.int16]], ended: bool, told: str, measured: Callable[..., tuple[list[float], Finding]]
) -> None:
    _, found = measured(FakeMicrophone(blocks, ended=ended))
    assert (found.verdict.value, found.told) == ("bad", told)


def test_a_microphone_that_is_held(plugged: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    def held(name: str) -> None:
        raise AudioError("microphone 'USB' cannot be opened (Device unavailable); does another program hold it?")

    plugged(USB)
    monkeypatch.setattr(microphone, "Microphone", held)
    settings = Settings(microphone=MicrophoneSettings(name="USB"))
    [bad] = sound.level(settings, None)
    assert isinstance(bad, Finding)
    assert (bad.verdict.value, "does another program hold it?" in bad.told) == ("bad", True)
    [deaf] = sound.level(settings, replace(STATUS, microphone=""))
    assert deaf == bad, "a daemon that has none does not hold it"
    [known] = sound.level(settings, STATUS)
    assert isinstance(known, Finding)
    assert (known.verdict.value, known.told) == ("warning", "not measured: the daemon, process 42, has the microphone")


def test_without_a_microphone_nothing_is_measured(plugged: Callable[..., None]) -> None:
    plugged()
    assert list(sound.level(Settings(), None)) == []
