"""The screen of a listening daemon in terminals of any size."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.segment import Segment
from rich.text import Text

from device.outputs.terminal.layout import ScreenContent, ScreenLayout
from device.system.display import displayable
from tests.device.outputs.predictions import IMAGE, LABELS, prediction, preview

STATE = Text.assemble(("USB microphone", "bold"), ", 48000 Hz")
QUIET = ScreenContent(STATE, receiving=True, labels=LABELS)
SPEAKING = replace(QUIET, speaking=True, words="he might even have")
PREDICTED = replace(QUIET, prediction=prediction("positive"), image=IMAGE, light="positive")
SPEAKING_AGAIN = replace(PREDICTED, speaking=True, words="")
CONTENTS = (QUIET, SPEAKING, PREDICTED, SPEAKING_AGAIN)
SIZES = ((80, 24), (120, 40), (100, 30), (60, 14), (40, 12), (40, 8), (20, 5), (10, 3), (1, 1), (500, 200))


def layout(width: int, height: int, **options: Any) -> ScreenLayout:
    console = Console(width=width, height=height, **{"force_terminal": True, "color_system": "truecolor", **options})
    return ScreenLayout(console, gate_dbfs=-60.0)


def drawn_rows(
    width: int, height: int, content: ScreenContent, dbfs: float = -30.0, *, lit: bool = True, **options: Any
) -> list[str]:
    lines = layout(width, height, **options).lines(content, dbfs, lit=lit)
    return ["".join(text for text, _, _ in line).rstrip() for line in lines]


def test_a_terminal_of_80_by_24_shows_all_of_it() -> None:
    rows = drawn_rows(80, 24, PREDICTED)
    text = "\n".join(rows)
    assert "USB microphone, 48000 Hz" in text
    assert "    listening " in text
    assert "-30 dB" in text
    assert "\u253c" in text, "the gate"
    assert "\u201ci love it\u201d" in text
    assert "\u25cf positive" in text
    assert "\u25cb negative" in text
    assert "70%" in text
    assert sum("\u2580" * 24 in row for row in rows) == 12, "the image"
    assert "what the network sees" in text


def test_what_each_modality_alone_predicts_is_below_the_words_where_there_is_room() -> None:
    audio = {"negative": 0.61, "neutral": 0.3, "positive": 0.09}
    explained = replace(prediction("positive"), audio_only=audio, text_only=prediction("positive").probabilities)
    content = replace(PREDICTED, prediction=explained)
    rows = drawn_rows(120, 40, content)
    texts = ("i love it", "  audio alone: negative 61%, words alone: positive 70%", "negative  ")
    words, modalities, lights = (next(n for n, row in enumerate(rows) if text in row) for text in texts)
    assert words < modalities < lights
    assert "audio: negative 61%, words: positive 70%" in "\n".join(drawn_rows(80, 24, content))
    assert "audio" not in "\n".join(drawn_rows(40, 8, content))
    assert "audio" not in "\n".join(drawn_rows(120, 40, replace(content, speaking=True)))
    for size in SIZES:
        assert len(drawn_rows(*size, content)) == len(drawn_rows(*size, PREDICTED)), "it moves nothing"


def test_during_an_utterance_the_words_grow_and_the_previous_light_stays() -> None:
    text = "\n".join(drawn_rows(80, 24, SPEAKING))
    assert "\u25b8 speaking" in text
    assert "\u201che might even have \u2026" in text
    assert "i love it" not in "\n".join(drawn_rows(80, 24, SPEAKING_AGAIN))
    assert "\u25cf positive" in "\n".join(drawn_rows(80, 24, SPEAKING_AGAIN))
    assert "\u25cf" not in "\n".join(drawn_rows(80, 24, PREDICTED, lit=False))


def test_the_bars_move_while_someone_speaks() -> None:
    followed = replace(SPEAKING_AGAIN, preview=preview("negative", "negative"), light="negative")
    [bar] = [row for row in drawn_rows(80, 24, followed) if "\u25cf negative" in row]
    assert "60%" in bar
    assert "70%" in "\n".join(drawn_rows(80, 24, SPEAKING_AGAIN)), "of the previous prediction"
    assert "70%" not in "\n".join(drawn_rows(80, 24, followed))
    assert len(drawn_rows(80, 24, followed)) == len(drawn_rows(80, 24, SPEAKING))


def test_a_low_confidence_prediction_lights_nothing_or_the_class_in_the_settings() -> None:
    doubtful = replace(prediction("positive"), confident=False)
    dark = "\n".join(drawn_rows(80, 24, replace(PREDICTED, prediction=doubtful, light=None)))
    assert "\u25cf" not in dark
    assert "low confidence" in dark
    neutral = replace(PREDICTED, prediction=doubtful, light="neutral")
    assert "\u25cf neutral" in "\n".join(drawn_rows(80, 24, neutral))
    assert "\u25cf neutral" in "\n".join(drawn_rows(30, 6, neutral))


def test_the_light_of_an_earlier_prediction_stays_on_beside_the_bars_of_a_later_one() -> None:
    content = replace(PREDICTED, prediction=prediction("negative", "what a mess"))
    for size in ((80, 24), (30, 6)):
        text = "\n".join(drawn_rows(*size, content))
        assert "\u25cf positive" in text
        assert "\u25cf negative" not in text
    [bar] = [row for row in drawn_rows(80, 24, content) if "\u25cb negative" in row]
    assert "70%" in bar


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("labels", [LABELS, tuple("abcdefg"), tuple(f"class {n}" for n in range(40))])
def test_the_height_never_changes_and_leaves_room_for_history(width: int, height: int, labels: Sequence[str]) -> None:
    heights = set()
    for content in CONTENTS:
        latest = None if content.prediction is None else prediction(labels[1], labels=tuple(labels))
        shown = replace(content, labels=labels, prediction=latest, light=labels[1])
        for lit in (True, False):
            rows = layout(width, height).lines(shown, -30, lit=lit)
            heights.add(len(rows))
    assert len(heights) == 1
    assert max(heights) <= max(height - 2, 1)


def test_a_long_transcript_shows_its_end() -> None:
    long = replace(SPEAKING, words="word " * 200 + "end")
    rows = drawn_rows(80, 24, long)
    assert len(rows) == len(drawn_rows(80, 24, SPEAKING))
    assert any(row.strip().startswith("\u2026") for row in rows)
    assert any("end \u2026" in row for row in rows)


def test_many_classes_in_a_low_terminal_are_one_row_of_lights() -> None:
    labels = tuple("abcdefg")
    content = replace(PREDICTED, labels=labels, prediction=prediction("c", labels=labels), light="c")
    rows = drawn_rows(40, 8, content)
    assert len(rows) == 6
    assert "\u25cf c" in rows[-1]
    assert rows[-1].count("\u25cb") == 6
    narrow = drawn_rows(12, 8, content)
    assert "\u25cf c" in narrow[-1]


def test_before_the_model_is_loaded_there_is_one_line() -> None:
    assert drawn_rows(80, 24, ScreenContent(Text("loading the speech model"))) == ["  loading the speech model"]


def test_a_lost_microphone_has_no_level() -> None:
    text = "\n".join(drawn_rows(80, 24, replace(PREDICTED, receiving=False, state=Text("microphone lost: pulled out"))))
    assert "microphone lost: pulled out" in text
    assert "dB" not in text
    assert "listening" not in text


def test_without_colours_the_image_is_drawn_in_shades() -> None:
    rows = drawn_rows(80, 24, PREDICTED, no_color=True)
    text = "\n".join(rows)
    assert "\u2580" not in text
    assert "\u2593" in text


def test_when_the_level_changes_only_its_row_does() -> None:
    drawn = layout(80, 24)
    before, after = (drawn.lines(PREDICTED, dbfs, lit=True) for dbfs in (-30.0, -20.0))
    differing = [number for number, pair in enumerate(zip(before, after, strict=True)) if pair[0] != pair[1]]
    assert len(differing) == 1
    assert "-20 dB" in "".join(text for text, _, _ in after[differing[0]])


WILD = st.text(max_size=60)


@given(
    st.integers(1, 140), st.integers(1, 60), WILD, WILD, st.lists(WILD, min_size=1, max_size=9, unique=True),
    st.floats(-96, 0), st.booleans(), st.booleans(), st.sampled_from([None, "256", "truecolor", "standard"]),
)  # fmt: skip
def test_any_content_fits(
    width: int, height: int, name: str, words: str, labels: list[str], dbfs: float, speaking: bool, confident: bool,
    colours: str | None,
) -> None:  # fmt: skip
    latest = replace(prediction(labels[0], words, tuple(labels)), confident=confident)
    content = ScreenContent(Text(displayable(name)), True, speaking, labels, words, latest, IMAGE, latest.light)
    drawn = layout(width, height, color_system=colours)
    lines = drawn.lines(content, dbfs, lit=True)
    assert len(lines) <= max(height - 2, 1)
    for line in lines:
        assert Segment.get_line_length(line) < max(width, 24), "a line that is too long, where there is room for one"
        assert all(displayable(text) == text for text, _, _ in line)


def test_the_keys_that_correct_a_prediction_are_above_the_lights() -> None:
    content = replace(PREDICTED, keys=True, learns=True)
    rows, without = drawn_rows(80, 24, content), drawn_rows(80, 24, replace(PREDICTED, keys=True))
    hint = next(number for number, row in enumerate(rows) if "wrong? 1 negative  2 neutral  3 positive" in row)
    assert "negative  " in rows[hint + 1]
    assert [row for number, row in enumerate(rows) if number != hint] == [
        row for number, row in enumerate(without) if number != hint
    ]
    for other in (replace(SPEAKING_AGAIN, keys=True, learns=True), replace(QUIET, keys=True, learns=True)):
        assert "wrong?" not in "\n".join(drawn_rows(80, 24, other))


def test_the_key_that_mutes_stands_beside_the_microphone_where_there_is_room() -> None:
    muted = replace(QUIET, state=Text("muted: it is closed"), receiving=False, muted=True)
    for content, shown in (
        (replace(QUIET, keys=True), "Hz  m: mute"),
        (replace(muted, keys=True), "closed  m: unmute"),
        (muted, "closed  edge-mcnn mute off"),
    ):
        assert shown in "\n".join(drawn_rows(80, 24, content))
        assert shown not in "\n".join(drawn_rows(30, 24, content))
    assert "m: " not in "\n".join(drawn_rows(80, 24, QUIET))
    assert "m: " not in "\n".join(drawn_rows(80, 24, replace(QUIET, keys=True, receiving=False)))


def test_the_keys_of_many_classes_are_counted() -> None:
    labels = [f"class {number}" for number in range(1, 13)]
    shown = replace(prediction("class 1"), probabilities=dict.fromkeys(labels, 1 / 12))
    content = replace(QUIET, labels=labels, prediction=shown, keys=True, learns=True)
    assert "wrong? press 1 to 9, counted from the top" in "\n".join(drawn_rows(80, 40, content))
