"""Checks of simulated microphones. tests/system/test_doctor.py has a virtual one behind the real PortAudio."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from device.audio import microphone
from device.audio.microphone import Block, MicrophoneInfo, MicrophoneKind, is_constant
from device.doctor.findings import Finding, MicrophoneLevel, Verdict
from device.doctor.isolation import Check, run_checks
from device.doctor.microphone import check_portaudio, check_selected, check_sound_cards, measure_level, report_level
from device.errors import AudioError
from device.events import BLOCK_SECONDS
from device.settings.schema import EndpointSettings, MicrophoneSettings, Settings
from tests.conftest import import_again
from tests.device.daemon.test_status import STATUS

USB = MicrophoneInfo(1, "USB Audio (hw:1,0)", 48_000, 1, is_default=False)
DEFAULT = MicrophoneInfo(0, "default", 44_100, 32, is_default=True)


@pytest.fixture
def plugged(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def plug(*found: MicrophoneInfo) -> None:
        monkeypatch.setattr(microphone, "list_microphones", lambda: list(found))

    return plug


def test_sound_cards_with_and_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(check_sound_cards(tmp_path)) == []
    folder = tmp_path / "dev" / "snd"
    folder.mkdir(parents=True)
    for name in ("controlC0", "pcmC0D0p", "pcmC1D0c"):
        (folder / name).touch()
    [good] = check_sound_cards(tmp_path)
    assert (good.verdict.value, good.message) == ("OK", "pcmC1D0c; accessible to this user")
    monkeypatch.setattr("device.doctor.microphone.may_open", lambda path: False)
    monkeypatch.setattr("device.doctor.microphone.how_to_join", lambda group: f"join {group}")
    [bad] = check_sound_cards(tmp_path)
    assert (bad.verdict.value, bad.fix) == ("FAIL", "join audio")
    assert bad.message == f"this user may not open {folder}/pcmC1D0c"


@pytest.mark.parametrize(
    ("status", "message"),
    [
        ("closed\n", "pcmC1D0c; accessible to this user"),
        ("state: RUNNING\nowner_pid   : 1234\n", "pcmC1D0c (in use by arecord, process 1234); accessible to this user"),
        ("state: RUNNING\nowner_pid   : 1235\n", "pcmC1D0c; accessible to this user"),
    ],
    ids=["free", "in use", "in use by a process that has ended"],
)
def test_the_process_that_uses_a_card(status: str, message: str, tmp_path: Path) -> None:
    for name, content in {
        "dev/snd/pcmC1D0c": "", "proc/asound/card1/pcm0c/sub0/status": status, "proc/1234/comm": "arecord\n",
    }.items():  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(content)
    [found] = check_sound_cards(tmp_path)
    assert found.message == message


@pytest.fixture
def sounddevice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a fake module that is imported instead of the real one."""
    monkeypatch.syspath_prepend(str(tmp_path))
    import_again("sounddevice", monkeypatch)
    return tmp_path / "sounddevice.py"


def test_portaudio_is_missing(sounddevice: Path) -> None:
    sounddevice.write_text("raise OSError('PortAudio library not found')")
    [found] = check_portaudio()
    assert (found.verdict.value, found.message) == ("FAIL", "PortAudio is not installed")
    assert found.fix == "run: sudo apt-get install libportaudio2"
    assert list(check_selected("")) == list(measure_level(Settings(), None)) == [], (
        "the missing PortAudio is reported once"
    )


def test_portaudio_is_installed(sounddevice: Path) -> None:
    sounddevice.write_text("def get_portaudio_version(): return 1246720, 'PortAudio V19.7.0-devel, revision 147dd722'")
    [found] = check_portaudio()
    assert (found.verdict.value, found.message) == ("OK", "PortAudio V19.7.0-devel")


def test_portaudio_hangs(sounddevice: Path) -> None:
    sounddevice.write_text("import threading; threading.Event().wait()")
    [found] = run_checks([Check("microphone", check_portaudio, limit_s=0.5)])
    assert isinstance(found, Finding)
    assert (found.verdict, found.message) == (Verdict.FAIL, "the check hangs: no result within 0.5 s")


