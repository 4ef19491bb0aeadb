"""One function over many items on all cores, in order, and done with at once when interrupted."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from threadpoolctl import threadpool_limits

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
    pool = ThreadPoolExecutor(len(os.sched_getaffinity(0)))  # more would wait for the interpreter lock
    with threadpool_limits(1, user_api="blas"):
        try:
            yield pool.map(function, items)
        finally:
            pool.shutdown(cancel_futures=True)
