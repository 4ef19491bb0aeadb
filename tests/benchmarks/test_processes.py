"""CPU time of a process that is measured from outside."""

import os
import sys

from benchmarks.processes import running

BURN = """
import threading, time
def burn():
    while time.thread_time() < 0.2:
        pass
thread = threading.Thread(target=burn)
thread.start()
thread.join()
print("burnt", flush=True)
time.sleep(60)
"""


def test_threads_that_have_ended_are_included() -> None:
    with running([sys.executable, "-c", BURN], dict(os.environ), "burnt") as process:
        assert process.cpu_s() >= 0.2
