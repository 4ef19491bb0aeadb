"""Output of `edge-mcnn doctor` in terminals of every kind, and as a process."""

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
from edge_mcnn.setup import doctor as doctor_cli
from tests.edge_mcnn.command_line import edge_mcnn

OK = Finding("Python", Verdict.OK, "3.11.2 in /home/pi/edge-mcnn/.venv")
WARN = Finding("lights", Verdict.WARN, "this is not a Raspberry Pi: no LED will light up", "nothing to fix")
FAIL = Finding(
    "lgpio", Verdict.FAIL, "/usr/lib/[dist]/lgpio.py is the empty package that pip installs where there is no wheel",
    "run: pip uninstall lgpio, then sudo apt-get install python3-lgpio",
)  # fmt: skip


def shown(events: Iterable[CheckEvent], *, encoding: str = "utf-8", **options: Any) -> str:
    raw = BytesIO()
    out = TextIOWrapper(raw, encoding=encoding, errors="strict")
    doctor_cli.show(events, Console(file=out, highlight=False, **options))
    out.flush()
    return raw.getvalue().decode(encoding)


def test_a_row_per_finding_within_80_columns() -> None:
    assert shown([OK, WARN, FAIL], width=80).splitlines() == [
        "✓ OK   Python         3.11.2 in /home/pi/edge-mcnn/.venv",
        "! WARN lights         this is not a Raspberry Pi: no LED will light up",
        "                      → nothing to fix",
        "✗ FAIL lgpio          /usr/lib/[dist]/lgpio.py is the empty package that pip",
        "                      installs where there is no wheel",
        "                      → run: pip uninstall lgpio, then sudo apt-get install",
        "                      python3-lgpio",
        "Fix first: lgpio.",
    ]


def test_the_last_line_is_the_summary() -> None:
    assert shown([OK]).endswith("No problems found. Next: edge-mcnn listen\n")
    assert shown([OK, WARN]).endswith("It works, with warnings: lights.\n")


def test_a_terminal_without_unicode() -> None:
    lines = shown([OK, FAIL], encoding="ascii", width=80).splitlines()
    assert lines[0].startswith("OK   Python")
    assert lines[1].startswith("FAIL lgpio")
    assert "-> run: pip uninstall" in lines[3]
    assert "#" in shown([MicrophoneLevel(-30.0), OK], encoding="ascii", force_terminal=True)


def test_colours_unless_no_color_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b[31m✗ FAIL" in shown([FAIL], force_terminal=True, color_system="standard")
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[31m" not in shown([FAIL], force_terminal=True)


@pytest.mark.parametrize("width", [1, 10, 25, 39, 40, 300])
def test_a_narrow_terminal_loses_nothing(width: int) -> None:
    text = "".join(shown([FAIL, OK], width=width).split())
    for finding in (FAIL, OK):
        assert "".join(f"{finding.topic}{finding.message}".split()) in text
    assert "".join(FAIL.fix.split()) in text
    longest = max(len(line) for line in shown([FAIL, OK], width=width).splitlines())
    assert longest <= width


@pytest.mark.parametrize("width", [1, 10, 25])
def test_the_meter_keeps_to_one_line(width: int) -> None:
    drawn = shown([MicrophoneLevel(-3.0), OK], width=width, force_terminal=True)
    assert "\x1b[1A" not in drawn.partition("\x1b[2K")[0], "it would have to go back up"


def test_the_meter_moves_only_in_a_terminal() -> None:
    events: list[CheckEvent] = [OK, MicrophoneLevel(-72.0), MicrophoneLevel(-36.0), MicrophoneLevel(0.0), WARN]
    drawn = re.sub(r"\x1b\[[\d;]+m", "", shown(events, force_terminal=True, width=80))
    for bar in ("─" * 32 + "  -72 dBFS", "━" * 16 + "─" * 16 + "  -36 dBFS", "━" * 32 + "  0 dBFS"):
        assert bar in drawn
    assert "dBFS" not in shown(events, width=80)


def test_the_meter_is_erased_when_the_command_is_interrupted() -> None:
    def events() -> Iterable[CheckEvent]:
        yield MicrophoneLevel(-10.0)
        raise KeyboardInterrupt

    out = StringIO()
    with pytest.raises(KeyboardInterrupt):
        doctor_cli.show(events(), Console(file=out, force_terminal=True))
    assert out.getvalue().rstrip().endswith("\x1b[2K"), "the line of the meter is erased last"
    assert "\x1b[?25h" in out.getvalue(), "the cursor is visible again"


@pytest.mark.parametrize(("findings", "status"), [([OK], 0), ([OK, WARN], 0), ([FAIL, OK, WARN], 1)])
@pytest.mark.parametrize("as_json", [True, False])
def test_exit_status_and_json(
    findings: list[Finding], status: int, as_json: bool, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(checks, "diagnose", lambda *_: iter([MicrophoneLevel(-20.0), *findings]))
    try:
        doctor_cli.doctor_command(json=as_json, model=None, config=None)
        ended = 0
    except typer.Exit as left:
        ended = left.exit_code
    assert ended == status
    out = capsys.readouterr().out
    if as_json:
        rows = [(each["topic"], each["verdict"], each["message"], each["fix"]) for each in json.loads(out)]
        assert rows == [(each.topic, each.verdict.value, each.message, each.fix) for each in findings]


def test_a_process_with_unreadable_files(tmp_path: Path) -> None:
    done = edge_mcnn("doctor", "--json", "--config", tmp_path / "none.toml", "--model", tmp_path / "none.tflite")
    assert (done.returncode, done.stderr) == (1, "")
    findings = {each["topic"]: each for each in json.loads(done.stdout)}
    assert findings["settings"]["verdict"] == findings["model"]["verdict"] == "FAIL"
    assert "no such file" in findings["model"]["message"]
    assert {"machine", "Python", "memory", "disk", "packages", "interpreter", "speech model", "lights"} <= set(findings)


def test_portaudio_that_aborts_without_alsa_devices_fails_only_its_check(tmp_path: Path) -> None:
    (tmp_path / "alsa.conf").touch()
    done = edge_mcnn("doctor", "--json", environment={"ALSA_CONFIG_PATH": str(tmp_path / "alsa.conf")})
    assert (done.returncode, done.stderr) == (1, "")
    findings = {each["topic"]: each for each in json.loads(done.stdout)}
    assert findings["microphone"]["verdict"] == "FAIL"
    assert findings["microphone"]["message"] == "the check crashed with SIGABRT"
    assert findings["service"]["verdict"] == "OK"
