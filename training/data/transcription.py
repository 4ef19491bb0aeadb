"""What Vosk hears in the clips of a corpus, so that a network can be trained on the words that the device will read.

Model, settings and frames are the device's own. What was heard goes into a journal beside the table, a line per
recording, so that hours of work outlive Ctrl-C and need not be done again when clips are added.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress

from device.audio.framer import Framer
from device.errors import AudioError, TrainingError
from device.recognition.speech_model import fetch as speech_model
from device.recognition.transcriber import Transcriber
from device.settings.schema import Settings
from device.system.atomic_write import atomic_write, require_writable
from training.data.audio_reading import read_audio
from training.data.clip_table import write_clip_table
from training.data.clips import Skipped, report_skipped
from training.data.corpus import Corpus
from training.parallel import on_all_cores


def transcribe(corpus: Corpus, output: Path, console: Console) -> Corpus:
    """Write a table of the corpus with the column `text_vosk`; returns the corpus with the words heard.

    A clip is one utterance, so all of it is heard; the pauses at its edges say nothing to Vosk. Clips whose recording
    cannot be read are left out of the table, and listed.

    Args:
        corpus: clips with sound, without, or both.
        output: the table, in a folder that is made if missing. `OUTPUT.transcripts.jsonl`, the journal, is written
            beside it and may be kept or deleted.
        console: where progress is shown.

    Raises:
        TrainingError: there is no sound at all, nothing can be written there, or the disk is full; what was heard so
            far is in the journal.
        SpeechModelError: the speech model cannot be found or fetched.
    """
    _check_output(output, corpus)
    recordings = list(dict.fromkeys(clip.audio for clip in corpus.clips if clip.audio is not None))
    if not recordings:
        raise TrainingError(f"{corpus.name}: no clip has a recording, so there is nothing to transcribe")
    settings = Settings().transcriber
    configured = Path(settings.speech_model).expanduser() if settings.speech_model else None
    found = speech_model.find(configured, announce=lambda line: console.print(line, markup=False))
    journal = Journal(
        output.with_name(f"{output.name}.transcripts.jsonl"), f"{found.name} {settings.lone_word_confidence:g}"
    )
    before = journal.read()
    keys = {recording: journal_key(recording) for recording in recordings}
    missing = [recording for recording in recordings if keys[recording] not in before]
    if len(missing) < len(recordings):
        console.print(f"{len(recordings) - len(missing)} of {len(recordings)} recordings were transcribed before")

    skipped: list[Skipped] = []
    if missing:
        transcriber = Transcriber(found, settings.lone_word_confidence)

        def one(recording: Path) -> str | AudioError:
            try:
                return transcribe_recording(recording, transcriber)
            except AudioError as error:
                return error

        with (
            journal.writing(before) as note,
            Progress(console=console) as progress,
            on_all_cores(one, missing) as results,
        ):
            # Not progress.track: what it leaves open after an error is closed at the exit of Python 3.13, and hangs it.
            task = progress.add_task("transcribing", total=len(missing))
            for recording, result in zip(missing, results, strict=True):
                if isinstance(result, AudioError):
                    skipped.append(Skipped(recording, str(result).removeprefix(f"{recording}: ")))
                else:
                    note(keys[recording], result)
                progress.advance(task)
    report_skipped(skipped, len(recordings), console)
    heard = journal.read()
    left_out = {each.recording for each in skipped}
    clips = tuple(
        clip if clip.audio is None else replace(clip, transcript=heard[keys[clip.audio]])
        for clip in corpus.clips
        if clip.audio not in left_out
    )
    write_clip_table(output, clips)
    console.print(
        f"{output}: {len(clips)} clips; next: edge-mcnn train {output} --text vosk", markup=False, soft_wrap=True
    )
    return replace(corpus, clips=clips)


def _check_output(output: Path, corpus: Corpus) -> None:
    """See that the table can be written there, before hours are spent on it."""
    if output.resolve() == Path(corpus.name).resolve():
        raise TrainingError(f"{output}: is the corpus itself and would be overwritten; choose another name with -o")
    if output.is_dir():
        raise TrainingError(f"{output}: is a folder; name the table to write, such as {output / 'transcripts.csv'}")
    require_writable(output.parent, output)


def transcribe_recording(recording: Path, transcriber: Transcriber) -> str:
    """The words of one recording, lower case, empty if there are none; sound reaches Vosk in the device's own frames.

    Raises:
        AudioError: see `read_audio`.
    """
    samples, rate = read_audio(recording)
    transcription = transcriber.begin()
    for frame in Framer(rate).push(samples[:, np.newaxis], last=True):
        transcription.feed(frame.samples)
    return transcription.text()


def journal_key(recording: Path) -> str:
    """The recording as the journal knows it: place, size and time."""
    found = recording.stat()
    return f"{recording.resolve()} {found.st_size} {found.st_mtime_ns}"


Note = Callable[[str, str], None]
"""Keeps the words of a recording under its key."""


class Journal:
    """What was heard so far, a JSON object per line; what another model heard, or in a changed file, does not count.

    Args:
        path: the file; it need not exist.
        heard_by: name of the speech model and of all else that decides what is heard.
    """

    def __init__(self, path: Path, heard_by: str) -> None:
        self.path = path
        self._heard_by = heard_by

    def read(self) -> dict[str, str]:
        """The words by key; lines that are torn or not ours are passed over.

        Raises:
            TrainingError: the file is there and cannot be read.
        """
        try:
            lines = self.path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return {}
        except (OSError, UnicodeDecodeError) as error:
            raise TrainingError(f"{self.path}: cannot be read ({error}); delete it to transcribe anew") from None
        return dict(self._words(lines))

    def _words(self, lines: Iterable[str]) -> Iterator[tuple[str, str]]:
        for line in lines:
            try:
                entry = json.loads(line)
                if entry["by"] == self._heard_by:
                    yield str(entry["recording"]), str(entry["text"])
            except (ValueError, LookupError, TypeError):
                continue

    @contextmanager
    def writing(self, before: dict[str, str]) -> Iterator[Note]:
        """Write what is known so far, and then line by line what is noted.

        Raises:
            TrainingError: the disk is full or cannot be written to.
        """
        try:
            # Anew and whole: a line that was torn when the power went would swallow the one appended to it.
            with atomic_write(self.path) as whole:
                whole.writelines(self._line(key, text).encode() for key, text in before.items())
            with self.path.open("a", encoding="utf-8", buffering=1) as stream:
                yield lambda key, text: print(self._line(key, text), end="", file=stream)
        except OSError as error:
            raise TrainingError(
                f"{self.path}: cannot be written ({error.strerror}); free some space and run it again, what is done "
                "is kept"
            ) from None

    def _line(self, key: str, text: str) -> str:
        return json.dumps({"recording": key, "text": text, "by": self._heard_by}) + "\n"
