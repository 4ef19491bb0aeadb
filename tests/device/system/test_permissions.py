"""Permission to open devices, and how to obtain it."""

import grp
import os
import pwd
from pathlib import Path

import pytest

from device.system import permissions


class Group:
    def __init__(self, *members: str) -> None:
        self.gr_mem = list(members)


class User:
    pw_name = "pi"


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> dict[str, Group]:
    by_name: dict[str, Group] = {}
    monkeypatch.setattr(grp, "getgrnam", lambda name: by_name[name])
    monkeypatch.setattr(pwd, "getpwuid", lambda number: User)
    return by_name


def test_how_a_user_joins_a_group(groups: dict[str, Group]) -> None:
    assert permissions.how_to_join("gpio") == "there is no group gpio; run: sudo groupadd gpio"
    groups["gpio"] = Group("someone")
    assert permissions.how_to_join("gpio") == "run: sudo usermod -aG gpio pi, then log out and in again"
    groups["gpio"] = Group("someone", "pi")
    assert "log out and in again" in permissions.how_to_join("gpio")
    assert "usermod" not in permissions.how_to_join("gpio")


def test_devices_that_may_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "device").touch()
    assert permissions.may_open(tmp_path / "device")
    assert not permissions.may_open(tmp_path / "none")
    monkeypatch.setattr(os, "access", lambda path, mode: mode == os.R_OK)  # as for a user who is not root
    assert not permissions.may_open(tmp_path / "device"), "an LED needs write access"


def test_existing_and_missing_groups() -> None:
    assert permissions.has_group("root")
    assert not permissions.has_group("no-such-group")
