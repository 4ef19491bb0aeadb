"""`edge-mcnn benchmark`. From Python: `device.benchmark.run.benchmark` and `device.benchmark.verdict.verdict`."""

import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_mcnn.options import Config, Json, Model, limit_arithmetic_threads, load_settings
from edge_mcnn.output import out

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from device.benchmark.results import Benchmark
    from device.benchmark.verdict import Verdict

_STAGES = {
    "loudness_gate": "loudness gate",
    "voice_detector": "voice detector",
    "mel_spectrogram": "mel spectrogram",
    "picture": "spectrogram image",
    "vosk_feed": "Vosk, while speaking",
    "vosk_last_words": "Vosk, last words",
    "token_ids": "token ids",
    "interpreter": "network",
}
_PER = {"frame": "32 ms of audio", "second": "second of speech", "utterance": "utterance"}


def benchmark_command(
    json: Json = False,
    seconds: Annotated[
        float,
        typer.Option(
            "--seconds",
            min=0.1,
            max=600,
            help="Repeat the measurements for this many seconds; loading everything twice comes on top.",
        ),
    ] = 10.0,
    model: Model = None,
    config: Config = None,
) -> None:
    """Measure the speed and memory of this machine.

    The benchmark shows whether the machine keeps up with speech, how soon the light comes on, and how much memory is
    used. It processes a clip that ships with edge-mcnn, stage by stage, and needs no microphone. Stop the service
    first, because it would share the processor: `sudo systemctl stop edge-mcnn`.

    Exit status: 0 if the machine keeps up and has memory to spare, 1 if it does not.

    For example:

        edge-mcnn benchmark
        edge-mcnn benchmark --seconds 60 --json > my-board.json
    """
    limit_arithmetic_threads()
    from device.benchmark.run import benchmark
    from device.benchmark.verdict import verdict

    settings = load_settings(config, model=model)
    with ExitStack() as stack:
        result = benchmark(settings, seconds=seconds, progress=_progress(stack), announce=out.announce)
    judged = verdict(result)
    if json:
        out.json({**asdict(result), "verdict": asdict(judged)})
    else:
        show(result, judged, out.console(highlight=False))
    if not (judged.keeps_up and judged.enough_memory):
        raise typer.Exit(1)


def show(result: "Benchmark", judged: "Verdict", console: "Console") -> None:
    """Print tables and sentences for people, within 80 columns."""
    from rich.markup import escape

    for part in (_overview(result), _stages(result), _calls(result)):
        console.print(part)
        console.print()
    for runtime, reason in result.unusable_runtimes.items():
        console.print(f"{runtime} cannot be used: {escape(reason)}")
    good = judged.keeps_up and judged.enough_memory
    for number, line in enumerate(judged.lines):
        style = ("bold green" if good else "bold red") if number == 0 else None
        console.print(escape(line), style=style)


def _overview(result: "Benchmark") -> "RenderableType":
    from rich.markup import escape
    from rich.table import Table

    machine, rehearsal = result.machine, result.rehearsal
    numbers = ", ".join(f"{name} {number}" for name, number in machine.versions.items())
    rows = {
        "machine": f"{escape(machine.name)}, {machine.cores} core{'s' if machine.cores > 1 else ''}, "
        f"{machine.architecture}, {machine.bits} bit, {machine.memory_mb:.0f} MB",
        "versions": numbers,
        "ready after": f"{rehearsal.ready_s:.2f} s: imports {rehearsal.imports_s:.2f}, "
        f"network {rehearsal.model_s:.2f}, speech model {rehearsal.speech_model_s:.2f}",
        "memory": f"{rehearsal.peak_mb:.0f} MB at most, {rehearsal.available_mb:.0f} MB of the machine still available",
        "endpoint to light": f"{_ms(rehearsal.endpoint_to_light_median_ms)} ms, worst "
        f"{_ms(rehearsal.endpoint_to_light_worst_ms)} over {rehearsal.utterances} utterances",
    }
    table = Table.grid(padding=(0, 2))
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def _stages(result: "Benchmark") -> "RenderableType":
    from rich.table import Table

    table = Table("stage", "per", box=None, pad_edge=False, header_style="dim")
    for heading in ("median ms", "p95 ms", "share of a core"):
        table.add_column(heading, justify="right")
    for name, stage in result.stages.items():
        share = "" if stage.core_share is None else f"{stage.core_share:.1%}"
        table.add_row(_STAGES[name], _PER[stage.per], _ms(stage.median_ms), _ms(stage.p95_ms), share)
    table.add_row("while someone speaks", "", "", "", f"{result.core_share:.1%}", style="bold")
    table.add_row("times real time", "", "", "", f"{result.real_time_factor:.1f}", style="bold")
    table.add_row("Vosk alone", "", "", "", f"{result.vosk_real_time_factor:.1f}")
    return table


def _calls(result: "Benchmark") -> "RenderableType":
    from rich.table import Table

    table = Table("the network in", "threads", box=None, pad_edge=False, header_style="dim")
    table.columns[1].justify = "right"
    for heading in ("median ms", "p95 ms"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for call in result.interpreter_calls:
        selected = "selected by the settings" if call.selected else ""
        table.add_row(call.runtime, str(call.threads), _ms(call.median_ms), _ms(call.p95_ms), selected)
    return table


def _ms(value: float) -> str:
    """Format milliseconds with as many digits as are significant."""
    digits = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 0.1 else 3
    return f"{value:.{digits}f}"


def _progress(stack: ExitStack) -> Callable[[str], Any]:
    """Return a function that shows the current step on a terminal; the bar is removed when the stack is closed."""
    if not sys.stderr.isatty():
        return lambda _: None
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from device.benchmark.run import STEPS

    # Drawn only when a step begins: a bar that refreshes itself would use part of the core that is being measured.
    bar = Progress(
        TextColumn("measuring"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"),
        console=out.progress_console(), auto_refresh=False, transient=True,
    )  # fmt: skip
    task = bar.add_task("", total=len(STEPS), visible=False)
    stack.callback(bar.stop)

    def show_step(step: str) -> None:
        bar.start()  # not earlier: downloading a speech model shows its own bar
        bar.update(task, description=step, completed=STEPS.index(step), visible=True, refresh=True)

    return show_step
