"""Loading where memory is too short: real limits on real processes, which must end at once and say why."""

import resource
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from device.errors import SpeechModelError
from device.recognition import vosk_loading
from device.recognition.vosk_loading import require_memory, within_limit
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
vosk_loading.within_limit.__defaults__ = (1.0,)
try:
    Transcriber(Path(sys.argv[1]), 0.7)
except SpeechModelError as error:
    print(error.message)
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
    assert within_limit(lambda: released.wait(LIMIT_S), stuck_s=0.001)


@pytest.mark.parametrize("error", [ValueError("no"), SpeechModelError("no")])
def test_an_error_of_loading_is_raised(error: Exception) -> None:
    def fail() -> Callable[[], None]:
        raise error

    with pytest.raises(type(error)) as caught:
        within_limit(fail)
    assert caught.value is error
