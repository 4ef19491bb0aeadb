"""The live table of the epochs on an emulated terminal, and the lines that take its place elsewhere."""

import os
import re
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from tests.device.outputs.terminal.terminal import Terminal
from tests.training.conftest import printed
from tests.training.fit.test_epochs import SETTINGS, trained
from training.fit.epochs import head_probabilities
from training.fit.progress.epoch_table import EpochTable

METRICS = {"loss": 1.0, "accuracy": 0.5, "validation_loss": 0.75, "validation_weighted_f1": 0.25}


def epochs_shown(lines: list[str]) -> list[str]:
    return [found[1] for line in lines if (found := re.match(r" *(\d+)/\d+ ", line))]


@pytest.mark.parametrize(("columns", "names"), [(80, "loss accuracy validation loss weighted F1 time"), (40, "loss")])
def test_terminal_shows_a_row_per_epoch_and_marks_the_best(tmp_path: Path, columns: int, names: str) -> None:
    terminal = Terminal(columns, 20)
    fitted, _ = trained(SETTINGS, tmp_path / "Model.h5", terminal.console)
    lines = terminal.shown
    assert epochs_shown(lines) == ["1", "2", "3", "4"]
    head = " ".join(lines).split("1/4")[0]
    assert all(word in head for word in (*names.split(), "validation", "loss", "weighted", "F1"))
    assert not any("epoch 1/4" in line for line in lines)  # neither the progress bar nor the line of a pipe
    for number, metrics in enumerate(fitted.history, 1):
        (line,) = (line for line in lines if line.lstrip().startswith(f"{number}/4"))
        for name in ("loss", "validation_loss", "validation_weighted_f1"):
            assert f"{metrics[name]:.3f}" in line
    losses = [entry["validation_loss"] for entry in fitted.history]
    (best,) = (line for line in lines if line.endswith("best"))
    assert best.lstrip().startswith(f"{1 + losses.index(min(losses))}/4")


def test_resumed_training_shows_the_earlier_epochs(tmp_path: Path) -> None:
    trained(replace(SETTINGS, epochs=2), tmp_path / "Model.h5", Terminal(80, 24).console)
    terminal = Terminal(80, 24)
    trained(replace(SETTINGS, resume=True), tmp_path / "Model.h5", terminal.console)
    assert terminal.shown[0] == "continuing after epoch 2/4"
    assert epochs_shown(terminal.shown) == ["1", "2", "3", "4"]


def test_low_terminal_shows_the_last_epochs_and_the_best_and_all_in_the_end() -> None:
    terminal = Terminal(80, 12)
    with EpochTable(terminal.console, 30) as table:
        for epoch in range(1, 31):
            table.start(epoch, 3)
            table.measured(epoch, METRICS, best_epoch=min(epoch, 4))
            assert len(terminal.shown) < 12
            assert not terminal.scrolled
        assert epochs_shown(terminal.shown) == ["4", "27", "28", "29", "30"]
    assert epochs_shown([*terminal.scrolled, *terminal.shown]) == [str(epoch) for epoch in range(1, 31)]


def test_ctrl_c_leaves_a_readable_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal(100, 24)
    evaluations: list[int] = []

    def interrupt(*arguments: object) -> object:
        evaluations.append(1)
        if len(evaluations) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return head_probabilities(*arguments)  # type: ignore[arg-type]  # the arguments of the function it replaces

    monkeypatch.setattr("training.fit.epochs.head_probabilities", interrupt)
    fitted, _ = trained(SETTINGS, tmp_path / "Model.h5", terminal.console)
    assert fitted.interrupted
    terminal.console.print("saved")
    lines = terminal.shown
    assert lines[0].startswith("stopping after this batch")
    assert epochs_shown(lines) == ["1", "2", "3"]
    assert lines[-2].endswith("stopped")
    assert lines[-1] == "saved"
    assert not terminal.screen.cursor.hidden


def test_second_ctrl_c_leaves_the_terminal_usable() -> None:
    terminal = Terminal(80, 24)

    def interrupted() -> None:
        with EpochTable(terminal.console, 3) as table:
            table.start(1, 5)
            table.measured(1, METRICS, best_epoch=1)
            table.start(2, 5)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert epochs_shown(terminal.shown) == ["1"]
    assert not any("epoch 2/3" in line for line in terminal.shown)
    assert not terminal.screen.cursor.hidden


@pytest.mark.parametrize("dumb", [False, True])
def test_pipes_and_simple_terminals_have_a_line_per_epoch(
    tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch, dumb: bool
) -> None:
    terminal = Terminal(120, 24, _environ={"TERM": "dumb"})
    console.width = 60  # a line stays one line
    target = terminal.console if dumb else console
    trained(replace(SETTINGS, epochs=2), tmp_path / "Model.h5", target)
    lines = terminal.shown if dumb else printed(console).splitlines()
    assert len(lines) == 2
    for number, line in enumerate(lines, 1):
        metrics = r"loss \d\.\d{3}  accuracy \d\.\d{3}  validation loss \d\.\d{3}  validation weighted f1 \d\.\d{3}"
        assert re.fullmatch(rf"epoch {number}/2  {metrics}  \d+ s", line)
    assert not dumb or "\x1b[?25l" not in "".join(terminal.written)
