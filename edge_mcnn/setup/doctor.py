"""`edge-mcnn doctor`. From Python: `device.doctor.checks`."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from edge_mcnn.options import Json, ReportedConfig, ReportedModel
from edge_mcnn.output import out

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from device.doctor.findings import CheckEvent, Finding, MicrophoneLevel

_MARKS = {"OK": ("✓", "green"), "WARN": ("!", "yellow"), "FAIL": ("✗", "red")}
"""Symbol and colour by verdict."""
_MARK_CELLS = max(map(len, _MARKS))
_TOPIC_CELLS = 14
_METER_CELLS = 32
_MIN_WIDTH = 40
"""Columns from which a terminal has room for the topics beside the messages."""


def doctor_command(
    json: Json = False,
    model: ReportedModel = None,
    config: ReportedConfig = None,
) -> None:
    """Check everything that listening needs, and print how to fix problems.

    The command measures the level of the microphone for a moment: speak meanwhile. If the settings name a broker, it
    connects to it without publishing anything. Nothing is changed, downloaded or stored. OK: no problem; WARN: it
    works, with a limitation; FAIL: fix this first. With --json the findings are one list.

    Exit status: 0 if no check failed, 1 if one did.

    Example: `edge-mcnn doctor --config /etc/edge-mcnn/config.toml`
    """
    from device.doctor.checks import diagnose
    from device.doctor.findings import Finding, Verdict

    events = diagnose(config, os.environ, model)
    if json:
        findings = [event for event in events if isinstance(event, Finding)]
        out.json([asdict(finding) for finding in findings], indent=2)
    else:
        findings = show(events, out.console(highlight=False))
    if any(finding.verdict == Verdict.FAIL for finding in findings):
        raise typer.Exit(1)


def show(events: Iterable["CheckEvent"], console: "Console") -> list["Finding"]:
    """Print one finding after the other as they arrive; in a terminal, a level meter moves during the measurement.

    Returns:
        The findings.
    """
    from rich.live import Live

    from device.doctor.findings import Finding

    findings: list[Finding] = []
    meter = Live(console=console, auto_refresh=False, transient=True)
    try:
        for event in events:
            if isinstance(event, Finding):
                meter.stop()
                findings.append(event)
                console.print(finding_text(event, console))
            elif console.is_terminal:
                meter.start()
                meter.update(_meter(event, console), refresh=True)
    finally:
        meter.stop()
    console.print(_summary(findings), style="bold")
    return findings


def finding_text(finding: "Finding", console: "Console") -> "Text":
    """Format a finding: a mark that is readable without colour, the topic, the message, and below it the fix."""
    from rich.text import Text

    from device.system.display import on_one_line

    symbol, colour = _MARKS[finding.verdict]
    symbols = _can_print_symbols(console)
    mark = f"{f'{symbol} ' if symbols else ''}{finding.verdict:{_MARK_CELLS}} "
    text = Text(on_one_line(finding.message))
    if finding.fix:
        text.append(f"\n{'→' if symbols else '->'} {on_one_line(finding.fix)}", "dim" if colour == "green" else "bold")
    narrow = console.width < _MIN_WIDTH
    indent = 1 if narrow else len(mark) + _TOPIC_CELLS + 1
    row = Text.assemble((mark, colour), finding.topic if narrow else finding.topic.ljust(_TOPIC_CELLS + 1))
    for number, wrapped in enumerate(text.wrap(console, max(1, console.width - indent))):
        wrapped.rstrip()
        row.append("\n" + " " * indent if narrow or number else "").append_text(wrapped)
    return row


def _meter(level: "MicrophoneLevel", console: "Console") -> "Text":
    from rich.text import Text

    from device.outputs.terminal.meter import meter
    from device.outputs.terminal.text import symbols_for

    prompt, value = "speak  ", f"  {level.dbfs:.0f} dBFS"
    width = max(0, min(_METER_CELLS, console.width - len(prompt) - len(value)))
    return Text.assemble(prompt, meter(level.dbfs, width, symbols_for(console)), value, no_wrap=True, overflow="crop")


def _summary(findings: Sequence["Finding"]) -> str:
    from device.daemon.self_check import summary

    next_step = "" if any(each.verdict != "OK" for each in findings) else " Next: edge-mcnn listen"
    return summary(asdict(each) for each in findings) + next_step


def _can_print_symbols(console: "Console") -> bool:
    return console.encoding.startswith("utf")
