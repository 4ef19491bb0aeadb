"""The commands `edge-mcnn service ...` and `edge-mcnn status`; what they do can be called in `device.running`."""

import json as json_format
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from device.daemon.status import Status

service = typer.Typer(
    help="Install, remove or look at the daemon as a service that starts with this machine.", no_args_is_help=True
)
_DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]


@service.command()
def install(
    model: Annotated[
        Path | None,
        typer.Option(
            "--model", help="A bundle made by `edge-mcnn convert`; it is copied to where the service can read."
        ),
    ] = None,
    dry_run: _DryRun = False,
) -> None:
    """Install the service, enable it and start it: it listens until the power goes, and again when it is back.

    First it looks at what the daemon needs. Then it puts the speech model into /var/lib/edge-mcnn, the settings into
    /etc/edge-mcnn/config.toml (a file that is there stays as it is) and the unit into /etc/systemd/system. Run it
    again after you changed something: what is done already is left alone.

        sudo .venv/bin/edge-mcnn service install --model Model.tflite
    """
    from rich.console import Console

    from device.doctor.checks import service_checks
    from device.doctor.findings import Finding, Verdict
    from device.doctor.isolation import run_checks
    from device.errors import ServiceError
    from device.service.install import apply_changes, plan_install
    from edge_mcnn.doctor import finding_text

    console = Console(highlight=False, soft_wrap=True)
    plan = plan_install(model, _announce)
    findings = [each for each in run_checks(service_checks(plan.settings)) if isinstance(each, Finding)]
    for finding in findings:
        console.print(finding_text(finding, console))
    if failed := [finding.topic for finding in findings if finding.verdict == Verdict.FAIL]:
        raise ServiceError("nothing was installed", fix=f"fix first: {', '.join(failed)}")
    if dry_run:
        for change in plan.changes:
            console.print(f"{'dry run' if change.apply else 'done'}: {change.description}", markup=False)
        return
    apply_changes(plan.changes, _announce)
    console.print(
        "It listens. How it is: edge-mcnn status. What it says: journalctl -u edge-mcnn -f. Settings: "
        "/etc/edge-mcnn/config.toml, then sudo systemctl restart edge-mcnn."
    )


@service.command()
def uninstall(
    purge: Annotated[bool, typer.Option("--purge", help="Remove settings that you edited, too.")] = False,
    dry_run: _DryRun = False,
) -> None:
    """Stop the service and remove all that `install` made; settings that you edited stay, unless you say --purge."""
    from device.service.install import apply_changes, plan_uninstall

    changes = plan_uninstall(purge=purge)
    if dry_run:
        for change in changes:
            print(f"dry run: {change.description}")
        return
    apply_changes(changes, _announce)


@service.command("status")
def service_status() -> None:
    """Say whether the service is installed and runs, and how it is.

    Exit status: 0 if it runs, 1 if not.
    """
    from rich.console import Console

    from device.daemon.status import SERVICE_SOCKET, read_status
    from device.errors import StatusError
    from device.service.systemctl import service_properties

    says = service_properties()
    if says.get("LoadState") != "loaded":
        print("not installed; run: sudo edge-mcnn service install")
        raise typer.Exit(1)
    print(f"{says['ActiveState']} ({says['SubState']}), {says['UnitFileState']}, restarted {says['NRestarts']} times")
    if says["ActiveState"] != "active":
        print("what it said last: journalctl -u edge-mcnn -n 20")
        raise typer.Exit(1)
    try:
        Console().print(_table(read_status(SERVICE_SOCKET)))
    except StatusError as error:
        print(f"{says['StatusText']} ({error})")


def status_command(
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    prometheus: Annotated[
        bool,
        typer.Option("--prometheus", help="Print Prometheus' text format, for node_exporter's textfile collector."),
    ] = False,
    socket: Annotated[
        Path | None,
        typer.Option("--socket", help="Of the daemon. Default: the service's, else that of your own `listen`."),
    ] = None,
) -> None:
    """Ask the running daemon how it is: microphone, sound heard and dropped, utterances, latencies, memory.

    Exit status: 0 if it hears its microphone, 1 if not, or if none runs. No word that was spoken is told.
    """
    from dataclasses import asdict

    from rich.console import Console

    from device.daemon.status import SERVICE_SOCKET, read_status, socket_path
    from device.daemon.status import prometheus as as_prometheus

    own = socket_path()
    status = read_status(socket or (own if own and own.exists() and not SERVICE_SOCKET.exists() else SERVICE_SOCKET))
    if json:
        print(json_format.dumps(asdict(status), ensure_ascii=False))
    elif prometheus:
        print(as_prometheus(status), end="")
    else:
        Console().print(_table(status))
    if status.state != "healthy":
        raise typer.Exit(1)


def _table(status: "Status") -> object:
    from rich.markup import escape
    from rich.table import Table

    from device.audio.microphone import BLOCK_SECONDS

    colour = "green" if status.state == "healthy" else "yellow" if status.state in ("silent", "starting") else "red"
    reason = f": {escape(status.reason)}" if status.reason else ""
    rows: Mapping[str, str] = {
        "state": f"[bold {colour}]{status.state}[/] for {_span(status.state_duration_s)}{reason}",
        "microphone": f"{escape(status.microphone)}, {status.rate} Hz" if status.microphone else "none",
        "sound": f"{_span(status.blocks_received * BLOCK_SECONDS)} heard, {status.blocks_dropped} blocks dropped, "
        f"lost {status.microphone_losses} times",
        "answers": f"{status.utterances}"
        + (f", the last one {escape(status.last_label)}" if status.last_label else ""),
        "endpoint to light": f"{status.latency_ms:g} ms; median {status.latency_median_ms:g}, worst "
        f"{status.latency_worst_ms:g} of the last hundred"
        if status.utterances
        else "-",
        "process": f"{status.pid}, up for {_span(status.uptime_s)}, {status.memory_mb:g} MB, {status.threads} threads, "
        f"{status.open_files} open files",
        "versions": ", ".join(f"{name} {number}" for name, number in status.versions.items()),
    }
    table = Table.grid(padding=(0, 2))
    for name, told in rows.items():
        table.add_row(name, told)
    return table


def _span(seconds: float) -> str:
    """A stretch of time in its largest two units."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    first = next((index for index, (number, _) in enumerate(parts) if number), 3)
    return " ".join(f"{number} {unit}" for number, unit in parts[first : first + 2])


def _announce(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
