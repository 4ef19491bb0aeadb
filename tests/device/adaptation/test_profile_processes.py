"""Several processes with one voice profile, and processes that are killed while they save it."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from device.adaptation.profile import MOST_EXAMPLES, Profile, change_profile, read_profile, write_profile
from tests.device.adaptation.profile_process import LARGE, SMALL
from tests.device.adaptation.voices import IMAGE, LABELS, Speaker, example, ids, profile
from tests.waiting import LIMIT_S

pytestmark = pytest.mark.slow
_KILLS, _MOST_KILLS = 20, 300
_LOCK = ".profile.json.lock"


@contextmanager
def process(path: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Start a process of `profile_process`, which is killed at the end if it still runs."""
    command = [sys.executable, "-m", "tests.device.adaptation.profile_process", str(path), *arguments]
    root = Path(__file__).parents[3]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=root
    ) as started:
        try:
            yield started
        finally:
            started.kill()


def line(started: subprocess.Popen[str]) -> str:
    assert started.stdout is not None
    return started.stdout.readline().strip()


def test_processes_that_learn_at_once_lose_nothing(tmp_path: Path) -> None:
    """Two processes correct one utterance after another, and a third one always reads a complete profile."""
    path = tmp_path / "profile.json"
    count = MOST_EXAMPLES // 4
    reader = Speaker(0).classifier(path)
    with process(path, "correct", "1", str(count)) as one, process(path, "correct", "2", str(count)) as other:
        both = (one, other)
        assert [line(each) for each in both] == ["ready", "ready"]
        for each in both:
            assert each.stdin is not None
            each.stdin.write("start\n")
            each.stdin.flush()
        changes, found = 0, 0
        while any(each.poll() is None for each in both):
            changes += reader.load_if_changed()
            assert len(reader.profile.examples) >= found, "an example was lost"
            found = len(reader.profile.examples)
        for each in both:
            assert each.stderr is not None
            assert (each.returncode, each.stderr.read()) == (0, "")
    reader.load_if_changed()
    assert changes > 1, "the reader has not noticed the changes"
    expected = {}
    for seed in (1, 2):
        speaker = Speaker(seed, count)
        own = speaker.classifier()
        for place in range(count):
            features = own.rate(IMAGE, ids(place))[1].features
            expected[tuple(round(float(each), 4) for each in features)] = LABELS[speaker.classes[place]]
    for stored in (read_profile(path), reader.profile):
        assert {tuple(each.utterance.features.tolist()): each.label for each in stored.examples} == expected
    assert sorted(each.name for each in tmp_path.iterdir()) == [_LOCK, path.name]


def test_killed_at_random_moments_while_saving(tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    write_profile(path, SMALL)
    allowed = {SMALL.to_json(), LARGE.to_json()}
    chance = random.Random(0)
    kills, interrupted = 0, 0
    while kills < _KILLS or not interrupted:
        kills += 1
        assert kills < _MOST_KILLS, "no process was killed while it wrote"
        with process(path, "save") as saving:
            for _ in range(chance.randint(1, 10)):
                assert line(saving) == "saving"
            # A save takes about ten milliseconds: the moment is anywhere within it.
            time.sleep(chance.uniform(0, 0.01))
            saving.send_signal(signal.SIGKILL)
            assert saving.wait(LIMIT_S) == -signal.SIGKILL
        assert read_profile(path).to_json() in allowed
        partial = [each for each in tmp_path.iterdir() if each.suffix == ".part"]
        interrupted += len(partial)
        assert len(partial) <= 1, "files of killed processes accumulate"
    changed = change_profile(path, lambda present: (present or profile()).with_examples([example()]))
    assert read_profile(path).to_json() == changed.to_json()
    assert sorted(each.name for each in tmp_path.iterdir()) == [_LOCK, path.name]


@pytest.mark.parametrize(
    ("call", "number", "expected"),
    [
        ("fsync", 1, SMALL),  # of the temporary file
        ("replace", 1, SMALL),
        ("fsync", 2, LARGE),  # of the folder
    ],
)
def test_killed_at_a_step_of_saving(call: str, number: int, expected: Profile, tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    write_profile(path, SMALL)
    with process(path, "die", call, str(number)) as dying:
        _, errors = dying.communicate(timeout=LIMIT_S)
    assert (dying.returncode, errors) == (-signal.SIGKILL, "")
    assert read_profile(path).to_json() == expected.to_json()
    partial = tmp_path / f".profile.json.{dying.pid}.part"
    assert partial.exists() == (expected is SMALL)
    write_profile(path, SMALL)
    assert sorted(each.name for each in tmp_path.iterdir()) == [_LOCK, path.name]


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    write_profile(path, SMALL)
    waiting = threading.Thread(target=write_profile, args=(path, LARGE))
    with process(path, "lock") as holder:
        assert line(holder) == "locked"
        waiting.start()
        assert read_profile(path).to_json() == SMALL.to_json(), "reading does not wait"
        os.kill(holder.pid, signal.SIGKILL)
        waiting.join(LIMIT_S)
    assert not waiting.is_alive()
    assert read_profile(path).to_json() == LARGE.to_json()


def test_a_change_by_another_process_is_used(tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    speaker = Speaker(5)
    adapted = speaker.classifier(path)
    before = speaker.accuracy(adapted, 20)
    assert not adapted.load_if_changed()
    with process(path, "correct", "5", "20") as other:
        assert line(other) == "ready"
        _, errors = other.communicate("start\n", timeout=LIMIT_S)
        assert (other.returncode, errors) == (0, "")
    assert speaker.accuracy(adapted, 20) == before
    assert adapted.load_if_changed()
    assert adapted.adapted
    assert speaker.accuracy(adapted, 20) > before
    assert not adapted.load_if_changed()
    path.unlink()
    assert adapted.load_if_changed()
    assert not adapted.adapted
    assert speaker.accuracy(adapted, 20) == before
