from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from device.audio.endpoint import Endpointer, SoundsLikeEnd
from device.events import FRAME_LENGTH, FRAME_SECONDS, Frame, Utterance
from device.settings.schema import EndpointSettings

# Times that are multiples of a frame, so that the arithmetic of the tests is simple.
SETTINGS = EndpointSettings(
    onset_s=3 * FRAME_SECONDS,
    pre_roll_s=5 * FRAME_SECONDS,
    hang_over_s=10 * FRAME_SECONDS,
    longest_s=100 * FRAME_SECONDS,
)


class ScriptedDetector:
    """A detector that reads the probability out of the samples."""

    def __init__(self) -> None:
        self.resets = 0

    def probability(self, samples: NDArray[np.int16]) -> float:
        return float(samples[0]) / 100

    def reset(self) -> None:
        self.resets += 1


def frames(percents: Sequence[int]) -> list[Frame]:
    return [
        Frame(np.full(FRAME_LENGTH, percent, np.int16), number * FRAME_SECONDS, 1000 + number)
        for number, percent in enumerate(percents)
    ]


def run(
    percents: Sequence[int], settings: EndpointSettings = SETTINGS, sounds_like_end: SoundsLikeEnd | None = None
) -> list[tuple[list[int], Utterance]]:
    """Return each utterance with the numbers of its frames."""
    endpointer, found, passed = Endpointer(settings, ScriptedDetector()), [], []
    updates = [endpointer.push(frame, sounds_like_end) for frame in frames(percents)]
    for update in [*updates, endpointer.finish()]:
        passed += [round(frame.start_s / FRAME_SECONDS) for frame in update.frames]
        if update.utterance:
            found.append((passed, update.utterance))
            passed = []
    assert passed == []
    return found


def test_pre_roll_speech_and_hang_over() -> None:
    [(passed, utterance)] = run([0] * 20 + [90] * 30 + [0] * 30)
    assert passed == list(range(15, 60))
    assert utterance.start_s == pytest.approx(15 * FRAME_SECONDS)
    assert utterance.speech_end_s == pytest.approx(50 * FRAME_SECONDS)
    assert utterance.end_s == pytest.approx(60 * FRAME_SECONDS)
    assert utterance.arrived_at == 1059
    assert utterance.ending == "silence"


def test_the_length_of_a_pause_is_passed_on_until_someone_speaks() -> None:
    endpointer = Endpointer(SETTINGS, ScriptedDetector())
    updates = [endpointer.push(frame) for frame in frames([0, *[90] * 5, 0, 0, 90, 0])]
    pauses = [round(update.pause_s / FRAME_SECONDS) for update in updates]
    assert pauses == [0, 0, 0, 0, 0, 0, 1, 2, 0, 1]


def test_a_click_does_not_begin_an_utterance() -> None:
    assert run([0] * 5 + [90, 90, 0] * 5 + [0] * 20) == []


def test_a_lower_probability_keeps_an_utterance_open_but_does_not_begin_one() -> None:
    assert run([40] * 50 + [0] * 20) == []
    [(passed, _)] = run([90] * 3 + [40] * 50 + [0] * 20)
    assert len(passed) == 63


def test_a_short_pause_does_not_split() -> None:
    assert len(run([90] * 20 + [0] * 9 + [90] * 20 + [0] * 20)) == 1
    assert len(run([90] * 20 + [0] * 11 + [90] * 20 + [0] * 20)) == 2


def test_speech_without_a_pause_is_cut_and_continues_without_a_gap() -> None:
    found = run([90] * 250 + [0] * 20)
    assert [utterance.ending for _, utterance in found] == ["longest", "longest", "silence"]
    assert [number for passed, _ in found for number in passed] == list(range(260))


def test_a_stream_that_ends_while_someone_speaks() -> None:
    [(passed, utterance)] = run([90] * 10)
    assert passed == list(range(10))
    assert utterance.ending == "end_of_stream"


def test_the_detector_is_reset_after_a_pause() -> None:
    detector = ScriptedDetector()
    endpointer = Endpointer(SETTINGS, detector)
    for frame in frames([90] * 20 + [0] * 20):
        endpointer.push(frame)
    assert detector.resets == 1


@given(st.lists(st.tuples(st.sampled_from([0, 40, 90]), st.integers(1, 150)), max_size=20))
def test_no_frame_of_an_utterance_is_lost_or_repeated(runs: list[tuple[int, int]]) -> None:
    found = run([percent for percent, length in runs for _ in range(length)])
    everything = [number for passed, _ in found for number in passed]
    assert everything == sorted(set(everything))
    for passed, utterance in found:
        assert passed == list(range(passed[0], passed[-1] + 1))
        assert utterance.start_s == pytest.approx(passed[0] * FRAME_SECONDS)
        assert utterance.end_s == pytest.approx((passed[-1] + 1) * FRAME_SECONDS)
        assert utterance.start_s < utterance.speech_end_s <= utterance.end_s
        assert utterance.end_s - utterance.start_s <= SETTINGS.longest_s + 1e-6


