"""When an utterance that goes on is classified, and when its class gets a light."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from device.events import FRAME_SECONDS, Probabilities
from device.recognition.preview import PreviewLight, PreviewSchedule


class Speaker:
    """Words that a test sets, and how often they were read."""

    def __init__(self) -> None:
        self.text = ""
        self.reads = 0
        self.schedule = PreviewSchedule()

    def words(self) -> str:
        self.reads += 1
        return self.text

    def speak(self, seconds: float, pause_s: float = 0.0) -> list[str]:
        """Pass frames of speech, or of a pause that begins now; return the words of each query."""
        found = []
        for number in range(1, round(seconds / FRAME_SECONDS) + 1):
            text = self.schedule.due(number * FRAME_SECONDS + pause_s if pause_s >= 0 else 0.0, self.words)
            if text is not None:
                found.append(text)
        return found


SPEECH = -1.0
"""Not a pause."""


def test_the_network_is_run_at_each_new_word_and_at_least_every_half_second() -> None:
    speaker = Speaker()
    assert speaker.speak(0.512, SPEECH) == [""]
    speaker.text = "i"
    assert speaker.speak(0.128, SPEECH) == ["i"]
    speaker.text = "i love"
    assert speaker.speak(0.128, SPEECH) == ["i love"]
    assert speaker.speak(0.384, SPEECH) == []
    assert speaker.speak(0.128, SPEECH) == ["i love"]


def test_the_words_are_read_once_in_a_block_of_the_microphone() -> None:
    speaker = Speaker()
    speaker.speak(2.56, SPEECH)
    assert speaker.reads == 20


def test_in_a_pause_the_network_is_run_at_once_and_then_less_often() -> None:
    speaker = Speaker()
    speaker.speak(0.64, SPEECH)
    speaker.text = "i love it"
    assert speaker.speak(0.032, 0.0) == [], "a single frame may be within a word"
    assert 1 <= len(speaker.speak(0.32, 0.032)) <= 4


@given(st.lists(st.booleans(), max_size=200))
def test_whatever_is_spoken_the_network_runs_at_least_every_half_second_and_at_most_ten_times_a_second(
    voiced: list[bool],
) -> None:
    schedule = PreviewSchedule()
    pause = 0
    queried = [0]
    for number, voice in enumerate(voiced, 1):
        pause = 0 if voice else pause + 1
        if pause < 11 and schedule.due(pause * FRAME_SECONDS, lambda: "i") is not None:
            queried.append(number)
        if pause >= 11:  # as the pipeline, which classifies then
            queried.append(number)
    assert all(later - earlier <= 16 for earlier, later in pairwise(queried))


A, B = {"a": 0.9, "b": 0.1}, {"a": 0.1, "b": 0.9}
LEANING = {"a": 0.65, "b": 0.35}
"""Enough in a pause."""
UNSURE = {"a": 0.55, "b": 0.45}
VOICED, PAUSED = 0.0, 2 * FRAME_SECONDS


def light(*queries: Probabilities, seconds: float = 2.0, pause_s: float = VOICED, required: float = 0.0) -> str | None:
    """The light after these queries."""
    shown = PreviewLight()
    for each in queries:
        shown.update(each, {"a": required}, seconds=seconds, pause_s=pause_s)
    return shown.label


def test_while_someone_speaks_a_light_needs_a_clear_lead_twice_in_a_row() -> None:
    assert light(A) is None
    assert light(A, A) == "a"
    assert light(A, B, A) is None
    assert light(LEANING, LEANING, LEANING) is None
    assert light(A, A, seconds=1.2) is None, "a second of voice, with the pre-roll"


def test_in_a_pause_less_is_enough() -> None:
    assert light(LEANING, pause_s=PAUSED) == "a"
    assert light(UNSURE, UNSURE, pause_s=PAUSED) is None
    assert light(A, pause_s=PAUSED, seconds=0.4) is None
    assert light(LEANING, pause_s=FRAME_SECONDS) is None, "which may be a closure within a word"


def test_a_light_changes_only_when_the_end_is_expected() -> None:
    shown = PreviewLight()
    for _ in range(2):
        shown.update(A, {}, seconds=2.0, pause_s=VOICED)
    for pause_s in (VOICED, VOICED, PAUSED):
        shown.update(B, {}, seconds=3.0, pause_s=pause_s)
    assert shown.label == "a"
    shown.settle(B, {})
    assert shown.label == "b"


def test_a_class_with_low_confidence_gets_no_light() -> None:
    assert light(A, A, required=0.95) is None
    assert light(A, A, required=0.85) == "a"
    shown = PreviewLight()
    shown.settle(A, {"a": 0.95})
    assert shown.label is None


def test_a_model_with_one_class_has_a_lead() -> None:
    assert light({"a": 1.0}, {"a": 1.0}) == "a"


def test_a_query_is_needed_for_a_light_until_it_is_on() -> None:
    shown = PreviewLight()
    assert not shown.undecided(seconds=0.7, pause_s=VOICED)
    assert shown.undecided(seconds=0.9, pause_s=VOICED), "two in a row are needed"
    assert shown.undecided(seconds=0.5, pause_s=PAUSED)
    assert not shown.undecided(seconds=0.4, pause_s=PAUSED)
    shown.update(A, {}, seconds=1.0, pause_s=PAUSED)
    assert not shown.undecided(seconds=2.0, pause_s=VOICED)