def check(name: str = "") -> Finding:
    [found] = check_selected(name)
    return found


def test_the_microphone_that_the_settings_select(plugged: Callable[..., None]) -> None:
    plugged(DEFAULT, USB)
    assert check().message == "default, 44100 Hz, the default; not selected: USB Audio (hw:1,0), 48000 Hz"
    found = check("usb")
    assert found.message == "USB Audio (hw:1,0), 48000 Hz; not selected: default, 44100 Hz"
    assert (found.verdict.value, found.fix) == ("OK", "")


def test_no_microphone_another_name_and_an_ambiguous_name(plugged: Callable[..., None]) -> None:
    plugged()
    assert check().message == "no microphone found"
    assert check().fix.startswith("plug one in")
    plugged(USB)
    assert check("Blue Yeti").message == "no microphone is named 'Blue Yeti'"
    assert check("Blue Yeti").fix.startswith("use one of 'USB Audio (hw:1,0)'; a microphone that another program uses")
    plugged(DEFAULT, USB)
    assert "more than one" in check("u").message
    assert check("u").fix.startswith("use more of the name")
    assert {check(name).verdict for name in ("Blue Yeti", "u")} == {Verdict.FAIL}
    [warning] = check_selected("Blue Yeti", if_missing=Verdict.WARN)
    assert warning.verdict == Verdict.WARN


def test_the_daemon_uses_the_only_microphone_so_it_is_not_listed(plugged: Callable[..., None]) -> None:
    plugged()
    [found] = check_selected("", STATUS)
    assert (found.verdict.value, found.message) == ("OK", 'a "USB" mic, 48000 Hz, in use by the daemon, process 42')
    [lost] = check_selected("", replace(STATUS, microphone=""))
    assert lost.verdict.value == "FAIL"


def test_a_name_with_a_number_that_changes_between_boots(plugged: Callable[..., None]) -> None:
    plugged(USB)
    found = check("hw:1,0")
    assert found.verdict.value == "WARN"
    assert "the number in 'hw:1,0' may change at each boot" in found.message
    assert found.fix == "use words of its name under [microphone] instead"
    plugged(replace(USB, card_id="Device", usb_id="0d8c:0014"))
    assert check("hw:1,0").fix == 'write name = "0d8c:0014" under [microphone] instead'
    plugged(
        replace(USB, card_id="Device", usb_id="0d8c:0014"),
        replace(USB, name="USB Audio (hw:2,0)", card_id="Device_1", usb_id="0d8c:0014"),
    )
    assert check("hw:2,0").fix == 'write name = "card:Device_1" under [microphone] instead'


def test_a_device_of_the_users_session(plugged: Callable[..., None]) -> None:
    plugged(MicrophoneInfo(3, "pulse", 44_100, 32, is_default=False), USB)
    found = check("pulse")
    assert found.verdict.value == "WARN"
    assert found.fix == "for the service, which has no session, select the card by its own name"
    plugged(MicrophoneInfo(3, "pulse", 44_100, 32, is_default=False), replace(USB, card_id="Device"))
    assert check("pulse").fix == ('for the service, which has no session, select the card by name = "card:Device"')


class FakeMicrophone:
    """Delivers its blocks, then nothing."""

    closed = 0

    def __init__(self, blocks: Sequence[NDArray[np.int16]], rate: int = 16_000, *, ended: bool = False) -> None:
        self.rate, self.ended = rate, ended
        self._blocks: Iterator[NDArray[np.int16]] = iter(blocks)

    def block(self, limit_s: float) -> Block | None:
        assert limit_s == Settings().liveness.no_sound_limit_s
        samples = next(self._blocks, None)
        return None if samples is None else Block(samples, 0.0, constant=is_constant(samples))

    def close(self) -> None:
        FakeMicrophone.closed += 1


