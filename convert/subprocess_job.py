"""Running a step of the conversion in a process of its own: a converter that crashes takes its process along.

The child tells the parent, by lines on its stdout, what it is doing and why it refuses; its stderr, full of
tensorflow's remarks, is kept back and only its last useful line is shown when the child fails.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from device.errors import ConversionError

_STAGE, _REFUSAL = "stage\t", "refusal\t"
_NOISE = re.compile(r"[IW]\d{4} |\d{4}-\d\d-\d\d .*: [IW] |INFO|WARNING|\s|\S*Warning:|\(")
"""How lines of stderr begin that explain no failure."""
_ENVIRONMENT = {
    "CUDA_VISIBLE_DEVICES": "-1",  # a GPU gains nothing here, and its memory may be in use
    "PYTHONWARNINGS": "ignore",  # other packages' deprecations are not the user's to mend
    "TF_CPP_MIN_LOG_LEVEL": "2",
}


class Progress(Protocol):
    """Told what is being done."""

    def __call__(self, stage: str, done: int = 0, total: int = 0) -> None:
        """A stage, in a few words, has begun, or gone on; `total` is 0 where its end is not known."""


def _nobody(stage: str, done: int = 0, total: int = 0) -> None:
    pass


def command(module: str, arguments: Sequence[str]) -> list[str]:
    """The command line that runs a module of this project in a fresh interpreter."""
    # -P: a file of the user's working folder that is called like a module must not be imported in its place.
    return [sys.executable, "-P", "-m", module, *arguments]


def run(what: str, module: str, arguments: Sequence[str], progress: Progress = _nobody) -> None:
    """Run `python -m module arguments...` to its end.

    Args:
        what: the step, as the subject of an error message, such as "the conversion".
        module: a module that uses `child` below.
        arguments: its arguments.
        progress: told what the child tells.

    Raises:
        ConversionError: the child refused, failed, or was killed.
    """
    refusal = None
    root = str(Path(__file__).resolve().parents[1])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, **_ENVIRONMENT, "PYTHONPATH": path}
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            command(module, arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
            encoding="utf-8",
            errors="replace",
        ) as process,
    ):
        try:
            for line in process.stdout or ():
                if line.startswith(_STAGE):
                    stage, done, total = line.removeprefix(_STAGE).rstrip("\n").split("\t")
                    progress(stage, int(done), int(total))
                elif line.startswith(_REFUSAL):
                    refusal = line.removeprefix(_REFUSAL).strip()
            process.wait()
        except BaseException:
            process.kill()
            raise
        errors.seek(0)
        last = _last_useful(errors.read().decode("utf-8", "replace"))
    if refusal is not None:
        raise ConversionError(refusal)
    if process.returncode != 0:
        raise ConversionError(_failure(what, process.returncode, last))


@contextmanager
def child() -> Iterator[Progress]:
    """In the child: gives what reports a stage, and reports a `ConversionError` as the refusal."""

    def report(stage: str, done: int = 0, total: int = 0) -> None:
        print(f"{_STAGE}{stage}\t{done}\t{total}", flush=True)

    try:
        yield report
    except ConversionError as error:
        print(f"{_REFUSAL}{' '.join(str(error).split())}", flush=True)
        sys.exit(1)


def _failure(what: str, status: int, last: str) -> str:
    if status >= 0:
        reason = "ran out of memory" if "MemoryError" in last else f"failed with status {status}"
    else:
        try:
            name = signal.Signals(-status).name
        except ValueError:
            name = f"signal {-status}"
        reason = f"was killed by {name}"
        if -status == signal.SIGKILL:
            reason += " (by hand, or because the memory ran out: close other programs and try again)"
    return f"{what} {reason}" + (f"; its last words: {last}" if last else "")


def _last_useful(text: str) -> str:
    lines = [line.rstrip() for line in text.splitlines() if line.strip() and not _NOISE.match(line)]
    return lines[-1][:300] if lines else ""
