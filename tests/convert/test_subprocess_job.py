import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from convert import subprocess_job
from device.errors import ConversionError
from device.recognition.runtimes import DISPLAY_NAMES
from tests.convert.conftest import INSTALLED, Stages


@pytest.fixture
def stages() -> Stages:
    return Stages()


def run(step: str, module: str, arguments: list[str], stages: Stages) -> None:
    with subprocess_job.started(step, module, arguments) as child:
        child.finish(stages)


def run_code(code: str, monkeypatch: pytest.MonkeyPatch, stages: Stages) -> None:
    monkeypatch.setattr(subprocess_job, "command", lambda *_: [sys.executable, "-c", code])
    run("the step", "", [], stages)


def test_stages_and_stray_output(monkeypatch: pytest.MonkeyPatch, stages: Stages) -> None:
    code = """
from convert.subprocess_job import reporting_to_parent
with reporting_to_parent() as progress:
    progress("one")
    print("log output of a library")
    progress("two")
"""
    run_code(code, monkeypatch, stages)
    assert stages == ["one", "two"]


@pytest.mark.parametrize(
    ("code", "message", "fix"),
    [
        ("import os; os.abort()", "the step was killed by SIGABRT", ""),
        ("import ctypes; ctypes.string_at(0)", "the step was killed by SIGSEGV", ""),
        (
            "raise MemoryError",
            "the step ran out of memory, its last error line: MemoryError",
            "close other programs in case the memory ran out, then convert again",
        ),
        ("raise SystemExit(3)", "the step failed with status 3", ""),
        (
            "import nothing_like_it",
            "failed with status 1, its last error line: ModuleNotFoundError: No module",
            "",
        ),
        (
            "import sys\nfor line in ['bad', 'W0000 00:00:1 6131 x.cc:1] noise', '  ', 'INFO: noise']: "
            "print(line, file=sys.stderr)\nsys.exit(2)",
            "the step failed with status 2, its last error line: bad",
            "",
        ),
        (
            "from convert.subprocess_job import reporting_to_parent\nfrom device.errors import ConversionError\n"
            "with reporting_to_parent(): raise ConversionError('not\\nthis one', fix='try\\nanother')",
            "not this one",
            "try another",
        ),
    ],
)
def test_failures(monkeypatch: pytest.MonkeyPatch, stages: Stages, code: str, message: str, fix: str) -> None:
    with pytest.raises(ConversionError) as caught:
        run_code(code, monkeypatch, stages)
    assert message in caught.value.message
    assert caught.value.fix == fix
    assert "\n" not in str(caught.value)


_WAITING = """
from convert.subprocess_job import reporting_to_parent, wait_for_parent
with reporting_to_parent() as progress:
    progress("ready")
    wait_for_parent()
    progress(open({path!r}).read())
"""


def test_it_waits_until_its_input_is_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stages: Stages) -> None:
    path = tmp_path / "input"
    code = _WAITING.format(path=str(path))
    monkeypatch.setattr(subprocess_job, "command", lambda *_: [sys.executable, "-c", code])
    with subprocess_job.started("the step", "", []) as child:
        time.sleep(0.5)  # long enough to fail, if it did not wait
        path.write_text("read")
        child.finish(stages)
    assert stages == ["ready", "read"]


def test_it_is_killed_if_the_parent_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pid = tmp_path / "pid"
    code = f"import os, time; open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(1000)"
    monkeypatch.setattr(subprocess_job, "command", lambda *_: [sys.executable, "-c", code])

    def refuse() -> None:
        while not (pid.exists() and pid.read_text()):
            time.sleep(0.01)
        raise ConversionError("no recordings")

    with pytest.raises(ConversionError, match="no recordings"), subprocess_job.started("the step", "", []):
        refuse()
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_it_ends_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    code = _WAITING.format(path=str(tmp_path / "never written"))
    root = Path(subprocess_job.__file__).parents[1]
    process = subprocess.run(
        [sys.executable, "-c", code], stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=root, check=False
    )
    assert process.returncode == 1
    assert process.stdout == "stage\tready\t0\t0\n"
    assert not process.stderr


def test_keras_3_uses_tensorflow_whatever_the_user_prefers(monkeypatch: pytest.MonkeyPatch, stages: Stages) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    code = """
import os
from convert.subprocess_job import reporting_to_parent
with reporting_to_parent() as progress:
    progress(os.environ["KERAS_BACKEND"])
"""
    run_code(code, monkeypatch, stages)
    assert stages == ["tensorflow"]


def test_modules_in_the_users_folder_are_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stages: Stages
) -> None:
    (tmp_path / "numpy.py").write_text("raise SystemExit('imported from the working folder')")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConversionError, match="refuses the model"):
        run("x", "convert.verify.runner", ["ai-edge-litert", __file__, "", ""], stages)


@pytest.mark.parametrize("package", list(INSTALLED))
def test_runtime_refuses(package: str, tmp_path: Path, stages: Stages) -> None:
    model = tmp_path / "model"
    model.write_bytes(b"\0\0\0\0TFL3" + bytes(100))
    expected = (
        f"the converted model cannot be run: {package} refuses the model|{DISPLAY_NAMES[package]}.* was killed by"
    )
    with pytest.raises(ConversionError, match=expected):
        run(DISPLAY_NAMES[package], "convert.verify.runner", [package, str(model), "", ""], stages)
    assert stages == [f"running it in {DISPLAY_NAMES[package]}"]


def test_temporary_files_that_cannot_be_written_are_reported(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit), subprocess_job.reporting_to_parent():
        raise OSError(28, "No space left on device")
    assert "temporary files cannot be written (No space left on device)\tfree some" in capsys.readouterr().out
