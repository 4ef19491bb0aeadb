"""How costs grow with the work, each with a straight line through its measurements, and the chart of all of them."""

from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt

from benchmarks.growth import Fit, fit
from benchmarks.page.measurements import Measurements
from benchmarks.page.summary import Summary
from benchmarks.training.cost import OURS as OUR_TRAINING

UTTERANCES, CONVERT, TRAIN, EVALUATE, HISTORY = (
    "an utterance", "edge-mcnn convert", "edge-mcnn train", "edge-mcnn evaluate", "the history"
)  # fmt: skip
"""What costs something, in the order of the chart."""


@dataclass(frozen=True)
class Curve:
    """The cost of something by the amount of its work."""

    name: str
    """What costs something, such as `edge-mcnn train`."""
    work: str
    """Unit of the work, plural, such as `clips`."""
    cpu_s: dict[float, float]
    """CPU seconds by the work."""
    peak_mb: dict[float, float]
    """Peak memory by the work, 10^6 bytes; empty where it was not measured."""

    @property
    def line(self) -> Fit:
        """The line through the CPU seconds."""
        return fit(self.cpu_s)

    @property
    def memory_kb(self) -> float:
        """Slope of the line through the peak memory, 10^3 bytes for each unit of work."""
        return fit(self.peak_mb).per_second_s * 1000

    @property
    def text(self) -> str:
        """The line in words, with the largest distance of a measurement from it."""
        line = self.line
        fixed_s = round(line.fixed_s, 1) + 0.0  # not -0.0
        return f"{fixed_s:.1f} s + {line.per_second_s * 1000:.3g} ms each, off by {line.max_error:.0%} at most"


def curves(found: Measurements) -> dict[str, Curve]:
    """Return the curves by their names, in the order of the chart."""
    by_length = {float(length): Summary.of(costs).median for length, costs in found.growth["lengths"].items()}
    by_size = {int(size_kb) / 1000: cost for size_kb, cost in found.conversion["growth"].items()}
    by_clips = {float(clips): cost for clips, cost in found.training[OUR_TRAINING].items()}
    evaluated = {float(clips): cost for clips, cost in found.evaluation.items()}
    stored = {float(predictions): cost for predictions, cost in found.history.items()}
    measured = (
        Curve(UTTERANCES, "seconds", by_length, {}),
        *(
            Curve(
                name,
                work,
                {amount: cost["cpu_s"] for amount, cost in costs.items()},
                {amount: cost[memory] for amount, cost in costs.items()},
            )
            for name, work, costs, memory in (
                (CONVERT, "MB of the model", by_size, "together_mb"),
                (TRAIN, "clips", by_clips, "together_mb"),
                (EVALUATE, "clips", evaluated, "together_mb"),
                (HISTORY, "predictions", stored, "peak_mb"),
            )
        ),
    )
    return {curve.name: curve for curve in measured}


def draw(found: Measurements, path: Path) -> None:
    """Draw a chart for each curve: the measurements, and the line through them."""
    mpl.use("Agg")
    drawn = curves(found).values()
    figure, axes = plt.subplots(len(drawn), 1, figsize=(7, 2 * len(drawn)), layout="constrained")
    for each, curve in zip(axes, drawn, strict=True):
        work, line = [0.0, max(curve.cpu_s)], curve.line
        each.plot(work, [line.fixed_s + line.per_second_s * amount for amount in work], color="tab:grey", linewidth=1)
        each.plot(list(curve.cpu_s), list(curve.cpu_s.values()), "o", color="tab:green", markersize=4)
        each.set_title(f"{curve.name}, CPU: s by {curve.work} ({curve.text})", loc="left", fontsize=9)
        each.set_xlim(left=0)
        each.set_ylim(bottom=0)
        each.spines[["top", "right"]].set_visible(False)
        each.tick_params(labelsize=8)
    figure.savefig(path, dpi=110)
    plt.close(figure)
