import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from rich.console import Console
from typer.testing import CliRunner

from device.audio.audio_file import Recording
from device.errors import TrainingError
from device.recognition.transcriber import Transcriber
from edge_mcnn.main import app
from tests.conftest import CLIPS
from tests.training.conftest import printed
from tests.waiting import wait_until
from training.data.clip_table import read_clip_table
from training.data.clips import Clip
from training.data.corpus import Corpus, open_corpus
from training.data.reading.audio import read_audio
from training.data.transcripts import transcription
from training.data.transcripts.transcription import Journal, transcribe, transcribe_recording

pytestmark = pytest.mark.slow


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """Ten recordings, one of them broken, one of them in two rows, and a row without audio."""
    clips = []
    for number in range(10):
        path = tmp_path / "clips" / f"{number}.wav"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, np.full(1000, 0.01 * number), 16_000)
        clips.append(Clip(path, "" if number % 2 else f"Text, {number}", "ab"[number % 2], "train"))
    (tmp_path / "clips" / "4.wav").write_text("broken")
    return Corpus("corpus", (*clips, Clip(clips[3].audio, "again", "a", "validation"), Clip(None, "Read", "b", "test")))


@pytest.fixture
def transcribed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the transcribed recordings; a fake model returns the file's name as transcript."""
    names: list[str] = []

    def fake(recording: Path, _transcriber: Transcriber) -> str:
        read_audio(recording)
        names.append(recording.name)
        return f"word {recording.stem}"

    monkeypatch.setattr(transcription, "transcribe_recording", fake)
    monkeypatch.setattr(transcription, "Transcriber", lambda *_: None)
    monkeypatch.setattr(
        "training.data.transcripts.transcription.find_speech_model", lambda *_, **__: Path("/models/small")
    )
    return names


def texts(table: Path) -> list[tuple[str, str | None]]:
    return [(clip.text, clip.transcript) for clip in read_clip_table(table)[0]]


EXPECTED = [
    ("Text, 0", "word 0"), ("", "word 1"), ("Text, 2", "word 2"), ("", "word 3"), ("", "word 5"), ("Text, 6", "word 6"),
    ("", "word 7"), ("Text, 8", "word 8"), ("", "word 9"), ("again", "word 3"), ("Read", None),
]  # fmt: skip


def test_adds_transcripts(corpus: Corpus, transcribed: list[str], tmp_path: Path, console: Console) -> None:
    table = tmp_path / "my t.csv"
    result = transcribe(corpus, table, console)
    assert texts(table) == EXPECTED == [(clip.text, clip.transcript) for clip in result.clips]
    assert sorted(transcribed) == sorted(f"{number}.wav" for number in range(10) if number != 4)
    output = printed(console)
    assert "4.wav: not a readable recording" in output
    assert "1 of 10 recordings skipped" in output
    assert f"11 clips; next: edge-mcnn train '{table}' --text vosk" in output


def test_no_recording_is_readable(corpus: Corpus, transcribed: list[str], tmp_path: Path, console: Console) -> None:
    unreadable = tuple(clip for clip in corpus.clips if clip.audio is not None and clip.audio.name == "4.wav")
    with pytest.raises(TrainingError, match=r"none of the 1 recordings is readable; the first is .*4\.wav"):
        transcribe(replace(corpus, clips=unreadable), tmp_path / "t.csv", console)
    assert transcribed == []
    assert not (tmp_path / "t.csv").exists()


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_continues_after_an_interruption(
    error: type[BaseException] | BaseException,
    corpus: Corpus,
    transcribed: list[str],
    tmp_path: Path,
    console: Console,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    line = Journal._line

    def interrupted(self: Journal, key: str, text: str) -> str:
        if text == "word 6":
            raise error
        return line(self, key, text)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "_line", interrupted)
        with pytest.raises((KeyboardInterrupt, TrainingError), match=r"^$|free some space and run it again"):
            transcribe(corpus, tmp_path / "t.csv", console)
    assert not (tmp_path / "t.csv").exists()
    with (tmp_path / "t.csv.transcripts.jsonl").open("a") as stream:
        stream.write('{"recording": "torn')  # as a power failure leaves it
    transcribed.clear()
    transcribe(corpus, tmp_path / "t.csv", console)
    assert sorted(transcribed) == ["6.wav", "7.wav", "8.wav", "9.wav"]
    assert texts(tmp_path / "t.csv") == EXPECTED
    assert "5 of 10 recordings were transcribed before" in printed(console)


def test_journal_of_version_0_1_is_used(
    corpus: Corpus, transcribed: list[str], tmp_path: Path, console: Console
) -> None:
    transcribe(corpus, tmp_path / "t.csv", console)
    (tmp_path / "t.csv.transcripts.jsonl").rename(tmp_path / "t.csv.heard.jsonl")
    transcribed.clear()
    transcribe(corpus, tmp_path / "t.csv", console)
    assert transcribed == []
    assert texts(tmp_path / "t.csv") == EXPECTED
    assert [path.name for path in tmp_path.glob("*.jsonl")] == ["t.csv.transcripts.jsonl"]


