"""Predictions as lines, and their way to standard output."""

import io
import json
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TextIO

import pytest

from device.audio.liveness import Liveness, State
from device.outputs import json_lines
from device.outputs.json_lines import NO_WORDS, LineOutput, as_line, as_plain_line, as_table, without_words
from tests.device.outputs.predictions import (
    LABELS,
    LIT_AT,
    Announcements,
    numbered_prediction,
    prediction,
    preview,
)
from tests.waiting import LIMIT_S, wait_until


def test_a_plain_line_always_says_that_there_were_no_words() -> None:
    for words in (False, True):
        table = as_table(prediction("positive", text=""), lit_at=100.0)
        assert as_plain_line(table, words=words) == f"03:04:05  positive   70%  {NO_WORDS}"
        assert table["text"] == ""


def test_a_plain_line_quotes_the_words_only_on_request() -> None:
    table = as_table(prediction("positive"), lit_at=100.0)
    assert as_plain_line(table, words=False) == "03:04:05  positive   70%"
    assert as_plain_line(table, words=True) == "03:04:05  positive   70%  \u201ci love it\u201d"


@pytest.mark.parametrize("light", [None, "neutral"])
def test_a_low_confidence_prediction_is_marked(light: str | None) -> None:
    doubtful = replace(prediction("positive"), confident=False, low_confidence_label=light)
    table = as_table(doubtful, lit_at=100.0)
    assert (table["label"], table["confident"], table["light"]) == ("positive", False, light)
    assert table["probabilities"]["positive"] == 0.7
    assert as_plain_line(table, words=False) == "03:04:05  positive   70%  low confidence"


def test_json_line() -> None:
    line = as_line(as_table(prediction("positive", "\u201c\u00e9\n"), lit_at=LIT_AT))
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "2026-01-02T03:04:05.000+00:00",
        "label": "positive",
        "probabilities": {"negative": 0.15, "neutral": 0.15, "positive": 0.7},
        "raw_probabilities": None,
        "audio_only": None,
        "text_only": None,
        "adapted": False,
        "confident": True,
        "light": "positive",
        "text": "\u201c\u00e9\n",
        "start_s": 1.0,
        "seconds": 2.0,
        "ending": "silence",
        "ms_speech_to_light": 625.0,
        "ms_endpoint_to_light": 25.0,
    }


def test_json_contains_what_each_modality_alone_predicts() -> None:
    audio = {"negative": 0.61111, "neutral": 0.3, "positive": 0.08889}
    table = as_table(replace(prediction("positive"), audio_only=audio), LIT_AT)
    assert table["audio_only"] == {
        "label": "negative",
        "probabilities": {"negative": 0.6111, "neutral": 0.3, "positive": 0.0889},
    }
    assert table["text_only"] is None


def test_json_contains_the_probabilities_without_context() -> None:
    raw = {"negative": 0.33333, "neutral": 0.33333, "positive": 0.33334}
    table = as_table(replace(prediction("positive"), raw_probabilities=raw), LIT_AT)
    assert table["raw_probabilities"] == {"negative": 0.3333, "neutral": 0.3333, "positive": 0.3333}
    assert table["probabilities"]["positive"] == 0.7


def test_without_words_only_the_text_is_missing() -> None:
    table = as_table(prediction("positive"), LIT_AT)
    assert {**without_words(table), "text": "i love it"} == table
    assert "text" not in without_words(table)


class Pipe:
    """A pipe as standard output, with a reader that reads when the test does."""

    def __init__(self) -> None:
        reader, writer = os.pipe()
        self.reader = os.fdopen(reader, "rb")
        self.stream: TextIO = os.fdopen(writer, "w", encoding="utf-8")

    def close(self) -> None:
        self.reader.close()
        self.stream.close()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.close()


Make = Callable[[TextIO | None], LineOutput]


@pytest.fixture
def stopped() -> list[BaseException]:
    return []


@pytest.fixture
def make(announced: Announcements, stopped: list[BaseException]) -> Make:
    def line_output(stream: TextIO | None) -> LineOutput:
        output = LineOutput(as_line, announced, stopped.append, stream)
        output.open(LABELS)
        return output

    return line_output


def test_every_line_is_written_in_order(pipe: Pipe, make: Make, announced: Announcements) -> None:
    output = make(pipe.stream)
    for number in range(100):
        output.prediction(numbered_prediction(number, "\u201c\u00e9"), LIT_AT)
        output.microphone(Liveness(State.HEALTHY, 0, ""))
    output.close(LIMIT_S)
    output.close(LIMIT_S)
    pipe.stream.close()
    tables = [json.loads(line) for line in pipe.reader.read().decode().splitlines()]
    assert [table["seconds"] for table in tables] == list(range(100))
    assert {table["text"] for table in tables} == {"\u201c\u00e9"}
    assert announced.lines == []


