"""Compares the modes of `edge-mcnn convert`: size, agreement with Keras, and milliseconds per call in each runtime.

    python -m benchmarks.conversion.modes Model.h5 TABLE.csv [--audio-root FOLDER]

Prints a Markdown table. Each bundle is calibrated on some rows of the table and compared with Keras on 500 others; each
timing is the median of calls in a separate process. The runtimes take turns, so that other load affects all of them.
"""

import statistics
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.interpreter import call_ms
from convert.convert import ConversionReport, convert
from convert.options import ConversionOptions
from convert.recipes import RECIPES
from device.recognition.runtimes import DISPLAY_NAMES, RUNTIMES
from training.images.conversion_samples import corpus_samples

_ROUNDS, _CALLS = 3, 60
_THREADS = (1, 2)


def main(
    model: Annotated[Path, typer.Argument(help="Keras model that `edge-mcnn train` wrote.")],
    table: Annotated[
        Path, typer.Argument(help="Clips that were not used for training: a CSV table, or a folder of class folders.")
    ],
    audio_root: Annotated[
        Path | None, typer.Option(help="Folder that audio paths in the table are relative to.")
    ] = None,
) -> None:
    """Convert in every mode and print the comparison."""
    console = Console(stderr=True)
    with tempfile.TemporaryDirectory() as name:
        reports = {}
        for mode in RECIPES:
            console.print(f"converting: {mode}")
            reports[mode] = convert(
                model,
                Path(name) / f"{mode}.tflite",
                options=ConversionOptions(mode),
                samples=lambda companions: corpus_samples(table, audio_root, companions, console),
            )
        runtimes = [runtime for runtime in RUNTIMES if DISPLAY_NAMES[runtime] in reports["float32"].runtimes]
        times: dict[tuple[str, str, int], list[float]] = {}
        for number in range(_ROUNDS):
            console.print(f"timing: round {number + 1} of {_ROUNDS}")
            for mode, report in reports.items():
                for runtime in runtimes:
                    for threads in _THREADS:
                        measured = call_ms(report.target, runtime, threads, _CALLS)
                        times.setdefault((mode, runtime, threads), []).extend(measured)
    print(_table(reports, runtimes, times))


def _table(
    reports: dict[str, ConversionReport], runtimes: list[str], times: dict[tuple[str, str, int], list[float]]
) -> str:
    samples = reports["float32"].samples
    header = ["mode", "MB", "of float32", f"same class, of {samples}", "largest difference", "mean difference"]
    header += [
        f"ms, {DISPLAY_NAMES[runtime]}, {threads} thread{'s'[: threads - 1]}"
        for runtime in runtimes
        for threads in _THREADS
    ]
    lines = [header, ["---"] * len(header)]
    for mode, report in reports.items():
        same = " / ".join(str(report.agreements[DISPLAY_NAMES[runtime]].same_class) for runtime in runtimes)
        largest = " / ".join(
            f"{report.agreements[DISPLAY_NAMES[runtime]].largest_difference:.4f}" for runtime in runtimes
        )
        mean = " / ".join(f"{report.agreements[DISPLAY_NAMES[runtime]].mean_difference:.4f}" for runtime in runtimes)
        row = [mode, f"{report.bytes_after / 1e6:.2f}", f"{report.bytes_after / reports['float32'].bytes_after:.1%}"]
        row += [same, largest, mean]
        row += [
            f"{statistics.median(times[mode, runtime, threads]):.1f}" for runtime in runtimes for threads in _THREADS
        ]
        lines.append(row)
    order = " / ".join(DISPLAY_NAMES[runtime] for runtime in runtimes)
    return (
        "\n".join(f"| {' | '.join(line)} |" for line in lines)
        + f"\n\nWhere a cell has two values, they are for {order}."
    )


if __name__ == "__main__":
    typer.run(main)
