"""What the limits on memory leave, from files of the kernel as they look on various machines."""

import resource
from pathlib import Path
from typing import Any

import pytest

from device.system.memory import limits, room

MB = 1_000_000


@pytest.fixture(autouse=True)
def _no_process_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def write(root: Path, **files: str | int) -> None:
    """Write files below a root; in a name, a double underscore stands for / and `DOT` for a point."""
    for name, content in files.items():
        path = root / name.replace("__", "/").replace("DOT", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")


def free(root: Path) -> list[tuple[str, float]]:
    return [(each.kind, each.free_mb) for each in room(root)]


def test_the_machine(tmp_path: Path) -> None:
    assert free(tmp_path) == [], "without /proc nothing is known"
    write(tmp_path, proc__meminfo="MemTotal: 500000 kB\nMemAvailable:  100000 kB\nSwapFree:  50000 kB")
    assert free(tmp_path) == [("memory", 153.6)]


def test_control_groups_of_version_2(tmp_path: Path) -> None:
    write(
        tmp_path,
        proc__self__cgroup="0::/system.slice/edge-mcnn.service",
        sys__fs__cgroup__systemDOTslice__memoryDOTmax="max",
    )
    assert free(tmp_path) == [], "the topmost group has no file, and the one below it no limit"
    group = tmp_path / "sys/fs/cgroup/system.slice/edge-mcnn.service"
    write(
        group,
        memoryDOTmax=300 * MB,
        memoryDOTcurrent=250 * MB,
        memoryDOTstat=f"anon 5\ninactive_file {40 * MB}\nactive_file {10 * MB}",
    )
    [found] = limits(tmp_path)
    assert (found.kind, found.free_mb) == ("memory", 100)
    assert found.fix == f"raise the limit of {group}: MemoryMax= in a service, --memory for a container"
    write(tmp_path, proc__meminfo="SwapFree:  50000 kB")
    assert free(tmp_path) == [("memory", 151.2)], "it may use swap space without a limit"
    write(group, memoryDOTswapDOTmax=0)
    assert free(tmp_path) == [("memory", 100)]


def test_control_groups_of_version_1(tmp_path: Path) -> None:
    write(tmp_path, proc__self__cgroup="5:cpu,cpuacct:/a\n4:memory:/docker/1f\n0::/")
    own = tmp_path / "sys/fs/cgroup/memory"  # as in a container, where its own group is mounted there
    write(own, memoryDOTlimit_in_bytes=(1 << 63) - 4096, memoryDOTusage_in_bytes=9)
    assert free(tmp_path) == [], "the largest number stands for no limit"
    write(
        own,
        memoryDOTlimit_in_bytes=200 * MB,
        memoryDOTusage_in_bytes=150 * MB,
        memoryDOTstat=f"inactive_file 7\ntotal_inactive_file {20 * MB}\ntotal_active_file 0",
    )
    assert free(tmp_path) == [("memory", 70)]


def test_limits_of_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, proc__self__status="Name:\tpython\nVmSize:\t  100000 kB\nVmData:\t   50000 kB")
    limit = {resource.RLIMIT_AS: 400 * MB, resource.RLIMIT_DATA: 50 * MB}
    monkeypatch.setattr(resource, "getrlimit", lambda number: (limit[number], -1))
    assert [(each.kind, each.limit, each.free_mb, each.fix) for each in limits(tmp_path)] == [
        ("address space", "ulimit -v", 297.6, "run: ulimit -v unlimited; in a service: LimitAS=infinity"),
        ("data", "ulimit -d", 0, "run: ulimit -d unlimited; in a service: LimitDATA=infinity"),
    ]


def test_a_control_group_that_a_sandbox_hides_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for the service, which cannot enter the folders of its control groups on some machines."""
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "self" / "cgroup").write_text("4:memory:/lamp\n")
    stat, opened = Path.stat, Path.open

    def hidden(path: Path) -> None:
        if "cgroup" in path.parts[:-1]:
            raise PermissionError(13, "Permission denied", str(path))

    def closed_stat(self: Path, **options: Any) -> Any:
        hidden(self)
        return stat(self, **options)

    def closed_open(self: Path, *arguments: Any, **options: Any) -> Any:
        hidden(self)
        return opened(self, *arguments, **options)

    monkeypatch.setattr(Path, "stat", closed_stat)
    monkeypatch.setattr(Path, "open", closed_open)
    assert [each for each in limits(tmp_path) if each.kind == "memory"] == []