def test_changed_recordings_and_models_are_transcribed_again(
    corpus: Corpus, transcribed: list[str], tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    transcribe(corpus, tmp_path / "t.csv", console)
    soundfile.write(tmp_path / "clips" / "2.wav", np.zeros(2000), 16_000)
    transcribed.clear()
    transcribe(corpus, tmp_path / "t.csv", console)
    assert transcribed == ["2.wav"]
    monkeypatch.setattr(
        "training.data.transcripts.transcription.find_speech_model", lambda *_, **__: Path("/models/large")
    )
    transcribed.clear()
    transcribe(corpus, tmp_path / "t.csv", console)
    assert len(transcribed) == 9
    for line in (tmp_path / "t.csv.transcripts.jsonl").read_text().splitlines():
        assert json.loads(line)["by"] == "large 0.7"


def test_corpus_without_audio_is_refused(transcribed: list[str], tmp_path: Path, console: Console) -> None:
    with pytest.raises(TrainingError, match="no clip has a recording, so there is nothing to transcribe"):
        transcribe(Corpus("c", (Clip(None, "x", "a", "train"),)), tmp_path / "t.csv", console)
    assert transcribed == []


def test_unusable_output_is_refused(corpus: Corpus, transcribed: list[str], tmp_path: Path, console: Console) -> None:
    (tmp_path / "file").touch()
    for output, expected in ((tmp_path, "is a folder"), (tmp_path / "file" / "t.csv", "nothing can be written there")):
        with pytest.raises(TrainingError, match=expected):
            transcribe(corpus, output, console)
    with pytest.raises(TrainingError, match="is the corpus itself and would be overwritten"):
        transcribe(Corpus(str(tmp_path / "t.csv"), corpus.clips), tmp_path / "clips" / ".." / "t.csv", console)
    assert transcribed == []
    transcribe(corpus, tmp_path / "new" / "t.csv", console)
    assert (tmp_path / "new" / "t.csv").exists()


CHILD = """
import resource, sys, time
from pathlib import Path
import training.data.transcripts.transcription as module
from edge_mcnn.main import main

module.transcribe_recording = lambda recording, _: time.sleep(0.02) or f"word {recording.stem}"
module.Transcriber = lambda *_: None
module.find_speech_model = lambda *_, **__: Path("/models/small")
limit = int(sys.argv.pop(1))
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
main()
"""
"""The command with a fake model in a separate process, where files beyond a number of bytes cannot be written."""


def has_lines(file: Path, count: int, process: subprocess.Popen[bytes]) -> bool:
    """Whether a running process has written so many lines."""
    assert process.poll() is None
    return file.exists() and len(file.read_bytes().splitlines()) >= count


@pytest.mark.parametrize("stopped_by", ["kill -9", "full disk"])
def test_stopped_process_continues(stopped_by: str, tmp_path: Path) -> None:
    for number in range(120):
        path = tmp_path / "classes" / "ab"[number % 2] / f"{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    def command(limit: int, output: str) -> list[str]:
        options = ["transcribe", str(tmp_path / "classes"), "-o", str(tmp_path / output)]
        return [sys.executable, "-c", CHILD, str(limit), *options]

    journal = tmp_path / "t.csv.transcripts.jsonl"
    if stopped_by == "kill -9":
        process = subprocess.Popen(command(0, "t.csv"), stdout=subprocess.DEVNULL)
        wait_until(lambda: has_lines(journal, 5, process), limit_s=60, message=f"{journal} has fewer than five lines")
        process.kill()
        assert process.wait(timeout=60) == -signal.SIGKILL
    else:
        full = subprocess.run(command(3000, "t.csv"), capture_output=True, text=True, check=False, timeout=60)
        assert full.returncode == 1
        assert full.stderr == (
            f"edge-mcnn: {journal}: cannot be written (File too large)\n"
            "  fix: free some space and run it again; finished transcripts are not repeated\n"
        )
    assert not (tmp_path / "t.csv").exists()
    written = len(journal.read_bytes().splitlines())
    assert 5 <= written < 120
    output = subprocess.run(command(0, "t.csv"), capture_output=True, text=True, check=True, timeout=60).stdout
    reused = int(output.partition(" of 120 recordings were transcribed before")[0].rpartition("\n")[2])
    assert written - 1 <= reused <= written  # the last line may be torn
    subprocess.run(command(0, "uninterrupted.csv"), capture_output=True, check=True, timeout=60)
    assert (tmp_path / "t.csv").read_bytes() == (tmp_path / "uninterrupted.csv").read_bytes()
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_transcripts_equal_those_of_the_device(speech_model: Path) -> None:
    """The independent source is the device's own path of a recording, frame by frame, with the real Vosk."""
    transcriber = Transcriber(speech_model, 0.7)
    path = sorted(CLIPS.glob("*.flac"))[0]
    transcription = transcriber.begin()
    for frame in Recording(path).frames():
        transcription.feed(frame.samples)
    on_device = transcription.text()
    assert transcribe_recording(path, transcriber) == on_device != ""


def test_command(speech_model: Path, tmp_path: Path) -> None:
    for label, path in zip("ab", sorted(CLIPS.glob("*.flac")), strict=False):
        (tmp_path / "classes" / label).mkdir(parents=True)
        (tmp_path / "classes" / label / path.name).symlink_to(path)
    result = CliRunner().invoke(app, ["transcribe", str(tmp_path / "classes"), "-o", str(tmp_path / "t.csv")])
    assert result.exit_code == 0, result.output
    corpus = open_corpus(tmp_path / "t.csv")
    assert len(corpus.clips) == 2
    assert all(clip.transcript for clip in corpus.clips)
