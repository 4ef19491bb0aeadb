import os
import re
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tomlkit.exceptions import TOMLKitError

from device.errors import SettingsError
from device.settings.edit import require_editable, set_value
from device.settings.schema import Settings
from device.settings.toml import as_toml, read_settings
from tests.device.test_imports import imported_by
from tests.ordinary_user import ordinary_user as ordinary_user
from tests.ordinary_user import tmp_path as tmp_path


def edited(folder: Path, text: str, *, section: str = "endpoint", key: str = "gate_dbfs", value: Any = -52.0) -> str:
    path = folder / "my.toml"
    path.write_bytes(text.encode())
    set_value(path, section, key, value)
    return path.read_bytes().decode()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("[endpoint] # e\ngate_dbfs = -60   # mine\n", "[endpoint] # e\ngate_dbfs = -52.0   # mine\n"),
        ("  [endpoint]\n\tgate_dbfs=-5\n", "  [endpoint]\n\tgate_dbfs=-52.0\n"),
        ("[endpoint]\nhang_over_s = 1\n", "[endpoint]\ngate_dbfs = -52.0\nhang_over_s = 1\n"),
        (
            "[endpoint]\n# The gate.\n# gate_dbfs = -60.0\n\n# Lights\n[lights]\n#gate_dbfs = 1\n",
            "[endpoint]\n# The gate.\n# gate_dbfs = -60.0\ngate_dbfs = -52.0\n\n# Lights\n[lights]\n#gate_dbfs = 1\n",
        ),
        ("[endpoint]", "[endpoint]\ngate_dbfs = -52.0\n"),
        ("endpoint.hang_over_s = 1\n", "endpoint.hang_over_s = 1\nendpoint.gate_dbfs = -52.0\n"),
        ("endpoint = { gate_dbfs = -9 } # x\n", "endpoint = { gate_dbfs = -52.0 } # x\n"),
        ("[lights]\nhold_s = 2", "[lights]\nhold_s = 2\n\n[endpoint]\ngate_dbfs = -52.0\n"),
        ("", "[endpoint]\ngate_dbfs = -52.0\n"),
        ("# mine\n", "# mine\n\n[endpoint]\ngate_dbfs = -52.0\n"),
        ("[endpoint]\r\ngate_dbfs = 0\r\n# x\r\n", "[endpoint]\r\ngate_dbfs = -52.0\r\n# x\r\n"),
        ("[lights]\r\n", "[lights]\r\n\r\n[endpoint]\r\ngate_dbfs = -52.0\r\n"),
        ("\ufeff[endpoint]\ngate_dbfs = 0\n", "\ufeff[endpoint]\ngate_dbfs = -52.0\n"),
    ],
)
def test_only_the_value_changes(before: str, after: str, tmp_path: Path) -> None:
    assert edited(tmp_path, before) == after
    assert read_settings(tmp_path / "my.toml").endpoint.gate_dbfs == -52


def test_a_header_in_a_text_is_no_section(tmp_path: Path) -> None:
    before = '[microphone]\nname = """\n[endpoint]\n"""\n'
    after = edited(tmp_path, before)
    assert after == f"{before}\n[endpoint]\ngate_dbfs = -52.0\n"
    both = '[microphone]\nname = """\n[endpoint]\n"""\n[endpoint]\nhang_over_s = 1\n'
    assert tomllib.loads(edited(tmp_path, both))["microphone"] == {"name": "[endpoint]\n"}


@pytest.mark.parametrize(
    ("section", "key", "value", "expected"),
    [
        ("microphone", "name", 'USB "A"', 'USB "A"'),
        ("publish", "command", ("a", "b"), ["a", "b"]),
        ("lights", "pins", {"sehr müde": 5}, {"sehr müde": 5}),
        ("publish", "words", True, True),
    ],
)
def test_every_kind_of_value(section: str, key: str, value: Any, expected: Any, tmp_path: Path) -> None:
    for before in ("", f"[{section}]\n", as_toml(Settings(), only={}), as_toml(Settings())):
        assert tomllib.loads(edited(tmp_path, before, section=section, key=key, value=value))[section][key] == expected


def test_the_file_that_settings_prints(tmp_path: Path) -> None:
    before = as_toml(Settings())
    assert edited(tmp_path, before) == before.replace("gate_dbfs = -60.0", "gate_dbfs = -52.0")


COMMENTS = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Zl", "Zp")), max_size=12)
LINES = st.lists(st.one_of(st.just(""), COMMENTS.map(lambda text: f"# {text}")), max_size=2)
KEYS: Mapping[str, Mapping[str, str]] = {
    "microphone": {"name": '"USB [endpoint] # no comment"'},
    "endpoint": {"gate_dbfs": "-60", "hang_over_s": "0.8", "longest_s": "10.0"},
    "lights": {"hold_s": "2.5", "pins": "{ a = 3, b = 4 }"},
    "publish": {"command": '[\n  "x", # first\n  "y",\n]'},
}


