"""Profiles of a user who may not read or write everything, as root may."""

import os
from pathlib import Path

import pytest

from device.adaptation.profile import change_profile, present_profile, read_profile, write_profile
from device.errors import ProfileError
from tests.device.adaptation.voices import profile
from tests.ordinary_user import ordinary_user, tmp_path

__all__ = ["ordinary_user", "tmp_path"]

pytestmark = pytest.mark.usefixtures("ordinary_user")


def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = tmp_path / "p"
    write_profile(path, profile())
    path.chmod(0)
    for read in (read_profile, present_profile):
        with pytest.raises(ProfileError, match=r"p: permission denied: .* may not read the file"):
            read(path)
    with pytest.raises(ProfileError, match="may not read the file"):
        change_profile(path, lambda _: profile())
    path.chmod(0o600)
    assert len(read_profile(path).examples) == 6


def test_a_folder_that_may_not_be_written_to(tmp_path: Path) -> None:
    path = tmp_path / "p"
    write_profile(path, profile())
    before = path.read_bytes()
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(ProfileError, match=r"may not write to the folder .*; nothing was changed"):
            write_profile(path, profile(2))
        with pytest.raises(ProfileError, match=r"may not write to the folder .*; nothing was changed"):
            write_profile(tmp_path / "new" / "p", profile(2))
        assert path.read_bytes() == before
        assert len(read_profile(path).examples) == 6
    finally:
        tmp_path.chmod(0o700)


def test_a_folder_that_may_not_be_entered_is_not_a_missing_profile(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    write_profile(folder / "p", profile())
    folder.chmod(0)
    try:
        with pytest.raises(ProfileError, match="may not enter the folder"):
            present_profile(folder / "p")
        with pytest.raises(ProfileError, match="may not enter the folder"):
            write_profile(folder / "p", profile())
    finally:
        folder.chmod(0o700)


def test_a_folder_whose_content_may_not_be_listed(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o300)
    write_profile(folder / "p", profile())
    assert len(read_profile(folder / "p").examples) == 6
    folder.chmod(0o700)


def test_a_lock_that_may_not_be_opened(tmp_path: Path) -> None:
    lock = tmp_path / ".p.lock"
    lock.touch(0)
    with pytest.raises(ProfileError, match="permission denied, so the profile cannot be changed") as error:
        write_profile(tmp_path / "p", profile())
    assert error.value.message.startswith(str(lock))
    assert error.value.fix == f"remove it: rm {lock}"
    lock.unlink()
    write_profile(tmp_path / "p", profile())
    assert (tmp_path / "p").stat().st_uid == os.geteuid()
