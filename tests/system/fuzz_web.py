"""Sends random requests of each kind to the server of the page, which must neither fail nor grow.

    python -m tests.system.fuzz_web [COUNT]

sends COUNT requests of each kind to a server with a password, and to one without.
"""

import gc
import os
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.device.web.hostile_requests import KINDS, attacked

_MOST_GROWTH_MB = 20.0


def resident_mb() -> float:
    """Memory of this process, in which the server runs, 10^6 bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def _main(count: int) -> None:
    for password in (True, False):
        with (
            tempfile.TemporaryDirectory(prefix="web") as folder,
            attacked(Path(folder), random.Random(count), password=password) as hostile,
        ):
            for kind in KINDS:
                hostile.send(kind, min(count, 1000))  # what is allocated once
                gc.collect()
                before, started = resident_mb(), time.monotonic()
                statuses = hostile.send(kind, count)
                hostile.check(statuses)
                growth = resident_mb() - before
                assert growth < _MOST_GROWTH_MB, f"it has grown by {growth:.0f} MB"
                print(
                    f"{'with' if password else 'without'} a password, {kind}: {count} requests in "
                    f"{time.monotonic() - started:.0f} s, {growth:+.1f} MB; "
                    f"{', '.join(f'{number} x {status}' for status, number in statuses.most_common())}",
                    flush=True,
                )


if __name__ == "__main__":
    _main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
