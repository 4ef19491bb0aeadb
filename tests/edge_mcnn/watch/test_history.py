"""`edge-mcnn history`: what is stored, its export, and its erasure beside a program that has it open."""

import csv
import io
import json
import os
import pty
import stat
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from device.history import history_path
from device.history.store import History
from edge_mcnn.main import app
from edge_mcnn.output import out
from edge_mcnn.watch import history as command
from tests.device.history.events import NOON, Clock, content, event, opened
from tests.edge_mcnn.command_line import assert_refused, edge_mcnn
from tests.full_disk import edge_mcnn_on_full_disk
from tests.waiting import LIMIT_S

pytestmark = pytest.mark.slow


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A user without a history."""
    return {"XDG_STATE_HOME": str(tmp_path), "STATE_DIRECTORY": "", "EDGE_MCNN_HISTORY_KEEP_DAYS": ""}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A history of three days."""
    path = tmp_path / "edge-mcnn" / "history.sqlite3"
    with opened(path, words=True, clock=Clock()) as history:
        for number in range(1, 7):
            moment = NOON + timedelta(days=number // 3)
            label = "=evil()" if number == 6 else "café"
            history.add(event(number, moment, label, text=f"zebracrossing {number}"), "boot")
        history.correct("d" * 32, 2, "positive")
        history.add_health({"memory_mb": 1.0})
    return path


def run(*arguments: str | Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    given = {name: value for name, value in environment.items() if value or name == "STATE_DIRECTORY"}
    return edge_mcnn("history", *arguments, environment=given)


def as_json(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_what_is_stored(path: Path, environment: dict[str, str], tmp_path: Path) -> None:
    done = run(environment=environment)
    assert (done.returncode, done.stderr) == (0, "")
    rows = dict(line.split("  ", 1) for line in done.stdout.splitlines() if not line.startswith(" "))
    found = {name.strip(): value.strip() for name, value in rows.items()}
    assert str(path) in "".join(done.stdout.split()), "as a whole, however long"
    assert found["predictions"] == "6 (4 café, 1 =evil(), 1 positive)"
    assert found["corrected"] == "1"
    assert found["words"] == "of 6 predictions"
    assert (found["first"], found["last"]) == ("2026-03-04 12:00", "2026-03-06 12:00")
    assert found["device state"] == "of 1 minute"
    assert found["size"] == "0.1 MB"
    assert found["retention"].startswith("as in the settings of edge-mcnn web")

    settings = tmp_path / "my.toml"
    settings.write_text("[history]\nkeep_days = 30\n")
    assert "30 days, at most 200 MB" in run("--config", settings, environment=environment).stdout
    settings.write_text("[history]\nkeep_days = 30\nwords = true\n")
    without = run("--config", settings, environment=environment).stdout
    assert "of 6 predictions; no more are stored until words is true also under [events]" in " ".join(without.split())
    settings.write_text("[history]\nkeep_days = 0\n")
    off = run("--config", settings, environment=environment).stdout
    assert "nothing is added: keep_days is 0; what is stored stays until you erase it" in off
    table = as_json(run("--json", "--config", settings, "--path", path, environment=environment))
    assert table["classes"] == {"café": 4, "=evil()": 1, "positive": 1}
    assert (table["predictions"], table["with_words"], table["health_minutes"], table["keep_days"]) == (6, 6, 1, 0)
    assert (table["path"], table["first"]) == (str(path), "2026-03-04T12:00:00.000+01:00")
    assert content(path.parent) == path.read_bytes(), "nothing is left beside it"


def test_without_a_history(environment: dict[str, str], tmp_path: Path) -> None:
    for arguments in ([], ["--erase", "--yes"]):
        done = run(*arguments, environment=environment)
        assert (done.returncode, done.stdout) == (0, "")
        assert "there is no history; keep_days under [history]" in done.stderr
    assert as_json(run("--json", environment=environment))["predictions"] == 0
    assert_refused(
        run("--export", "-", environment=environment), "there is no history", "set keep_days under [history]"
    )
    assert list(tmp_path.iterdir()) == []


def test_export(path: Path, environment: dict[str, str], tmp_path: Path) -> None:
    copy = tmp_path / "new" / "p.csv"
    done = run("--export", copy, environment=environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"wrote {copy}: 6 predictions of {path}\n", "")
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    rows = list(csv.DictReader(io.StringIO(copy.read_bytes().decode("utf-8"), newline="")))
    assert [row["label"] for row in rows] == ["café"] * 5 + ["'=evil()"]
    assert [row["corrected"] for row in rows] == ["", "positive", "", "", "", ""]
    assert [row["text"] for row in rows] == [f"zebracrossing {number}" for number in range(1, 7)]
    assert (rows[0]["time"], rows[0]["probability"]) == ("2026-03-04T12:00:00.000+01:00", "0.8")
    assert (rows[0]["confident"], rows[0]["adapted"], rows[0]["audio_only"]) == ("1", "0", "positive")
    assert json.loads(rows[0]["probabilities"])["café"] == 0.8

    part = run("--export", "-", "--since", "2026-03-05", "--until", "2026-03-05", environment=environment)
    assert (part.returncode, part.stderr) == (0, "")
    assert [row["number"] for row in csv.DictReader(part.stdout.splitlines())] == ["3", "4", "5"]
    latin = run("--export", "-", environment={**environment, "PYTHONIOENCODING": "latin-1"})
    assert latin.stdout.count("café") > 5
    assert as_json(run("--export", copy.with_name("2.csv"), "--json", environment=environment))["predictions"] == 6


def test_an_export_replaces_no_file(path: Path, environment: dict[str, str], tmp_path: Path) -> None:
    """It may be the only copy of predictions that are no longer in the history."""
    copy, link = tmp_path / "p.csv", tmp_path / "link.csv"
    copy.write_text("before")
    link.symlink_to(copy)
    for file in (copy, link):
        done = run("--export", file, environment=environment)
        assert_refused(done, f"{file.name}: exists already", "choose another name, or move it away")
    assert copy.read_text() == "before"


def test_a_table_in_a_terminal_cannot_control_it(path: Path, environment: dict[str, str]) -> None:
    with opened(path) as history:
        history.add(event(9, label="\x1b[31mred"), "boot")
    ours, terminal = pty.openpty()
    try:
        subprocess.run(
            [sys.executable, "-m", "edge_mcnn", "history", "--export", "-", "--path", path],
            stdout=terminal, stdin=subprocess.DEVNULL, timeout=LIMIT_S, check=True,
            env={**os.environ, "XDG_STATE_HOME": environment["XDG_STATE_HOME"]},
        )  # fmt: skip
        shown = os.read(ours, 1 << 16).decode()
    finally:
        os.close(ours)
        os.close(terminal)
    assert "\x1b" not in shown
    assert shown.splitlines()[-1].split(",")[1] == r"\x1b[31mred"
    assert r"\r" not in shown


def test_a_full_disk_leaves_no_part_of_an_export(path: Path, tmp_path: Path) -> None:
    with opened(path) as history:
        for number in range(100, 500):
            history.add(event(number, NOON + timedelta(days=5)), "boot")
    copy = tmp_path / "p.csv"
    done = edge_mcnn_on_full_disk("history", "--path", path, "--export", copy, largest=50_000)
    assert_refused(done, "p.csv: file too large")
    assert [each.name for each in tmp_path.iterdir() if each.is_file()] == []


def test_erased_beside_a_program_that_writes_it(path: Path, environment: dict[str, str]) -> None:
    with opened(path, words=True) as page:
        page.add(event(20, NOON + timedelta(days=3), text="zebracrossing 20"), "boot")
        assert b"zebracrossing" in content(path.parent)
        part = run("--erase", "--before", "2026-03-05", "--yes", environment=environment)
        assert (part.returncode, part.stderr) == (0, "")
        assert part.stdout == f"erased 2 predictions; 5 left in {path}\n"
        assert b"zebracrossing 1" not in content(path.parent)
        assert b"zebracrossing 3" in content(path.parent)
        assert b"zebracrossing 20" in content(path.parent)
        done = as_json(run("--erase", "--yes", "--json", environment=environment))
        assert done == {"path": str(path), "erased": 5, "predictions": 0}
        assert b"zebracrossing" not in content(path.parent)
        assert page.contents().predictions == 0
        assert page.add(event(21, NOON + timedelta(days=3), text="later"), "boot")
    assert as_json(run("--json", environment=environment))["predictions"] == 1


@pytest.mark.parametrize(("key", "is_erased"), [("y", True), ("n", False), ("", False), ("\x04", False)])
def test_the_question_before_erasing(key: str, is_erased: bool, path: Path, environment: dict[str, str]) -> None:
    ours, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "edge_mcnn", "history", "--erase", "--path", path],
        stdin=terminal, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "XDG_STATE_HOME": environment["XDG_STATE_HOME"]},
    )  # fmt: skip
    try:
        assert process.stderr is not None
        question = ""
        while not question.endswith("[y/N] "):
            question += process.stderr.read(1)
        os.write(ours, f"{key}\n".encode() if key != "\x04" else key.encode())
        printed, notes = process.communicate(timeout=LIMIT_S)
    finally:
        process.kill()
        os.close(ours)
        os.close(terminal)
    assert question == f"Erase everything, 6 predictions of {path}? They cannot be restored. [y/N] "
    assert process.returncode == 0
    assert ("nothing was erased" in notes) != is_erased
    assert printed == (f"erased 6 predictions; 0 left in {path}\n" if is_erased else "")
    with opened(path) as history:
        assert history.contents().predictions == (0 if is_erased else 6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--since", "2026-01-01"], "--since is for --export"),
        (["--until", "2026-01-01", "--erase"], "--until is for --export"),
        (["--before", "2026-01-01"], "--before is for --erase"),
        (["--yes"], "--yes is for --erase"),
        (["--export", "-", "--erase"], "exclude each other"),
        (["--export", "-", "--json"], "both write to standard output"),
        (["--export", "-", "--since", "2026-02-01", "--until", "2026-01-01"], "is after --until"),
        (["--export", "-", "--since", "1.2.2026"], "'1.2.2026' is not a date, such as 2026-01-31"),
        (["--erase", "--before", "2026-02-30", "--yes"], "'2026-02-30' is not a date, such as 2026-01-31"),
        (["--erase"], "add --yes"),
    ],
)
def test_options_that_do_not_fit(arguments: list[str], message: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["history", *arguments], env={"COLUMNS": "200", "XDG_STATE_HOME": str(tmp_path)})
    assert done.exit_code == 2
    assert message in " ".join(done.output.replace("│", " ").split())


