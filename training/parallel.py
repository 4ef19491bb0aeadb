"""Applies one function to many items on all cores, in order, and stops at once when interrupted."""

import contextlib
import ctypes
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from threadpoolctl import threadpool_limits

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's `mallopt`."""
_RETAINED_BYTES = 32 << 20
Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def on_all_cores(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Iterator[Result]]:
    """Open an iterator over the results in the order of the items, as they are computed.

    It uses threads, not processes: decoding, resampling, the FFT and Vosk release the interpreter lock, and threads
    start at once. Meanwhile matrix products use one core each: more would spin while they wait for busy cores. When the
    block is left early, by Ctrl-C or an error, items that have not begun are dropped; the pool's own `with` would
    process everything that is waiting first.
    """
    _retain_freed_memory()
    pool = ThreadPoolExecutor(len(os.sched_getaffinity(0)))  # more would wait for the interpreter lock
    with threadpool_limits(1, user_api="blas"):
        try:
            yield pool.map(function, items)
        finally:
            pool.shutdown(cancel_futures=True)


def _retain_freed_memory() -> None:
    """Let the process retain some freed memory: else the system provides each clip's arrays again, page by page.

    That would take as long as computing the images does. Without glibc nothing happens.
    """
    with contextlib.suppress(AttributeError, OSError):
        for parameter in (_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD):
            ctypes.CDLL(None).mallopt(parameter, _RETAINED_BYTES)
