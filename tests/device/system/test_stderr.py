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
print("said", file=sys.stderr)
{}
"""


def said(last: str) -> tuple[int, str]:
    done = subprocess.run([sys.executable, "-c", SCRIPT.format(last)], capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def test_only_pythons_own_lines() -> None:
    assert said("") == (0, "between\nsaid\n")


def test_logging_is_still_heard() -> None:
    assert said("logging.warning('so')") == (0, "between\nsaid\nlogged so\n")


def test_an_error_is_still_told() -> None:
    status, told = said("raise SystemExit('the end')")
    assert (status, told) == (1, "between\nsaid\nthe end\n")


def test_last_words_of_a_crash() -> None:
    status, told = said("import ctypes; ctypes.string_at(0)")
    assert status < 0
    assert "Fatal Python error: Segmentation fault" in told
