"""Transcribes the clips of a corpus with Vosk, so that a network can be trained on the words that the device will read.

Model, settings and frames are the device's own. Transcripts go into a journal beside the table, a line per recording,
so that hours of work survive Ctrl-C and need not be repeated when clips are added.
"""

import json
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress

from device.audio.framer import Framer
from device.errors import AudioError, TrainingError
from device.recognition.speech_model.fetch import find_speech_model
from device.recognition.transcriber import Transcriber
from device.settings.schema import Settings
from device.system.atomic_write import atomic_write, require_writable
from device.system.display import shell_quoted
from device.system.paths import expanded, explain
from training.dask_cluster import DaskCluster
from training.data.clip_table import write_clip_table
from training.data.clips import Skipped, report_skipped, require_readable
from training.data.corpus import Corpus
from training.data.reading.audio import read_audio
from training.parallel import on_all_cores

_JOURNAL_SUFFIXES = (".transcripts.jsonl", ".heard.jsonl")
"""What the journal's name adds to that of the table, and what it added in version 0.1."""


def transcribe(corpus: Corpus, output: Path, console: Console, cluster: DaskCluster | None = None) -> Corpus:
    """Write a table of the corpus with the column `text_vosk`, and return the corpus with the transcripts.

    A clip is one utterance, so all of it is transcribed; the pauses at its edges add no words. Clips whose recording
    cannot be read are left out of the table, and listed.

    Args:
        corpus: clips with audio, without, or both.
        output: path of the table, in a folder that is made if missing. The journal `OUTPUT.transcripts.jsonl` is
            written beside it and may be left there or deleted.
        console: console for progress.
        cluster: machines that transcribe; None transcribes here. The journal is written here.

    Raises:
        TrainingError: there is no audio at all, or none that can be read, the folder cannot be written to, the disk is
            full, or the cluster is lost; the transcripts made so far are in the journal.
        SpeechModelError: the speech model cannot be found or fetched.
    """
    _check_output(output, corpus)
    recordings = list(dict.fromkeys(clip.audio for clip in corpus.clips if clip.audio is not None))
    if not recordings:
        raise TrainingError(
            f"{corpus.name}: no clip has a recording, so there is nothing to transcribe", fix="fill the column audio"
        )
    settings = Settings().transcriber
    configured = expanded(settings.speech_model) if settings.speech_model else None
    model = find_speech_model(configured, announce=lambda line: console.print(line))
    journal = Journal(_journal_path(output), f"{model.name} {settings.lone_word_confidence:g}")
    before = journal.read()
    skipped: list[Skipped] = []
    keys: dict[Path, str] = {}
    for recording in recordings:
        try:
            keys[recording] = journal_key(recording)
        except OSError as error:
            skipped.append(Skipped(recording, explain(error, recording).message))
    missing = [recording for recording, key in keys.items() if key not in before]
    if len(missing) < len(keys):
        console.print(f"{len(keys) - len(missing)} of {len(recordings)} recordings were transcribed before")

    if missing and cluster is not None:
        compute = partial(_transcript_of, model_name=model.name, lone_word_confidence=settings.lone_word_confidence)
        with journal.writing(before) as append, Progress(console=console) as progress:
            task = progress.add_task("transcribing on the cluster", total=len(missing))
            for recording, text in cluster.results(compute, missing):
                if text is not None:
                    append(keys[recording], text)
                progress.advance(task)
        before = journal.read()
        missing = [recording for recording in missing if keys[recording] not in before]

    if missing:
        transcriber = Transcriber(model, settings.lone_word_confidence)

        def attempt(recording: Path) -> str | AudioError:
            try:
                return transcribe_recording(recording, transcriber)
            except AudioError as error:
                return error

        with (
            journal.writing(before) as append,
            Progress(console=console) as progress,
            on_all_cores(attempt, missing) as results,
        ):
            # Not progress.track: it leaves a generator open after an error, which hangs the exit of Python 3.13.
            task = progress.add_task("transcribing", total=len(missing))
            for recording, result in zip(missing, results, strict=True):
                if isinstance(result, AudioError):
                    skipped.append(Skipped.because(recording, result))
                else:
                    append(keys[recording], result)
                progress.advance(task)
    report_skipped(skipped, len(recordings), console)
    require_readable(skipped, len(recordings))
    transcripts = journal.read()
    left_out = {each.recording for each in skipped}
    clips = tuple(
        clip if clip.audio is None else replace(clip, transcript=transcripts[keys[clip.audio]])
        for clip in corpus.clips
        if clip.audio not in left_out
    )
    write_clip_table(output, clips)
    console.print(
        f"{output}: {len(clips)} clips; next: edge-mcnn train {shell_quoted(output)} --text vosk", soft_wrap=True
    )
    return replace(corpus, clips=clips)


