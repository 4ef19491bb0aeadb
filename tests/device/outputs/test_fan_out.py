"""The fan-out to all outputs: the order, outputs that raise, outputs that hang."""

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import numpy as np
import pytest

from device.audio.liveness import Liveness, State
from device.errors import LightsError, PublishingError
from device.events import FRAME_LENGTH, Frame, Prediction, Preview
from device.outputs.base import Speech
from device.outputs.calm import Calm
from device.outputs.fan_out import Outputs
from device.settings.schema import LightsSettings
from tests.device.outputs.predictions import LABELS, prediction, preview
from tests.waiting import LIMIT_S

HEALTHY = Liveness(State.HEALTHY, 0, "", "USB", 16_000)
LOST = Liveness(State.LOST, 0, "gone")
SPEECH = cast(Speech, object())
FRAME = Frame(np.zeros(FRAME_LENGTH, np.int16), 0, 0)


class Recorder:
    """An output and monitor that records its calls, and raises an error in one of them."""

    def __init__(self, name: str, calls: list[str], raises: tuple[str, Exception] | None = None) -> None:
        self.name = name
        self._calls = calls
        self._raises = raises
        self.lit_at = 0.0
        self.explained = False
        self.lights_stay = False
        self.watching = True
        self.batch_size = 1
        self.shows_previews = True

    def _record(self, call: str) -> None:
        self._calls.append(f"{self.name} {call}")
        if self._raises is not None and self._raises[0] == call:
            raise self._raises[1]

    def open(self, labels: Sequence[str]) -> None:
        assert labels == LABELS
        self._record("open")

    def prediction(self, prediction: Prediction, lit_at: float, *, lights_stay: bool = False) -> None:
        self.lit_at = lit_at
        self.lights_stay = lights_stay
        self.explained = prediction.audio_only is not None
        self._record("prediction")

    def microphone(self, liveness: Liveness) -> None:
        assert liveness in (HEALTHY, LOST)
        self._record("microphone")

    def preview(self, preview: Preview) -> None:
        self._record(f"preview {preview.label} {preview.light}")

    def close(self, limit_s: float) -> None:
        self._record("close")

    def corrected(self, label: str, *, lights_stay: bool = False, later: int = 0) -> None:
        self._record(f"corrected {label}{' only' if lights_stay else ''}{f' {later} later' if later else ''}")

    def show(self, label: str) -> None:
        self._record(f"show {label}")

    def frame(self, frame: Frame) -> None:
        assert frame is FRAME
        self._record("frame")

    def speech(self, speech: Speech) -> None:
        assert speech is SPEECH
        self._record("speech")


def test_lights_alone_show_a_correction() -> None:
    calls: list[str] = []
    light, screen, other = (Recorder(name, calls) for name in ("light", "screen", "other"))
    Outputs(light, [screen], [other]).corrected("neutral")
    Outputs(None, (), [other]).corrected("neutral")
    assert calls == ["light corrected neutral", "screen corrected neutral"]
    broken = Recorder("light", calls, ("corrected neutral", ZeroDivisionError("no")))
    with pytest.raises(LightsError, match="light: failed"):
        Outputs(broken).corrected("neutral")


def test_a_correction_while_the_lights_show_the_microphone_is_only_published() -> None:
    calls: list[str] = []
    light, stream = Recorder("light", calls), Recorder("stream", calls)
    outputs = Outputs(light, [stream], calm=Calm(LightsSettings(cooldown_s=3600)))
    outputs.corrected("neutral", lights_stay=True)
    outputs.prediction(prediction("positive"))
    assert calls == ["stream corrected neutral only", "light prediction", "stream prediction"]


def test_a_correction_of_an_earlier_prediction_is_only_published() -> None:
    calls: list[str] = []
    light, stream = Recorder("light", calls), Recorder("stream", calls)
    outputs = Outputs(light, [stream], calm=Calm(LightsSettings(cooldown_s=3600)))
    outputs.corrected("neutral", later=2)
    outputs.prediction(prediction("positive"))
    assert calls == ["stream corrected neutral only 2 later", "light prediction", "stream prediction"]


def test_a_light_is_shown_on_request_and_counts_as_a_light() -> None:
    calls: list[str] = []
    light, screen, other = (Recorder(name, calls) for name in ("light", "screen", "other"))
    outputs = Outputs(light, [screen], [other], Calm(LightsSettings(cooldown_s=3600)))
    outputs.show("neutral")
    outputs.prediction(prediction("positive"))
    assert calls == ["light show neutral", "screen show neutral", "screen prediction", "other prediction"]


