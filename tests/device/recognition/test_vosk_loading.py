"""Loading where memory is too short: real limits on real processes, which must end at once and say why."""

import resource
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile

from device.errors import SpeechModelError
from device.recognition import vosk_loading
from device.recognition.transcriber import Transcriber
from device.recognition.vosk_loading import Loading, require_memory, start_loading
from device.system.memory import Room
from tests.conftest import CLIPS
from tests.waiting import LIMIT_S

MB = 1_000_000
HANGS = """
import sys
from device.recognition import vosk_loading
from device.recognition.transcriber import Transcriber
from device.errors import SpeechModelError
from pathlib import Path

vosk_loading.NEEDED_MB = dict.fromkeys(vosk_loading.NEEDED_MB, 0)
vosk_loading.Loading.result.__defaults__ = (1.0,)
try:
    Transcriber(Path(sys.argv[1]), 0.7)
except SpeechModelError as error:
    print(error.message)
"""

ENDS = """
import sys
from device.recognition.vosk_loading import Loading

Loading(lambda: print("loaded", sys.stdin.readline()))
print("ending", flush=True)
sys.exit(3)
"""


def limited(kind: int, limit_mb: int, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run Python with a limit on its memory."""
    limit = (limit_mb * MB, limit_mb * MB)
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        preexec_fn=lambda: resource.setrlimit(kind, limit),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


@pytest.mark.parametrize("limit_mb", [100, 200, 400, 700])
@pytest.mark.parametrize("command", [("classify", CLIPS / "austen-0930.flac"), ("listen", "--lights", "none")])
def test_commands_end_at_once_with_what_is_needed(
    limit_mb: int, command: tuple[str | Path, ...], speech_model: Path
) -> None:
    del speech_model  # it is present: nothing is fetched
    done = limited(resource.RLIMIT_AS, limit_mb, "-m", "edge_mcnn", *command)
    message, fix = done.stderr.splitlines()
    assert done.returncode == 1
    assert message.startswith(
        "edge-mcnn: Vosk needs 1700 MB more address space to load the speech model, and ulimit -v"
    )
    assert fix == "  fix: run: ulimit -v unlimited; in a service: LimitAS=infinity"


def test_a_limit_on_data(speech_model: Path) -> None:
    code = "import sys, pathlib, device.recognition.transcriber as t; t.Transcriber(pathlib.Path(sys.argv[1]), 0)"
    done = limited(resource.RLIMIT_DATA, 300, "-c", code, speech_model)
    assert "Vosk needs 600 MB more data to load the speech model, and ulimit -d leaves" in done.stderr


@pytest.mark.parametrize("limit_mb", [400, 700])
def test_doctor_names_the_limit(limit_mb: int) -> None:
    done = limited(resource.RLIMIT_AS, limit_mb, "-m", "edge_mcnn", "doctor", "--json")
    assert '"FAIL"' in done.stdout
    assert "Vosk needs 1700 MB more address space to load the speech model, and ulimit -v leaves" in done.stdout


def test_what_hangs_although_it_was_not_foreseen_is_ended(speech_model: Path) -> None:
    done = limited(resource.RLIMIT_AS, 700, "-c", HANGS, speech_model)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "Vosk hangs while it loads the speech model: no progress for 1 s\n"


def test_the_first_limit_that_is_too_low_is_named() -> None:
    rooms = [
        Room("address space", "a", 1_700, "f"),
        Room("memory", "the memory of this machine", 134.6, "stop something"),
        Room("memory", "b", 0, "f"),
    ]
    with pytest.raises(SpeechModelError) as caught:
        require_memory(None, rooms)
    message = "Vosk needs 135 MB more memory to load the speech model, and the memory of this machine leaves 134 MB"
    assert (caught.value.message, caught.value.fix) == (message, "stop something")
    require_memory(None, [Room("address space", "a", 1_700, "f"), Room("memory", "b", 135, "f")])


def test_a_larger_model_needs_more(tmp_path: Path, speech_model: Path) -> None:
    require_memory(speech_model, [Room("memory", "b", 135, "f")])
    (tmp_path / "am").mkdir()
    with (tmp_path / "am" / "final.mdl").open("wb") as file:
        file.truncate(1_000 * MB)
    with pytest.raises(SpeechModelError, match=r"Vosk needs 10\d\d MB more memory"):
        require_memory(tmp_path, [Room("memory", "b", 900, "f")])


def test_loading_that_takes_long_and_makes_progress_is_not_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    peaks = iter([*range(1, 6)])

    def peak() -> float:
        if (now := next(peaks, 99)) == 5:
            released.set()
        return now

    monkeypatch.setattr(vosk_loading, "peak_mb", peak)
    assert Loading(lambda: released.wait(LIMIT_S)).result(stuck_s=0.001)


@pytest.mark.parametrize("error", [ValueError("no"), SpeechModelError("no")])
def test_an_error_of_loading_is_raised(error: Exception) -> None:
    def fail() -> Callable[[], None]:
        raise error

    with pytest.raises(type(error)) as caught:
        Loading(fail).result()
    assert caught.value is error


def test_other_things_can_be_done_while_a_model_is_loaded() -> None:
    done = threading.Event()
    loading = Loading(lambda: done.wait(LIMIT_S))
    done.set()
    assert loading.result()


def test_the_speech_model_is_loaded_in_a_thread(speech_model: Path) -> None:
    loading = start_loading(str(speech_model), "quick")
    assert loading is not None
    transcriber = Transcriber(loading, 0.7)
    samples, _ = soundfile.read(CLIPS / "austen-0930.flac", dtype="int16")
    transcription = transcriber.begin()
    transcription.feed(samples)
    assert transcription.text() == "he might even have been made amiable himself"


def test_a_model_that_is_missing_is_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert start_loading("", "quick") is None
    assert start_loading(str(tmp_path), "quick") is None


def test_a_damaged_model_is_reported_where_the_model_is_used(tmp_path: Path) -> None:
    (tmp_path / "am").mkdir()
    (tmp_path / "am" / "final.mdl").touch()
    (tmp_path / "conf").mkdir()
    loading = start_loading(str(tmp_path), "quick")
    assert loading is not None
    with pytest.raises(SpeechModelError, match="Vosk cannot load it"):
        Transcriber(loading, 0.7)


def test_a_process_that_ends_waits_for_what_is_being_loaded() -> None:
    """C++ that goes on while the process ends uses what was freed, and crashes."""
    with subprocess.Popen(
        [sys.executable, "-c", ENDS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ending\n"
        process.stdin.write("at last\n")
        process.stdin.flush()
        assert process.stdout.readline() == "loaded at last\n"
        assert process.wait(LIMIT_S) == 3
