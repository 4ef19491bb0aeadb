"""Files that cannot be used, and who may read those that can."""

import os
import random
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from device.errors import DamagedHistoryError, HistoryError
from device.history.history_path import history_path
from device.history.records import Filter
from device.history.schema import VERSION
from tests.device.history.events import LABELS, NOON, Clock, event, opened
from tests.full_disk import full_disk
from tests.ordinary_user import ordinary_user as ordinary_user
from tests.ordinary_user import tmp_path as tmp_path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "edge-mcnn" / "history.sqlite3"


def fill(path: Path, count: int = 300) -> None:
    with opened(path, words=True) as history:
        for number in range(1, count + 1):
            history.add(event(number, label=LABELS[number % 3], text=f"words {number}"), "boot")


def modes(folder: Path) -> dict[str, int]:
    return {each.name: stat.S_IMODE(each.stat().st_mode) for each in folder.iterdir()}


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_only_the_owner_may_read_it(umask: int, path: Path) -> None:
    before = os.umask(umask)
    try:
        with opened(path) as history:
            history.add(event(1), "boot")
            assert modes(path.parent) == dict.fromkeys((path.name, f"{path.name}-wal", f"{path.name}-shm"), 0o600)
            assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    finally:
        os.umask(before)


def test_a_file_that_others_may_read_is_closed_to_them_and_a_folder_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite3"
    tmp_path.chmod(0o755)
    path.touch(0o644)
    with opened(path) as history:
        history.add(event(1), "boot")
        assert set(modes(tmp_path).values()) == {0o600}
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_a_link_is_never_followed(tmp_path: Path) -> None:
    fill(tmp_path / "real.sqlite3", 1)
    (tmp_path / "real.sqlite3").chmod(0o644)
    for target in ("real.sqlite3", "none", "/etc/passwd"):
        link = tmp_path / f"link to {target.replace('/', ' ')}"
        link.symlink_to(target)
        with pytest.raises(HistoryError, match="is a symbolic link") as caught:
            opened(link)
        assert "name the file itself" in caught.value.fix
    assert not (tmp_path / "none").exists()
    assert stat.S_IMODE((tmp_path / "real.sqlite3").stat().st_mode) == 0o644
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "folder").symlink_to("elsewhere")
    fill(tmp_path / "folder" / "history.sqlite3", 1)
    assert (tmp_path / "elsewhere" / "history.sqlite3").is_file()


@pytest.mark.parametrize("name", ["a?mode=ro#x%41 é.sqlite3", "caf\udce9.sqlite3", "-", "a'b\"c"])
def test_names_of_any_characters(name: str, tmp_path: Path) -> None:
    fill(tmp_path / name, 2)
    assert [each.name for each in tmp_path.iterdir()] == [name]
    with opened(tmp_path / name) as history:
        assert history.contents().predictions == 2


def _text(path: Path) -> None:
    path.write_text("a letter to a friend " * 1000)


