"""The output that publishes events: what it publishes when, and what it computes for nobody."""

import base64
import tempfile
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from device.audio.liveness import Liveness, State
from device.event_client import EventReader
from device.events import FRAME_LENGTH, FRAME_SECONDS, Frame
from device.front_end.parameters import FrontEnd
from device.front_end.spectrogram import MelSpectrogram, decibels
from device.outputs.commands import Diagnostics
from device.outputs.event_stream import stream as stream_module
from device.outputs.event_stream.messages import DB_LOWEST, DB_STEP, encoded_columns
from device.outputs.event_stream.server import PAST
from device.outputs.event_stream.stream import EventStream
from device.outputs.json_lines import as_table
from device.settings.schema import ClassifierSettings, EventsSettings, Settings
from device.system.throttling import Throttling
from tests.device.audio.square_wave import square_wave
from tests.device.outputs.commands import NotedCommands
from tests.device.outputs.predictions import LABELS, LIT_AT, prediction, preview
from tests.waiting import wait_until

HEALTHY = Liveness(State.HEALTHY, 0, "", "USB", 16_000)
FRONT_END = FrontEnd(n_mels=16, n_fft=512, hop_length=128)


class Spoken:
    """An utterance whose samples the test feeds; see `device.outputs.base.Speech`."""

    def __init__(self, front_end: FrontEnd = FRONT_END) -> None:
        self.spectrogram = MelSpectrogram(front_end)
        self.columns, self.power = self.spectrogram.columns, self.spectrogram.power
        self.text = ""
        self.words_calls = 0

    def words(self) -> str:
        self.words_calls += 1
        return self.text

    def image(self) -> NDArray[np.float32]:
        raise AssertionError("the image is not published")

    def feed(self, count: int, seed: int = 0, level: float = 3000) -> None:
        samples = np.random.default_rng(seed).standard_normal(count) * level
        self.spectrogram.feed(np.clip(samples, -32768, 32767).astype(np.int16))


class Rig:
    """A stream on a socket of its own, with a clock that the test sets."""

    def __init__(self, *, words: bool = False, profile: str = "") -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="events")
        self.path = Path(self._folder.name) / "events.sock"
        self.time = 1000.0
        self.commands = NotedCommands()
        chosen = Settings(events=EventsSettings(words=words), classifier=ClassifierSettings(profile=profile))
        self.stream = EventStream(self.path, chosen, self.commands, clock=lambda: self.time)
        self.stream.loaded(FRONT_END)
        self.stream.open(LABELS)

    def __enter__(self) -> "Rig":
        self.stream.__enter__()
        return self

    def __exit__(self, *details: object) -> None:
        self.stream.__exit__(*details)
        self._folder.cleanup()

    def reader(self) -> "Reader":
        return Reader(self.path)

    def frames(self, level: int, count: int = 1) -> None:
        for _ in range(count):
            self.stream.frame(Frame(square_wave(level, FRAME_LENGTH), 0, 0))
            self.time += FRAME_SECONDS


class Reader:
    """A reader that rebuilds the spectrogram of the current utterance, as a page does."""

    def __init__(self, path: Path) -> None:
        self.events = EventReader.connect(path)
        self.cells: NDArray[np.uint8] = np.empty((FRONT_END.n_mels, 0), np.uint8)
        self.complete = False

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: object) -> None:
        self.events.close()

    def next(self, *names: str) -> dict[str, Any]:
        """The next event of one of these names; columns are added to the spectrogram meanwhile."""
        for event in self.events:
            if event["event"] == "speech":
                self._add(event)
            if event["event"] in names:
                return event
        raise AssertionError("the stream has ended")

    def names_until(self, name: str) -> list[str]:
        """The names of the events up to the next one of this name, without it."""
        names = []
        while (event := self.next(*stream_events()))["event"] != name:
            names.append(event["event"])
        return names

    def _add(self, event: dict[str, Any]) -> None:
        columns = np.frombuffer(base64.b64decode(event["columns"]), np.uint8).reshape(-1, FRONT_END.n_mels).T
        if event["first"] == 0:
            self.cells, self.complete = self.cells[:, :0], True
        assert self.complete, "the first message of a reader begins with the utterance"
        assert event["first"] == self.cells.shape[1], "no column is missing or comes twice"
        self.cells = np.concatenate([self.cells, columns], axis=1)

    def level(self) -> NDArray[np.float64]:
        """What a reader draws by docs/events.md: dB below the loudest cell."""
        decibels = DB_LOWEST + DB_STEP * self.cells
        drawn: NDArray[np.float64] = np.maximum(decibels, decibels.max() - FRONT_END.db_floor) - decibels.max()
        return drawn


