"""`edge-mcnn record` with a virtual microphone, PortAudio, Vosk, and a terminal with simulated key presses."""

import codecs
import contextlib
import csv
import os
import pty
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile

from device.daemon.status import read_status
from tests.conftest import CLIPS
from tests.system.listen_process import ListenProcess
from tests.system.virtual_microphone import NAME, VirtualMicrophone, missing_programs, plugged_in
from tests.waiting import wait_until

REPOSITORY = Path(__file__).parents[2]
READING, READING_WORDS = CLIPS / "austen-0930.flac", "he might even have been made amiable himself"
OTHER, OTHER_WORDS = CLIPS / "espeak-ruined.flac", "leave me alone"  # the others depend on the alignment of the frames
LIMIT_S = 60

pytestmark = pytest.mark.skipif(
    bool(missing_programs()), reason=f"no virtual microphone: {', '.join(missing_programs())} missing; see `make test`"
)


@pytest.fixture
def microphone() -> Iterator[VirtualMicrophone]:
    with plugged_in(rate=48_000, channels=2, strict=True) as microphone:
        yield microphone


class Recording:
    """A running `edge-mcnn record` and its output; in a pseudo-terminal if keys will be pressed."""

    command = "record"

    def __init__(self, microphone: VirtualMicrophone, *arguments: str | Path, terminal: bool) -> None:
        self._ours, child = pty.openpty() if terminal else os.pipe()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "edge_mcnn", self.command, *arguments],
            cwd=REPOSITORY, stdin=child if terminal else subprocess.DEVNULL, stdout=child, stderr=child,
            env={**os.environ, **microphone.environment, "TERM": "xterm", "COLUMNS": "200"},
        )  # fmt: skip
        os.close(child)
        self._lines: queue.Queue[str] = queue.Queue()
        self.shown: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        partial = ""
        with contextlib.suppress(OSError):  # a pseudo-terminal reports in this way that its process has closed it
            while data := os.read(self._ours, 4096):
                *complete, partial = re.split(r"[\r\n]+", partial + decoder.decode(data))
                for line in complete:
                    self._show(line)
                if partial.endswith("[Y/n] "):  # a question, whose line ends with the reply
                    self._show(partial)
                    partial = ""
        self._show(partial)
        self._lines.put("the end")

    def _show(self, line: str) -> None:
        if line := re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line).strip():
            self.shown.append(line)
            self._lines.put(line)

    def wait_for(self, part: str) -> None:
        end = time.monotonic() + LIMIT_S  # of all lines together: the meter is drawn again and again
        while part not in (line := self._lines.get(timeout=LIMIT_S)):
            assert line != "the end", self.shown
            assert time.monotonic() < end, f"no {part!r} within {LIMIT_S} s in:\n{self.shown}"

    def press(self, key: str) -> None:
        os.write(self._ours, key.encode())

    def end(self) -> int:
        """Wait until the process has ended, and return its exit status."""
        status = self.process.wait(LIMIT_S)
        self._reader.join(5)
        return status

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join(5)
        os.close(self._ours)


def rows(folder: Path) -> list[tuple[str, ...]]:
    """The rows of the clip table, with only the end of each text."""
    with (folder / "clips.csv").open(encoding="utf-8", newline="") as stream:
        return [
            (row["audio"], row["text"][-len(OTHER_WORDS) :], row["label"], row["split"], row["speaker"])
            for row in csv.DictReader(stream)
        ]


