"""The tables of the report about training, evaluation and the history, by the amount of their work."""

from collections.abc import Iterator

from benchmarks.page.measurements import Measurements
from benchmarks.training.cost import CLIPS, EPOCHS, OURS, THEIRS, extrapolated_s

Table = tuple[str, tuple[str, ...], list[tuple[str, ...]]]
"""Title, header and rows."""


def training_tables(found: Measurements) -> Iterator[Table]:
    """Yield the tables in the order of the page."""
    rows = [
        (
            name,
            f"{int(work):,} {unit}",
            *(f"{cost[key]:.0f}" for key in ("wall_s", "cpu_s", "together_mb")),
        )
        for name, unit in ((THEIRS, "clips x epochs"), (OURS, f"clips, {EPOCHS} epochs"))
        for work, cost in found.training[name].items()
    ]
    cpu_s = extrapolated_s(found.training, "cpu_s")
    for name, seconds in extrapolated_s(found.training).items():
        if name == THEIRS or str(CLIPS) not in found.training[OURS]:
            rows.append(
                (
                    f"{name}, extrapolated",
                    f"{CLIPS:,} clips, {EPOCHS} epochs",
                    f"{seconds:.0f}",
                    f"{cpu_s[name]:.0f}",
                    "",
                )
            )
    yield "Training (`python -m benchmarks.training.cost`)", ("", "", "s", "CPU s", "peak MB"), rows
    yield (
        "Evaluation (`python -m benchmarks.training.evaluation`)",
        ("clips", "s", "CPU s", "peak MB"),
        [
            (f"{int(clips):,}", f"{cost['wall_s']:.1f}", f"{cost['cpu_s']:.1f}", f"{cost['together_mb']:.0f}")
            for clips, cost in found.evaluation.items()
        ],
    )
    sizes = list(found.history)
    names = list(found.history[sizes[0]]["queries_ms"])
    yield (
        "The history (`python -m benchmarks.watch.growth`)",
        ("predictions", *(f"{int(size):,}" for size in sizes)),
        [
            ("CPU s to store them", *(f"{found.history[size]['cpu_s']:.2f}" for size in sizes)),
            ("ms for one more", *(f"{found.history[size]['store_ms']:.3f}" for size in sizes)),
            ("peak MB", *(f"{found.history[size]['peak_mb']:.0f}" for size in sizes)),
            *((f"{name}, ms", *(f"{found.history[size]['queries_ms'][name]:.1f}" for size in sizes)) for name in names),
        ],
    )