def stream_events() -> tuple[str, ...]:
    return ("hello", "state", "mute", "level", "speech", "words", "preview", "prediction", "corrected", "health", "end")


def test_what_a_new_reader_gets() -> None:
    with Rig() as rig, rig.reader() as reader:
        hello = reader.next("hello")
        assert {name: hello[name] for name in ("protocol", "labels", "gate_dbfs", "hold_s", "words", "learns")} == {
            "protocol": 1, "labels": list(LABELS), "gate_dbfs": -60.0, "hold_s": 5.0, "words": False, "learns": True,
        }  # fmt: skip
        assert (hello["mel_bands"], hello["column_s"], hello["db_floor"]) == (16, 0.008, 80.0)
        assert len(hello["daemon"]) == 32
        assert hello["boot"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        assert reader.next("state", "mute") == {
            "event": "state", "state": "starting", "reason": "", "fix": "", "microphone": "", "rate": 0,
        }  # fmt: skip
        assert reader.next("mute", "health") == {"event": "mute", "muted": False}
    with Rig(profile="none") as rig, rig.reader() as reader:
        assert not reader.next("hello")["learns"]


def test_classes_come_again_once_the_models_are_loaded() -> None:
    with Rig() as rig, rig.reader() as reader:
        reader.next("mute")
        rig.stream.loaded(FrontEnd(n_mels=8))
        rig.stream.open(("a", "b"))
        hello = reader.next("hello")
        assert (hello["labels"], hello["mel_bands"]) == (["a", "b"], 8)


def test_health_at_the_start_and_then_regularly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "_HEALTH_S", 0.02)
    monkeypatch.setattr(stream_module, "read_temperature", lambda: 51.234)
    with Rig() as rig:
        rig.commands.found = Diagnostics(229.3, 3600.54, 1, 2, "sentiment")
        with rig.reader() as reader:
            assert reader.next("health", "level") == {
                "event": "health", "memory_mb": 229.3, "uptime_s": 3600.5, "blocks_dropped": 1,
                "microphone_losses": 2, "model": "sentiment", "temperature_c": 51.2, "low_voltage": None,
                "slowed": None,
            }  # fmt: skip
            bits = Throttling(low_voltage=True, low_voltage_before=True, slowed=False, slowed_before=True)
            monkeypatch.setattr(stream_module, "read_throttling", lambda *, program: None if program else bits)
            monkeypatch.setattr(stream_module, "read_temperature", lambda: None)
            while (health := reader.next("health"))["temperature_c"] is not None or health["low_voltage"] is None:
                pass
            assert (health["low_voltage"], health["slowed"]) == (True, False)


def test_a_reader_that_was_connected_before_the_daemon_ran_gets_the_health_with_the_classes() -> None:
    with Rig() as rig, rig.reader() as reader:
        assert reader.next("mute", "health")["event"] == "mute"
        rig.commands.found = Diagnostics(229.3, 3600.54, 1, 2, "sentiment")
        rig.stream.open(LABELS)
        assert [reader.next("hello", "health")["event"] for _ in range(2)] == ["hello", "health"]


