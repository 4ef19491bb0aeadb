"""Processes that compute together: the functions below run in all of them, and meet by files in a folder."""

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_info

import training.parallel
from device.errors import AudioError
from tests.waiting import wait_until, wait_until_gone
from training.parallel import in_processes, on_all_cores


@pytest.fixture(autouse=True)
def three_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training.parallel, "_cores", lambda: 3)


def processes(folder: Path) -> set[int]:
    """Numbers of the processes that have computed something."""
    return {int(path.name) for path in folder.iterdir()}


def meet(folder: Path, number: int, item: int) -> tuple[int, int]:
    """Wait until this many processes compute; returns the item, and the number of threads of matrix products."""
    (folder / str(os.getpid())).touch()
    wait_until(lambda: len(processes(folder)) == number)
    np.ones((2, 2)) @ np.ones((2, 2))
    return item, max(each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas")


def test_all_processes_take_part_in_order(tmp_path: Path) -> None:
    with in_processes(partial(meet, tmp_path, 3), range(50)) as results:
        assert list(results) == [(item, 1) for item in range(50)]
    assert os.getpid() in processes(tmp_path)
    for process in processes(tmp_path) - {os.getpid()}:
        assert not Path(f"/proc/{process}").exists()


@pytest.mark.parametrize("count", [0, 1, 5])
def test_few_items_start_no_process(count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "Popen", None)
    with in_processes(partial(meet, tmp_path, 1), range(count)) as results:
        assert [item for item, _ in results] == list(range(count))


def fail_elsewhere(folder: Path, parent: int, item: int) -> int:
    if os.getpid() == parent:
        wait_until(lambda: processes(folder))
        return item
    (folder / str(os.getpid())).touch()
    raise AudioError(f"item {item} is unusable", fix="use another")


def test_an_error_in_another_process_is_raised_here(tmp_path: Path) -> None:
    with (
        pytest.raises(AudioError, match=r"^item (8|16) is unusable; use another$") as raised,
        in_processes(partial(fail_elsewhere, tmp_path, os.getpid()), range(24)) as results,
    ):
        list(results)
    assert raised.value.fix == "use another"


def end_elsewhere(folder: Path, parent: int, how: str, item: int) -> object:
    if os.getpid() == parent:
        wait_until(lambda: len(processes(folder)) == 2)
        return item
    (folder / str(os.getpid())).touch()
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    return lambda: item  # cannot be pickled


@pytest.mark.parametrize("how", ["killed", "cannot send"])
def test_items_of_lost_processes_are_computed_here(how: str, tmp_path: Path) -> None:
    with in_processes(partial(end_elsewhere, tmp_path, os.getpid(), how), range(50)) as results:
        assert list(results) == list(range(50))


def test_processes_that_do_not_start_are_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "missing"))
    with in_processes(str, range(50)) as results:
        assert list(results) == list(map(str, range(50)))


def count(folder: Path, item: int) -> int:
    meet(folder / "processes", 3, item)
    (folder / "items" / str(item)).touch()
    return item


def test_leaving_early_ends_the_processes(tmp_path: Path) -> None:
    (tmp_path / "processes").mkdir()
    (tmp_path / "items").mkdir()
    with in_processes(partial(count, tmp_path), range(100_000)) as results:
        assert next(results) == 0
    others = processes(tmp_path / "processes") - {os.getpid()}
    assert len(others) == 2
    assert not [process for process in others if Path(f"/proc/{process}").exists()]
    assert len(list((tmp_path / "items").iterdir())) < 100_000


def meet_and_wait(folder: Path, item: int) -> None:
    meet(folder, 3, item)
    signal.pause()


def test_they_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    """In a script that would start without end if another process ran it again."""
    script = tmp_path / "script.py"
    script.write_text(
        "from functools import partial; from pathlib import Path; import training.parallel\n"
        "from tests.training.test_parallel import meet_and_wait\n"
        "training.parallel._cores = lambda: 3\n"
        f"with training.parallel.in_processes(partial(meet_and_wait, Path({str(tmp_path / 'p')!r})), range(24)) as r:\n"
        "    list(r)\n"
    )
    (tmp_path / "p").mkdir()
    root = Path(__file__).parents[2]
    with subprocess.Popen([sys.executable, str(script)], env={**os.environ, "PYTHONPATH": str(root)}) as parent:
        try:
            wait_until(lambda: len(processes(tmp_path / "p")) == 3)
        finally:
            parent.kill()
    for process in processes(tmp_path / "p"):
        wait_until_gone(process)


def test_threads_return_results_in_order() -> None:
    with on_all_cores(str, range(50)) as results:
        assert list(results) == list(map(str, range(50)))
