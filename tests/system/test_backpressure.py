"""A machine that is too slow: blocks that are not consumed in time are dropped at the input, and counted."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.system.virtual_microphone import NAME, missing_programs, plugged_in

REPOSITORY = Path(__file__).parents[2]
# Leaves blocks in a queue for one second until a dozen are dropped; then consumes them singly, then four in one block.
SCRIPT = f"""
import time
from device.audio import microphone
from tests.waiting import wait_until
microphone._QUEUE_SECONDS = 1
each = microphone.Microphone({NAME!r})
first = each.block(5)
start = time.monotonic()
wait_until(lambda: each.dropped_blocks >= 12)
dropped, waited_s = each.dropped_blocks, time.monotonic() - start
times = [each.block(5).arrived_at for _ in range(30)]
each.batch_size = 4
while (block := each.block(5)).callbacks == 1:
    pass  # blocks that were queued singly
for _ in range(3):
    assert (block.callbacks, len(block.samples)) == (4, 4 * 2048)
    block = each.block(5)
each.close()
gaps = [after - before for before, after in zip(times, times[1:])]
print(dropped, waited_s, each.dropped_blocks, sum(gap > 1 for gap in gaps), min(gaps) >= 0)
"""


@pytest.mark.skipif(bool(missing_programs()), reason=f"no virtual microphone: {', '.join(missing_programs())} missing")
def test_blocks_that_are_not_consumed_are_dropped_at_the_input() -> None:
    with plugged_in(rate=16_000, channels=1, strict=False) as microphone:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT], env={**os.environ, **microphone.environment}, cwd=REPOSITORY,
            capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
    dropped, waited_s, dropped_at_the_end, long_gaps, in_order = done.stdout.split()
    # What arrived in the meantime, in blocks of 128 ms, minus the second in the queue; blocks arrive in bursts of two.
    assert abs(int(dropped) - (float(waited_s) - 1) / 0.128) < 4
    assert dropped_at_the_end == dropped, "none is dropped when blocks are consumed again"
    assert (long_gaps, in_order) == ("1", "True"), "one gap, and the other blocks are in order"
