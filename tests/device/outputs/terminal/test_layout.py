"""What is seen of a daemon that listens, in terminals of any size."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.segment import Segment
from rich.text import Text

from device.outputs.terminal.layout import ListeningView, Moment
from device.outputs.terminal.text import printable
from tests.device.outputs.predictions import LABELS, PICTURE, prediction

STATE = Text.assemble(("USB microphone", "bold"), ", 48000 Hz")
QUIET = Moment(STATE, hears=True, labels=LABELS)
SPEAKING = replace(QUIET, speaking=True, words="he might even have")
ANSWERED = replace(QUIET, prediction=prediction("positive"), picture=PICTURE)
AGAIN = replace(ANSWERED, speaking=True, words="")
MOMENTS = (QUIET, SPEAKING, ANSWERED, AGAIN)
SIZES = ((80, 24), (120, 40), (100, 30), (60, 14), (40, 12), (40, 8), (20, 5), (10, 3), (1, 1), (500, 200))


def view(width: int, height: int, **options: Any) -> ListeningView:
    console = Console(width=width, height=height, **{"force_terminal": True, "color_system": "truecolor", **options})
    return ListeningView(console, gate_dbfs=-60.0)


def seen(
    width: int, height: int, moment: Moment, dbfs: float = -30.0, *, lit: bool = True, **options: Any
) -> list[str]:
    lines = view(width, height, **options).lines(moment, dbfs, lit=lit)
    return ["".join(text for text, _, _ in line).rstrip() for line in lines]


def test_a_terminal_of_80_by_24_shows_all_of_it() -> None:
    rows = seen(80, 24, ANSWERED)
    text = "\n".join(rows)
    assert "USB microphone, 48000 Hz" in text
    assert "    listening " in text
    assert "-30 dB" in text
    assert "\u253c" in text, "the gate"
    assert "\u201ci love it\u201d" in text
    assert "\u25cf positive" in text
    assert "\u25cb negative" in text
    assert "70%" in text
    assert sum("\u2580" * 24 in row for row in rows) == 12, "the picture"
    assert "what the network sees" in text


def test_while_someone_speaks_the_words_grow_and_the_old_light_stays_until_it_is_over() -> None:
    text = "\n".join(seen(80, 24, SPEAKING))
    assert "\u25b8 speaking" in text
    assert "\u201che might even have \u2026" in text
    assert "i love it" not in "\n".join(seen(80, 24, AGAIN))
    assert "\u25cf positive" in "\n".join(seen(80, 24, AGAIN))
    assert "\u25cf" not in "\n".join(seen(80, 24, ANSWERED, lit=False))


def test_a_doubt_lights_nothing_or_what_the_settings_say() -> None:
    doubt = replace(prediction("positive"), confident=False)
    dark = "\n".join(seen(80, 24, replace(ANSWERED, prediction=doubt)))
    assert "\u25cf" not in dark
    assert "unsure" in dark
    instead = replace(ANSWERED, prediction=replace(doubt, low_confidence_label="neutral"))
    assert "\u25cf neutral" in "\n".join(seen(80, 24, instead))
    assert "\u25cf neutral" in "\n".join(seen(30, 6, instead))


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("labels", [LABELS, tuple("abcdefg"), tuple(f"class {n}" for n in range(40))])
def test_the_height_never_changes_and_leaves_room_for_history(width: int, height: int, labels: Sequence[str]) -> None:
    heights = set()
    for moment in MOMENTS:
        answer = None if moment.prediction is None else prediction(labels[1], labels=tuple(labels))
        for lit in (True, False):
            rows = view(width, height).lines(replace(moment, labels=labels, prediction=answer), -30, lit=lit)
            heights.add(len(rows))
    assert len(heights) == 1
    assert max(heights) <= max(height - 2, 1)


def test_long_words_show_their_end() -> None:
    long = replace(SPEAKING, words="word " * 200 + "end")
    rows = seen(80, 24, long)
    assert len(rows) == len(seen(80, 24, SPEAKING))
    assert any(row.strip().startswith("\u2026") for row in rows)
    assert any("end \u2026" in row for row in rows)


def test_many_classes_in_a_low_terminal_are_lamps_alone() -> None:
    labels = tuple("abcdefg")
    rows = seen(40, 8, replace(ANSWERED, labels=labels, prediction=prediction("c", labels=labels)))
    assert len(rows) == 6
    assert "\u25cf c" in rows[-1]
    assert rows[-1].count("\u25cb") == 6
    narrow = seen(12, 8, replace(ANSWERED, labels=labels, prediction=prediction("c", labels=labels)))
    assert "\u25cf c" in narrow[-1]


def test_a_moment_before_the_model_is_loaded_is_one_line() -> None:
    assert seen(80, 24, Moment(Text("loading the speech model"))) == ["  loading the speech model"]


def test_a_lost_microphone_has_no_level() -> None:
    text = "\n".join(seen(80, 24, replace(ANSWERED, hears=False, state=Text("microphone lost: pulled out"))))
    assert "microphone lost: pulled out" in text
    assert "dB" not in text
    assert "listening" not in text


def test_without_colours_the_picture_is_drawn_in_shades() -> None:
    rows = seen(80, 24, ANSWERED, no_color=True)
    text = "\n".join(rows)
    assert "\u2580" not in text
    assert "\u2593" in text


def test_only_the_row_of_the_level_is_made_anew_when_it_moves() -> None:
    drawn = view(80, 24)
    before, after = (drawn.lines(ANSWERED, dbfs, lit=True) for dbfs in (-30.0, -20.0))
    differing = [number for number, pair in enumerate(zip(before, after, strict=True)) if pair[0] != pair[1]]
    assert len(differing) == 1
    assert "-20 dB" in "".join(text for text, _, _ in after[differing[0]])


WILD = st.text(max_size=60)


@given(
    st.integers(1, 140), st.integers(1, 60), WILD, WILD, st.lists(WILD, min_size=1, max_size=9, unique=True),
    st.floats(-96, 0), st.booleans(), st.booleans(), st.sampled_from([None, "256", "truecolor", "standard"]),
)  # fmt: skip
def test_whatever_is_shown_fits(
    width: int, height: int, name: str, words: str, labels: list[str], dbfs: float, speaking: bool, sure: bool,
    colours: str | None,
) -> None:  # fmt: skip
    answer = replace(prediction(labels[0], words, tuple(labels)), confident=sure)
    moment = Moment(Text(printable(name)), True, speaking, labels, words, answer, PICTURE)
    drawn = view(width, height, color_system=colours)
    lines = drawn.lines(moment, dbfs, lit=True)
    assert len(lines) <= max(height - 2, 1)
    for line in lines:
        assert Segment.get_line_length(line) < max(width, 24), "a line that is too long, where there is room for one"
        assert all(each.isprintable() for text, _, _ in line for each in text)