def test_lines_about_an_utterance_that_goes_on_are_marked_and_only_written_on_request(
    pipe: Pipe, announced: Announcements, stopped: list[BaseException]
) -> None:
    output = LineOutput(as_line, announced, stopped.append, pipe.stream, partial=True)
    assert output.previewed
    assert not LineOutput(as_line, announced, stopped.append, pipe.stream).previewed
    output.open(LABELS)
    output.preview(preview("positive", "positive"))
    output.prediction(prediction("negative"), LIT_AT)
    output.close(LIMIT_S)
    pipe.stream.close()
    first, last = (json.loads(line) for line in pipe.reader.read().decode().splitlines())
    assert first == {
        "final": False,
        "label": "positive",
        "probabilities": {"negative": 0.2, "neutral": 0.2, "positive": 0.6},
        "light": "positive",
        "text": "i love",
        "start_s": 1.0,
        "seconds": 0.9,
    }
    assert last == {"final": True, **as_table(prediction("negative"), LIT_AT)}


def test_lines_about_an_utterance_that_goes_on_cost_a_slow_reader_no_prediction(
    pipe: Pipe, announced: Announcements, stopped: list[BaseException]
) -> None:
    output = LineOutput(as_line, announced, stopped.append, pipe.stream, partial=True)
    output.open(LABELS)
    output.prediction(numbered_prediction(0, "x" * 100_000), LIT_AT)
    assert os.read(pipe.reader.fileno(), 1) == b"{"  # the first line is being written, and does not fit into the pipe
    output.prediction(numbered_prediction(1), LIT_AT)
    for _ in range(2 * json_lines._BOUND):
        output.preview(preview("positive", "positive"))
    reader = threading.Thread(target=output.close, args=(LIMIT_S,))
    reader.start()
    first = json.loads(b"{" + pipe.reader.readline())
    second, *others = (json.loads(pipe.reader.readline()) for _ in range(10))
    reader.join(LIMIT_S)
    assert [first["seconds"], second["seconds"]] == [0, 1]
    assert {each["final"] for each in others} == {False}
    assert announced.lines == []


def test_a_line_arrives_without_waiting_for_the_next_one(pipe: Pipe, make: Make) -> None:
    output = make(pipe.stream)
    output.prediction(numbered_prediction(7), LIT_AT)
    assert json.loads(pipe.reader.readline())["seconds"] == 7
    output.close(LIMIT_S)


def test_a_slow_reader_delays_nothing_and_gets_every_line(pipe: Pipe, make: Make, announced: Announcements) -> None:
    output = make(pipe.stream)
    long = "x" * 20_000  # four of them fill a pipe
    for number in range(50):
        output.prediction(numbered_prediction(number, long), LIT_AT)  # returns although nothing is read
    lines: list[bytes] = []
    reader = threading.Thread(target=lambda: lines.extend(pipe.reader))
    reader.start()
    output.close(LIMIT_S)
    pipe.stream.close()
    reader.join(LIMIT_S)
    assert [json.loads(line)["seconds"] for line in lines] == list(range(50))
    assert announced.lines == []


def test_a_reader_that_never_reads_costs_the_oldest_lines_and_no_end(
    pipe: Pipe, make: Make, announced: Announcements, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_lines, "_BOUND", 5)
    output = make(pipe.stream)
    output.prediction(numbered_prediction(0, "x" * 100_000), LIT_AT)
    assert os.read(pipe.reader.fileno(), 1) == b"{"  # the first line is being written, and does not fit into the pipe
    for number in range(1, 50):
        output.prediction(numbered_prediction(number, "x" * 100_000), LIT_AT)
    output.close(0.05)
    assert announced.lines == ["standard output: predictions not delivered before the end: 5"]


def test_a_reader_that_goes_away_ends_the_program(
    pipe: Pipe, make: Make, announced: Announcements, stopped: list[BaseException]
) -> None:
    output = make(pipe.stream)
    pipe.reader.close()
    output.prediction(numbered_prediction(1), LIT_AT)
    wait_until(lambda: stopped)
    output.prediction(numbered_prediction(2), LIT_AT)
    output.close(LIMIT_S)
    assert [type(error) for error in stopped] == [BrokenPipeError]
    assert announced.lines == [], "there is no reader for a report either"


def test_a_full_disk_ends_the_lines_alone(make: Make, announced: Announcements, stopped: list[BaseException]) -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:  # noqa: PTH123  # a device
        output = make(full)
        output.prediction(numbered_prediction(1), LIT_AT)
        announced.wait_for("standard output: cannot be written (No space left on device)")
        output.close(LIMIT_S)
    assert stopped == []


def test_a_process_without_standard_output_writes_nothing(make: Make, announced: Announcements) -> None:
    output = make(None)
    output.prediction(numbered_prediction(1), LIT_AT)
    output.close(LIMIT_S)
    assert announced.lines == []


def test_characters_that_the_encoding_lacks_are_replaced(make: Make) -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as lines, io.TextIOWrapper(os.fdopen(writer, "wb"), "ascii", "replace") as stream:
        output = make(stream)
        output.prediction(numbered_prediction(1, "\u00e9"), LIT_AT)
        assert json.loads(lines.readline())["text"] == "?"
        output.close(LIMIT_S)