def test_files_that_are_no_history(environment: dict[str, str], tmp_path: Path) -> None:
    text = tmp_path / "letter.txt"
    text.write_text("dear friend")
    for arguments in ([], ["--erase", "--yes"], ["--export", tmp_path / "copy.csv"]):
        assert_refused(
            run("--path", text, *arguments, environment=environment),
            "letter.txt: is damaged",
            "if it is the history, move it away",
        )
    assert text.read_text() == "dear friend"
    assert [each.name for each in tmp_path.iterdir()] == ["letter.txt"]


def test_the_service_has_a_history_of_its_own(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notes: list[str] = []
    monkeypatch.setattr(out, "announce", notes.append)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "own"))
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    own = tmp_path / "own" / "edge-mcnn" / "history.sqlite3"
    monkeypatch.setattr(history_path, "SERVICE_HISTORY", tmp_path / "none" / "history.sqlite3")
    assert command._found(None, None) == (own, None)
    monkeypatch.setattr(history_path, "SERVICE_HISTORY", path)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    config = tmp_path / "config.toml"
    monkeypatch.setattr("device.service.install.CONFIG", config)
    assert command._found(None, None) == (path, None)
    config.touch()
    assert command._found(None, None) == (path, config)
    assert command._found(own, None) == (own, None)
    assert set(notes) == {f"history of the service: {path}"}
    notes.clear()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert command._found(None, None) == (own, None)
    assert notes == ["the service has a history of its own; to show it, run: sudo .venv/bin/edge-mcnn history"]


def test_looking_changes_nothing_that_the_settings_would_remove(path: Path, environment: dict[str, str]) -> None:
    with History(path, keep_days=3650, max_mb=200, words=False) as history:
        history.add(event(50, NOON - timedelta(days=10_000), daemon="e" * 32), "boot")
    assert as_json(run("--json", environment=environment))["predictions"] == 7
