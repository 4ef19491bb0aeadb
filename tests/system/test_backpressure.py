"""A machine that is too slow: what is not taken in time is dropped where it comes in, and counted."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.system.virtual_microphone import NAME, missing_programs, plugged_in

REPOSITORY = Path(__file__).parents[2]
# Nobody takes a block for three seconds, of which one second is kept; then all are taken as they come; then by fours.
SCRIPT = f"""
import time
from device.audio import microphone
microphone._QUEUE_SECONDS = 1
each = microphone.Microphone({NAME!r})
first = each.block(5)
time.sleep(3)
dropped = each.dropped_blocks
times = [each.block(5).heard_at for _ in range(30)]
each.blocks_at_once = 4
while each.block(5) and each._blocks.qsize():
    pass  # those that came one by one
for _ in range(3):
    fetched = [each.block(5)]
    time.sleep(0.05)  # less than the next block takes
    while each._blocks.qsize():
        fetched.append(each.block(5))
    assert len(fetched) == 4, len(fetched)
each.close()
gaps = [after - before for before, after in zip(times, times[1:])]
print(dropped, each.dropped_blocks, sum(gap > 1 for gap in gaps), min(gaps) >= 0)
"""


@pytest.mark.skipif(bool(missing_programs()), reason=f"no virtual microphone: {', '.join(missing_programs())} missing")
def test_sound_that_nobody_takes_is_dropped_at_the_front_door() -> None:
    with plugged_in(rate=16_000, channels=1, strict=False) as microphone:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT], env={**os.environ, **microphone.environment}, cwd=REPOSITORY,
            capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
    dropped, dropped_at_the_end, long_gaps, in_order = done.stdout.split()
    assert 8 < int(dropped) < 23  # two of three seconds, in blocks of 128 ms
    assert dropped_at_the_end == dropped, "and none once they are taken again"
    assert (long_gaps, in_order) == ("1", "True"), "one gap, and what is left is in order"