def test_the_state_of_the_microphone_and_mute() -> None:
    with Rig() as rig, rig.reader() as reader:
        reader.next("mute")
        rig.stream.microphone(HEALTHY)
        assert reader.next("state", "mute") == {
            "event": "state", "state": "healthy", "reason": "", "fix": "", "microphone": "USB", "rate": 16_000,
        }  # fmt: skip
        rig.commands.muted = True  # while another process uses the microphone: only the reason changes
        rig.stream.microphone(Liveness(State.MUTED, 0, "the microphone is closed", fix="unmute"))
        assert reader.next("state", "mute")["state"] == "muted"
        assert reader.next("state", "mute") == {"event": "mute", "muted": True}
        rig.stream.microphone(HEALTHY)
        rig.stream.close(1)
        assert reader.names_until("end") == ["state"], "mute is published when it changes"


def test_a_mute_while_the_models_are_loaded_is_published_with_the_health(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "_HEALTH_S", 0.02)
    with Rig() as rig, rig.reader() as reader:
        assert reader.next("mute")["muted"] is False
        rig.commands.muted = True
        assert reader.next("mute")["muted"] is True


def test_the_loudest_level_is_published_a_few_times_a_second() -> None:
    with Rig() as rig, rig.reader() as reader:
        rig.frames(3000)
        rig.frames(300, 15)
        rig.frames(300, 7)
        rig.stream.close(1)
        assert [reader.next("level")["dbfs"] for _ in range(2)] == [-20.8, -40.8]
        assert reader.names_until("end") == []


def test_a_machine_that_catches_up_sends_no_more_levels_than_others() -> None:
    with Rig() as rig, rig.reader() as reader:
        for _ in range(100):
            rig.stream.frame(Frame(square_wave(3000, FRAME_LENGTH), 0, 0))  # at the same time
        rig.stream.close(1)
        reader.next("level")
        assert reader.names_until("end") == []


def test_columns_are_published_a_few_times_a_second_and_the_rest_before_the_prediction() -> None:
    with Rig() as rig, rig.reader() as reader:
        spoken = Spoken()
        for number in range(20):
            spoken.feed(FRAME_LENGTH, number)
            rig.stream.speech(spoken)
            rig.time += FRAME_SECONDS
        for number in range(20, 30):  # a pause, in which nothing is requested
            spoken.feed(FRAME_LENGTH, number)
        rig.stream.prediction(prediction("negative"), LIT_AT)
        assert reader.names_until("prediction")[-5:] == ["mute", *["speech"] * 4]
        assert np.array_equal(reader.cells.T.tobytes(), base64.b64decode(encoded_columns(spoken.power())))
        assert spoken.words_calls == 0
        rig.stream.prediction(prediction("negative"), LIT_AT)  # of an utterance that nobody watched
        assert reader.names_until("prediction") == []


def test_an_utterance_does_not_go_on_after_a_change_of_the_microphone() -> None:
    with Rig() as rig, rig.reader() as reader:
        spoken = Spoken()
        spoken.feed(FRAME_LENGTH)
        rig.stream.speech(spoken)
        rig.stream.microphone(HEALTHY)
        rig.stream.prediction(prediction("negative"), LIT_AT)
        assert reader.names_until("prediction")[-2:] == ["speech", "state"]


def test_words_are_published_when_they_change_and_only_with_the_setting() -> None:
    with Rig(words=True) as rig, rig.reader() as reader:
        assert reader.next("hello")["words"]
        spoken = Spoken()
        for text in ("", "i", "i", "i h\xe4te"):
            spoken.text = text
            rig.stream.speech(spoken)
            rig.stream.speech(spoken)
            rig.time += 1
        assert spoken.words_calls == 4
        rig.stream.prediction(prediction("negative", text="i hate this"), LIT_AT)
        assert [reader.next("words", "prediction").get("text") for _ in range(3)] == ["i", "i h\xe4te", "i hate this"]


@pytest.mark.parametrize("words", [False, True])
def test_previews_are_no_predictions_and_later_readers_get_none(words: bool) -> None:
    with Rig(words=words) as rig, rig.reader() as reader:
        rig.stream.preview(preview("positive", "positive"))
        assert reader.next("preview", "prediction") == {
            "event": "preview", "label": "positive",
            "probabilities": {"negative": 0.2, "neutral": 0.2, "positive": 0.6}, "light": "positive",
            **({"text": "i love"} if words else {}), "start_s": 1.0, "seconds": 0.9,
        }  # fmt: skip
        rig.stream.prediction(prediction("negative"), LIT_AT)
        assert reader.next("preview", "prediction")["number"] == 1
        with rig.reader() as later:
            assert later.next("preview", "prediction")["event"] == "prediction"


