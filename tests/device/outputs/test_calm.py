"""Which predictions change the lights: examples on a clock of the test, and any sequence against a reference."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.events import Prediction, Utterance
from device.outputs.base import Light
from device.outputs.calm import MEMORY_S, Calm
from device.outputs.fan_out import Outputs
from device.settings.schema import LightsSettings
from tests.device.outputs.predictions import prediction, preview

A, B, C = "positive", "negative", "neutral"
LOW = "low"
"""A prediction with low confidence."""


class Rig:
    """Calm lights on a clock of the test; each utterance is 1 s long and ends now."""

    def __init__(
        self, *, low_confidence_label: str | None = None, cooldown_s: float = 0, smooth: int = 1, hold_s: float = 5
    ) -> None:
        self.now = 1000.0
        self.low_confidence_label = low_confidence_label
        self.calm = Calm(LightsSettings(cooldown_s=cooldown_s, smooth=smooth, hold_s=hold_s), lambda: self.now)

    def predict(self, label: str, after_s: float = 2.0) -> bool:
        self.now += after_s
        return self.calm.changes_lights(self.prediction(label))

    def predict_all(self, labels: str) -> list[bool]:
        """A prediction for each letter: a, b, c, or - with low confidence; 2 s from one to the next."""
        return [self.predict({"a": A, "b": B, "c": C, "-": LOW}[letter]) for letter in labels]

    def prediction(self, label: str) -> Prediction:
        utterance = Utterance(self.now - 1, self.now - 0.5, self.now, 0, "silence")
        made = replace(prediction(A if label == LOW else label), utterance=utterance)
        return replace(made, confident=label != LOW, low_confidence_label=self.low_confidence_label)


@pytest.mark.parametrize("low_confidence_label", [None, C])
def test_by_default_each_prediction_changes_the_lights(low_confidence_label: str | None) -> None:
    assert all(Rig(low_confidence_label=low_confidence_label).predict_all("abba-c--ab"))


def test_after_a_light_has_come_on_no_other_does_for_the_cooldown() -> None:
    rig = Rig(cooldown_s=10)
    assert rig.predict(A)
    assert not rig.predict(B, 9.9)
    assert rig.predict(B, 0.2)
    assert not rig.predict(C, 0), "that one has a cooldown, too"


def test_in_the_cooldown_the_light_is_prolonged_by_its_own_class_alone() -> None:
    rig = Rig(cooldown_s=4, hold_s=3)
    assert rig.predict(A)
    assert rig.predict(A, 2), "it is on until the fifth second now"
    assert not rig.predict(B, 1.9)
    assert rig.predict(B, 0.2), "prolonging starts no cooldown"


def test_low_confidence_puts_no_light_out_in_the_cooldown() -> None:
    rig = Rig(cooldown_s=4)
    assert rig.predict_all("a-") == [True, False]
    assert rig.predict(LOW, 2.1)
    assert rig.predict(B, 0), "there is no light that could flicker"
    neutral = Rig(cooldown_s=4, low_confidence_label=C)
    assert neutral.predict_all("a-c") == [True, False, True]
    assert neutral.predict(LOW), "the light of the low-confidence predictions is on"


def test_a_light_that_comes_on_again_in_its_cooldown_starts_no_other() -> None:
    rig = Rig(cooldown_s=10, hold_s=1)
    assert rig.predict(A)
    assert rig.predict(A, 9), "it had gone out"
    assert not rig.predict(B, 0.9)
    assert rig.predict(B, 0.2), "otherwise two classes in turn would only show the first"


def test_a_light_that_comes_on_again_later_has_a_cooldown() -> None:
    rig = Rig(cooldown_s=10, hold_s=1)
    assert rig.predict(A)
    assert rig.predict(A, 20)
    assert not rig.predict(B, 9.9)
    assert rig.predict(B, 0.2)


@pytest.mark.parametrize(
    ("smooth", "labels", "changes"),
    [
        (2, "aabab", "01011"),  # the fourth prolongs the light that is on
        (2, "aabb", "0101"),
        (2, "abcabc", "000000"),
        (2, "aba", "001"),
        (2, "aab-b", "01001"),  # a low confidence is no vote for a class
        (2, "aa--", "0101"),  # and two of them are enough to go dark
        (2, "a-a", "001"),
        (3, "ababa", "00001"),
        (3, "abbaca", "000000"),
        (3, "aaabb-b", "0010001"),
    ],
)
def test_so_many_of_the_latest_predictions_agree(smooth: int, labels: str, changes: str) -> None:
    assert Rig(smooth=smooth, hold_s=60).predict_all(labels) == [each == "1" for each in changes]


def test_low_confidence_predictions_have_no_vote_for_the_class_of_their_light() -> None:
    rig = Rig(smooth=2, low_confidence_label=C)
    assert rig.predict_all("c-ac") == [False, False, False, False]
    rig = Rig(smooth=2, low_confidence_label=C)
    assert rig.predict_all("--c") == [False, True, True], "the third prolongs the light that is on"


def test_a_light_that_went_out_needs_the_votes_again() -> None:
    rig = Rig(smooth=2, hold_s=5)
    assert rig.predict_all("aabc") == [False, True, False, False]
    assert not rig.predict(A, 6)
    assert rig.predict(A)


def test_after_a_pause_earlier_predictions_have_no_vote() -> None:
    rig = Rig(smooth=2)
    assert not rig.predict(A)
    assert rig.predict(A, MEMORY_S + 1), "an utterance of a second, and the pause of exactly that length before it"
    assert not rig.predict(B)
    assert not rig.predict(B, MEMORY_S + 1.1)
    assert rig.predict(B)


def test_a_correction_is_shown_at_once_and_has_its_own_cooldown() -> None:
    rig = Rig(cooldown_s=10, hold_s=60)
    assert rig.predict(A)
    rig.now += 9
    rig.calm.corrected(B)
    assert not rig.predict(A, 9.9)
    assert rig.predict(A, 0.2)


def test_naming_the_class_whose_light_is_on_starts_a_cooldown() -> None:
    rig = Rig(cooldown_s=10, hold_s=60)
    assert rig.predict(A)
    rig.now += 20
    rig.calm.corrected(A)
    assert not rig.predict(B, 9.9)
    assert rig.predict(B, 0.2)


def test_after_a_correction_earlier_predictions_have_no_vote() -> None:
    rig = Rig(smooth=2, hold_s=60)
    assert rig.predict_all("aa") == [False, True]
    rig.calm.corrected(B)
    assert rig.predict_all("aba") == [False, True, True], "the light that the person chose is on until two others agree"


def test_when_the_microphone_changes_everything_begins_again() -> None:
    rig = Rig(cooldown_s=60, smooth=2)
    assert rig.predict_all("aa") == [False, True]
    rig.calm.reset()
    assert rig.predict_all("ab") == [False, False], "the light is off, and prolongs nothing"
    assert rig.predict(B), "no cooldown"


@pytest.mark.parametrize(
    ("cooldown_s", "smooth", "follows"), [(0, 1, True), (0.1, 1, False), (0, 2, False), (5, 3, False)]
)
def test_lights_follow_previews_only_where_nothing_calms_them(cooldown_s: float, smooth: int, follows: bool) -> None:
    assert Rig(cooldown_s=cooldown_s, smooth=smooth).calm.follows_previews == follows


class Reference:
    """The same in other words: remembers everything, and derives the rest from it."""

    def __init__(self, settings: LightsSettings) -> None:
        self._settings = settings
        self._votes: list[str] = []
        self._lit: list[tuple[str, float]] = []
        """Classes whose light was switched on, and when it goes out."""
        self._cooldowns: list[tuple[str, float]] = []
        """Their classes, and when they end."""
        self._ends: list[float] = []

    def changes_lights(self, shown: Prediction, now: float) -> bool:
        if self._ends and shown.utterance.start_s - self._ends[-1] > MEMORY_S:
            self._votes = []
        self._ends.append(shown.utterance.end_s)
        self._votes.append(shown.label if shown.confident else "no class")
        latest = self._votes[-(2 * self._settings.smooth - 1) :]
        agreeing = [vote for vote in latest if vote == self._votes[-1]]
        on = {label for label, until in self._lit[-1:] if now < until}
        cooling = {label for label, until in self._cooldowns[-1:] if now < until}
        if shown.light in on:
            self._lit.append((shown.light or "", now + self._settings.hold_s))
            return True
        if len(agreeing) < self._settings.smooth or (cooling and shown.light not in cooling):
            return False
        if shown.light is None:
            self._lit = []
            return True
        self._come_on(shown.light, now, cooling=bool(cooling))
        return True

    def corrected(self, label: str, now: float) -> None:
        self._votes = []
        self._come_on(label, now, cooling=False)

    def reset(self) -> None:
        self._votes, self._lit, self._cooldowns = [], [], []

    def _come_on(self, label: str, now: float, *, cooling: bool) -> None:
        self._lit.append((label, now + self._settings.hold_s))
        if not cooling:
            self._cooldowns.append((label, now + self._settings.cooldown_s))


EVENTS = st.lists(
    st.tuples(
        st.sampled_from([A, B, C, LOW] * 4 + ["correct", "microphone"]),
        st.sampled_from([A, B, C]),
        # Quarters of a second: the sums are exact, so that both meet the same limits.
        st.sampled_from([0.0, 0.25, 1.0, 2.0, 2.25, 5.0, 30.0, 31.0, 31.25]),
    ),
    max_size=40,
)


@given(
    EVENTS,
    st.sampled_from([0.0, 1.0, 3.0, 10.0]),
    st.integers(1, 4),
    st.sampled_from([0.25, 2.0, 5.0, 40.0]),
    st.sampled_from([None, C]),
)
def test_any_sequence_is_as_the_reference(
    events: Sequence[tuple[str, str, float]], cooldown_s: float, smooth: int, hold_s: float, low: str | None
) -> None:
    rig = Rig(cooldown_s=cooldown_s, smooth=smooth, hold_s=hold_s, low_confidence_label=low)
    reference = Reference(LightsSettings(cooldown_s=cooldown_s, smooth=smooth, hold_s=hold_s))
    for kind, label, after_s in events:
        rig.now += after_s
        if kind == "correct":
            rig.calm.corrected(label)
            reference.corrected(label, rig.now)
        elif kind == "microphone":
            rig.calm.reset()
            reference.reset()
        else:
            made = rig.prediction(kind)
            assert rig.calm.changes_lights(made) == reference.changes_lights(made, rig.now)


@given(EVENTS, st.sampled_from([1.0, 3.0, 10.0]), st.integers(1, 3), st.sampled_from([0.25, 2.0, 40.0]))
def test_the_class_never_changes_more_often_than_the_cooldown_permits(
    events: Sequence[tuple[str, str, float]], cooldown_s: float, smooth: int, hold_s: float
) -> None:
    rig = Rig(cooldown_s=cooldown_s, smooth=smooth, hold_s=hold_s)
    changes = []
    shown = ""
    for kind, _, after_s in events:
        if kind in (A, B, C) and rig.predict(kind, after_s) and kind != shown:
            changes.append(rig.now)
            shown = kind
    assert all(later - earlier >= cooldown_s for earlier, later in pairwise(changes))


@given(
    st.lists(st.tuples(st.sampled_from(["preview", "predict", "correct"]), st.sampled_from([A, B, C]))),
    st.sampled_from([0.0, 1.0, 10.0]),
    st.integers(1, 3),
)
def test_whatever_is_previewed_each_prediction_shows_what_it_would_show_without(
    events: Sequence[tuple[str, str]], cooldown_s: float, smooth: int
) -> None:
    """And with a cooldown or votes, the lights change exactly as without previews."""

    def lights(*, with_previews: bool) -> list[tuple[str, str]]:
        shown: list[tuple[str, str]] = []
        rig = Rig(cooldown_s=cooldown_s, smooth=smooth)
        light = Mock(
            spec_set=Light,
            prediction=lambda made, _lit_at: shown.append(("predict", made.label)),
            preview=lambda made: shown.append(("preview", made.light)),
            corrected=lambda label: shown.append(("correct", label)),
        )
        outputs = Outputs(light, calm=rig.calm)
        for kind, label in events:
            rig.now += 0.7
            if kind == "predict":
                outputs.prediction(rig.prediction(label))
            elif kind == "correct":
                outputs.corrected(label)
            elif with_previews:
                outputs.preview(preview(label, label))
        return shown

    plain, followed = lights(with_previews=False), lights(with_previews=True)
    assert [each for each in followed if each[0] != "preview"] == plain
    if cooldown_s or smooth > 1:
        assert followed == plain