def test_without_a_terminal_each_clip_is_saved(
    microphone: VirtualMicrophone, speech_model: Path, tmp_path: Path
) -> None:
    assert speech_model.exists()
    data = tmp_path / "data"
    recording = Recording(
        microphone, data, "--classes", "calm,angry", "--clips", "1", "--speaker", "Ann", "-m", NAME[:4], terminal=False
    )
    try:
        recording.wait_for("Say something calm (1 of 1)")
        microphone.play(READING)
        recording.wait_for("Say something angry (1 of 1)")
        microphone.unplug()
        recording.wait_for("microphone lost, waiting for it")
        microphone.plug()
        recording.wait_for("Say something angry (1 of 1)")
        microphone.play(OTHER)
        assert recording.end() == 0, recording.shown
    finally:
        recording.close()
    assert "are written to disk" in recording.shown[0]
    assert f"{data}: 1 calm, 1 angry" in recording.shown
    assert rows(data) == [
        ("calm/0001.flac", READING_WORDS[-len(OTHER_WORDS) :], "calm", "", "Ann"),
        ("angry/0001.flac", OTHER_WORDS, "angry", "", "Ann"),
    ]
    info = soundfile.info(data / "calm/0001.flac")
    assert (info.samplerate, info.channels, info.subtype) == (16_000, 1, "PCM_16")
    # An utterance contains the pause at its end and some audio before the first word, and nothing else.
    assert soundfile.info(READING).duration <= info.duration <= soundfile.info(READING).duration + 1.2


def test_in_a_terminal_each_clip_is_confirmed_by_a_key(
    microphone: VirtualMicrophone, speech_model: Path, tmp_path: Path
) -> None:
    assert speech_model.exists()
    data = tmp_path / "data"
    recording = Recording(microphone, data, "--classes", "calm,angry", "--clips", "2", terminal=True)
    try:
        recording.wait_for("Say something calm (1 of 2)")
        recording.wait_for("speak when you are ready")
        microphone.play(OTHER)
        recording.wait_for(OTHER_WORDS)
        recording.wait_for("Enter: save")
        assert not list(data.rglob("*.flac")), "nothing is written before it is saved"
        recording.press("r")
        recording.wait_for("speak when you are ready")
        microphone.play(READING)
        recording.wait_for(READING_WORDS)
        recording.press("\r")
        recording.wait_for("Say something calm (2 of 2)")
        recording.press("n")
        recording.wait_for("Say something angry (1 of 2)")
        recording.wait_for("speak when you are ready")
        microphone.play(OTHER)
        recording.wait_for("recording")
        recording.wait_for(OTHER_WORDS)
        recording.press("\n")
        recording.wait_for("saved as angry/0001.flac")
        recording.process.send_signal(signal.SIGINT)
        assert recording.end() == 0, recording.shown
    finally:
        recording.close()
    assert rows(data) == [
        ("calm/0001.flac", READING_WORDS[-len(OTHER_WORDS) :], "calm", "", ""),
        ("angry/0001.flac", OTHER_WORDS, "angry", "", ""),
    ]
    assert f"{data}: 1 calm, 1 angry" in recording.shown


def test_a_running_daemon_does_not_listen_meanwhile(
    microphone: VirtualMicrophone, speech_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert speech_model.exists()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    socket = tmp_path / "edge-mcnn" / "status.sock"
    with ListenProcess(microphone, "--lights", "none") as listening:
        listening.wait_for("listening to")
        recording = Recording(microphone, tmp_path / "data", "--classes", "a,b", "--clips", "1", terminal=True)
        try:
            recording.wait_for("does not listen meanwhile")
            recording.wait_for("speak when you are ready")
            assert read_status(socket).state == "muted"
            microphone.play(OTHER)
            recording.wait_for(OTHER_WORDS)
            recording.press("q")
            assert recording.end() == 0, recording.shown
        finally:
            recording.close()
        wait_until(lambda: read_status(socket).state == "healthy", message="it does not listen again")
        assert read_status(socket).utterances == 0, "what was recorded was not meant for it"


def test_a_sound_system_that_hangs_ends_the_session(microphone: VirtualMicrophone, tmp_path: Path) -> None:
    settings = tmp_path / "config.toml"
    settings.write_text("[liveness]\nno_sound_limit_s = 1\nstuck_limit_s = 1\n")
    recording = Recording(
        microphone, tmp_path / "data", "--classes", "a,b", "--no-transcribe", "--config", settings, terminal=True
    )
    try:
        recording.wait_for("speak when you are ready")
        microphone.hang()
        recording.wait_for("edge-mcnn: closing the microphone hangs")
        assert recording.end() == 1
    finally:
        recording.close()
