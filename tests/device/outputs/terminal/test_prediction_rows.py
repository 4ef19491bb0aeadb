"""An answer in a terminal of any kind."""

import io
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from device.events import Prediction
from device.outputs.json_lines import NO_WORDS
from device.outputs.terminal.prediction_rows import Answer, colours, columns, entry, lamps
from device.outputs.terminal.text import ASCII, UNICODE
from device.settings.leds import CLASS_COLOURS
from tests.device.outputs.predictions import LABELS, prediction


def printed(renderable: Any, width: int = 80, *, encoding: str = "utf-8", **options: Any) -> list[str]:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, errors="strict")
    Console(file=file, width=width, highlight=False, **options).print(renderable)
    file.flush()
    return raw.getvalue().decode(encoding).splitlines()


def answer(shown: Prediction, width: int = 80, **options: Any) -> str:
    return "\n".join(printed(Answer(tuple(shown.probabilities), shown), width, **options))


def test_every_class_has_a_colour() -> None:
    many = [f"class {number}" for number in range(30)]
    assert set(colours(many)) == set(many)
    assert colours(["negative", "joy"])["negative"] == "red"
    emotions = colours([label for label in CLASS_COLOURS if label not in ("positive", "negative")])
    assert len(set(emotions.values())) == len(emotions) == 7, "no two of MELD's"
    assert emotions["sadness"] == "blue"


def test_a_lamp_and_a_bar_for_each_class_and_the_words() -> None:
    rows = printed(Answer(LABELS, prediction("positive")))
    assert [row.split()[:2] for row in rows[:3]] == [
        ["\u25cb", "negative"],
        ["\u25cb", "neutral"],
        ["\u25cf", "positive"],
    ]
    bars = [row.count("\u2501") for row in rows[:3]]
    assert bars[0] == bars[1]
    assert bars[2] == pytest.approx(bars[0] * 0.7 / 0.15, abs=3)
    assert [row.split()[-1] for row in rows[:3]] == ["15%", "15%", "70%"]
    assert rows[-1].strip() == "\u201ci love it\u201d"


def test_words_that_nobody_understood_and_answers_in_doubt_are_told_as_such() -> None:
    assert NO_WORDS in answer(prediction("positive", text=""))
    doubt = replace(prediction("positive"), confident=False)
    assert "unsure  \u201ci love it\u201d" in answer(doubt)
    assert "\u25cf" not in answer(doubt)
    neutral = answer(replace(doubt, low_confidence_label="neutral"))
    assert "\u25cf neutral" in neutral
    assert neutral.count("\u25cf") == 1


def test_the_picture_is_beside_it_in_a_terminal_that_has_room() -> None:
    for drawn, in_it in [
        (answer(prediction("positive"), force_terminal=True, color_system="truecolor"), True),
        (answer(prediction("positive"), force_terminal=True, color_system="truecolor", width=50), False),
        (answer(prediction("positive")), False),
        (answer(replace(prediction("positive"), image=None), force_terminal=True, color_system="truecolor"), False),
    ]:
        assert ("\u2580" in drawn) == in_it


def test_without_unicode_it_is_readable() -> None:
    drawn = answer(prediction("positive"), encoding="ascii", force_terminal=True, color_system=None)
    assert "* positive" in drawn
    assert "o neutral" in drawn
    assert '"i love it"' in drawn


def test_no_escape_codes_of_colours_where_none_are_wanted() -> None:
    drawn = answer(prediction("positive"), force_terminal=True, color_system="truecolor", no_color=True)
    assert "\x1b[3" not in drawn.replace("\x1b[3m", ""), "italics are no colour"
    assert "\u25cf" in drawn


def test_words_in_brackets_are_not_markup_and_control_characters_not_obeyed() -> None:
    drawn = answer(prediction("positive", text="[/red] [bold\x1b[2J\n\x07"), force_terminal=True)
    assert "[/red] [bold" in drawn
    assert "\x1b[2J" not in drawn
    assert "\x07" not in drawn


@pytest.mark.parametrize("width", [20, 24, 30, 40, 60, 80, 200])
def test_rows_fit(width: int) -> None:
    long = prediction("b" * 40, labels=("a", "b" * 40, "\u4e2d" * 40))
    drawn = printed(Answer(tuple(long.probabilities), replace(long, image=None)), width)
    assert max(len(row) for row in drawn) <= width
    assert drawn[1].startswith("  \u25cf b")
    assert drawn[1].endswith("70%")


def test_there_are_bars_where_there_is_room_for_them() -> None:
    assert columns(LABELS, 20).bar == 0
    assert 0 < columns(LABELS, 40).bar < columns(LABELS, 60).bar < columns(LABELS, 500).bar < 60
    assert columns(["a" * 40], 80).name < 40


def test_an_entry_of_the_history() -> None:
    assert printed(entry(LABELS, prediction("positive"), UNICODE)) == [
        "03:04:05  positive   70%  \u201ci love it\u201d",
    ]
    long = prediction("positive", text="word " * 20 + "end")
    rows = printed(entry(LABELS, long, ASCII))
    assert rows[0].startswith('03:04:05  positive   70%  "word word')
    assert all(row.startswith((" " * 26 + "word ", " " * 26 + "end")) for row in rows[1:])
    assert max(map(len, rows)) < 80
    narrow = printed(entry(LABELS, long, UNICODE), 30)
    assert "".join("".join(narrow).split()) == "".join("".join(rows).split()).replace('"word', "\u201cword").replace(
        'end"', "end\u201d"
    )


def test_lamps_in_a_row() -> None:
    assert lamps(LABELS, "neutral").plain.split() == ["\u25cb", "negative", "\u25cf", "neutral", "\u25cb", "positive"]
    assert "*" not in lamps(LABELS, None, ASCII).plain
