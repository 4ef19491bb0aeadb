"""The course of a training on a console: a live table of the epochs on a terminal, or else one line per epoch."""

import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import Progress, TaskID
from rich.table import Table

_COLUMNS = {"loss": "loss", "validation_loss": "validation loss", "validation_weighted_f1": "weighted F1"}
_WIDE_COLUMNS = {"loss": "loss", "accuracy": "accuracy", **_COLUMNS}
_WIDE = 64
"""Columns of a terminal from which on the accuracy and the time are shown, too."""
_OTHER_LINES = 7
"""Lines of the live region that are no epochs: the head of the table, the progress bar, and space around them."""


class EpochTable:
    """The epochs of a training; use as a context.

    On a terminal the table stays below everything else that is printed, until the context ends; then it has a row for
    every epoch. While it is live, only the rows that fit on the terminal are shown: the last ones and the best.

    Args:
        console: console to print on.
        epochs: maximum number of epochs.
    """

    def __init__(self, console: Console, epochs: int) -> None:
        self.console = console
        self._epochs = epochs
        self._rows: list[tuple[Mapping[str, Any], float | None]] = []
        self._best = 0
        self._started = time.monotonic()
        self._bar = Progress(console=console, auto_refresh=False)
        self._task: TaskID | None = None
        self._ended = False
        live = console.is_terminal and not console.is_dumb_terminal
        self._live = Live(get_renderable=self._render, console=console, refresh_per_second=10) if live else None

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start(refresh=False)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._ended = True
        if self._live is not None:
            self._live.stop()

    def continued(self, history: Sequence[Mapping[str, Any]], best_epoch: int) -> None:
        """Show the epochs before those of this training, from its checkpoint.

        Args:
            history: metrics of each of these epochs.
            best_epoch: the epoch with the lowest validation loss, counted from 1.
        """
        self.console.print(f"continuing after epoch {len(history)}/{self._epochs}")
        self._rows = [(metrics, None) for metrics in history]
        self._best = best_epoch

    def start(self, epoch: int, steps: int) -> None:
        """Begin an epoch of this many steps, counted from 1."""
        self._started = time.monotonic()
        self._task = self._bar.add_task(self._name(epoch), total=steps)

    def step(self) -> None:
        """Count a step."""
        if self._task is not None:
            self._bar.advance(self._task)

    def measured(self, epoch: int, metrics: Mapping[str, Any], best_epoch: int) -> None:
        """End an epoch and show its metrics.

        Args:
            epoch: number of the epoch, counted from 1.
            metrics: its metrics, and `complete: False` if it was interrupted.
            best_epoch: the epoch with the lowest validation loss so far, counted from 1.
        """
        seconds = time.monotonic() - self._started
        if self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None
        self._rows.append((metrics, seconds))
        self._best = best_epoch
        if self._live is None:
            values = {name: value for name, value in metrics.items() if name != "complete"}
            shown = "  ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in values.items())
            self.console.print(f"{self._name(epoch)}  {shown}  {seconds:.0f} s", soft_wrap=True)
        else:
            self._live.refresh()

    def _name(self, epoch: int) -> str:
        return f"epoch {epoch}/{self._epochs}"

    def _render(self) -> RenderableType:
        parts: list[RenderableType] = [self._table()] if self._rows else []
        if self._task is not None and not self._ended:
            parts.append(self._bar)
        return Group(*parts)

    def _table(self) -> Table:
        wide = self.console.width >= _WIDE
        columns = _WIDE_COLUMNS if wide else _COLUMNS
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
        for name in ("epoch", *columns.values(), *(["time"] if wide else [])):
            table.add_column(name, justify="right", min_width=max(5, *map(len, name.split())))
        table.add_column("")
        for epoch in self._shown():
            metrics, seconds = self._rows[epoch - 1]
            best = epoch == self._best
            cells = [f"{epoch}/{self._epochs}", *(f"{metrics[name]:.3f}" for name in columns)]
            if wide:
                cells.append("" if seconds is None else f"{seconds:.0f} s")
            marks = ["best"] * best + ["stopped"] * (wide and not metrics.get("complete", True))
            table.add_row(*cells, ", ".join(marks), style="bold" if best else None)
        return table

    def _shown(self) -> list[int]:
        """Return the numbers of the epochs to show: all in the end, those that fit before."""
        epochs = list(range(1, len(self._rows) + 1))
        space = max(self.console.height - _OTHER_LINES, 2)
        if self._ended or len(epochs) <= space:
            return epochs
        last = epochs[-space:]
        return last if self._best in last or not self._best else [self._best, *last[1:]]
