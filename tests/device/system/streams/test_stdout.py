import io
import sys
from pathlib import Path

import pytest

from device.errors import StandardOutputError
from device.system.streams.stdout import StandardOutput, use_standard_output


def test_the_first_failure_is_raised_and_what_follows_is_dropped() -> None:
    with Path("/dev/full").open("wb", buffering=0) as full:
        stream = StandardOutput(io.BufferedWriter(full), encoding="utf-8", errors="replace")
        stream.raise_failure()
        stream.write("one\n")
        with pytest.raises(
            StandardOutputError, match=r"cannot be written \(No space left on device\); free some"
        ) as first:
            stream.flush()
        stream.write("two\n")
        stream.flush()
        with pytest.raises(StandardOutputError) as again:
            stream.raise_failure()
        assert again.value is first.value
        stream.close()


def test_a_reader_that_has_gone_is_no_failure() -> None:
    class Gone(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, _: object) -> int:
            raise BrokenPipeError

    stream = StandardOutput(io.BufferedWriter(Gone()), encoding="utf-8")
    stream.write("x")
    with pytest.raises(BrokenPipeError):
        stream.flush()
    stream.raise_failure()
    with pytest.raises(BrokenPipeError):
        stream.close()


def test_text_reaches_standard_output(monkeypatch: pytest.MonkeyPatch) -> None:
    content = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(content, encoding="ascii"))
    stream = use_standard_output()
    assert stream is sys.stdout
    print("light \u25cf", flush=True)
    assert content.getvalue() == b"light ?\n"
    monkeypatch.setattr(sys, "stdout", None)  # closed
    assert use_standard_output() is None
