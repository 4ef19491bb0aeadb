"""`edge-mcnn events`. From Python: `device.event_client`."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_mcnn.output import out
from edge_mcnn.paths import existing_socket

if TYPE_CHECKING:
    from collections.abc import Collection

    from device.event_client import EventReader

_EVENTS = (
    "hello", "state", "mute", "level", "speech", "words", "preview", "prediction", "corrected", "health", "end",
)  # fmt: skip
_RETRY_S = 1.0


def _names(text: str) -> list[str]:
    """Parse the value of `--only`: names of events, with commas between them."""
    names = [name.strip() for name in text.split(",")]
    if unknown := [name for name in names if name not in _EVENTS]:
        raise typer.BadParameter(f"there is no event {unknown[0]!r}; use some of {', '.join(_EVENTS)}")
    return names


def events_command(
    only: Annotated[
        str | None,
        typer.Option("--only", metavar="EVENTS", help="Print only these, such as `prediction,level`."),
    ] = None,
    wait: Annotated[
        bool,
        typer.Option("--wait", help="Wait for a daemon if none is running, and connect again when it was restarted."),
    ] = False,
    socket: Annotated[
        Path | None,
        typer.Option(
            "--socket",
            metavar="PATH",
            parser=existing_socket(),
            help="Event socket of the daemon. Default: that of the service, else that of your own `listen`.",
        ),
    ] = None,
) -> None:
    """Print what the running device does, as it happens: one JSON object per line.

    The events are the state of the microphone, the level, the spectrogram while someone speaks, predictions,
    corrections, and every ten seconds the health of the device. It begins with the present state and the latest
    predictions. The words are among them only with `words = true` under `[events]` in the settings of the device.
    docs/events.md describes each event. Ctrl-C ends the command.

    For example:

        edge-mcnn events
        edge-mcnn events --only prediction | jq .label
    """
    from device.errors import NoDaemonError, StatusError
    from device.event_client import EventReader

    chosen = None if only is None else _names(only)
    announced = False
    while True:
        try:
            with EventReader.connect(socket) as reader:
                announced = False
                if _print(reader, chosen) and not wait:
                    return
        except NoDaemonError as error:
            if not wait:
                raise
            if not announced:
                out.announce(f"{error.message}: waiting for one")
                announced = True
        else:
            if not wait:
                raise StatusError(
                    "the daemon has ended, or these events were read too slowly",
                    fix="add --wait to connect again",
                )
        time.sleep(_RETRY_S)


def _print(reader: "EventReader", only: "Collection[str] | None") -> bool:
    """Print events until the connection ends; return whether the daemon has ended in order."""
    last = ""
    for event in reader:
        last = event["event"]
        if only is None or last in only:
            out.json(event)
    return last == "end"
