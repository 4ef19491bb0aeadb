import subprocess
import sys

SCRIPT = """
import logging, os, sys
from device.system.streams.stderr import silence_c_libraries, silenced_stderr
logging.basicConfig(format="logged %(message)s", stream=sys.stderr)
with silenced_stderr():
    os.write(2, b"from a library\\n")
print("between", file=sys.stderr)
silence_c_libraries()
os.write(2, b"from a library\\n")
print("after", file=sys.stderr)
{}
"""


def run_script(last: str) -> tuple[int, str]:
    finished = subprocess.run([sys.executable, "-c", SCRIPT.format(last)], capture_output=True, text=True, check=False)
    return finished.returncode, finished.stderr


def test_only_python_can_write() -> None:
    assert run_script("") == (0, "between\nafter\n")


def test_logging_is_still_written() -> None:
    assert run_script("logging.warning('so')") == (0, "between\nafter\nlogged so\n")


def test_an_error_is_still_written() -> None:
    status, output = run_script("raise SystemExit('the end')")
    assert (status, output) == (1, "between\nafter\nthe end\n")


def test_the_stack_trace_of_a_crash_is_written() -> None:
    status, output = run_script("import ctypes; ctypes.string_at(0)")
    assert status < 0
    assert "Fatal Python error: Segmentation fault" in output


THREADS = """
import logging, os, sys, threading
from device.system.streams.stderr import silenced_c_libraries, silenced_stderr
logging.basicConfig(format="logged %(message)s", stream=sys.stderr)
inside, leave = threading.Barrier(3), [threading.Event(), threading.Event()]
def library(number):
    with silenced_c_libraries():
        inside.wait()
        leave[number].wait()
        os.write(2, b"from a library\\n")
threads = [threading.Thread(target=library, args=(number,)) for number in range(2)]
for thread in threads:
    thread.start()
inside.wait()
early = sys.stderr
print("while both run", file=sys.stderr)
logging.warning("while both run")
for number in range(2):  # the first that began ends first
    leave[number].set()
    threads[number].join()
    print("ended", number, file=sys.stderr)
print("through a reference from then", file=early)
logging.warning("at the end")
os.write(2, b"unchanged\\n")
with silenced_stderr(), silenced_c_libraries():
    os.write(2, b"from a library\\n")
assert sys.stderr is sys.__stderr__
"""


def test_lines_of_libraries_are_dropped_in_several_threads_and_none_of_python() -> None:
    done = subprocess.run([sys.executable, "-c", THREADS], capture_output=True, text=True, check=False, timeout=60)
    assert done.stderr.splitlines() == [
        "while both run", "logged while both run", "ended 0", "ended 1", "through a reference from then",
        "logged at the end", "unchanged",
    ]  # fmt: skip
    assert done.returncode == 0


def test_a_process_without_standard_error() -> None:
    script = (
        "from device.system.streams.stderr import *\nwith silenced_c_libraries(), silenced_stderr(): print('works')"
    )
    done = subprocess.run(
        ["bash", "-c", 'exec "$0" -c "$1" 2>&-', sys.executable, script], capture_output=True, text=True, check=False
    )
    assert done.stdout == "works\n"


def test_after_the_c_libraries_were_silenced_for_good() -> None:
    last = (
        "from device.system.streams.stderr import silenced_c_libraries\n"
        "with silenced_c_libraries(): logging.warning('so')"
    )
    assert run_script(last) == (0, "between\nafter\nlogged so\n")
