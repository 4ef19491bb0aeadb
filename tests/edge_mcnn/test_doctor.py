"""How it looks, in terminals of every kind, and as a process."""

import json
import re
from collections.abc import Iterable
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.console import Console

from device.doctor import checks
from device.doctor.findings import CheckEvent, Finding, MicrophoneLevel, Verdict
from edge_mcnn import doctor as doctor_cli
from tests.edge_mcnn.test_main import edge_mcnn

GOOD = Finding("Python", Verdict.OK, "3.11.2 in /home/pi/edge-mcnn/.venv")
WARNING = Finding("lights", Verdict.WARN, "this is no Raspberry Pi: no LED will be lit", "nothing to fix")
BAD = Finding(
    "lgpio", Verdict.FAIL, "/usr/lib/[dist]/lgpio.py is the empty package that pip takes where it has no wheel",
    "run: pip uninstall lgpio, then sudo apt-get install python3-lgpio",
)  # fmt: skip


def shown(message: Iterable[CheckEvent], *, encoding: str = "utf-8", **options: Any) -> str:
    raw = BytesIO()
    out = TextIOWrapper(raw, encoding=encoding, errors="strict")
    doctor_cli.show(message, Console(file=out, highlight=False, **options))
    out.flush()
    return raw.getvalue().decode(encoding)


def test_a_line_per_part_within_80_columns() -> None:
    assert shown([GOOD, WARNING, BAD], width=80).splitlines() == [
        "✓ ok Python         3.11.2 in /home/pi/edge-mcnn/.venv",
        "! -- lights         this is no Raspberry Pi: no LED will be lit",
        "                    → nothing to fix",
        "✗ no lgpio          /usr/lib/[dist]/lgpio.py is the empty package that pip takes",
        "                    where it has no wheel",
        "                    → run: pip uninstall lgpio, then sudo apt-get install",
        "                    python3-lgpio",
        "Put right first: lgpio.",
    ]


def test_the_last_line_says_what_it_comes_to() -> None:
    assert shown([GOOD]).endswith("All is well: edge-mcnn listen\n")
    assert shown([GOOD, WARNING]).endswith("It works, but see: lights.\n")


def test_a_terminal_without_signs() -> None:
    lines = shown([GOOD, BAD], encoding="ascii", width=80).splitlines()
    assert lines[0].startswith("ok Python")
    assert lines[1].startswith("no lgpio")
    assert "-> run: pip uninstall" in lines[3]
    assert "#" in shown([MicrophoneLevel(-30.0), GOOD], encoding="ascii", force_terminal=True)


def test_colours_and_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b[31m✗ no" in shown([BAD], force_terminal=True, color_system="standard")
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[31m" not in shown([BAD], force_terminal=True)


@pytest.mark.parametrize("width", [1, 10, 25, 39, 40, 300])
def test_a_narrow_terminal_loses_nothing(width: int) -> None:
    text = "".join(shown([BAD, GOOD], width=width).split())
    for finding in (BAD, GOOD):
        assert "".join(f"{finding.topic}{finding.message}".split()) in text
    assert "".join(BAD.fix.split()) in text
    longest = max(len(line) for line in shown([BAD, GOOD], width=width).splitlines())
    assert longest <= width


@pytest.mark.parametrize("width", [1, 10, 25])
def test_the_meter_keeps_to_one_line(width: int) -> None:
    drawn = shown([MicrophoneLevel(-3.0), GOOD], width=width, force_terminal=True)
    assert "\x1b[1A" not in drawn.partition("\x1b[2K")[0], "it would have to go back up"


def test_a_meter_moves_in_a_terminal_alone() -> None:
    message: list[CheckEvent] = [GOOD, MicrophoneLevel(-72.0), MicrophoneLevel(-36.0), MicrophoneLevel(0.0), WARNING]
    drawn = re.sub(r"\x1b\[[\d;]+m", "", shown(message, force_terminal=True, width=80))
    for bar in ("─" * 32 + "  -72 dBFS", "━" * 16 + "─" * 16 + "  -36 dBFS", "━" * 32 + "  0 dBFS"):
        assert bar in drawn
    assert "dBFS" not in shown(message, width=80)


def test_the_meter_is_gone_when_something_breaks() -> None:
    def message() -> Iterable[CheckEvent]:
        yield MicrophoneLevel(-10.0)
        raise KeyboardInterrupt

    out = StringIO()
    with pytest.raises(KeyboardInterrupt):
        doctor_cli.show(message(), Console(file=out, force_terminal=True))
    assert out.getvalue().rstrip().endswith("\x1b[2K"), "the last thing is to wipe it off"
    assert "\x1b[?25h" in out.getvalue(), "the cursor is back"


@pytest.mark.parametrize(("findings", "status"), [([GOOD], 0), ([GOOD, WARNING], 0), ([BAD, GOOD, WARNING], 1)])
@pytest.mark.parametrize("as_json", [True, False])
def test_exit_status_and_json(
    findings: list[Finding], status: int, as_json: bool, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(checks, "look", lambda *_: iter([MicrophoneLevel(-20.0), *findings]))
    try:
        doctor_cli.doctor_command(json=as_json, model=None, config=None)
        ended = 0
    except typer.Exit as left:
        ended = left.exit_code
    assert ended == status
    out = capsys.readouterr().out
    if as_json:
        message = [(each["name"], each["verdict"], each["message"], each["fix"]) for each in json.loads(out)]
        assert message == [(each.topic, each.verdict.value, each.message, each.fix) for each in findings]


def test_as_a_process_with_the_wrong_files(tmp_path: Path) -> None:
    done = edge_mcnn("doctor", "--json", "--config", tmp_path / "none.toml", "--model", tmp_path / "none.tflite")
    assert (done.returncode, done.stderr) == (1, "")
    message = {each["name"]: each for each in json.loads(done.stdout)}
    assert message["settings"]["verdict"] == message["model"]["verdict"] == "FAIL"
    assert "cannot be read" in message["model"]["message"]
    assert {"machine", "Python", "memory", "disk", "packages", "interpreter", "speech model", "lights"} <= set(message)


def test_alsa_that_knows_no_device_makes_portaudio_abort_and_no_more(tmp_path: Path) -> None:
    (tmp_path / "alsa.conf").touch()
    done = edge_mcnn("doctor", "--json", environment={"ALSA_CONFIG_PATH": str(tmp_path / "alsa.conf")})
    assert (done.returncode, done.stderr) == (1, "")
    message = {each["name"]: each for each in json.loads(done.stdout)}
    assert message["microphone"]["verdict"] == "FAIL"
    assert message["microphone"]["message"] == "looking at it ended in SIGABRT"
    assert message["service"]["verdict"] == "OK"
