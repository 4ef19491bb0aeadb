"""Kills a process again and again while it writes the history, and checks that nothing it confirmed is lost.

    python -m tests.device.history.kills [KILLS]

prints how often the process was killed, and what it had confirmed. The process adds predictions and corrections, and
now and then removes the oldest ones and erases a day.
"""

import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from device.history.store import History
from tests.device.history.events import LABELS, NOON, Clock, event, opened
from tests.waiting import LIMIT_S

_ROOT = Path(__file__).parents[3]
_KEEP_DAYS = 20
_PER_DAY = 20
_ERASED_EVERY = 150


@dataclass
class Outcome:
    """What the killed processes did."""

    kills: int = 0
    """How many processes were killed."""
    added: int = 0
    """Number of predictions that they confirmed."""
    corrected: int = 0
    """Number of corrections that they confirmed."""
    erasures: int = 0
    """How often they confirmed that a part was erased."""
    last: int = 0
    """Number of the last prediction that was confirmed."""
    corrections: dict[int, str] = field(default_factory=dict)
    """Class by the number of the prediction."""
    gone: int = 0
    """Predictions up to this number may have been removed."""


def kill_repeatedly(kills: int, folder: Path, seed: int = 0) -> Outcome:
    """Let processes write one after another into the same history, and kill each at a random moment.

    Raises:
        AssertionError: the file is damaged, or something that was confirmed is lost.
    """
    chance = random.Random(seed)
    path = folder / "history.sqlite3"
    outcome = Outcome()
    while outcome.kills < kills:
        command = [sys.executable, "-m", "tests.device.history.kills", "write", str(path), str(outcome.last + 1)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=_ROOT) as writer:
            assert writer.stdout is not None
            lines = [writer.stdout.readline() for _ in range(chance.randint(1, 60))]
            time.sleep(chance.uniform(0, 0.003))  # a commit takes about a millisecond: anywhere within it
            writer.send_signal(signal.SIGKILL)
            lines += writer.stdout.read().splitlines(keepends=True)
            assert writer.wait(LIMIT_S) == -signal.SIGKILL
        outcome.kills += 1
        for line in lines:
            if line.endswith("\n"):
                _note(line.split(), outcome)
        _check(path, outcome)
    return outcome


def _note(words: list[str], outcome: Outcome) -> None:
    match words:
        case ["added", number]:
            outcome.added += 1
            outcome.last = int(number)
        case ["corrected", number, label]:
            outcome.corrected += 1
            outcome.corrections[int(number)] = label
        case ["removing", number]:
            outcome.gone = max(outcome.gone, int(number))
        case ["erased"]:
            outcome.erasures += 1
        case _:
            raise AssertionError(words)


def _check(path: Path, outcome: Outcome) -> None:
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    counted = (
        "SELECT day, hour, coalesce(corrected, label), count(*) FROM predictions GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
    )
    stored = "SELECT day, hour, label, predictions FROM hours ORDER BY 1, 2, 3"
    assert connection.execute(counted).fetchall() == connection.execute(stored).fetchall()
    connection.close()
    with opened(path) as history:
        found = {each.number: each for each in history.in_order()}
        expected = set(range(outcome.gone + 1, outcome.last + 1))
        assert expected <= set(found), f"lost: {sorted(expected - set(found))}"
        # At most one each that was stored and not yet confirmed.
        assert max(found, default=0) <= outcome.last + 1
        for number in expected & set(outcome.corrections):
            assert found[number].corrected == outcome.corrections[number]
        outcome.last = max(found, default=outcome.last)


def write(path: Path, number: int) -> None:
    """Write until the process is killed, and print a line for each thing that is certain."""
    clock = Clock()
    with opened(path, keep_days=_KEEP_DAYS, words=True, clock=clock, durable=True) as history:
        for each in range(number, number + 10_000):
            day = each // _PER_DAY
            clock.moment = NOON + timedelta(days=day, seconds=each % _PER_DAY)
            given = event(each, clock.moment, LABELS[each % 3], text=f"words {each}")
            assert history.add(given, "boot")
            print("added", each, flush=True)
            if each % 3 == 0:
                label = LABELS[each % 2]
                assert history.correct("d" * 32, each, label)
                print("corrected", each, label, flush=True)
            if each % _PER_DAY == 0:
                print("removing", (day - _KEEP_DAYS + 1) * _PER_DAY - 1, flush=True)
                history.retain()
            if each % _ERASED_EVERY == 0:
                _erase(history, day)


def _erase(history: History, day: int) -> None:
    print("removing", day * _PER_DAY - 1, flush=True)
    history.erase(before=(NOON + timedelta(days=day)).date())
    print("erased", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["write"]:
        with suppress(BrokenPipeError):
            write(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        with tempfile.TemporaryDirectory(prefix="kills") as _folder:
            _started = time.monotonic()
            _done = kill_repeatedly(int(sys.argv[1]) if sys.argv[1:] else 200, Path(_folder), seed=int(time.time()))
            print(
                f"killed {_done.kills} times in {time.monotonic() - _started:.0f} s: {_done.added} predictions, "
                f"{_done.corrected} corrections and {_done.erasures} erasures were confirmed, and none is lost"
            )
