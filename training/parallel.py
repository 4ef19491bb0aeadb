"""One function over many items on all cores, in order, and done with at once when interrupted."""

import contextlib
import ctypes
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from threadpoolctl import threadpool_limits

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Of glibc's `mallopt`."""
_KEPT_BYTES = 32 << 20
Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def on_all_cores(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Iterator[Result]]:
    """Give the results in the order of the items, as they come.

    Threads, not processes: decoding, resampling, the FFT and Vosk release the interpreter lock, and threads start at
    once. Matrix products meanwhile take one core each: more would wait in loops for cores that are taken. When the
    block is left early, by Ctrl-C or an error, what has not begun is dropped; the pool's own `with` would first work
    through everything that is waiting.
    """
    _keep_freed_memory()
    pool = ThreadPoolExecutor(len(os.sched_getaffinity(0)))  # more would wait for the interpreter lock
    with threadpool_limits(1, user_api="blas"):
        try:
            yield pool.map(function, items)
        finally:
            pool.shutdown(cancel_futures=True)


def _keep_freed_memory() -> None:
    """Let the process keep some of what it frees: else each clip's arrays come anew from the system, page by page.

    That takes as long as computing the pictures does. Where there is no glibc, nothing is done.
    """
    with contextlib.suppress(AttributeError, OSError):
        for what in (_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD):
            ctypes.CDLL(None).mallopt(what, _KEPT_BYTES)
