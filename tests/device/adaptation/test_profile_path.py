"""Where voice profiles lie: by the environment, and by the setting."""

from pathlib import Path

import pytest

from device.adaptation.profile_path import SERVICE_PROFILE, default_profile_path, profile_in_home, profile_path


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STATE_DIRECTORY", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/me")


def test_the_default_place(monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_profile_path() == Path("/home/me/.local/share/edge-mcnn/profile.json")
    assert default_profile_path() == profile_in_home(Path("/home/me"))
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert default_profile_path() == Path("/data/edge-mcnn/profile.json")
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/edge-mcnn-profile:/var/lib/other")
    assert default_profile_path() == SERVICE_PROFILE


@pytest.mark.parametrize(
    ("setting", "path"),
    [
        ("", Path("/home/me/.local/share/edge-mcnn/profile.json")),
        ("none", None),
        ("~/mine.json", Path("/home/me/mine.json")),
        ("/data/none", Path("/data/none")),
    ],
)
def test_the_setting(setting: str, path: Path | None) -> None:
    assert profile_path(setting) == path
