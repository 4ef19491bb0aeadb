import sys
from pathlib import Path

import pytest

from convert import subprocess_job as child
from convert.verify.runner import RUNTIMES
from device.errors import ConversionError
from tests.convert.conftest import INSTALLED, Stages


@pytest.fixture
def stages() -> Stages:
    return Stages()


def run_code(code: str, monkeypatch: pytest.MonkeyPatch, stages: Stages) -> None:
    monkeypatch.setattr(child, "command", lambda *_: [sys.executable, "-c", code])
    child.run("the step", "", [], stages)


def test_stages_and_stray_output(monkeypatch: pytest.MonkeyPatch, stages: Stages) -> None:
    code = """
from convert.subprocess_job import child
with child() as progress:
    progress("one")
    print("a library that chats")
    progress("two")
"""
    run_code(code, monkeypatch, stages)
    assert stages == ["one", "two"]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import os; os.abort()", "the step was killed by SIGABRT"),
        ("import ctypes; ctypes.string_at(0)", "the step was killed by SIGSEGV"),
        ("raise MemoryError", "the step ran out of memory; its last words: MemoryError"),
        ("raise SystemExit(3)", "the step failed with status 3"),
        ("import nothing_like_it", "failed with status 1; its last words: ModuleNotFoundError: No module"),
        (
            "import sys\nfor line in ['bad', 'W0000 00:00:1 6131 x.cc:1] chatter', '  ', 'INFO: chatter']: "
            "print(line, file=sys.stderr)\nsys.exit(2)",
            "the step failed with status 2; its last words: bad",
        ),
        (
            "from convert.subprocess_job import child\nfrom device.errors import ConversionError\n"
            "with child(): raise ConversionError('not\\nthis one')",
            "not this one",
        ),
    ],
)
def test_failures(monkeypatch: pytest.MonkeyPatch, stages: Stages, code: str, message: str) -> None:
    with pytest.raises(ConversionError) as caught:
        run_code(code, monkeypatch, stages)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_users_folder_is_not_imported_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stages: Stages) -> None:
    (tmp_path / "numpy.py").write_text("raise SystemExit('imported from the working folder')")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConversionError, match="refuses the converted model"):
        child.run("x", "convert.verify.runner", ["ai-edge-litert", __file__, "", ""], stages)


@pytest.mark.parametrize("package", list(INSTALLED))
def test_runtime_refuses(package: str, tmp_path: Path, stages: Stages) -> None:
    model = tmp_path / "model"
    model.write_bytes(b"\0\0\0\0TFL3" + bytes(100))
    with pytest.raises(ConversionError, match=rf"{RUNTIMES[package]}.*(refuses the converted model|was killed by)"):
        child.run(RUNTIMES[package], "convert.verify.runner", [package, str(model), "", ""], stages)
    assert stages == [f"running it in {RUNTIMES[package]}"]
