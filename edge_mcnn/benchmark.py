"""How `edge-mcnn benchmark` shows its figures; they can be had as `device.benchmark.run.benchmark`."""

import json as json_format
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from device.benchmark.results import Benchmark
    from device.benchmark.verdict import Verdict
    from device.settings.schema import Settings

_STAGES = {
    "loudness_gate": "loudness gate",
    "voice_detector": "voice detector",
    "mel_spectrogram": "mel spectrogram",
    "picture": "picture",
    "vosk_feed": "Vosk hears",
    "vosk_last_words": "Vosk's last words",
    "token_ids": "ids of the words",
    "interpreter": "the network answers",
}
_PER = {"frame": "32 ms of sound", "second": "second of speech", "utterance": "utterance"}


def run(settings: "Settings", *, seconds: float, json: bool) -> None:
    """Measure and print.

    Raises:
        typer.Exit: with status 1 if the machine is too slow or too small.
        EdgeMcnnError: as measuring does.
    """
    from rich.console import Console

    from device.benchmark.run import benchmark
    from device.benchmark.verdict import verdict

    with ExitStack() as stack:
        found = benchmark(settings, seconds=seconds, progress=_progress(stack), announce=_announce)
    judged = verdict(found)
    if json:
        print(json_format.dumps({**asdict(found), "verdict": asdict(judged)}, ensure_ascii=False))
    else:
        show(found, judged, Console(highlight=False))
    if not (judged.keeps_up and judged.enough_memory):
        raise typer.Exit(1)


def show(found: "Benchmark", judged: "Verdict", console: "Console") -> None:
    """Print for people, within 80 columns."""
    from rich.markup import escape

    for part in (_overview(found), _stages(found), _calls(found)):
        console.print(part)
        console.print()
    for runtime, reason in found.unusable_runtimes.items():
        console.print(f"{runtime} cannot be used: {escape(reason)}")
    good = judged.keeps_up and judged.enough_memory
    for number, line in enumerate(judged.lines):
        style = ("bold green" if good else "bold red") if number == 0 else None
        console.print(escape(line), style=style)


def _overview(found: "Benchmark") -> "RenderableType":
    from rich.markup import escape
    from rich.table import Table

    machine, heard = found.machine, found.rehearsal
    numbers = ", ".join(f"{name} {number}" for name, number in machine.versions.items())
    rows = {
        "machine": f"{escape(machine.name)}, {machine.cores} core{'s' if machine.cores > 1 else ''}, "
        f"{machine.architecture}, {machine.bits} bit, {machine.memory_mb:.0f} MB",
        "versions": numbers,
        "ready after": f"{heard.ready_s:.2f} s: imports {heard.imports_s:.2f}, network {heard.model_s:.2f}, "
        f"speech model {heard.speech_model_s:.2f}",
        "memory": f"{heard.peak_mb:.0f} MB at most, and {heard.available_mb:.0f} MB of the machine left",
        "endpoint to light": f"{_ms(heard.endpoint_to_light_median_ms)} ms, worst "
        f"{_ms(heard.endpoint_to_light_worst_ms)}, of {heard.utterances} utterances",
    }
    table = Table.grid(padding=(0, 2))
    for name, told in rows.items():
        table.add_row(name, told)
    return table


def _stages(found: "Benchmark") -> "RenderableType":
    from rich.table import Table

    table = Table("stage", "for each", box=None, pad_edge=False, header_style="dim")
    for heading in ("median ms", "p95 ms", "of a core"):
        table.add_column(heading, justify="right")
    for name, stage in found.stages.items():
        share = "" if stage.core_share is None else f"{stage.core_share:.1%}"
        table.add_row(_STAGES[name], _PER[stage.per], _ms(stage.median_ms), _ms(stage.p95_ms), share)
    table.add_row("while someone speaks", "", "", "", f"{found.core_share:.1%}", style="bold")
    table.add_row("times real time", "", "", "", f"{found.real_time_factor:.1f}", style="bold")
    table.add_row("of Vosk alone", "", "", "", f"{found.vosk_real_time_factor:.1f}")
    return table


def _calls(found: "Benchmark") -> "RenderableType":
    from rich.table import Table

    table = Table("the network in", "threads", box=None, pad_edge=False, header_style="dim")
    table.columns[1].justify = "right"
    for heading in ("median ms", "p95 ms"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for call in found.interpreter_calls:
        chosen = "what the settings choose" if call.selected else ""
        table.add_row(call.runtime, str(call.threads), _ms(call.median_ms), _ms(call.p95_ms), chosen)
    return table


def _ms(value: float) -> str:
    """Milliseconds with as many digits as mean something."""
    digits = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 0.1 else 3
    return f"{value:.{digits}f}"


def _progress(stack: ExitStack) -> Callable[[str], Any]:
    """What shows on a terminal what is being done, until the stack is left."""
    if not sys.stderr.isatty():
        return lambda _: None
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from device.benchmark.run import STEPS

    # Drawn only when a step begins: a bar that moves by itself takes its share of the core that is measured.
    bar = Progress(
        TextColumn("measuring"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"),
        console=Console(stderr=True), auto_refresh=False, transient=True,
    )  # fmt: skip
    task = bar.add_task("", total=len(STEPS), visible=False)
    stack.callback(bar.stop)

    def tell(step: str) -> None:
        bar.start()  # not before: fetching a speech model shows a bar of its own
        bar.update(task, description=step, completed=STEPS.index(step), visible=True, refresh=True)

    return tell


def _announce(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
