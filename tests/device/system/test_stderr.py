import subprocess
import sys

SCRIPT = """
import logging, os, sys
from device.system.stderr import silence_c_libraries, silenced_stderr
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
