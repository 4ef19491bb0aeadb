"""Runs a step of the conversion in a separate process, so that a converter that crashes does not crash the caller.

The child process reports progress and refusals as lines on its stdout. It can be started before its input is complete,
and then waits for the parent, by a line on its stdin, where it needs the input. Its stderr is full of tensorflow's log
messages; it is captured, and only its last useful line is shown when the child fails.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Protocol

from device.errors import ConversionError
from device.system.signals import ending_with_parent

_STAGE, _REFUSAL = "stage\t", "refusal\t"
_GO = "go\n"
_NOISE = re.compile(r"[IW]\d{4} |\d{4}-\d\d-\d\d .*: [IW] |INFO|WARNING|\s|\S*Warning:|\(")
"""Matches the beginning of stderr lines that do not explain a failure."""
_ENVIRONMENT = {
    "CUDA_VISIBLE_DEVICES": "-1",  # a GPU gains nothing here, and its memory may be in use
    "OPENBLAS_NUM_THREADS": "1",  # its threads wait in busy loops; tensorflow computes large products on its own
    "KERAS_BACKEND": "tensorflow",  # the worker runs networks of Keras 3 in a graph of tensorflow
    "PYTHONWARNINGS": "ignore",  # users cannot fix the deprecations of other packages
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "TF_ONEDNN_USE_SYSTEM_ALLOCATOR": "1",  # tensorflow's own never returns memory to the system
    "TF_USE_LEGACY_KERAS": "1",  # else tensorflow imports Keras 3 and scikit-learn, which takes more than a second
}


class Progress(Protocol):
    """Callback that receives the progress of a conversion."""

    def __call__(self, stage: str, done: int = 0, total: int = 0) -> None:
        """Report that a stage, described in a few words, has begun or advanced; `total` is 0 if unknown."""


def _ignore_progress(stage: str, done: int = 0, total: int = 0) -> None:
    pass


def command(module: str, arguments: Sequence[str]) -> list[str]:
    """The command line that runs a module of this project in a fresh interpreter."""
    # -P: a file in the user's working folder that has the name of a module must not be imported in its place.
    return [sys.executable, "-P", "-m", module, *arguments]


class ChildProcess:
    """A step that has been started, see `started`."""

    def __init__(self, step: str, process: subprocess.Popen[str], errors: IO[bytes]) -> None:
        self._step, self._process, self._errors = step, process, errors

    def finish(self, progress: Progress = _ignore_progress) -> None:
        """Let the child process go beyond `wait_for_parent`, and wait until it ends.

        Args:
            progress: receives what the child process reports, and has reported so far.

        Raises:
            ConversionError: the child process refused, failed, or was killed.
        """
        refusal = None
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):  # it has ended, which is reported below
                os.write(self._process.stdin.fileno(), _GO.encode())  # what a buffer holds would fail again later
        for line in self._process.stdout or ():
            if line.startswith(_STAGE):
                stage, done, total = line.removeprefix(_STAGE).rstrip("\n").split("\t")
                progress(stage, int(done), int(total))
            elif line.startswith(_REFUSAL):
                refusal = line.removeprefix(_REFUSAL).rstrip("\n")
        self._process.wait()
        self._errors.seek(0)
        last_line = _last_useful_line(self._errors.read().decode("utf-8", "replace"))
        if refusal is not None:
            message, _, fix = refusal.partition("\t")
            raise ConversionError(message, fix=fix)
        if self._process.returncode != 0:
            raise _failure(self._step, self._process.returncode, last_line)


@contextmanager
def started(
    step: str, module: str, arguments: Sequence[str], temporary_folder: Path | None = None
) -> Iterator[ChildProcess]:
    """Start `python -m module arguments...`; it is killed at the end of the block, or of this process.

    Args:
        step: name of the step, the subject of error messages, such as "the conversion".
        module: a module that uses `reporting_to_parent`.
        arguments: command-line arguments of the module.
        temporary_folder: where it writes temporary files, which the caller removes; None for that of the system.
    """
    root = str(Path(__file__).resolve().parents[1])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, **_ENVIRONMENT, "PYTHONPATH": path}
    if temporary_folder is not None:
        environment["TMPDIR"] = str(temporary_folder)
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            ending_with_parent(command(module, arguments), signal.SIGKILL),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
            encoding="utf-8",
            errors="replace",
        ) as process,
    ):
        try:
            yield ChildProcess(step, process, errors)
        finally:
            process.kill()  # does nothing to one that `finish` has waited for


def wait_for_parent() -> None:
    """In the child process: wait until the parent calls `ChildProcess.finish`; exit if the parent ends before."""
    if sys.stdin.readline() != _GO:
        sys.exit(1)


@contextmanager
def reporting_to_parent() -> Iterator[Progress]:
    """In the child process: yields the callback that reports a stage, and reports errors as refusals.

    An `OSError` is about the temporary files that parent and child exchange.
    """

    def report(stage: str, done: int = 0, total: int = 0) -> None:
        print(f"{_STAGE}{stage}\t{done}\t{total}", flush=True)

    try:
        yield report
    except ConversionError as error:
        print(f"{_REFUSAL}{_on_one_line(error.message)}\t{_on_one_line(error.fix)}", flush=True)
        sys.exit(1)
    except OSError as error:
        message = f"temporary files cannot be written ({error.strerror or error})"
        fix = "free some space, or set the environment variable TMPDIR to another folder"
        print(f"{_REFUSAL}{_on_one_line(message)}\t{fix}", flush=True)
        sys.exit(1)


def _on_one_line(text: str) -> str:
    return " ".join(text.split())


def _failure(step: str, status: int, last_line: str) -> ConversionError:
    out_of_memory = "MemoryError" in last_line
    if status >= 0:
        reason = "ran out of memory" if out_of_memory else f"failed with status {status}"
    else:
        try:
            name = signal.Signals(-status).name
        except ValueError:
            name = f"signal {-status}"
        reason = f"was killed by {name}"
        out_of_memory = out_of_memory or -status == signal.SIGKILL  # the kernel's out-of-memory killer uses it
    return ConversionError(
        f"{step} {reason}" + (f", its last error line: {last_line}" if last_line else ""),
        fix="close other programs in case the memory ran out, then convert again" if out_of_memory else "",
    )


def _last_useful_line(text: str) -> str:
    lines = [line.rstrip() for line in text.splitlines() if line.strip() and not _NOISE.match(line)]
    return lines[-1][:300] if lines else ""