def test_only_monitors_that_watch_follow_speech() -> None:
    calls: list[str] = []
    screen, stream = Recorder("screen", calls), Recorder("stream", calls)
    stream.watching, stream.batch_size = False, 2
    outputs = Outputs(None, [screen, stream])
    assert (outputs.watching, outputs.batch_size) == (True, 1)
    use(outputs)
    screen.watching, stream.watching = False, True
    assert (outputs.watching, outputs.batch_size) == (True, 2)
    use(outputs)
    stream.watching = False
    assert (outputs.watching, outputs.batch_size) == (False, None)
    assert [call for call in calls if "frame" in call or "speech" in call] == [
        "screen frame", "screen speech", "stream frame", "stream speech",
    ]  # fmt: skip
    assert calls.count("stream prediction") == 2, "which it numbers"


def test_nothing_is_explained_while_the_only_monitor_does_not_watch() -> None:
    calls: list[str] = []
    stream = Recorder("stream", calls)
    stream.watching = False
    Outputs(None, [stream]).prediction(explainable(calls))
    assert calls == ["stream prediction"]


def test_a_prediction_that_leaves_the_lights_as_they_are_is_passed_on_to_all_but_the_light() -> None:
    calls: list[str] = []
    light, screen, other = (Recorder(name, calls) for name in ("light", "screen", "other"))
    outputs = Outputs(light, [screen], [other], Calm(LightsSettings(cooldown_s=3600)))
    outputs.prediction(prediction("positive"))
    assert not screen.lights_stay
    calls.clear()
    before = time.monotonic()
    lit_at = outputs.prediction(prediction("negative"))
    assert calls == ["screen prediction", "other prediction"]
    assert screen.lights_stay
    assert before <= lit_at == other.lit_at <= time.monotonic()


def test_a_correction_or_a_change_of_the_microphone_is_part_of_what_the_lights_show() -> None:
    calls: list[str] = []
    outputs = Outputs(Recorder("light", calls), calm=Calm(LightsSettings(cooldown_s=3600)))
    outputs.prediction(prediction("positive"))
    outputs.corrected("negative")
    outputs.prediction(prediction("positive"))
    assert calls == ["light prediction", "light corrected negative"], "the corrected class has its own cooldown"
    outputs.prediction(prediction("negative"))
    assert calls[2:] == ["light prediction"], "its light is on, and is prolonged"
    outputs.microphone(HEALTHY)
    outputs.prediction(prediction("positive"))
    assert calls[3:] == ["light microphone", "light prediction"]


class Previewed(Recorder):
    """The same, which may pass previews on."""

    previewed = True


def test_a_light_gets_a_preview_when_it_changes_and_outputs_that_show_previews_get_each() -> None:
    calls: list[str] = []
    light, screen, stream, plain, lines = (
        kind(name, calls)
        for kind, name in zip(
            [*[Recorder] * 4, Previewed], ("light", "screen", "stream", "plain", "lines"), strict=True
        )
    )
    stream.watching = False
    outputs = Outputs(light, [screen, stream], [plain, lines])
    assert outputs.previewing
    for label, lit in (("negative", None), ("negative", "negative"), ("neutral", "negative"), ("neutral", "neutral")):
        outputs.preview(preview(label, lit))
    assert calls == [
        "screen preview negative None", "lines preview negative None",
        "light preview negative negative", "screen preview negative negative", "lines preview negative negative",
        "screen preview neutral negative", "lines preview neutral negative",
        "light preview neutral neutral", "screen preview neutral neutral", "lines preview neutral neutral",
    ]  # fmt: skip
    calls.clear()
    outputs.prediction(prediction("neutral"))
    outputs.preview(preview("neutral", "neutral"))
    assert "light prediction" in calls, "which decides, whatever was lit before"
    assert "light preview neutral neutral" in calls, "the next utterance begins with nothing"


@pytest.mark.parametrize("calm", [LightsSettings(cooldown_s=0.1), LightsSettings(smooth=2)])
def test_lights_that_are_to_be_calm_follow_no_preview(calm: LightsSettings) -> None:
    calls: list[str] = []
    light, screen, lines = Recorder("light", calls), Recorder("screen", calls), Previewed("lines", calls)
    assert not Outputs(light, [screen], calm=Calm(calm)).previewing
    outputs = Outputs(light, [screen], [lines], Calm(calm))
    assert outputs.previewing, "for the lines alone"
    outputs.preview(preview("negative", "negative"))
    assert calls == ["lines preview negative None"]