def test_predictions_and_corrections() -> None:
    with Rig() as rig, rig.reader() as reader:
        rig.stream.corrected("neutral")  # of nothing
        made = prediction("negative")
        rig.stream.prediction(made, LIT_AT)
        rig.stream.prediction(prediction("positive"), LIT_AT, lights_stay=True)
        rig.stream.corrected("neutral", lights_stay=True)
        rig.stream.corrected("negative")
        daemon = reader.next("hello")["daemon"]
        table = {name: value for name, value in as_table(made, LIT_AT).items() if name != "text"}
        first = {"event": "prediction", "number": 1, "daemon": daemon, "lights_stay": False, "replayed": False, **table}
        assert reader.next("prediction", "corrected") == first
        second = reader.next("prediction", "corrected")
        assert (second["number"], second["lights_stay"]) == (2, True)
        corrected = {"event": "corrected", "number": 2, "daemon": daemon}
        assert reader.next("prediction", "corrected") == {**corrected, "label": "neutral"}
        assert reader.next("prediction", "corrected") == {**corrected, "label": "negative"}
        with rig.reader() as later:
            assert later.next("prediction", "corrected") == {**first, "replayed": True}
            assert later.next("prediction", "corrected") == {**second, "replayed": True}
            assert later.next("prediction", "corrected") == {**corrected, "label": "negative"}
            rig.stream.close(1)
            assert later.names_until("end") == []


def test_a_correction_of_an_earlier_prediction_has_its_number() -> None:
    with Rig() as rig, rig.reader() as reader:
        for label in ("negative", "positive"):
            rig.stream.prediction(prediction(label), LIT_AT)
        rig.stream.corrected("neutral", lights_stay=True, later=1)
        rig.stream.corrected("neutral", lights_stay=True, later=2)  # of nothing
        names = [(each["event"], each["number"]) for each in [reader.next("prediction", "corrected") for _ in range(3)]]
        assert names == [("prediction", 1), ("prediction", 2), ("corrected", 1)]
        with rig.reader() as later:
            past = [later.next("prediction", "corrected") for _ in range(3)]
            assert [(each["event"], each["number"]) for each in past] == [
                ("prediction", 1), ("corrected", 1), ("prediction", 2),
            ]  # fmt: skip
            for _ in range(PAST):
                rig.stream.prediction(prediction("negative"), LIT_AT)
            rig.stream.corrected("positive", lights_stay=True, later=PAST)
            while (found := later.next("prediction", "corrected"))["event"] == "prediction":
                pass
            assert (found["number"], found["label"]) == (2, "positive"), "also when no later reader gets it any more"


def test_words_that_look_like_a_key_are_not_changed_in_the_replay() -> None:
    with Rig(words=True) as rig:
        text = '"replayed":false'
        rig.stream.prediction(replace(prediction(text, labels=(text,)), text=text), LIT_AT)
        with rig.reader() as reader:
            replayed = reader.next("prediction")
        assert (replayed["replayed"], replayed["text"], replayed["label"]) == (True, text, text)


def test_nothing_is_computed_while_nobody_reads() -> None:
    with Rig(words=True) as rig:
        assert not rig.stream.watching
        with rig.reader():
            assert rig.stream.watching
        wait_until(lambda: not rig.stream.watching)


def test_a_reader_that_connects_in_the_middle_gets_the_utterance_from_its_beginning() -> None:
    with Rig(words=True) as rig, rig.reader() as old:
        spoken = Spoken()
        spoken.text = "i hate"
        spoken.feed(10_000)
        rig.stream.speech(spoken)
        with rig.reader() as new:
            spoken.feed(10_000, 1)
            rig.time += 1
            rig.stream.speech(spoken)
            rig.stream.prediction(prediction("negative"), LIT_AT)
            for reader in (old, new):
                assert reader.next("words")["text"] == "i hate"
                reader.next("prediction")
            assert np.array_equal(old.cells, new.cells)
            assert old.cells.shape == spoken.power().shape