def _of_another_program(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE letters (text)")
    connection.commit()
    connection.close()


def _with_another_mark(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA application_id = 5")
    connection.close()


def _newer(path: Path) -> None:
    fill(path, 1)
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.close()


@pytest.mark.parametrize(
    ("make", "message", "fix"),
    [
        (_text, "is damaged .it does not begin as a SQLite file", "move it away"),
        (_of_another_program, "is a database of another program", "name a history"),
        (_with_another_mark, "is a database of another program", "name a history"),
        (_newer, f"was written by a newer edge-mcnn .version {VERSION + 1} of the file; this one reads up to {VERSION}",
         "pip install --upgrade edge-mcnn"),
        (Path.mkdir, "is a folder", "name a"),
        (os.mkfifo, "is not a regular file", "name a history"),
    ],
)  # fmt: skip
def test_files_that_are_no_history_stay_as_they_are(
    make: Callable[[Path], None], message: str, fix: str, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    make(path)
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(HistoryError, match=message) as caught:
        opened(path)
    assert fix in caught.value.fix
    assert not path.is_file() or path.read_bytes() == before


@pytest.mark.usefixtures("ordinary_user")
def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    fill(tmp_path / "closed" / "history.sqlite3", 1)
    fill(tmp_path / "file.sqlite3", 1)
    (tmp_path / "file.sqlite3").chmod(0o400)
    (tmp_path / "closed").chmod(0o500)
    for path, message in (
        (tmp_path / "closed" / "new.sqlite3", "may not write to the folder"),
        (tmp_path / "closed" / "new" / "new.sqlite3", "may not write to the folder"),
        (tmp_path / "file.sqlite3", "permission denied"),
        (tmp_path / "file.sqlite3" / "below", "is a file, not a folder"),
        (tmp_path / ("a" * 300), "too long"),
        (tmp_path / "closed" / "history.sqlite3", "cannot be written"),
    ):
        with pytest.raises(HistoryError, match=message) as caught, opened(path) as history:
            history.add(event(2), "boot")
        assert caught.value.fix
    (tmp_path / "closed").chmod(0o700)
    with opened(tmp_path / "closed" / "history.sqlite3") as history:
        assert history.contents().predictions == 1


def test_a_full_disk_loses_nothing_that_was_confirmed(path: Path) -> None:
    fill(path, 20)
    with opened(path) as history:
        confirmed = history.contents().predictions
        with full_disk(largest=path.stat().st_size + 4096), pytest.raises(HistoryError) as caught:  # noqa: PT012  # until it is full
            for number in range(21, 10_000):
                assert history.add(event(number), "boot")
                confirmed += 1
        assert caught.value.fix
        assert "Traceback" not in str(caught.value)
        assert history.contents().predictions == confirmed
        assert history.add(event(confirmed + 1), "boot"), "it continues when there is space again"
        assert history.erase() == confirmed + 1


def test_a_full_disk_from_the_beginning(path: Path) -> None:
    with full_disk(), pytest.raises(HistoryError):
        opened(path)
    fill(path, 1)


def test_the_message_about_a_full_disk(path: Path) -> None:
    with opened(path) as history:
        history._connection.execute("PRAGMA max_page_count = 1")
        with pytest.raises(HistoryError, match="the disk is full") as caught:  # noqa: PT012  # until it is full
            for number in range(1, 100):
                history.add(event(number, label="a" * 1000), "boot")
        assert caught.value.fix == "free some space"


def use_everything(path: Path) -> None:
    """Call every method that reads, and some that write."""
    with opened(path, clock=Clock()) as history:
        history.contents()
        history.labels()
        [history.hours(day.day) for day in history.days()]
        history.heat_map(4)
        for conditions in (Filter(), Filter(day=NOON.date()), Filter(label="neutral"), Filter(low_confidence=True)):
            [each.as_table() for each in history.page(conditions, limit=1000).predictions]
        history.health(24)
        with Path(os.devnull).open("w", encoding="utf-8", errors="replace") as stream:
            history.export(stream)
        history.add(event(1000), "boot")
        history.correct("d" * 32, 5, "positive")
        history.retain()
        history.erase()


def test_damaged_files_end_in_one_kind_of_error(path: Path, tmp_path: Path) -> None:
    fill(path)
    good = path.read_bytes()
    chance = random.Random(5)
    refused = 0
    for attempt in range(60):
        bad = bytearray(good)
        match attempt % 4:
            case 0:
                bad = bad[: chance.randrange(1, len(bad))]
            case 1:  # pages
                for _ in range(3):
                    page = chance.randrange(len(bad) // 4096) * 4096
                    bad[page : page + 4096] = chance.randbytes(4096)
            case 2:  # values, such as JSON and numbers
                for _ in range(300):
                    bad[chance.randrange(4096, len(bad))] = chance.randrange(256)
            case _:
                for _ in range(5):
                    bad[chance.randrange(100)] ^= 1 << chance.randrange(8)
        damaged = tmp_path / f"{attempt}.sqlite3"
        damaged.write_bytes(bad)
        try:
            use_everything(damaged)
        except HistoryError:
            refused += 1
    assert refused > 20


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("probabilities", "[1]"),
        ("probabilities", "{"),
        ("probabilities", "[" * 100_000),
        ("probabilities", b"{}\xff"),
        ("audio_only", "5"),
        ("label", b"\xff"),
        ("text", b"x"),
        ("time_ms", 1 << 62),
        ("time_ms", "x"),
        ("offset_minutes", 1500),
    ],
)
def test_values_that_nothing_has_written(column: str, value: object, path: Path) -> None:
    fill(path, 3)
    connection = sqlite3.connect(path)
    connection.execute(f"UPDATE predictions SET {column} = ?", (value,))  # noqa: S608  # of this test
    connection.commit()
    connection.close()
    with opened(path) as history, pytest.raises(DamagedHistoryError, match="is damaged"):
        history.page()


@pytest.mark.parametrize("change", ["hour = 24", "hour = 'x'", "day = 'x'", "label = CAST(X'ff' AS TEXT)"])
def test_counts_that_cannot_be(change: str, path: Path) -> None:
    fill(path, 1)
    connection = sqlite3.connect(path)
    connection.execute(f"UPDATE hours SET {change}")  # noqa: S608  # of this test
    connection.commit()
    connection.close()
    with opened(path) as history, pytest.raises(DamagedHistoryError, match="is damaged"):  # noqa: PT012  # one of them
        history.days()
        history.hours(NOON.date())
        history.heat_map()


def test_a_damaged_history_is_moved_aside_by_its_owner(path: Path) -> None:
    fill(path)
    journal = path.with_name(f"{path.name}-wal")
    with opened(path) as history:
        assert history.add(event(10_001), "boot")
        written = journal.read_bytes()
    path.write_bytes(b"\xff" * 8192)
    journal.write_bytes(written)
    with pytest.raises(DamagedHistoryError) as refused:
        opened(path)
    assert path.read_bytes() == b"\xff" * 8192
    command = refused.value.fix.partition(": ")[2].partition(";")[0]
    subprocess.run(command, shell=True, check=True)  # noqa: S602  # what the message recommends
    with opened(path) as history:
        assert history.contents().predictions == 0, "the journal is that of the damaged one"
        assert history.add(event(10_002), "boot")
        assert history.erase() == 1
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_the_place_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/pi")
    in_home = Path("/home/pi/.local/state/edge-mcnn/history.sqlite3")
    assert history_path({}) == history_path({"XDG_STATE_HOME": "relative"}) == in_home
    assert history_path({"XDG_STATE_HOME": "/state"}) == Path("/state/edge-mcnn/history.sqlite3")
    assert history_path({"STATE_DIRECTORY": "/var/lib/a:/var/lib/b", "XDG_STATE_HOME": "/x"}) == Path(
        "/var/lib/a/history.sqlite3"
    )

    def no_home() -> Path:
        raise RuntimeError

    monkeypatch.setattr(Path, "home", no_home)
    with pytest.raises(HistoryError, match="no home folder"):
        history_path({})


def test_nothing_heavy_is_imported() -> None:
    code = "import sys, device.history.store; print(sorted({each.partition('.')[0] for each in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert not [name for name in ("numpy", "aiohttp", "typer", "rich", "tomlkit") if f"'{name}'" in done.stdout]


def test_dates_are_those_of_the_clock() -> None:
    assert Clock()().date() == date(2026, 3, 4)