def _check_output(output: Path, corpus: Corpus) -> None:
    """Check that the table can be written there, before hours are spent on it."""
    if output.resolve() == Path(corpus.name).resolve():
        raise TrainingError(
            f"{output}: is the corpus itself and would be overwritten", fix="choose another name with --output"
        )
    if output.is_dir():
        raise TrainingError(
            f"{output}: is a folder", fix=f"name the table to write, such as {output / 'transcripts.csv'}"
        )
    require_writable(output.parent, output)


def _journal_path(output: Path) -> Path:
    """Return the path of the journal; one with the name of version 0.1 is renamed, so that its work is not lost."""
    path, former = (output.with_name(output.name + suffix) for suffix in _JOURNAL_SUFFIXES)
    if former.is_file() and not path.exists():
        former.rename(path)
    return path


def transcribe_recording(recording: Path, transcriber: Transcriber) -> str:
    """Return the words of one recording, lower case, empty if there are none; Vosk receives it in the device's frames.

    Raises:
        AudioError: `read_audio` raises it.
    """
    samples, rate = read_audio(recording)
    transcription = transcriber.begin()
    for frame in Framer(rate).push(samples[:, np.newaxis], last=True):
        transcription.feed(frame.samples)
    return transcription.text()


def _transcript_of(recording: Path, model_name: str, lone_word_confidence: float) -> str:
    """Transcribe a recording on a worker of a cluster, with its own copy of the speech model.

    Raises:
        AudioError: `read_audio` raises it.
        SpeechModelError: the model cannot be found, fetched or loaded.
        TrainingError: the worker has another model.
    """
    with _LOADING:
        transcriber = _transcriber(model_name, lone_word_confidence)
    return transcribe_recording(recording, transcriber)


_LOADING = threading.Lock()
"""The threads of a worker load the model once."""


@cache
def _transcriber(model_name: str, lone_word_confidence: float) -> Transcriber:
    model = find_speech_model(announce=lambda _line: None)
    if model.name != model_name:
        raise TrainingError(
            f"the speech model is {model.name}, not {model_name}",
            fix="install the same version of edge-mcnn on all of them",
        )
    return Transcriber(model, lone_word_confidence)


def journal_key(recording: Path) -> str:
    """Return the key of a recording in the journal: its path, size and modification time."""
    found = recording.stat()
    return f"{recording.resolve()} {found.st_size} {found.st_mtime_ns}"


Append = Callable[[str, str], None]
"""Appends a transcript to the journal; called with the recording's key and the words."""


class Journal:
    """The transcripts made so far, a JSON object per line.

    Entries of another model, or of a recording that has changed since, are ignored.

    Args:
        path: path of the file, which need not exist.
        made_by: name of the speech model and of everything else that determines a transcript.
    """

    def __init__(self, path: Path, made_by: str) -> None:
        self.path = path
        self._made_by = made_by

    def read(self) -> dict[str, str]:
        """Return the transcripts by key; lines that are torn or have another format are ignored.

        Raises:
            TrainingError: the file exists and cannot be read.
        """
        try:
            lines = self.path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return {}
        except (OSError, UnicodeDecodeError) as error:
            raise TrainingError(
                f"{self.path}: cannot be read ({error})", fix="delete it to transcribe everything again"
            ) from None
        return dict(self._transcripts(lines))

    def _transcripts(self, lines: Iterable[str]) -> Iterator[tuple[str, str]]:
        for line in lines:
            try:
                entry = json.loads(line)
                if entry["by"] == self._made_by:
                    yield str(entry["recording"]), str(entry["text"])
            except (ValueError, LookupError, TypeError):
                continue

    @contextmanager
    def writing(self, before: dict[str, str]) -> Iterator[Append]:
        """Write the known transcripts, and then line by line those that are appended.

        Raises:
            TrainingError: the disk is full or the file cannot be written.
        """
        try:
            # A new file: a line that was torn by a power failure would corrupt the one appended to it.
            with atomic_write(self.path) as complete:
                complete.writelines(self._line(key, text).encode() for key, text in before.items())
            with self.path.open("a", encoding="utf-8", buffering=1) as stream:

                def append(key: str, text: str) -> None:
                    stream.write(self._line(key, text))

                yield append
        except OSError as error:
            raise TrainingError(
                f"{self.path}: cannot be written ({error.strerror})",
                fix="free some space and run it again; finished transcripts are not repeated",
            ) from None

    def _line(self, key: str, text: str) -> str:
        return json.dumps({"recording": key, "text": text, "by": self._made_by}) + "\n"
