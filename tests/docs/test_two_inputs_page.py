"""The example of docs/two-inputs.md runs as it is printed there, on Keras 3 and on Keras 2, and learns."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/two-inputs.md").read_text("utf-8"), re.M | re.S)
EXAMPLE = "".join(BLOCKS)
ONE_INPUT = """
for name in ("images", "features"):
    inputs = {"images": [], "features": []}
    targets = []
    for batch, labels in test:
        for key, values in inputs.items():
            values.append(batch[key] if key == name else np.roll(batch[key], 1, axis=0))
        targets.append(labels)
    found = model.predict({key: np.concatenate(values) for key, values in inputs.items()}, verbose=0)
    print(f"only {name} {(found.argmax(axis=1) == np.concatenate(targets)).mean():.2f}")
"""
"""Evaluates with each input alone: the other one comes from another sample."""


@pytest.mark.slow
@pytest.mark.parametrize("keras", ["keras", "tf_keras"])
def test_example_learns_from_both_inputs(keras: str, tmp_path: Path) -> None:
    code = EXAMPLE.replace("import keras\n", f"import {keras} as keras\n") + ONE_INPUT
    assert f"import {keras} as keras" in code
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    columns, accuracy, *predictions, images, features = done.stdout.splitlines()
    assert columns == "('ripe', 'unripe') ('weight', 'stem')"
    assert float(accuracy.removeprefix("accuracy ")) >= 0.9
    assert float(images.removeprefix("only images ")) < 0.75
    assert float(features.removeprefix("only features ")) < 0.75
    rows = (tmp_path / "test.csv").read_text("utf-8").splitlines()[1:4]
    right = sum(row.split(",")[::3] == line.split() for row, line in zip(rows, predictions, strict=True))
    assert right >= 2