def tone(dbfs: float, rate: int = 16_000, blocks: int = 100, channels: int = 1) -> list[NDArray[np.int16]]:
    """Blocks of a 400 Hz sine with this RMS level, each of shape (samples, channels), int16."""
    length = round(rate * BLOCK_SECONDS)
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
        monkeypatch.setattr(microphone, "Microphone", lambda name, channels: opened)
        before = FakeMicrophone.closed
        *levels, finding = measure_level(Settings(endpoint=EndpointSettings(**settings)), None)
        assert FakeMicrophone.closed == before + 1
        assert isinstance(finding, Finding)
        assert finding.topic == "level"
        return [each.dbfs for each in levels if isinstance(each, MicrophoneLevel)], finding

    return measure


@pytest.mark.parametrize(
    ("dbfs", "verdict", "message"),
    [
        (-20.0, "OK", "loudest -20 dBFS, quietest -20, at 16000 Hz; the gate is at -60"),
        (-59.4, "OK", "loudest -59 dBFS, quietest -59, at 16000 Hz; the gate is at -60"),
        (-65.0, "WARN",
         "loudest -65 dBFS, quietest -65, at 16000 Hz: always below the gate of -60, so no speech can be detected"),
    ],
)  # fmt: skip
def test_the_level_and_its_verdict(
    dbfs: float, verdict: str, message: str, measured: Callable[..., tuple[list[float], Finding]]
) -> None:
    levels, found = measured(FakeMicrophone(tone(dbfs)))
    assert (found.verdict.value, found.message) == (verdict, message)
    assert levels == pytest.approx([dbfs] * len(levels), abs=0.3)
    assert len(levels) == 12, "1.5 s of blocks of 128 ms"


def test_the_gate_comes_from_the_settings(measured: Callable[..., tuple[list[float], Finding]]) -> None:
    assert measured(FakeMicrophone(tone(-20)), gate_dbfs=-10.0)[1].verdict.value == "WARN"


def test_another_rate_and_two_channels(measured: Callable[..., tuple[list[float], Finding]]) -> None:
    _, found = measured(FakeMicrophone(tone(-20, rate=44_100, channels=2), rate=44_100))
    assert found.verdict.value == "OK"
    assert "loudest -20 dBFS" in found.message
    assert "at 44100 Hz resampled to 16000" in found.message


def test_one_word_within_silence(measured: Callable[..., tuple[list[float], Finding]]) -> None:
    blocks = zeros(4) + tone(-30, blocks=2) + zeros()
    _, found = measured(FakeMicrophone(blocks))
    assert found.verdict.value == "OK"
    assert found.message.startswith("loudest -30 dBFS, quietest -96")


def test_only_zeros(measured: Callable[..., tuple[list[float], Finding]]) -> None:
    levels, found = measured(FakeMicrophone(zeros()))
    assert (found.verdict.value, found.message) == ("FAIL", "every sample is zero, at 16000 Hz")
    assert "unmute it" in found.fix
    assert set(levels) == {-96.0}


@pytest.mark.parametrize("value", [1, -1, 1234, -32768])
def test_only_one_value(value: int, measured: Callable[..., tuple[list[float], Finding]]) -> None:
    _, found = measured(FakeMicrophone([np.full((2048, 2), value, np.int16)] * 20))
    assert (found.verdict.value, found.message) == ("FAIL", f"every sample has the same value, {value}, at 16000 Hz")
    assert "unmute it" in found.fix


def test_a_click_when_it_is_opened_is_no_sound(measured: Callable[..., tuple[list[float], Finding]]) -> None:
    _, found = measured(FakeMicrophone(tone(-30, blocks=2) + zeros()))
    assert (found.verdict.value, found.message) == ("FAIL", "every sample is zero, at 16000 Hz")


def test_an_offset_is_no_level(measured: Callable[..., tuple[list[float], Finding]]) -> None:
    _, found = measured(FakeMicrophone([block + np.int16(10_000) for block in tone(-70)]))
    assert (found.verdict.value, found.message.partition(",")[0]) == ("WARN", "loudest -70 dBFS")


def dithered(value: int, steps: int) -> list[NDArray[np.int16]]:
    random = np.random.default_rng(0)
    return [(value + random.integers(0, steps + 1, (2048, 1))).astype(np.int16) for _ in range(20)]