@pytest.mark.parametrize(("hang_over", "expected"), [(10, 5), (20, 8), (4, 2)])
def test_the_end_is_expected_in_the_last_part_of_a_pause(hang_over: int, expected: int) -> None:
    """In the last quarter of a second, or half of a shorter pause, and no longer once someone speaks on."""
    settings = replace(SETTINGS, hang_over_s=hang_over * FRAME_SECONDS)
    endpointer = Endpointer(settings, ScriptedDetector())
    updates = [endpointer.push(frame) for frame in frames([90] * 20 + [0] * (hang_over - 1) + [90] + [0] * hang_over)]
    found = [number for number, update in enumerate(updates) if update.expected]
    first, second = 20 + hang_over - 1, 20 + 2 * hang_over - 1
    assert found == [*range(first - expected, first), *range(second - expected, second)]
    assert [number for number, update in enumerate(updates) if update.utterance] == [second]


ADAPTIVE = replace(SETTINGS, hang_over_s=20 * FRAME_SECONDS, earlier_end_s=10 * FRAME_SECONDS)


def pause_frames(found: list[tuple[list[int], Utterance]]) -> list[int]:
    return [round((utterance.end_s - utterance.speech_end_s) / FRAME_SECONDS) for _, utterance in found]


def test_a_pause_after_what_sounds_like_an_end_may_be_shorter() -> None:
    script = [90] * 20 + [0] * 40
    assert pause_frames(run(script, ADAPTIVE, lambda _end_s: True)) == [10]
    assert pause_frames(run(script, ADAPTIVE, lambda _end_s: False)) == [20]
    assert pause_frames(run(script, ADAPTIVE)) == [20], "without a judgement"


def test_no_pause_is_judged_where_none_may_be_shorter() -> None:
    settings = replace(ADAPTIVE, earlier_end_s=0.0)
    assert pause_frames(run([90] * 20 + [0] * 40, settings, lambda _end_s: pytest.fail("it is judged"))) == [20]


def test_no_pause_is_shorter_than_half() -> None:
    settings = replace(ADAPTIVE, earlier_end_s=1.0)
    assert pause_frames(run([90] * 20 + [0] * 40, settings, lambda _end_s: True)) == [10]


def test_each_pause_is_judged_once_and_early_enough_to_expect_the_shortest_one() -> None:
    judged: list[int] = []
    answers = iter((False, True))
    endpointer = Endpointer(ADAPTIVE, ScriptedDetector())

    def sounds_like_end(speech_end_s: float) -> bool:
        judged.append(round(speech_end_s / FRAME_SECONDS))
        return next(answers)

    # Pauses of 4 frames, which are too short to be judged, and of 7; then the end.
    script = [90] * 20 + [0] * 4 + [90] * 20 + [0] * 7 + [90] * 15 + [0] * 12
    updates = [endpointer.push(frame, sounds_like_end) for frame in frames(script)]
    assert judged == [44, 66]
    assert [number for number, update in enumerate(updates) if update.utterance] == [75]
    assert [number for number, update in enumerate(updates) if update.expected] == list(range(71, 75))


def test_after_a_long_pause_in_an_utterance_no_pause_is_shortened() -> None:
    for earlier, expected in ((7, 10), (8, 20)):
        script = [90] * 20 + [0] * earlier + [90] * 20 + [0] * 40
        assert pause_frames(run(script, ADAPTIVE, lambda end_s: end_s > 1)) == [expected]
    # The next utterance has no pauses yet.
    script = [90] * 20 + [0] * 8 + [90] * 20 + [0] * 40 + [90] * 40 + [0] * 40
    assert pause_frames(run(script, ADAPTIVE, lambda end_s: end_s > 1)) == [20, 10]


def test_a_pause_after_a_short_word_is_not_shortened() -> None:
    assert pause_frames(run([90] * 10 + [0] * 40, ADAPTIVE, lambda _end_s: True)) == [20]
    assert pause_frames(run([90] * 11 + [0] * 40, ADAPTIVE, lambda _end_s: True)) == [10]


def test_a_shorter_pause_can_be_made_longer_again() -> None:
    endpointer = Endpointer(ADAPTIVE, ScriptedDetector())
    endpointer.require_longest_pause()  # outside of a pause it changes nothing
    ends = []
    for number, frame in enumerate(frames([90] * 20 + [0] * 30 + [90] * 20 + [0] * 30)):
        update = endpointer.push(frame, lambda _end_s: True)
        if update.expected and number < 30:
            endpointer.require_longest_pause()
        if update.utterance:
            ends.append(number)
    assert ends == [39, 79], "the pause of the first utterance, and no other"


@given(
    st.lists(st.tuples(st.sampled_from([0, 40, 90]), st.integers(1, 60)), max_size=20),
    st.lists(st.booleans(), min_size=1),
)
def test_no_pause_is_too_short_or_too_long(runs: list[tuple[int, int]], answers: list[bool]) -> None:
    answer = iter(answers * 1200)
    found = run([percent for percent, length in runs for _ in range(length)], ADAPTIVE, lambda _end_s: next(answer))
    everything = [number for passed, _ in found for number in passed]
    assert everything == sorted(set(everything)), "no frame is lost or repeated"
    for length, (_, utterance) in zip(pause_frames(found), found, strict=True):
        assert length <= 20
        assert length in (10, 20) or utterance.ending != "silence"
