"""Computes results of recordings on the machines of a Dask cluster, and continues when one of them is lost.

Recordings travel as bytes: the machines need no shared folder, and there they are in memory only, never on a disk. A
recording that a machine cannot read, or that is very large, is left to the caller, who reports it as without a cluster.
"""

import asyncio
import gc
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

from device.errors import AudioError, EdgeMcnnError, TrainingError
from device.system.display import displayable

_PACKAGE = "edge-mcnn"
_LARGEST_BYTES = 64 << 20
"""Bytes of a recording that is sent: a film of one utterance has a few megabytes."""
_CHECK_S = 1.0
"""Seconds between two looks at which workers are there."""
_START = "start its scheduler and workers, then run the same command: it continues where it stopped"
_ATTEMPTS = 5
_LIBRARIES = {"distributed", "tornado", "asyncio"}
"""What logs errors that are reported here."""
Result = TypeVar("Result")


class DaskCluster:
    """A cluster that is connected; made by `connected`.

    Args:
        address: address of the scheduler, as the user typed it.
        client: the client of `distributed`.
        wait_s: seconds to wait for a worker when there is none.
    """

    def __init__(self, address: str, client: Any, wait_s: float) -> None:
        self._address = address
        self._client = client
        self._wait_s = wait_s
        self._seen = self._looked = time.monotonic()
        self._threads = 1

    def results(
        self, function: Callable[[Path], Result], recordings: Sequence[Path]
    ) -> Iterator[tuple[Path, Result | None]]:
        """Yield each recording with its result, in the order in which they are ready.

        When a worker is lost, the others compute its recordings.

        Args:
            function: what the workers compute; it must be importable there. It receives the path of a file with the
                content of the recording, which has another name.
            recordings: the recordings.

        Yields:
            The recording, and the result; None if a worker cannot read it, or if it is too large to be sent.

        Raises:
            TrainingError: the scheduler or all workers are lost, or a worker cannot compute anything.
        """
        from distributed import wait

        waiting = iter(recordings)
        pending: dict[Any, Path] = {}
        while True:
            while len(pending) < 2 * self._threads and (recording := next(waiting, None)) is not None:
                content = _content(recording)
                if content is None:
                    yield recording, None
                    continue
                with _one_line(self._address):
                    future = self._client.submit(_compute, function, content, version(_PACKAGE), pure=False)
                pending[future] = recording
            if not pending:
                return
            ready: set[Any] = set()
            with _one_line(self._address):
                # wait() finds its client in the context; after the limit, look at the workers and wait again.
                with self._client.as_current(), suppress(TimeoutError):
                    ready = wait(list(pending), timeout=_CHECK_S, return_when="FIRST_COMPLETED").done
                self._look()
            for future in ready:
                with _one_line(self._address):
                    try:
                        result, problem = future.result(timeout=_CHECK_S)
                    except TimeoutError:  # it was lost with its worker, and is computed again if there is another
                        self._look()
                        continue
                if problem is not None:
                    raise _error(self._address, *problem)
                yield pending.pop(future), result

    def check_versions(self) -> None:
        """Check that every machine has this version of edge-mcnn.

        Raises:
            TrainingError: one has another version, or none.
        """
        with _one_line(self._address):
            found = [
                self._client.run_on_scheduler(version, _PACKAGE),
                *self._client.run(version, _PACKAGE).values(),
            ]
        for other in found:
            if other != version(_PACKAGE):
                raise _error(self._address, *_other_version(other, version(_PACKAGE)))

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._looked < _CHECK_S:
            return
        self._looked = now
        threads = sum(self._client.nthreads().values())
        if threads:
            self._threads, self._seen = threads, now
        elif now - self._seen >= self._wait_s:
            raise _error(self._address, "all workers were lost", _START)