@st.composite
def files(draw: st.DrawFn) -> str:
    """A valid settings file: some sections in any order, some keys in any order, comments and blank lines anywhere."""
    lines = draw(LINES)
    for section in draw(st.lists(st.sampled_from(sorted(KEYS)), unique=True)):
        lines += [f"[{section}]{draw(st.sampled_from(['', ' # of mine']))}", *draw(LINES)]
        for key in draw(st.lists(st.sampled_from(sorted(KEYS[section])), unique=True)):
            lines.append(f"{key} = {KEYS[section][key]}{draw(st.sampled_from(['', '  # why']))}")
            lines += draw(LINES)
    end = draw(st.sampled_from(["\n", "\r\n"]))
    return ("\n".join(lines) + draw(st.sampled_from(["", "\n"]))).replace("\n", end)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files(), st.integers(-96, 0))
def test_everything_else_stays(tmp_path: Path, before: str, value: int) -> None:
    after = edited(tmp_path, before, value=float(value))
    expected = tomllib.loads(before)
    expected.setdefault("endpoint", {})["gate_dbfs"] = value
    assert tomllib.loads(after) == expected
    others = [line for line in re.split(r"\r?\n", before) if not line.startswith("gate_dbfs")]
    remaining = iter(re.split(r"\r?\n", after))
    assert all(line in remaining for line in others), "every other line is there, in its order"
    assert before.count("#") == after.count("#")
    assert ("\r\n" in before) <= ("\n" not in after.replace("\r\n", ""))


def test_permissions_stay(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text("[endpoint]\n")
    for mode in (0o600, 0o644, 0o664):
        path.chmod(mode)
        set_value(path, "endpoint", "gate_dbfs", -50.0)
        assert stat.S_IMODE(path.stat().st_mode) == mode
    assert [each.name for each in tmp_path.iterdir()] == ["my.toml"]


def test_the_owner_stays(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text("[endpoint]\n")
    if os.geteuid() != 0:
        group = max(os.getgroups())
        os.chown(path, -1, group)
        set_value(path, "endpoint", "gate_dbfs", -50.0)
        assert path.stat().st_gid == group
        return
    os.chown(path, 1000, 1001)
    set_value(path, "endpoint", "gate_dbfs", -50.0)
    assert (path.stat().st_uid, path.stat().st_gid) == (1000, 1001)


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    folder = tmp_path / "dotfiles"
    folder.mkdir()
    (folder / "edge.toml").write_text("[endpoint]\n")
    (tmp_path / "my.toml").symlink_to("dotfiles/edge.toml")
    set_value(tmp_path / "my.toml", "endpoint", "gate_dbfs", -50.0)
    assert (tmp_path / "my.toml").is_symlink()
    assert read_settings(folder / "edge.toml").endpoint.gate_dbfs == -50


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[endpoint]\ngate_dbfs = \n", ":2: not valid TOML"),
        ("[endpoint]\n\nhang_over_s = 99\n", ":3: endpoint.hang_over_s is 99"),
        ("[endpont]\n", ":1: endpont: no such setting"),
        ("endpoint = 3\n", ":1: endpoint is 3, expected a table"),
    ],
)
def test_a_damaged_file_is_refused_with_its_line(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=re.escape(f"{path}{message}")):
        require_editable(path)
    with pytest.raises(SettingsError, match=re.escape(f"{path}{message}")):
        set_value(path, "endpoint", "gate_dbfs", -50.0)
    assert path.read_text() == text


def test_a_value_that_is_not_allowed_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text("[endpoint]\n")
    with pytest.raises(SettingsError, match=r"gate_dbfs is 5.0, expected a number from -96 to 0"):
        set_value(path, "endpoint", "gate_dbfs", 5.0)
    with pytest.raises(SettingsError, match=r"endpoint.gate: no such setting"):
        set_value(path, "endpoint", "gate", -5.0)
    assert path.read_text() == "[endpoint]\n"


def test_a_file_that_tomlkit_cannot_edit_is_unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(text: str) -> None:
        raise TOMLKitError(text)

    monkeypatch.setattr("tomlkit.parse", refuse)
    with pytest.raises(SettingsError, match=r"endpoint.gate_dbfs cannot be changed here") as error:
        edited(tmp_path, "[endpoint]\ngate_dbfs = -60\n")
    assert error.value.fix == "write gate_dbfs = -52.0 under [endpoint] in an editor"
    assert (tmp_path / "my.toml").read_text() == "[endpoint]\ngate_dbfs = -60\n"


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no such file") as error:
        set_value(tmp_path / "none.toml", "endpoint", "gate_dbfs", -50.0)
    assert error.value.fix == "name a settings file"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written(ordinary_user: None, tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text("[endpoint]\n")
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(SettingsError, match="permission denied"):
            require_editable(path)
        with pytest.raises(SettingsError, match="permission denied"):
            set_value(path, "endpoint", "gate_dbfs", -50.0)
    finally:
        tmp_path.chmod(0o755)
    assert path.read_text() == "[endpoint]\n"


def test_tomlkit_is_imported_only_to_change_a_file() -> None:
    assert "tomlkit" not in imported_by("import edge_mcnn.setup.calibrate, device.settings.edit")
