"""Applies one function to many items on all cores, in order, and stops at once when interrupted.

`on_all_cores` uses threads: decoding, resampling, the FFT and Vosk release the interpreter lock, and threads start at
once. A function that often returns to Python gains nothing from them, because each thread then waits for the lock.
`in_processes` is for these, where there are enough items for processes to be worth their start.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Generic, TypeVar

from threadpoolctl import threadpool_limits

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's `mallopt`."""
_RETAINED_BYTES = 32 << 20
_PR_SET_PDEATHSIG = 1
"""Parameter of Linux's `prctl`."""
_AT_ONCE = 8
"""Items that a process receives at once: fewer cost more messages, more leave the other cores idle at the end."""
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_WORKER = (
    "import os, sys; descriptor, parent, *sys.path[:] = sys.argv[1:]; "
    "from training.parallel import serve; serve(int(descriptor), int(parent)); os._exit(0)"
)
"""Program of another process. Nothing is left to do at its end, for which the interpreter would take 50 ms."""
Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def on_all_cores(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Iterator[Result]]:
    """Open an iterator over the results in the order of the items, as they are computed in threads.

    Meanwhile matrix products use one core each: more would spin while they wait for busy cores. When the block is left
    early, by Ctrl-C or an error, items that have not begun are dropped; the pool's own `with` would process everything
    that is waiting first.
    """
    with _in_threads(function, items, _cores()) as results:  # more threads would wait for the interpreter lock
        yield results


@contextmanager
def in_processes(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Iterator[Result]]:
    """Open an iterator over the results in the order of the items, as one process for each core computes them.

    This process is one of them, so it begins at once; the others need half a second first, to import what the function
    uses. When one is lost, or cannot start, this process computes its items, too. All of them end with the block, or
    with this process, however it ends. When the block is left early, they end after their present item.

    Args:
        function: it, its arguments and its results can be pickled. What it raises is raised here.
        items: the items.
    """
    chunks = [items[start : start + _AT_ONCE] for start in range(0, len(items), _AT_ONCE)]
    stopped = threading.Event()

    def compute(chunk: Sequence[Item]) -> list[Result]:
        results = []
        for item in chunk:
            if stopped.is_set():
                raise CancelledError
            results.append(function(item))
        return results

    count = max(1, min(_cores(), len(chunks)))
    workers = [_Worker(function, compute) for _ in range(count - 1)]
    idle: SimpleQueue[Callable[[Sequence[Item]], list[Result]]] = SimpleQueue()
    for computer in (compute, *(worker.compute for worker in workers)):
        idle.put(computer)

    def compute_somewhere(chunk: Sequence[Item]) -> list[Result]:
        computer = idle.get()  # as many as there are threads, so that no thread waits for one
        try:
            return computer(chunk)
        finally:
            idle.put(computer)

    try:
        with _in_threads(compute_somewhere, chunks, count) as results:
            try:
                yield chain.from_iterable(results)
            finally:
                stopped.set()
                for worker in workers:
                    worker.stop()
    finally:
        for worker in workers:
            worker.wait()


@contextmanager
def _in_threads(function: Callable[[Item], Result], items: Sequence[Item], threads: int) -> Iterator[Iterator[Result]]:
    _retain_freed_memory()
    pool = ThreadPoolExecutor(threads)
    with threadpool_limits(1, user_api="blas"):
        try:
            yield pool.map(function, items)
        finally:
            pool.shutdown(cancel_futures=True)


class _Worker(Generic[Item, Result]):
    """Another process that applies the function, for one thread of this one at a time.

    It is no process of `multiprocessing`, which would run the main module of this process again: that takes as long as
    this process took to start, and computes everything again in a script that has no `if __name__ == "__main__"`.

    Args:
        function: see `in_processes`.
        compute_here: computes items in this process, after the other one was lost.
    """

    def __init__(
        self, function: Callable[[Item], Result], compute_here: Callable[[Sequence[Item]], list[Result]]
    ) -> None:
        self._compute_here = compute_here
        self._connection, other = Pipe()
        # A group of its own: Ctrl-C in the terminal stops this process, which stops the other one.
        with other, contextlib.suppress(OSError):  # it cannot start, and this process computes its items
            self._process: subprocess.Popen[bytes] | None = None
            self._process = subprocess.Popen(
                [sys.executable, "-c", _WORKER, str(other.fileno()), str(os.getpid()), *sys.path],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, **_ONE_THREAD},
                pass_fds=[other.fileno()],
                process_group=0,
            )
        with contextlib.suppress(OSError):  # it did not start
            self._connection.send(function)

    def compute(self, chunk: Sequence[Item]) -> list[Result]:
        """Compute the results of some items."""
        try:
            self._connection.send(chunk)
            results, error = self._connection.recv()
        except (EOFError, OSError):
            return self._compute_here(chunk)
        if error is not None:
            raise error
        return list(results)

    def stop(self) -> None:
        """Let the process end after its present item."""
        with contextlib.suppress(OSError):  # it has ended
            self._connection.send(None)

    def wait(self) -> None:
        """Wait until the process has ended."""
        self._connection.close()
        if self._process is not None:
            self._process.wait()


def serve(descriptor: int, parent: int) -> None:
    """Run in a process of `in_processes`: compute the items that the parent sends, until it stops this process or ends.

    Args:
        descriptor: file descriptor of the connection to the parent.
        parent: number of the parent's process.
    """
    with contextlib.suppress(AttributeError, OSError):  # not Linux: it ends after its present items
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before that
        return
    _retain_freed_memory()
    # What is sent while items are computed is the request to stop; and no connection left means that the parent ended.
    with contextlib.suppress(EOFError, OSError), Connection(descriptor) as connection:
        function = connection.recv()
        while (chunk := connection.recv()) is not None:
            results, error = [], None
            try:
                for item in chunk:
                    if connection.poll():
                        return
                    results.append(function(item))
            except Exception as raised:  # noqa: BLE001  # the parent raises it
                error = raised
            connection.send((results, error))


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _retain_freed_memory() -> None:
    """Let the process retain some freed memory: else the system provides each clip's arrays again, page by page.

    That would take as long as computing the images does. Without glibc nothing happens.
    """
    with contextlib.suppress(AttributeError, OSError):
        for parameter in (_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD):
            ctypes.CDLL(None).mallopt(parameter, _RETAINED_BYTES)
