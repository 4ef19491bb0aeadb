"""Modes of the files of the service, whatever the umask."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from device.service import file_modes
from device.service.file_modes import describe_wrong_mode, make_folder, set_mode, tree, unreadable, write_file


@pytest.fixture(autouse=True)
def strict_umask(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(file_modes, "_OWNER", (os.getuid(), os.getgid()))
    before = os.umask(0o077)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def test_modes_do_not_depend_on_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "etc" / "edge-mcnn" / "config.toml"
    write_file(path, b"x")
    assert [mode(each) for each in (path, path.parent, path.parents[1])] == [0o644, 0o755, 0o755]
    make_folder(path.parent)
    assert path.read_bytes() == b"x"


def test_a_folder_that_exists_is_not_changed(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir(mode=0o700)
    make_folder(tmp_path / "etc" / "inner")
    assert mode(tmp_path / "etc") == 0o700


@pytest.mark.parametrize("wrong", [0o600, 0o640, 0o666, 0o755, 0o4644])
def test_wrong_modes_are_described_and_repaired(wrong: int, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    write_file(path, b"x")
    assert describe_wrong_mode(path) == ""
    path.chmod(wrong)
    assert describe_wrong_mode(path).endswith(f" {wrong:04o} instead of root:root 0644")
    set_mode(path)
    assert (describe_wrong_mode(path), mode(path)) == ("", 0o644)


def test_a_wrong_owner_is_described_and_repaired(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "config.toml"
    write_file(path, b"x")
    changed: list[tuple[object, ...]] = []
    monkeypatch.setattr(file_modes, "_OWNER", (4321, 1234))
    monkeypatch.setattr(os, "chown", lambda *arguments: changed.append(arguments))
    assert describe_wrong_mode(path).endswith("0644 instead of root:root 0644")
    set_mode(path)
    assert changed == [(path, 4321, 1234)]
    link = tmp_path / "link.toml"
    link.symlink_to(path)
    assert describe_wrong_mode(link) == "", "the target of a link belongs to the user"
    set_mode(link)
    assert len(changed) == 1


def test_missing_paths_have_no_wrong_mode(tmp_path: Path) -> None:
    assert describe_wrong_mode(tmp_path / "none") == ""


def test_the_first_unreadable_path_of_a_tree_is_found(tmp_path: Path) -> None:
    top = tmp_path / "top"
    write_file(top / "a" / "b.py", b"")
    assert unreadable(top) is None
    (top / "a" / "__pycache__").mkdir()
    (top / "a" / "link").symlink_to("nowhere")
    assert unreadable(top) is None
    assert sorted(tree(top)) == [top, top / "a", top / "a" / "b.py"]
    (top / "a" / "b.py").chmod(0o640)
    assert unreadable(top) == top / "a" / "b.py"
    (top / "a").chmod(0o744)  # listed, but not entered
    assert unreadable(top) == top / "a"
    assert unreadable(top, deep=False) is None
