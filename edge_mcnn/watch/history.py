"""`edge-mcnn history`. From Python: `device.history.store.History`."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from device.errors import HistoryError, PathError
from device.system.display import counted, displayable, shortened
from edge_mcnn.guided_session import has_keyboard
from edge_mcnn.options import Config, Json, load_settings
from edge_mcnn.output import out
from edge_mcnn.paths import input_file, new_file

if TYPE_CHECKING:
    from device.history.records import Contents
    from device.history.store import History
    from device.settings.schema import HistorySettings, Settings

_STANDARD_OUTPUT = Path("-")
_PRIVATE = 0o600
_EARLIEST = date.min + timedelta(days=1)


def _day(text: str | date) -> date:
    if isinstance(text, date):
        return text
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{shortened(text)} is not a date, such as 2026-01-31") from None


def _export_file(text: str | Path) -> Path:
    return _STANDARD_OUTPUT if str(text) == str(_STANDARD_OUTPUT) else new_file()(text)


def history_command(
    export: Annotated[
        Path | None,
        typer.Option(
            "--export",
            metavar="FILE.csv|-",
            parser=_export_file,
            help="Write the predictions as CSV to this new file, which only you can read, or to standard output (-).",
        ),
    ] = None,
    since: Annotated[
        date | None,
        typer.Option(
            "--since", metavar="DATE", parser=_day, help="With --export: from this day on, such as 2026-01-31."
        ),
    ] = None,
    until: Annotated[
        date | None,
        typer.Option("--until", metavar="DATE", parser=_day, help="With --export: up to this day, which is included."),
    ] = None,
    erase: Annotated[
        bool, typer.Option("--erase", help="Erase the history, or a part of it, after a question.")
    ] = False,
    before: Annotated[
        date | None,
        typer.Option(
            "--before", metavar="DATE", parser=_day, help="With --erase: only the days before this one, which remains."
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="With --erase: without the question.")] = False,
    path: Annotated[
        Path | None,
        typer.Option(
            "--path",
            metavar="FILE",
            parser=input_file("name a history that edge-mcnn wrote"),
            help="Use this history. Default: that of `edge-mcnn web` of this user; for root, where the service has "
            "one, that of the service.",
        ),
    ] = None,
    json: Json = False,
    config: Config = None,
) -> None:
    """Show what the history contains, export it, or erase it.

    `edge-mcnn web` stores predictions if keep_days under [history] in the settings is not 0: time, class,
    probabilities and corrections, no audio, and words only if the settings include them.

    Erased predictions are overwritten, and the file is compacted; `edge-mcnn web` can run meanwhile. Backups and
    exported files are yours to remove.

    For example:

        edge-mcnn history
        edge-mcnn history --export predictions.csv --since 2026-01-01
        edge-mcnn history --export - | head
        edge-mcnn history --erase --before 2026-01-01
        edge-mcnn history --erase
        sudo .venv/bin/edge-mcnn history
    """
    for name, given, task, is_chosen in (
        ("--since", since is not None, "--export", export is not None),
        ("--until", until is not None, "--export", export is not None),
        ("--before", before is not None, "--erase", erase),
        ("--yes", yes, "--erase", erase),
    ):
        if given and not is_chosen:
            raise typer.BadParameter(f"{name} is for {task}: add it, or omit {name}")
    if export is not None and erase:
        raise typer.BadParameter("--export and --erase exclude each other: export first, then erase")
    if since is not None and until is not None and since > until:
        raise typer.BadParameter(f"--since {since} is after --until {until}: exchange them")
    if export == _STANDARD_OUTPUT and json:
        raise typer.BadParameter("--json and --export - both write to standard output: omit one")
    if erase and not yes and not has_keyboard():
        raise typer.BadParameter("--erase has a question, and standard input is no terminal: add --yes")

    found, config = _found(path, config)
    if not os.path.lexists(found):
        _report_missing(found, exports=export is not None, json=json)
        return
    with _opened(found) as history:
        if export is not None:
            _export(history, export, since, until, json=json)
        elif erase:
            _erase(history, before, yes=yes, json=json)
        else:
            _show(history, None if config is None else load_settings(config), json=json)


def _found(path: Path | None, config: Path | None) -> tuple[Path, Path | None]:
    """Return the path of the history, and the settings of the page that writes it, as far as they are known."""
    from device.history.history_path import SERVICE_HISTORY, history_path
    from device.service.install import CONFIG

    if path is not None:
        return path, config
    if os.geteuid() == 0 and os.path.lexists(SERVICE_HISTORY):
        out.announce(f"history of the service: {SERVICE_HISTORY}")
        return SERVICE_HISTORY, config or (CONFIG if os.path.lexists(CONFIG) else None)
    if os.path.lexists(SERVICE_HISTORY.parent):
        out.announce("the service has a history of its own; to show it, run: sudo .venv/bin/edge-mcnn history")
    return history_path(), config


@contextmanager
def _opened(path: Path) -> "Iterator[History]":
    from device.history.store import History

    # Only read and erased here: how long predictions are stored is the matter of `edge-mcnn web`.
    with History(path, keep_days=0, max_mb=1, words=False) as history:
        yield history


def _report_missing(path: Path, *, exports: bool, json: bool) -> None:
    if exports:
        raise HistoryError(
            f"{displayable(path)}: there is no history",
            fix="set keep_days under [history] in the settings, and run: edge-mcnn web",
        )
    out.announce(f"{path}: there is no history; keep_days under [history] in the settings of edge-mcnn web begins one")
    if json:
        out.json({"path": str(path), "predictions": 0})


def _show(history: "History", settings: "Settings | None", *, json: bool) -> None:
    from rich.table import Table

    contents = history.contents()
    labels = history.labels()
    storing = None if settings is None else settings.history
    if json:
        out.json(_as_json(history, contents, labels, storing))
        return
    rows = {
        "history": displayable(history.path),
        "predictions": _with_parts(contents.predictions, labels),
        "corrected": str(contents.corrected),
        "words": _words(settings, contents),
        "first": "-" if contents.first is None else f"{contents.first:%Y-%m-%d %H:%M}",
        "last": "-" if contents.last is None else f"{contents.last:%Y-%m-%d %H:%M}",
        "device state": f"of {counted(contents.health, 'minute')}",
        "size": f"{contents.file_bytes / 1e6:.1f} MB",
        "retention": _retention(storing, contents),
    }
    table = Table.grid(padding=(0, 2))
    for name, value in rows.items():
        table.add_row(name, value)
    table.columns[1].overflow = "fold"  # a path is of use only as a whole
    out.console(highlight=False, soft_wrap=True).print(table)


def _as_json(
    history: "History", contents: "Contents", labels: Any, settings: "HistorySettings | None"
) -> dict[str, Any]:
    return {
        "path": str(history.path),
        "predictions": contents.predictions,
        "classes": labels,
        "corrected": contents.corrected,
        "with_words": contents.with_words,
        "first": contents.first and contents.first.isoformat(timespec="milliseconds"),
        "last": contents.last and contents.last.isoformat(timespec="milliseconds"),
        "health_minutes": contents.health,
        "bytes": contents.file_bytes,
        "keep_days": None if settings is None else settings.keep_days,
        "max_mb": None if settings is None else settings.max_mb,
    }


def _with_parts(total: int, labels: Any) -> str:
    parts = ", ".join(f"{count} {displayable(label)}" for label, count in labels.items())
    return f"{total} ({parts})" if parts else str(total)


def _words(settings: "Settings | None", contents: "Contents") -> str:
    stored = f"of {counted(contents.with_words, 'prediction')}" if contents.with_words else "none"
    if settings is not None and settings.history.words and not settings.events.words:
        return f"{stored}; no more are stored until words is true also under [events]"
    return stored


def _retention(settings: "HistorySettings | None", contents: "Contents") -> str:
    if settings is None:
        return "as in the settings of edge-mcnn web; to show it, add --config FILE"
    if settings.keep_days == 0:
        rest = "; what is stored stays until you erase it" if contents.predictions else ""
        return f"nothing is added: keep_days is 0{rest}"
    return f"{counted(settings.keep_days, 'day')}, at most {settings.max_mb} MB"


def _export(history: "History", path: Path, since: date | None, until: date | None, *, json: bool) -> None:
    from rich.progress import Progress

    from device.system.atomic_write import atomic_write
    from device.system.paths import cannot_use

    if path == _STANDARD_OUTPUT:
        history.export(out.csv_stream(), since=since, until=until)
        return
    console = out.progress_console()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with (
            Progress(console=console, transient=True, disable=not console.is_terminal) as progress,
            atomic_write(path, mode=_PRIVATE) as stream,
        ):
            task = progress.add_task("exporting", total=history.count(since, until))
            text = io.TextIOWrapper(stream, encoding="utf-8", newline="")
            count = history.export(
                text, since=since, until=until, progress=lambda done: progress.update(task, completed=done)
            )
            text.flush()
            text.detach()  # the stream is closed by its owner
    except OSError as error:
        raise cannot_use(path, error, PathError) from None
    if json:
        out.json({"path": str(history.path), "copy": str(path), "predictions": count})
    else:
        out.line(f"wrote {path}: {counted(count, 'prediction')} of {history.path}")


def _erase(history: "History", before: date | None, *, yes: bool, json: bool) -> None:
    count = history.count() if before is None else history.count(until=max(before, _EARLIEST) - timedelta(days=1))
    scope = "everything" if before is None else f"the days before {before}"
    question = f"Erase {scope}, {counted(count, 'prediction')} of {history.path}? They cannot be restored."
    if not yes and not out.confirm(question, default=False):
        out.announce(f"nothing was erased; {history.path} is unchanged")
        return
    erased = history.erase(before=before)
    left = history.contents().predictions
    if json:
        out.json({"path": str(history.path), "erased": erased, "predictions": left})
    else:
        out.line(f"erased {counted(erased, 'prediction')}; {left} left in {history.path}")
