"""A prediction in terminals of any kind."""

import io
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from device.events import Prediction
from device.outputs.json_lines import NO_WORDS
from device.outputs.terminal.prediction_rows import (
    PredictionView,
    colours,
    column_widths,
    history_entry,
    lights_row,
    modalities_row,
)
from device.outputs.terminal.text import ASCII, UNICODE
from device.settings.leds import CLASS_COLOURS
from tests.device.outputs.predictions import LABELS, prediction


def printed(renderable: Any, width: int = 80, *, encoding: str = "utf-8", **options: Any) -> list[str]:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, errors="strict")
    Console(file=file, width=width, highlight=False, **options).print(renderable)
    file.flush()
    return raw.getvalue().decode(encoding).splitlines()


def drawn_prediction(shown: Prediction, width: int = 80, **options: Any) -> str:
    return "\n".join(printed(PredictionView(tuple(shown.probabilities), shown), width, **options))


def test_every_class_has_a_colour() -> None:
    many = [f"class {number}" for number in range(30)]
    assert set(colours(many)) == set(many)
    assert colours(["negative", "joy"])["negative"] == "red"
    emotions = colours([label for label in CLASS_COLOURS if label not in ("positive", "negative")])
    assert len(set(emotions.values())) == len(emotions) == 7, "no two of MELD's emotions share one"
    assert emotions["sadness"] == "blue"


def test_a_light_and_a_bar_for_each_class_and_the_words() -> None:
    rows = printed(PredictionView(LABELS, prediction("positive")))
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


def test_missing_words_and_low_confidence_are_marked() -> None:
    assert NO_WORDS in drawn_prediction(prediction("positive", text=""))
    doubtful = replace(prediction("positive"), confident=False)
    assert "low confidence  \u201ci love it\u201d" in drawn_prediction(doubtful)
    assert "\u25cf" not in drawn_prediction(doubtful)
    neutral = drawn_prediction(replace(doubtful, low_confidence_label="neutral"))
    assert "\u25cf neutral" in neutral
    assert neutral.count("\u25cf") == 1


def test_the_image_is_beside_it_where_the_terminal_has_room() -> None:
    for drawn, expected in [
        (drawn_prediction(prediction("positive"), force_terminal=True, color_system="truecolor"), True),
        (drawn_prediction(prediction("positive"), force_terminal=True, color_system="truecolor", width=50), False),
        (drawn_prediction(prediction("positive")), False),
        (
            drawn_prediction(
                replace(prediction("positive"), image=None), force_terminal=True, color_system="truecolor"
            ),
            False,
        ),
    ]:
        assert ("\u2580" in drawn) == expected


def test_without_unicode_it_is_readable() -> None:
    drawn = drawn_prediction(prediction("positive"), encoding="ascii", force_terminal=True, color_system=None)
    assert "* positive" in drawn
    assert "o neutral" in drawn
    assert '"i love it"' in drawn


def test_no_colour_codes_with_no_color() -> None:
    drawn = drawn_prediction(prediction("positive"), force_terminal=True, color_system="truecolor", no_color=True)
    assert "\x1b[3" not in drawn.replace("\x1b[3m", ""), "italics are not a colour"
    assert "\u25cf" in drawn


def test_brackets_are_not_markup_and_control_characters_are_removed() -> None:
    drawn = drawn_prediction(prediction("positive", text="[/red] [bold\x1b[2J\n\x07"), force_terminal=True)
    assert "[/red] [bold" in drawn
    assert "\x1b[2J" not in drawn
    assert "\x07" not in drawn


@pytest.mark.parametrize("width", [20, 24, 30, 40, 60, 80, 200])
def test_rows_fit(width: int) -> None:
    long = prediction("b" * 40, labels=("a", "b" * 40, "\u4e2d" * 40))
    drawn = printed(PredictionView(tuple(long.probabilities), replace(long, image=None)), width)
    assert max(len(row) for row in drawn) <= width
    assert drawn[1].startswith("  \u25cf b")
    assert drawn[1].endswith("70%")


def test_there_are_bars_where_there_is_room() -> None:
    assert column_widths(LABELS, 20).bar == 0
    assert 0 < column_widths(LABELS, 40).bar < column_widths(LABELS, 60).bar < column_widths(LABELS, 500).bar < 60
    assert column_widths(["a" * 40], 80).name < 40


def with_modalities(label: str = "positive") -> Prediction:
    audio, words = {"negative": 0.61, "neutral": 0.39, label: 0.0}, {"negative": 0.07, "neutral": 0.1, label: 0.83}
    return replace(prediction(label), audio_only=audio, text_only=words)


def test_what_each_modality_alone_predicts_is_the_last_row() -> None:
    row = "audio alone: negative 61%, words alone: positive 83%"
    assert printed(PredictionView(LABELS, with_modalities()))[-1].strip() == row
    assert drawn_prediction(with_modalities(), 46).endswith("audio: negative 61%, words: positive 83%")
    assert "audio" not in drawn_prediction(with_modalities(), 30), "it is left out where it does not fit"


@pytest.mark.parametrize("missing", ["audio_only", "text_only"])
def test_one_modality_alone_is_no_comparison(missing: str) -> None:
    shown = with_modalities()
    shown = replace(shown, audio_only=None) if missing == "audio_only" else replace(shown, text_only=None)
    assert "audio" not in drawn_prediction(shown)


def test_a_label_in_the_row_of_modalities_is_displayed_safely() -> None:
    row = modalities_row(with_modalities("[red]\x1b[2J"), 80)
    assert "[red]" in row.plain
    assert "\x1b" not in row.plain


def test_a_history_entry() -> None:
    assert printed(history_entry(LABELS, prediction("positive"), UNICODE)) == [
        "03:04:05  positive   70%  \u201ci love it\u201d",
    ]
    long = prediction("positive", text="word " * 20 + "end")
    rows = printed(history_entry(LABELS, long, ASCII))
    assert rows[0].startswith('03:04:05  positive   70%  "word word')
    assert all(row.startswith((" " * 26 + "word ", " " * 26 + "end")) for row in rows[1:])
    assert max(map(len, rows)) < 80
    narrow = printed(history_entry(LABELS, long, UNICODE), 30)
    assert "".join("".join(narrow).split()) == "".join("".join(rows).split()).replace('"word', "\u201cword").replace(
        'end"', "end\u201d"
    )


def test_lights_in_a_row() -> None:
    assert lights_row(LABELS, "neutral").plain.split() == [
        "\u25cb",
        "negative",
        "\u25cf",
        "neutral",
        "\u25cb",
        "positive",
    ]
    assert "*" not in lights_row(LABELS, None, ASCII).plain
