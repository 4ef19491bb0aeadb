"""The command `edge-mcnn doctor`; what it does can be called in `device.doctor.checks`."""

import json as json_format
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from device.doctor.findings import Finding, Level, Told

_MARKS = {"good": ("✓", "ok", "green"), "warning": ("!", "--", "yellow"), "bad": ("✗", "no", "red")}
_NAME_CELLS = 14
_BAR_CELLS = 32
_LEAST_WIDTH = 40
"""Of a terminal that has room for names beside what is told."""


def doctor_command(
    json: Annotated[bool, typer.Option("--json", help="Print one JSON list of the parts and nothing else.")] = False,
    model: Annotated[
        Path | None, typer.Option("--model", help="A bundle to look at instead of the one in the settings.")
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", help="Settings in a TOML file, to be looked at.")] = None,
) -> None:
    """Look at each part that listening needs, and say what is wrong and what to do about it.

    It listens to the microphone for a moment: speak. A broker in the settings is connected to, and told nothing.
    Nothing is changed, fetched or kept. ok: all is well; --: it works, but; no: put this right first.

    Exit status: 0 if no part is wrong, 1 if one is.
    """
    from rich.console import Console

    from device.doctor.checks import look
    from device.doctor.findings import Finding, Verdict

    told = look(config, os.environ, model)
    if json:
        findings = [each for each in told if isinstance(each, Finding)]
        print(json_format.dumps([asdict(each) for each in findings], ensure_ascii=False, indent=2))
    else:
        findings = show(told, Console(highlight=False))
    if any(each.verdict == Verdict.BAD for each in findings):
        raise typer.Exit(1)


def show(told: Iterable["Told"], console: "Console") -> list["Finding"]:
    """Print for people, a line per part as it comes; on a terminal a meter moves while the microphone is measured.

    Returns:
        The findings.
    """
    from rich.live import Live

    from device.doctor.findings import Finding

    findings: list[Finding] = []
    meter = Live(console=console, auto_refresh=False, transient=True)
    try:
        for each in told:
            if isinstance(each, Finding):
                meter.stop()
                findings.append(each)
                console.print(line(each, console))
            elif console.is_terminal:
                meter.start()
                meter.update(_meter(each, console), refresh=True)
    finally:
        meter.stop()
    console.print(_summary(findings), style="bold")
    return findings


def line(finding: "Finding", console: "Console") -> "Text":
    """A finding as it is printed: a mark that needs no colour, the name, what was found, and below it what to do."""
    from rich.text import Text

    sign, word, colour = _MARKS[finding.verdict]
    mark = f"{sign} {word} " if _has_signs(console) else f"{word} "
    text = Text(finding.told)
    if finding.mend:
        text.append(f"\n{'→' if _has_signs(console) else '->'} {finding.mend}", "dim" if colour == "green" else "bold")
    narrow = console.width < _LEAST_WIDTH
    indent = 1 if narrow else len(mark) + _NAME_CELLS + 1
    row = Text.assemble((mark, colour), finding.name if narrow else finding.name.ljust(_NAME_CELLS + 1))
    for number, wrapped in enumerate(text.wrap(console, max(1, console.width - indent))):
        wrapped.rstrip()
        row.append("\n" + " " * indent if narrow or number else "").append_text(wrapped)
    return row


def _meter(level: "Level", console: "Console") -> "Text":
    from rich.text import Text

    from device.outputs.terminal.meter import meter
    from device.outputs.terminal.text import signs_for

    said, number = "speak  ", f"  {level.dbfs:.0f} dBFS"
    width = max(0, min(_BAR_CELLS, console.width - len(said) - len(number)))
    return Text.assemble(said, meter(level.dbfs, width, signs_for(console)), number, no_wrap=True, overflow="crop")


def _summary(findings: Sequence["Finding"]) -> str:
    wrong, doubtful = ([each.name for each in findings if each.verdict == verdict] for verdict in ("bad", "warning"))
    if wrong:
        return f"Put right first: {', '.join(wrong)}."
    return f"It works, but see: {', '.join(doubtful)}." if doubtful else "All is well: edge-mcnn listen"


def _has_signs(console: "Console") -> bool:
    return console.encoding.startswith("utf")
