"""`edge-mcnn benchmark`. From Python: `device.benchmark.run.benchmark` and `device.benchmark.verdict.judge`."""

import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_mcnn.options import Config, Json, Model, limit_arithmetic_threads, load_settings, require_memory_for_speech
from edge_mcnn.output import out

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from device.benchmark.results import BenchmarkResults
    from device.benchmark.verdict import BenchmarkVerdict

_STAGES = {
    "loudness_gate": "loudness gate",
    "voice_detector": "voice detector",
    "mel_spectrogram": "mel spectrogram",
    "spectrogram_image": "spectrogram image",
    "vosk_feed": "Vosk, while speaking",
    "vosk_final_result": "Vosk, final result",
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
    require_memory_for_speech()
    from device.benchmark.run import benchmark
    from device.benchmark.verdict import judge
    from device.system.throttling import read_throttling

    settings = load_settings(config, model=model)
    with ExitStack() as stack:
        results = benchmark(
            settings,
            seconds=seconds,
            entry_point="edge_mcnn.main",
            progress=_progress(stack),
            announce=out.announce,
        )
    verdict = judge(results, read_throttling())
    if json:
        out.json({**asdict(results), "verdict": asdict(verdict)})
    else:
        show(results, verdict, out.console(highlight=False))
    if not (verdict.keeps_up and verdict.enough_memory):
        raise typer.Exit(1)


def show(results: "BenchmarkResults", verdict: "BenchmarkVerdict", console: "Console") -> None:
    """Print tables and sentences for people, within 80 columns."""
    for part in (_overview(results), _stages(results), _calls(results)):
        console.print(part)
        console.print()
    for runtime, reason in results.unusable_runtimes.items():
        console.print(f"{runtime} cannot be used: {reason}")
    good = verdict.keeps_up and verdict.enough_memory
    for number, line in enumerate(verdict.lines):
        style = ("bold green" if good else "bold red") if number == 0 else None
        console.print(line, style=style)


def _overview(results: "BenchmarkResults") -> "RenderableType":
    from rich.table import Table

    from device.system.durations import duration_text

    machine, start = results.machine, results.cold_start
    numbers = ", ".join(f"{name} {number}" for name, number in machine.versions.items())
    rows = {
        "machine": f"{machine.name}, {machine.cores} core{'s' if machine.cores > 1 else ''}, "
        f"{machine.architecture}, {machine.bits} bit, {machine.memory_mb:.0f} MB",
        "versions": numbers,
        "ready after": f"{start.ready_s:.2f} s: imports {start.imports_s:.2f}, "
        f"network {start.model_load_s:.2f}, speech model {start.speech_model_load_s:.2f}",
        "memory": f"{start.peak_memory_mb:.0f} MB at most, "
        f"{start.available_memory_mb:.0f} MB of the machine still available",
        "endpoint to light": f"{duration_text(start.endpoint_to_light_median_ms)}, worst "
        f"{duration_text(start.endpoint_to_light_worst_ms)} over {start.utterances} utterances",
    }
    table = Table.grid(padding=(0, 2))
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def _stages(results: "BenchmarkResults") -> "RenderableType":
    from rich.table import Table

    table = Table("stage", "per", box=None, pad_edge=False, header_style="dim")
    for heading in ("median ms", "p95 ms", "share of a core"):
        table.add_column(heading, justify="right")
    for name, stage in results.stages.items():
        share = "" if stage.core_share is None else f"{stage.core_share:.1%}"
        table.add_row(_STAGES[name], _PER[stage.per], _ms(stage.median_ms), _ms(stage.p95_ms), share)
    table.add_row("while someone speaks", "", "", "", f"{results.core_share:.1%}", style="bold")
    table.add_row("times real time", "", "", "", f"{results.times_real_time:.1f}", style="bold")
    table.add_row("Vosk alone", "", "", "", f"{results.vosk_times_real_time:.1f}")
    return table


def _calls(results: "BenchmarkResults") -> "RenderableType":
    from rich.table import Table

    table = Table("the network in", "threads", box=None, pad_edge=False, header_style="dim")
    table.columns[1].justify = "right"
    for heading in ("median ms", "p95 ms"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for call in results.interpreter_calls:
        selected = "selected by the settings" if call.selected else ""
        table.add_row(call.runtime, str(call.threads), _ms(call.median_ms), _ms(call.p95_ms), selected)
    return table


def _ms(value: float) -> str:
    """Format milliseconds with as many digits as are significant."""
    digits = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 0.1 else 3
    return f"{value:.{digits}f}"


def _progress(stack: ExitStack) -> Callable[[str], Any]:
    """Return a function that shows the current phase on a terminal; the bar is removed when the stack is closed."""
    if not sys.stderr.isatty():
        return lambda _: None
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from device.benchmark.run import PHASES

    # Drawn only when a phase begins: a bar that refreshes itself would use part of the core that is being measured.
    bar = Progress(
        TextColumn("measuring", markup=False), BarColumn(), MofNCompleteColumn(),
        TextColumn("{task.description}", markup=False),
        console=out.progress_console(), auto_refresh=False, transient=True,
    )  # fmt: skip
    task = bar.add_task("", total=len(PHASES), visible=False)
    stack.callback(bar.stop)

    def show_phase(phase: str) -> None:
        bar.start()  # not earlier: downloading a speech model shows its own bar
        bar.update(task, description=phase, completed=PHASES.index(phase), visible=True, refresh=True)

    return show_phase
