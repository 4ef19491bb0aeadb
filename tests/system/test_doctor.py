"""The doctor checks a virtual microphone through the real PortAudio, in each of its possible states."""

import json
import os
import pty
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import CLIPS
from tests.system.virtual_microphone import NAME, VirtualMicrophone, missing_programs

REPOSITORY = Path(__file__).parents[2]
LOUD = CLIPS / "espeak-ruined.flac"

pytestmark = pytest.mark.skipif(
    bool(missing_programs()), reason=f"no virtual microphone: {', '.join(missing_programs())} missing; see `make test`"
)


@pytest.fixture
def plugged() -> Iterator[VirtualMicrophone]:
    with (
        tempfile.TemporaryDirectory(prefix="mic") as folder,  # the paths of pytest are too long for a socket
        VirtualMicrophone(Path(folder), rate=48_000, channels=2, strict=True, hum=True) as microphone,
    ):
        yield microphone


def environment(microphone: VirtualMicrophone) -> dict[str, str]:
    return {**os.environ, **microphone.environment, "EDGE_MCNN_MICROPHONE_NAME": NAME}


def doctor(microphone: VirtualMicrophone, **settings: str) -> dict[str, tuple[str, str]]:
    done = subprocess.run(
        [sys.executable, "-m", "edge_mcnn", "doctor", "--json"], env={**environment(microphone), **settings},
        cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    findings = {
        each["topic"]: (each["verdict"], f"{each['message']} -> {each['fix']}") for each in json.loads(done.stdout)
    }
    assert done.returncode == ("FAIL" in {verdict for verdict, _ in findings.values()}), findings
    return findings


def test_a_microphone_in_every_state(plugged: VirtualMicrophone) -> None:
    # The microphone hums at -60 dBFS, above or below the gate, depending on the settings.
    findings = doctor(plugged, EDGE_MCNN_ENDPOINT_GATE_DBFS="-80")
    assert findings["PortAudio"][0] == "OK"
    assert findings["microphone"][0] == "OK"
    assert f"{NAME}, 48000 Hz" in findings["microphone"][1]
    assert findings["level"][0] == "OK"
    assert "48000 Hz resampled to 16000; the gate is at -80" in findings["level"][1]

    verdict, text = doctor(plugged, EDGE_MCNN_ENDPOINT_GATE_DBFS="-30")["level"]
    assert verdict == "WARN"
    assert "always below the gate of -30, so no speech can be detected" in text

    plugged.mute()
    verdict, text = doctor(plugged)["level"]
    assert verdict == "FAIL"
    assert "every sample is zero" in text
    plugged.unmute()

    plugged.freeze()
    verdict, text = doctor(plugged, EDGE_MCNN_LIVENESS_NO_SOUND_LIMIT_S="1")["level"]
    assert verdict == "FAIL"
    assert "no audio arrived for 1 s" in text
    plugged.thaw()

    plugged.hold()
    verdict, text = doctor(plugged)["microphone"]
    assert verdict == "FAIL"
    assert "a microphone that another program uses is not listed" in text
    plugged.release()

    plugged.plug("another")
    verdict, text = doctor(plugged)["microphone"]
    assert verdict == "FAIL"
    assert f"no microphone is named '{NAME}' -> use one of " in text

    plugged.unplug()
    findings = doctor(plugged)
    assert (findings["PortAudio"][0], findings["microphone"][0]) == ("OK", "FAIL")
    assert "no microphone found" in findings["microphone"][1]
    assert "level" not in findings


def test_the_level_meter_moves_in_a_terminal_while_someone_speaks(plugged: VirtualMicrophone) -> None:
    finished = threading.Event()

    def speak() -> None:
        while not finished.is_set():
            plugged.play(LOUD)

    speaker = threading.Thread(target=speak)
    speaker.start()
    ours, child = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "edge_mcnn", "doctor"], cwd=REPOSITORY, stdout=child, stderr=child,
        env={**environment(plugged), "TERM": "xterm", "COLUMNS": "80", "NO_COLOR": "1", "PYTHONIOENCODING": "utf-8"},
    )  # fmt: skip
    os.close(child)
    output = b""
    try:
        while part := _read(ours):
            output += part
    finally:
        finished.set()
        os.close(ours)
        process.wait(60)
        speaker.join(60)
    text = output.decode()
    assert "speak  ━" in text
    assert "Traceback" not in text
    [line] = [line for line in text.splitlines() if "loudest" in line]
    assert "OK   level" in line
    loudest = int(line.partition("loudest ")[2].split()[0])
    assert -40 < loudest < 0, "the voice, not the hum"


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 4096)
    except OSError:  # the process has closed its end
        return b""