def test_without_the_setting_only_lines_get_previews() -> None:
    calls: list[str] = []
    light, lines = Recorder("light", calls), Previewed("lines", calls)
    assert not Outputs(light, previews=False).previewing
    outputs = Outputs(light, (), [lines], previews=False)
    outputs.preview(preview("negative", "negative"))
    assert calls == ["lines preview negative None"]


def test_nothing_is_previewed_where_nothing_shows_it() -> None:
    calls: list[str] = []
    screen, lines = Recorder("screen", calls), Previewed("lines", calls)
    assert Outputs(None, [screen]).previewing
    assert Outputs(None, [screen]).shows_previews
    assert Outputs(None, (), [lines]).shows_previews
    stream = Recorder("stream", calls)
    stream.shows_previews = False
    assert Outputs(None, [stream]).previewing
    assert not Outputs(None, [stream]).shows_previews
    screen.watching = lines.previewed = False
    assert not Outputs(None, [screen], [lines]).previewing
    assert Outputs(Recorder("light", calls)).previewing
    assert not Outputs(Recorder("light", calls), [screen]).shows_previews, "a light shows only what changes it"


def test_the_state_of_the_microphone_and_muting_win_over_previews() -> None:
    calls: list[str] = []
    muted = False
    outputs = Outputs(Recorder("light", calls), (), [Previewed("lines", calls)], muted=lambda: muted)
    outputs.microphone(LOST)
    calls.clear()
    assert not outputs.previewing
    outputs.preview(preview("negative", "negative"))
    outputs.microphone(HEALTHY)
    muted = True
    assert not outputs.previewing
    outputs.preview(preview("negative", "negative"))
    assert calls == ["light microphone", "lines microphone"]
    muted = False
    outputs.preview(preview("negative", "negative"))
    assert calls[2:] == ["light preview negative negative", "lines preview negative negative"]


def test_a_correction_while_someone_speaks_stays_until_the_preview_changes() -> None:
    calls: list[str] = []
    outputs = Outputs(Recorder("light", calls))
    outputs.preview(preview("negative", "negative"))
    outputs.corrected("neutral")
    outputs.preview(preview("negative", "negative"))
    outputs.preview(preview("positive", "positive"))
    assert calls == ["light preview negative negative", "light corrected neutral", "light preview positive positive"]


def test_a_light_that_fails_in_a_preview_ends_the_daemon_and_lines_are_left_out() -> None:
    calls: list[str] = []
    broken = ("preview negative negative", ZeroDivisionError("no"))
    with pytest.raises(LightsError, match="light: failed"):
        Outputs(Recorder("light", calls, broken)).preview(preview("negative", "negative"))
    outputs = Outputs(Recorder("light", calls), (), [Previewed("lines", calls, broken)])
    calls.clear()
    for _ in range(2):
        outputs.preview(preview("negative", "negative"))
    assert calls.count("lines preview negative negative") == 1


class Metered(Recorder):
    """The same, which may follow the level."""

    metered = True

    def level(self, dbfs: float) -> None:
        self._record(f"level {dbfs}")


def test_the_level_goes_to_the_outputs_that_follow_it() -> None:
    calls: list[str] = []
    plain, unmetered, metered = Recorder("plain", calls), Metered("unmetered", calls), Metered("metered", calls)
    unmetered.metered = False
    assert Outputs(others=[plain, unmetered]).meter is None, "nothing is computed"
    meter = Outputs(others=[plain, unmetered, metered]).meter
    assert meter is not None
    meter(-20.0)
    assert calls == ["metered level -20.0"]


def test_an_output_that_fails_with_a_level_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    calls: list[str] = []
    outputs = Outputs(others=[Metered("broken", calls, ("level -20.0", ZeroDivisionError("no")))])
    meter = outputs.meter
    assert meter is not None
    meter(-20.0)
    meter(-20.0)
    outputs.prediction(prediction("positive"))
    assert calls == ["broken level -20.0"]
    assert "broken: failed and is left out from now on (ZeroDivisionError: no)" in caplog.text


