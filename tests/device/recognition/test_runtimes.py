import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from device.bundle import DEFAULT_BUNDLE, Bundle, read_bundle
from device.errors import InterpreterError
from device.recognition import runtimes
from device.recognition.classifier import EMBEDDING, FEATURES, IMAGES, PROBABILITIES, SIGNATURE
from device.recognition.runtimes import (
    DISPLAY_NAMES,
    RUNTIMES,
    SignatureRunner,
    UnusableRuntimeError,
    installed_runtimes,
    load_interpreter,
    load_runtime,
    runtime_of,
)

INSTALLED = installed_runtimes()


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return read_bundle(DEFAULT_BUNDLE)


def test_each_runtime_has_a_name_for_people() -> None:
    assert list(DISPLAY_NAMES) == list(RUNTIMES)


def test_a_runtime_that_breaks_with_this_numpy_is_skipped(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    works = INSTALLED[0]

    def broken(**_options: object) -> None:
        raise SystemError("returned a result with an exception set")  # tflite-runtime with numpy 2

    monkeypatch.setitem(sys.modules, "broken", SimpleNamespace(Interpreter=broken))
    monkeypatch.setattr(runtimes, "RUNTIMES", {"broken": "broken", works: RUNTIMES[works]})
    assert type(load_interpreter(bundle.model)).__module__.startswith(RUNTIMES[works].partition(".")[0])
    with pytest.raises(InterpreterError, match="broken: it does not work with the installed numpy"):
        load_interpreter(bundle.model, runtime="broken")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("raise AttributeError('_ARRAY_API not found')", "_ARRAY_API not found"),
        ("raise ImportError('numpy.core.multiarray failed to import\\nmore')", "multiarray failed to import"),
        ("raise OSError('lib.so: file too short')", "lib.so: file too short"),
        ("raise ImportError", "cannot be imported"),
        ("", "module 'broken_runtime' has no attribute 'Interpreter'"),
    ],
)
def test_a_runtime_that_cannot_be_imported(
    code: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_runtime.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "broken_runtime", raising=False)
    monkeypatch.setattr(runtimes, "RUNTIMES", {"broken": "broken_runtime"})
    with pytest.raises(UnusableRuntimeError) as caught:
        load_runtime("broken", b"")
    assert message in caught.value.message
    assert caught.value.message.isprintable()
    monkeypatch.delitem(sys.modules, "broken_runtime", raising=False)


@pytest.mark.parametrize("runtime", INSTALLED)
def test_bytes_that_are_no_model_are_refused(runtime: str) -> None:
    with pytest.raises(InterpreterError, match="refuses the model"):
        load_interpreter(b"\x1c\x00\x00\x00TFL3" + bytes(100), runtime=runtime)


def test_no_interpreter_at_all(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtimes, "RUNTIMES", {"ai-edge-litert": "no.such.package", "tflite-runtime": "nor.this"})
    with pytest.raises(InterpreterError, match="no TFLite interpreter can be used") as error:
        load_interpreter(bundle.model)
    assert error.value.fix == "install one: pip install ai-edge-litert"
    assert "\n" not in str(error.value)


def test_litert_is_preferred_and_logged(bundle: Bundle, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        load_interpreter(bundle.model, threads=2)
    assert "interpreter: ai-edge-litert" in caplog.text


@pytest.mark.parametrize("runtime", INSTALLED)
def test_a_signature_is_run_without_memory_of_earlier_calls(bundle: Bundle, runtime: str) -> None:
    interpreter = load_interpreter(bundle.model, runtime=runtime)
    assert runtime_of(interpreter) == runtime
    run = SignatureRunner(interpreter, SIGNATURE)
    front_end, labels = bundle.companions.front_end, bundle.companions.labels
    assert run.tensors == {
        IMAGES: ((1, front_end.image_height, front_end.image_width, 3), np.float32),
        FEATURES: ((1, front_end.sequence_length), np.int32),
        PROBABILITIES: ((1, len(labels)), np.float32),
        EMBEDDING: ((1, 947), np.float32),
    }
    random = np.random.default_rng(0)
    first, second = (
        {
            IMAGES: random.random(run.tensors[IMAGES][0], np.float32),
            FEATURES: random.integers(1, 50, run.tensors[FEATURES][0], np.int32),
        }
        for _ in range(2)
    )
    before = run(**first)[PROBABILITIES].copy()
    run(**second)
    np.testing.assert_array_equal(run(**first)[PROBABILITIES], before)


@pytest.mark.parametrize("runtime", INSTALLED)
def test_a_model_without_the_signature(bundle: Bundle, runtime: str) -> None:
    with pytest.raises(InterpreterError, match="the model has no signature 'other'"):
        SignatureRunner(load_interpreter(bundle.model, runtime=runtime), "other")
