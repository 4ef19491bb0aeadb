"""The child process that runs a converted model reports a broken runtime as one line with its fix."""

from pathlib import Path

import pytest

from convert import subprocess_job
from device.errors import ConversionError


def test_a_broken_runtime_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "ai_edge_litert"
    broken.mkdir()
    (broken / "__init__.py").write_text("")
    (broken / "interpreter.py").write_text("raise AttributeError('_ARRAY_API not found')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    for name in ("model", "samples"):
        (tmp_path / name).write_bytes(b"")
    arguments = ["ai-edge-litert", *(str(tmp_path / name) for name in ("model", "samples", "output"))]
    with (
        pytest.raises(ConversionError) as caught,
        subprocess_job.started("LiteRT", "convert.verify.runner", arguments) as child,
    ):
        child.finish()
    assert caught.value.message == "LiteRT is installed but cannot be used (_ARRAY_API not found)"
    assert caught.value.fix == "reinstall or remove ai-edge-litert"