def explainable(calls: list[str]) -> Prediction:
    def explain() -> tuple[dict[str, float], None]:
        calls.append("explain")
        return {"positive": 1.0}, None

    return replace(prediction("positive"), explain=explain)


def test_a_prediction_is_explained_once_after_the_light_and_before_the_others() -> None:
    calls: list[str] = []
    light, screen, other = (Recorder(name, calls) for name in ("light", "screen", "other"))
    before = time.monotonic()
    lit_at = Outputs(light, [screen], [other]).prediction(explainable(calls))
    assert calls == ["light prediction", "explain", "screen prediction", "other prediction"]
    assert before <= lit_at == other.lit_at, "the explanation is not part of the time to the light"
    assert [each.explained for each in (light, screen, other)] == [False, True, True]


def test_nothing_is_explained_for_a_light_alone() -> None:
    calls: list[str] = []
    Outputs(Recorder("light", calls)).prediction(explainable(calls))
    assert calls == ["light prediction"]


def use(outputs: Outputs) -> None:
    """Call everything once that the daemon calls."""
    outputs.open(LABELS)
    outputs.microphone(HEALTHY)
    outputs.frame(FRAME)
    outputs.speech(SPEECH)
    outputs.prediction(prediction("positive"))


def test_the_light_is_first_then_the_monitor_then_the_others() -> None:
    calls: list[str] = []
    light, screen, other, last = (Recorder(name, calls) for name in ("light", "screen", "other", "last"))
    outputs = Outputs(light, [screen], [other, last])
    use(outputs)
    names = ("light", "screen", "other", "last")
    assert calls == [
        *(f"{name} open" for name in names),
        *(f"{name} microphone" for name in names),
        "screen frame",
        "screen speech",
        *(f"{name} prediction" for name in names),
    ]
    calls.clear()
    outputs.close(LIMIT_S)
    assert sorted(calls[:3]) == ["last close", "light close", "other close"]
    assert calls[3:] == ["screen close"], "what the others report while they close is shown on it"


def test_the_others_get_the_time_at_which_the_light_was_on() -> None:
    class SlowLight(Recorder):
        def prediction(self, prediction: Prediction, lit_at: float, *, lights_stay: bool = False) -> None:
            super().prediction(prediction, lit_at, lights_stay=lights_stay)
            while time.monotonic() <= lit_at:
                pass
            self.done_at = time.monotonic()

    light, other = SlowLight("light", []), Recorder("other", [])
    lit_at = Outputs(light, (), [other]).prediction(prediction("positive"))
    assert light.lit_at < light.done_at <= lit_at
    assert other.lit_at == lit_at


def test_without_a_light_or_a_monitor_predictions_are_passed_on() -> None:
    calls: list[str] = []
    outputs = Outputs(others=[Recorder("other", calls)])
    assert not outputs.watching
    assert outputs.batch_size is None
    before = time.monotonic()
    assert before <= outputs.prediction(prediction("positive")) <= time.monotonic()
    assert calls == ["other prediction"]


