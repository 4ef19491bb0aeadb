"""`edge-mcnn service install`, `uninstall` and `status`. From Python: `device.service.install`."""

from pathlib import Path
from typing import Annotated

import typer

from edge_mcnn.output import out
from edge_mcnn.paths import model_file

service_commands = typer.Typer(help="Run edge-mcnn as a service that starts with this machine.", no_args_is_help=True)
_DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what the command would change, and change nothing.")]


@service_commands.command()
def install(
    model: Annotated[
        Path | None,
        typer.Option(
            "--model",
            metavar="NAME|FILE",
            parser=model_file(),
            help="Use this model: sentiment or emotions, which ship with edge-mcnn, or a Model.tflite that `edge-mcnn "
            "convert` wrote; a file is copied to a folder that the service can read.",
        ),
    ] = None,
    web: Annotated[
        bool,
        typer.Option(
            "--web",
            help="Also install the page of `edge-mcnn web`, which starts with this machine, too. See docs/web.md.",
        ),
    ] = False,
    dry_run: _DryRun = False,
) -> None:
    """Install the service, enable it at boot, and start it.

    First everything that the daemon needs is checked. Then the speech model is copied to /var/lib/edge-mcnn, the
    settings are written to /etc/edge-mcnn/config.toml (an existing file is not changed) and the unit is written to
    /etc/systemd/system. If you have a voice profile for this model and the service has none, it gets a copy of yours.
    Run the command again after you have changed something: steps that are already done are
    skipped.

    For example:

        sudo .venv/bin/edge-mcnn service install --model Model.tflite
        sudo .venv/bin/edge-mcnn service install --web
    """
    from device.doctor.checks import service_checks
    from device.doctor.findings import Finding, Verdict
    from device.doctor.isolation import run_checks
    from device.errors import ServiceError
    from device.service.changes import apply_changes
    from device.service.install import plan_install
    from device.service.web import about_page, is_web_installed
    from edge_mcnn.setup.doctor import finding_text

    console = out.console(highlight=False, soft_wrap=True)
    plan = plan_install(model, out.announce, web=web)
    findings = [each for each in run_checks(service_checks(plan.settings)) if isinstance(each, Finding)]
    for finding in findings:
        console.print(finding_text(finding, console))
    if failed := [finding.topic for finding in findings if finding.verdict == Verdict.FAIL]:
        raise ServiceError(
            f"nothing was installed, because these checks failed: {', '.join(failed)}",
            fix="do what each of them suggests, then run the command again",
        )
    if dry_run:
        for change in plan.changes:
            console.print(f"{'dry run' if change.apply else 'done'}: {change.description}")
        return
    apply_changes(plan.changes, out.announce)
    console.print(
        "The service is listening. Check it: edge-mcnn status. Read its log: journalctl -u edge-mcnn -f. Change its "
        "settings: edit /etc/edge-mcnn/config.toml, then run: sudo systemctl restart edge-mcnn"
    )
    if is_web_installed():
        for line in about_page(plan.settings):
            console.print(line)


@service_commands.command()
def uninstall(
    purge: Annotated[
        bool,
        typer.Option(
            "--purge",
            help="Also remove a settings file that you have edited, what was learnt, and the history and the password "
            "of the page.",
        ),
    ] = False,
    web: Annotated[bool, typer.Option("--web", help="Remove the page alone; the device goes on to listen.")] = False,
    dry_run: _DryRun = False,
) -> None:
    """Stop the service and remove everything that `install` created.

    A settings file that you have edited, the voice profile of the service and the history of the page are not removed
    unless you add --purge.

    For example:

        sudo .venv/bin/edge-mcnn service uninstall --dry-run
    """
    from device.errors import ServiceError
    from device.service.changes import apply_changes
    from device.service.install import plan_uninstall
    from device.service.web import plan_web_removal

    changes = plan_web_removal(purge=purge) if web else plan_uninstall(purge=purge)
    if not any(change.apply for change in changes):
        raise ServiceError("the page is not installed")
    if dry_run:
        for change in changes:
            out.line(f"dry run: {change.description}")
        return
    apply_changes(changes, out.announce)


@service_commands.command("status")
def service_status() -> None:
    """Print whether the service is installed and running, and its state.

    Exit status: 0 if the service is running, 1 if it is not.
    """
    from device.daemon.status import SERVICE_SOCKET, read_status
    from device.errors import StatusError
    from device.service.systemctl import last_error, service_properties
    from edge_mcnn.setup.status import status_table

    unit = service_properties()
    if unit.get("LoadState") != "loaded":
        out.line("not installed; run: sudo edge-mcnn service install")
        raise typer.Exit(1)
    out.line(
        f"{unit['ActiveState']} ({unit['SubState']}), {unit['UnitFileState']}, restarted {unit['NRestarts']} times"
    )
    if unit["ActiveState"] != "active":
        message, fix = last_error() or ("", "")
        if message:
            out.line(f"its last error: {message}{f'; {fix}' if fix else ''}")
        out.line("to read its last messages, run: journalctl -u edge-mcnn -n 20")
        raise typer.Exit(1)
    try:
        out.console().print(status_table(read_status(SERVICE_SOCKET)))
    except StatusError as error:
        out.line(f"{unit['StatusText']} ({error.message})")