def test_an_offset_with_noise_of_a_few_steps_is_no_sound(measured: Callable[..., tuple[list[float], Finding]]) -> None:
    _, found = measured(FakeMicrophone(dithered(3000, 2)))
    assert found.verdict.value == "FAIL"
    assert found.message == "every sample is between 3000 and 3002, at 16000 Hz: an offset without sound"
    for quiet_room in (dithered(-1, 2), dithered(3000, 20)):
        assert "offset" not in measured(FakeMicrophone(quiet_room))[1].message


def test_channels_in_opposite_phase(plugged: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    plugged(USB)
    blocks = tone(-20, channels=2)
    opposite = FakeMicrophone([block * np.array([1, -1], np.int16) for block in blocks])
    for opened, topics in ((FakeMicrophone(blocks), ["level"]), (opposite, ["level", "channels"])):
        monkeypatch.setattr(microphone, "Microphone", lambda name, channels, opened=opened: opened)
        found = [each for each in measure_level(Settings(), None) if isinstance(each, Finding)]
        assert [each.topic for each in found] == topics
        assert found[0].message.startswith("loudest -20 dBFS"), "one channel is inverted"
    assert found[1].verdict == Verdict.WARN
    assert found[1].message.startswith("the two channels of the microphone cancel each other: wired in opposite phase")
    assert "balanced" in found[1].fix


def test_the_channels_of_the_settings_are_measured(
    plugged: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    plugged(USB)
    opened: list[object] = []

    def open_it(name: str, channels: object) -> FakeMicrophone:
        opened.append(channels)
        return FakeMicrophone([block * np.array([1, -1], np.int16) for block in tone(-20, channels=2)])

    monkeypatch.setattr(microphone, "Microphone", open_it)
    *_, found = measure_level(Settings(microphone=MicrophoneSettings(channels=(0, 1))), None)
    assert opened == [(0, 1)]
    assert isinstance(found, Finding)
    assert found.message.startswith("loudest -96 dBFS"), "selected channels are not inverted"


@pytest.mark.parametrize("blocks", [[], tone(-20, blocks=2)], ids=["from the start", "after two blocks"])
@pytest.mark.parametrize(
    ("ended", "message"), [(True, "it disconnected"), (False, "opened, but no audio arrived for 3 s")]
)
def test_a_microphone_that_stops(
    blocks: list[NDArray[np.int16]], ended: bool, message: str, measured: Callable[..., tuple[list[float], Finding]]
) -> None:
    _, found = measured(FakeMicrophone(blocks, ended=ended))
    assert (found.verdict.value, found.message) == ("FAIL", message)


def test_a_microphone_that_another_program_uses(plugged: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    def in_use(name: str, channels: str) -> None:
        raise AudioError("microphone 'USB' cannot be opened (Device unavailable)", fix="close the other program")

    plugged(USB)
    monkeypatch.setattr(microphone, "Microphone", in_use)
    settings = Settings(microphone=MicrophoneSettings(name="USB"))
    [bad] = measure_level(settings, None)
    assert isinstance(bad, Finding)
    assert (bad.verdict.value, bad.fix) == ("FAIL", "close the other program")
    assert bad.message == "microphone 'USB' cannot be opened (Device unavailable)"
    [lost] = measure_level(settings, replace(STATUS, microphone=""))
    assert lost == bad, "a daemon without a microphone does not use it"
    [in_use_by_daemon] = measure_level(settings, STATUS)
    assert isinstance(in_use_by_daemon, Finding)
    assert in_use_by_daemon.verdict == Verdict.WARN
    assert in_use_by_daemon.message == "not measured: the daemon, process 42, uses the microphone"


def test_a_microphone_that_is_muted_is_not_opened(plugged: Callable[..., None]) -> None:
    plugged(USB)
    muted = replace(STATUS, state="muted", microphone="", fix="edge-mcnn mute off")
    message = "not measured: the daemon, process 42, is muted"
    assert list(measure_level(Settings(), muted)) == [Finding("level", Verdict.WARN, message, "edge-mcnn mute off")]


@pytest.mark.parametrize(
    ("state", "reason", "verdict", "message"),
    [
        ("healthy", "", Verdict.OK, "uses the microphone, and receives audio"),
        ("muted", "the microphone is closed", Verdict.WARN, "is muted"),
        ("lost", "it disconnected", Verdict.WARN, "receives no audio (lost: it disconnected)"),
        ("starting", "", Verdict.WARN, "receives no audio (starting)"),
    ],
)
def test_the_level_as_the_daemon_reports_it(state: str, reason: str, verdict: Verdict, message: str) -> None:
    daemon = replace(STATUS, state=state, reason=reason, fix="do this")
    [found] = report_level(daemon)
    fix = "" if verdict == Verdict.OK else "do this"
    assert found == Finding("level", verdict, f"not measured: the daemon, process 42, {message}", fix)


@pytest.fixture
def held_by(tmp_path: Path) -> Callable[[str], Path]:
    """The root of a file system in which a program has the capture device of card 1 open."""

    def hold(program: str) -> Path:
        for name, content in {
            "dev/snd/pcmC1D0c": "", "proc/asound/card1/pcm0c/sub0/status": "state: RUNNING\nowner_pid   : 812\n",
            "proc/asound/card1/id": "Yeti\n", "proc/812/comm": f"{program}\n",
        }.items():  # fmt: skip
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(content)
        return tmp_path

    return hold


@pytest.mark.parametrize(
    ("program", "listed", "fix"),
    [
        ("pipewire", "pipewire", 'record through the sound server: name = "pipewire" under [microphone]; or, as the '),
        ("pulseaudio", "default", 'record through the sound server: name = "default" under [microphone]; or, as the '),
        ("pipewire", "", "record through the sound server: sudo apt-get install pipewire-alsa"),
        ("pulseaudio", "", "record through the sound server: sudo apt-get install libasound2-plugins"),
        ("arecord", "", "close arecord"),
        ("edge-mcnn", "", "stop the service while you use the microphone yourself: sudo systemctl stop edge-mcnn"),
    ],
)
@pytest.mark.parametrize("error", ["Device unavailable [PaErrorCode -9985]", "Invalid sample rate [PaErrorCode -9997]"])
def test_a_microphone_that_a_sound_server_holds(
    program: str,
    listed: str,
    fix: str,
    error: str,
    plugged: Callable[..., None],
    held_by: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = held_by(program)
    others = [MicrophoneInfo(5, listed, 44_100, 32, False, MicrophoneKind.CONFIGURED)] if listed else []

    def refuse(name: str, channels: str) -> None:
        raise AudioError(f"microphone 'USB' cannot be opened ({error})", fix="close the other program")

    monkeypatch.setattr(microphone, "Microphone", refuse)
    plugged(USB, *others)
    [found] = measure_level(Settings(microphone=MicrophoneSettings(name="USB")), None, root)
    plugged(*others)
    [missing] = check_selected("USB", root=root)
    for each, message in ((found, error), (missing, "no microphone")):
        assert isinstance(each, Finding)
        assert each.verdict == Verdict.FAIL
        assert message in each.message
        assert f"Yeti is in use by {program}, process 812" in each.message
        assert each.fix.startswith(fix)
        assert ("systemctl --user mask --now" in each.fix) == (program in ("pipewire", "pulseaudio"))


def test_another_card_that_is_in_use_is_not_the_reason(
    plugged: Callable[..., None], held_by: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str, channels: str) -> None:
        raise AudioError("cannot be opened", fix="unplug it")

    monkeypatch.setattr(microphone, "Microphone", refuse)
    plugged(replace(USB, name="USB Audio (hw:2,0)"))
    [found] = measure_level(Settings(), None, held_by("pipewire"))
    assert isinstance(found, Finding)
    assert (found.message, found.fix) == ("cannot be opened", "unplug it")


def test_plugins_of_alsa_are_not_listed_beside_the_selected_microphone(plugged: Callable[..., None]) -> None:
    plugged(USB, DEFAULT, MicrophoneInfo(7, "surround21", 44_100, 2, False, MicrophoneKind.PLUGIN))
    assert check("usb").message.endswith("not selected: default, 44100 Hz")
    assert check("surround21").message.startswith("surround21, 44100 Hz")


def test_without_a_microphone_nothing_is_measured(plugged: Callable[..., None]) -> None:
    plugged()
    assert list(measure_level(Settings(), None)) == []