@pytest.mark.parametrize("call", ["open", "microphone", "prediction", "close"])
@pytest.mark.parametrize("failing", ["screen", "other"])
def test_an_output_that_raises_is_reported_once_and_delays_no_other(
    call: str, failing: str, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[str] = []
    names = ("light", "screen", "other", "last")
    light, screen, other, last = (
        Recorder(name, calls, (call, ZeroDivisionError("one\ntwo")) if name == failing else None) for name in names
    )
    outputs = Outputs(light, [screen], [other, last])
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            use(outputs)
        outputs.close(LIMIT_S)
        outputs.close(LIMIT_S)
    [line] = [record.getMessage() for record in caplog.records]
    assert line == (
        f"{failing}: failed and is left out from now on (ZeroDivisionError: one two); "
        "restart edge-mcnn, and run edge-mcnn doctor if it happens again"
    )
    for name in set(names) - {failing}:
        assert [calls.count(f"{name} {each}") for each in ("open", "microphone", "prediction", "close")] == [2] * 4
    counts = {"open": 2, "microphone": 1, "prediction": 1, "close": 2}  # it is still closed, to release what it holds
    assert calls.count(f"{failing} {call}") == counts[call]
    if call in ("open", "microphone"):
        assert f"{failing} prediction" not in calls


@pytest.mark.parametrize("call", ["open", "microphone", "prediction"])
def test_a_light_that_fails_is_an_error(call: str, caplog: pytest.LogCaptureFixture) -> None:
    calls: list[str] = []
    outputs = Outputs(Recorder("light", calls, (call, ZeroDivisionError("one\ntwo"))), (), [Recorder("other", calls)])
    with pytest.raises(LightsError) as caught:
        use(outputs)
    assert caught.value.message == "light: failed (ZeroDivisionError: one two)"
    assert caught.value.fix == "check the wiring with `edge-mcnn lights test`, and run edge-mcnn doctor"
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    outputs.close(LIMIT_S)
    assert {"light close", "other close"} <= set(calls), "its pins are released, too"
    assert not caplog.records


def test_an_error_of_ours_of_the_light_is_raised_unchanged() -> None:
    error = LightsError("the pin is in use", fix="stop the other program")
    with pytest.raises(LightsError) as caught:
        Outputs(Recorder("light", [], ("prediction", error))).prediction(prediction("positive"))
    assert caught.value is error


def test_a_light_that_fails_only_while_it_closes_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    outputs = Outputs(Recorder("light", [], ("close", ValueError("no"))))
    outputs.close(LIMIT_S)
    [record] = caplog.records
    assert "ValueError: no" in record.getMessage()


@pytest.mark.parametrize("call", ["frame", "speech"])
def test_a_monitor_that_raises_is_left_out(call: str, caplog: pytest.LogCaptureFixture) -> None:
    calls: list[str] = []
    outputs = Outputs(Recorder("light", calls), [Recorder("screen", calls, (call, ValueError("no")))])
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            use(outputs)
    [line] = [record.getMessage() for record in caplog.records]
    assert line.startswith("screen: failed and is left out from now on (ValueError: no); ")
    assert calls.count(f"screen {call}") == 1
    assert calls.count("light prediction") == 2
    assert "screen prediction" not in calls


def test_the_report_about_an_error_of_ours_has_its_fix(caplog: pytest.LogCaptureFixture) -> None:
    error = PublishingError("the file is full", fix="free some space")
    outputs = Outputs(others=[Recorder("file", [], ("prediction", error))])
    with caplog.at_level(logging.WARNING):
        outputs.prediction(prediction("positive"))
    [record] = caplog.records
    assert record.getMessage() == "file: failed and is left out from now on (the file is full); free some space"
    assert not record.exc_info, "a traceback is for --verbose"


def test_an_output_that_cannot_work_ends_the_start() -> None:
    calls: list[str] = []
    error = LightsError("no pin for anger", fix="write pins")
    outputs = Outputs(Recorder("light", calls, ("open", error)), (), [Recorder("other", calls)])
    with pytest.raises(LightsError) as caught:
        outputs.open(LABELS)
    assert caught.value is error
    outputs.close(LIMIT_S)
    assert sorted(calls[1:]) == ["light close", "other close"], "also those that were not opened"


class Hanging(Recorder):
    """An output whose `close` does not return until it is released."""

    def __init__(self, name: str, calls: list[str]) -> None:
        super().__init__(name, calls)
        self.released = threading.Event()

    def close(self, limit_s: float) -> None:
        super().close(limit_s)
        assert self.released.wait(LIMIT_S)


@pytest.mark.parametrize("place", ["light", "monitor", "others"])
def test_an_output_that_hangs_while_it_closes_takes_no_time_from_the_others(place: str) -> None:
    calls: list[str] = []
    hanging = Hanging("hanging", calls)
    light, screen, other = (Recorder(name, calls) for name in ("light", "screen", "other"))
    outputs = Outputs(
        hanging if place == "light" else light,
        [hanging if place == "monitor" else screen],
        [hanging, other] if place == "others" else [other],
    )
    begun = time.monotonic()
    outputs.close(0.2)
    took = time.monotonic() - begun
    hanging.released.set()
    assert {f"{name} close" for name in ("light", "screen", "other")} - set(calls) <= {
        {"light": "light close", "monitor": "screen close", "others": ""}[place]
    }
    assert 0.2 <= took < 2, "it is left behind at the limit"


def test_every_output_has_a_little_time_to_close_when_none_is_left() -> None:
    class Slow(Recorder):
        def close(self, limit_s: float) -> None:
            assert limit_s > 0
            super().close(limit_s)

    calls: list[str] = []
    Outputs(Slow("light", calls), [Slow("screen", calls)]).close(-1)
    assert calls == ["light close", "screen close"]