def test_the_socket_of_another_daemon_is_left_to_it() -> None:
    with Rig() as rig:
        other = EventStream(rig.path, Settings(), NotedCommands())
        with other:
            assert not other.watching
        with rig.reader() as reader:
            reader.next("hello")


def test_a_socket_that_cannot_be_opened_is_a_warning(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    with EventStream(tmp_path / "a" / "b" / "events.sock", Settings(), NotedCommands()) as stream:
        stream.prediction(prediction("negative"), LIT_AT)
        stream.close(1)
    assert "the events socket cannot be opened" in caplog.text


QUANTISATION_DB = 2 * DB_STEP / 2 + 1e-3
"""Half a step for a cell, and half a step for the loudest one."""


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("speak"), st.integers(1, 4000)),
            st.tuples(st.just("silence"), st.integers(1, 2000)),
            st.tuples(st.sampled_from(["connect", "disconnect", "prediction", "lost", "next", "quick"]), st.just(0)),
        ),
        max_size=40,
    ),
    st.sampled_from([300.0, 3000.0, 30000.0]),
)
@settings(max_examples=40, deadline=None)
def test_every_reader_rebuilds_the_spectrogram_whatever_happens_in_between(
    steps: list[tuple[str, int]], level: float
) -> None:
    with Rig() as rig:
        readers: list[Reader] = []
        spoken, spoke = Spoken(), False
        try:
            for seed, (step, size) in enumerate([("connect", 0), *steps, ("speak", 3000), ("prediction", 0)]):
                if step == "connect":
                    readers.append(rig.reader())
                elif step == "disconnect" and len(readers) > 1:
                    readers.pop(0).events.close()
                elif step in ("speak", "silence"):
                    spoken.feed(size, seed, level if step == "speak" else 0)
                    spoke = spoke or step == "speak"
                    rig.time += 0.1
                    rig.stream.speech(spoken)
                elif step == "quick":
                    rig.stream.speech(spoken)
                elif step == "prediction":
                    rig.stream.prediction(prediction("negative"), LIT_AT)
                    power = spoken.power()
                    for reader in readers:
                        while reader.next("prediction")["replayed"]:
                            pass
                        if spoke:  # else all is digital silence, which has no loudest cell
                            lowest = DB_LOWEST - 10 * np.log10(power.max())
                            expected = np.maximum(decibels(power, FRONT_END), lowest)
                            assert reader.cells.shape == expected.shape
                            assert np.abs(reader.level() - expected).max() <= QUANTISATION_DB
                    spoken, spoke = Spoken(), False
                elif step in ("lost", "next"):
                    if step == "lost":
                        rig.stream.microphone(HEALTHY)
                    spoken, spoke = Spoken(), False
        finally:
            for reader in readers:
                reader.events.close()


def test_loud_and_quiet_cells_keep_their_level() -> None:
    power = np.array([[1e-10, 1e-8, 1.0, 10**0.03, 10**4.75, 1e6]], np.float32)
    assert list(base64.b64decode(encoded_columns(power))) == [0, 0, 160, 161, 255, 255]


def test_the_loudest_tone_that_16_bits_hold_is_not_clipped() -> None:
    for front_end in (FrontEnd(), FrontEnd(n_mels=64), FRONT_END):
        for frequency in (60, 120, 1000):
            wave = np.sign(np.sin(2 * np.pi * frequency * np.arange(16_000) / 16_000)) * 32767
            spectrogram = MelSpectrogram(front_end)
            spectrogram.feed(wave.astype(np.int16))
            assert max(base64.b64decode(encoded_columns(spectrogram.power()))) < 255


def test_publishing_from_two_threads_breaks_no_line() -> None:
    with Rig() as rig, rig.reader() as reader:

        def publish() -> None:
            for _ in range(500):
                rig.stream._server.publish(b'{"event":"level"}\n')

        threads = [threading.Thread(target=publish) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        rig.stream.close(1)
        assert reader.names_until("end").count("level") == 1000