@contextmanager
def connected(address: str, wait_s: float = 30.0) -> Iterator[DaskCluster]:
    """Connect to a cluster.

    Args:
        address: address of its scheduler, such as `tcp://pc1:8786`.
        wait_s: seconds to wait for the scheduler and for a worker.

    Raises:
        TrainingError: it cannot be reached, has no worker, or has another version of edge-mcnn.
    """
    import dask

    client = None
    with _unreported():
        try:
            # Recordings are large arguments, which Dask would warn of.
            dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 GiB"})
            with _one_line(address):
                client = _client(address, wait_s)
                try:
                    client.wait_for_workers(1, timeout=wait_s)
                except TimeoutError:
                    raise _error(address, "the cluster has no worker", _START) from None
            cluster = DaskCluster(address, client, wait_s)
            cluster.check_versions()
            yield cluster
        finally:
            if client is not None:
                with _no_garbage_collection():
                    client.close(timeout=2)


@contextmanager
def _unreported() -> Iterator[None]:
    """Keep Dask's libraries from logging lost workers and Ctrl-C with tracebacks: both are reported here in one line.

    Some of their loggers have levels of their own, which `distributed` sets when it is imported.
    """
    import distributed  # noqa: F401  # before the levels are read

    names = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] in _LIBRARIES]
    levels = {log: log.level for log in map(logging.getLogger, names)}
    for log in levels:
        log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for log, level in levels.items():
            log.setLevel(level)


def _client(address: str, wait_s: float) -> Any:
    from distributed import Client

    with _no_garbage_collection():
        for _ in range(_ATTEMPTS - 1):
            # A client asserts that the scheduler's first message arrives alone: not if a worker joins meanwhile.
            with suppress(AssertionError):
                return Client(address, timeout=wait_s, set_as_default=False)
        return Client(address, timeout=wait_s, set_as_default=False)


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Keep the garbage collector from running while `distributed` holds the lock that all clients share.

    A client that could not connect is closed when it is collected. Its `__del__` takes the same lock, which is not
    reentrant: a collection at the wrong moment would never end.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _content(recording: Path) -> bytes | None:
    """Return the bytes of a recording to send; None if the caller has to read it."""
    try:
        # libsndfile refuses .raw by its name, which does not travel.
        if not recording.is_file() or recording.stat().st_size > _LARGEST_BYTES or recording.suffix.lower() == ".raw":
            return None
        return recording.read_bytes()
    except OSError:
        return None


def _compute(
    function: Callable[[Path], Result], content: bytes, expected: str
) -> tuple[Result | None, tuple[str, str] | None]:
    """Run on a worker: apply the function to a file in memory with this content.

    Returns:
        The result, None if the recording cannot be read; and the message and fix if nothing can be computed here.
    """
    if version(_PACKAGE) != expected:  # the worker joined later
        return None, _other_version(version(_PACKAGE), expected)
    file = os.memfd_create("recording")
    try:
        with open(file, "wb", closefd=False) as stream:  # a descriptor, not a path
            stream.write(content)
        return function(Path(f"/proc/self/fd/{file}")), None
    except AudioError:
        return None, None
    except EdgeMcnnError as error:
        return None, (f"a worker reports: {error.message}", error.fix)
    finally:
        os.close(file)


@contextmanager
def _one_line(address: str) -> Iterator[None]:
    """Replace the many errors of `distributed`, and those of a worker, by one error with its cause."""
    try:
        yield
    except EdgeMcnnError:
        raise
    except (PackageNotFoundError, ModuleNotFoundError) as error:
        raise _error(
            address,
            f"a machine of the cluster lacks {displayable(error.name or _PACKAGE)}",
            f'run on all of them: pip install "edge-mcnn[cluster]=={version(_PACKAGE)}"',
        ) from None
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  # those of any machine
        cause = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise _error(address, f"the cluster cannot be used ({displayable(cause)})", _START) from None


def _other_version(found: str, expected: str) -> tuple[str, str]:
    return (
        f"a machine of the cluster has edge-mcnn {displayable(found)}, this one has {expected}",
        f'run on all of them: pip install "edge-mcnn[cluster]=={expected}"',
    )


def _error(address: str, message: str, fix: str) -> TrainingError:
    return TrainingError(f"--dask {displayable(address)}: {message}", fix=fix)
