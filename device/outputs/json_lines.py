"""Predictions as lines, one each: JSON for other programs, or plain text for a log."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TextIO

from device.audio.liveness import Liveness
from device.events import Prediction, Preview, Probabilities, most_probable
from device.outputs.outbox import Outbox
from device.system.display import as_json, displayable

Table = Mapping[str, Any]
"""The JSON object of a prediction, as `as_table` makes it."""

NO_WORDS = "(no words; classified by the audio alone)"
LOW_CONFIDENCE_TEXT = "low confidence"
"""What people read; the value for programs is `device.daemon.status.LOW_CONFIDENCE_LABEL`."""
_NAME = "standard output"
_BOUND = 1000


def as_table(prediction: Prediction, lit_at: float) -> dict[str, Any]:
    """The JSON object for a prediction.

    Args:
        prediction: the prediction.
        lit_at: `time.monotonic()` when its light was on.
    """
    return {
        "time": prediction.time.isoformat(timespec="milliseconds"),
        "label": prediction.label,
        "probabilities": _rounded(prediction.probabilities),
        "raw_probabilities": None if prediction.raw_probabilities is None else _rounded(prediction.raw_probabilities),
        "audio_only": _modality(prediction.audio_only),
        "text_only": _modality(prediction.text_only),
        "adapted": prediction.adapted,
        "confident": prediction.confident,
        "light": prediction.light,
        "text": prediction.text,
        "start_s": round(prediction.utterance.start_s, 3),
        "seconds": round(prediction.utterance.end_s - prediction.utterance.start_s, 3),
        "ending": prediction.utterance.ending,
        "ms_speech_to_light": round(prediction.ms_since_speech(lit_at), 1),
        "ms_endpoint_to_light": round(prediction.ms_since_endpoint(lit_at), 1),
    }


def preview_table(preview: Preview) -> dict[str, Any]:
    """The JSON object for an utterance that goes on, with the keys of `as_table` that are known by then."""
    return {
        "label": preview.label,
        "probabilities": _rounded(preview.probabilities),
        "light": preview.light,
        "text": preview.text,
        "start_s": round(preview.start_s, 3),
        "seconds": round(preview.end_s - preview.start_s, 3),
    }


def _rounded(probabilities: Probabilities) -> dict[str, float]:
    return {label: round(value, 4) for label, value in probabilities.items()}


def _modality(probabilities: Probabilities | None) -> dict[str, Any] | None:
    if probabilities is None:
        return None
    return {"label": most_probable(probabilities), "probabilities": _rounded(probabilities)}


def without_words(table: Table) -> Table:
    """The same object without the words that were spoken."""
    return {name: value for name, value in table.items() if name != "text"}


def as_line(table: Table, *, ascii_only: bool = False) -> str:
    """The object as one line of JSON, in ASCII alone if the reader's encoding requires it."""
    return as_json(dict(table), ascii_only=ascii_only)


def as_plain_line(table: Table, *, words: bool) -> str:
    """The object as a line for people.

    Args:
        table: the object, as `as_table` makes it.
        words: whether the line quotes the words that were spoken; that there were none is always in it.
    """
    doubt = "" if table["confident"] else f"  {LOW_CONFIDENCE_TEXT}"
    quoted = f"  \u201c{table['text']}\u201d" if words and table["text"] else "" if table["text"] else f"  {NO_WORDS}"
    label = table["label"]
    return displayable(f"{table['time'][11:19]}  {label:10}{table['probabilities'][label]:4.0%}{doubt}{quoted}")


class LineOutput:
    """Writes a line for each prediction to standard output.

    A program that reads the lines slowly, or not at all, delays nothing: the lines wait in an outbox.

    Args:
        as_line: formats the JSON object of a prediction, without the end of the line.
        announce: prints a line about what goes wrong.
        stop: ends the program with an error, from any thread: when the reader has gone, there is no reason to go on.
        stream: standard output; None if the process has none.
        partial: whether there are also lines for an utterance that goes on, each with `final`.
    """

    name = _NAME

    def __init__(
        self,
        as_line: Callable[[Table], str],
        announce: Callable[[str], None],
        stop: Callable[[BaseException], None],
        stream: TextIO | None,
        *,
        partial: bool = False,
    ) -> None:
        self.previewed = partial
        """Whether previews are written, too; see `Previewer.previewed`."""
        self._as_line = as_line
        self._announce = announce
        self._stop = stop
        self._stream = stream
        self._descriptor: int | None = None
        self._broken = False
        self._outbox: Outbox[Table] = Outbox(_NAME, self._write, announce, bound=_BOUND)

    def open(self, labels: Sequence[str]) -> None:
        """Start to write; see `Output.open`."""
        del labels  # a line is the same for any model
        if self._stream is not None:
            # Its own descriptor and no buffer: at the end of the process Python waits for the lock of `sys.stdout`,
            # which a reader that does not read would turn into a process that never ends.
            self._descriptor = os.dup(self._stream.fileno())
            self._outbox.open()

    def prediction(self, prediction: Prediction, lit_at: float) -> None:
        """Queue the line; see `Output.prediction`."""
        table = as_table(prediction, lit_at)
        self._put({"final": True, **table} if self.previewed else table, passing=False)

    def preview(self, preview: Preview) -> None:
        """Queue a line about an utterance that goes on; see `Previewer.preview`."""
        self._put({"final": False, **preview_table(preview)}, passing=True)

    def microphone(self, liveness: Liveness) -> None:
        """Do nothing: the lines are predictions only."""

    def close(self, limit_s: float) -> None:
        """Write the waiting lines; see `Output.close`."""
        if self._broken:
            self._outbox.clear()  # why no line can be written has been reported
        if self._outbox.close(limit_s) and self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)

    def _put(self, table: Table, *, passing: bool) -> None:
        if self._stream is not None and not self._broken:
            self._outbox.put(table, passing=passing)

    def _write(self, table: Table) -> bool:
        if self._stream is None or self._descriptor is None:
            return False
        line = f"{self._as_line(table)}\n".encode(self._stream.encoding, self._stream.errors or "strict")
        try:
            while line:
                line = line[os.write(self._descriptor, line) :]
        except BrokenPipeError as error:
            self._broken = True
            self._stop(error)
            return False
        except OSError as error:
            self._broken = True
            self._announce(f"{_NAME}: cannot be written ({error.strerror}); no more lines follow")
            return False
        return True
