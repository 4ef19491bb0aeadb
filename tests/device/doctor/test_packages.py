"""Packages that are missing, too old or broken, as pip may leave them."""

import importlib
import importlib.util
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as real_version
from typing import Any

import pytest

from device.doctor import packages
from device.doctor.findings import Finding
from device.recognition import runtimes as interpreter
from device.recognition.runtimes import RUNTIMES
from device.settings.schema import ClassifierSettings


def only(findings: Iterable[Finding]) -> Finding:
    [finding] = findings
    return finding


def installed(monkeypatch: pytest.MonkeyPatch, **versions: str | None) -> None:
    """Pretend that these packages have these versions; None for one that is missing."""

    def version(name: str) -> str:
        found = versions.get(name, real_version(name) if name not in versions else None)
        if found is None:
            raise PackageNotFoundError(name)
        return found

    monkeypatch.setattr(packages, "version", version)


def test_the_installed_packages() -> None:
    found = only(packages.check_packages())
    assert (found.topic, found.verdict.value, found.fix) == ("packages", "OK", "")


@pytest.mark.parametrize(
    ("name", "found", "message", "fix"),
    [
        # --only-binary: srt, which a newer vosk needs, has no wheel.
        ("vosk", "0.3.42", "vosk 0.3.42 is too old, 0.3.45 is needed", "run: pip install 'vosk>=0.3.45'"),
        # It fails on a Pi 5 with a new kernel.
        ("gpiozero", "2.0.1", "gpiozero 2.0.1 is too old, 2.0.1.post3 is needed", "'gpiozero>=2.0.1.post3'"),
        ("soxr", None, "soxr is missing", "'soxr>=0.5'"),
    ],
)
def test_packages_that_are_too_old_or_missing(
    name: str, found: str | None, message: str, fix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(monkeypatch, **{name: found})
    finding = only(packages.check_packages())
    assert (finding.verdict.value, finding.message) == ("FAIL", message)
    assert fix in finding.fix


def test_newer_versions_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, gpiozero="2.0.1.post4", vosk="0.4", soxr="1.0.0rc1")
    assert only(packages.check_packages()).verdict.value == "OK"


@pytest.mark.parametrize(
    ("fault", "fix"),
    [
        ("libatomic.so.1: cannot open shared object file", "run: sudo apt-get install libatomic1"),
        ("libvosk.so: invalid ELF header", "run: pip install --force-reinstall vosk"),
    ],
)
def test_a_native_library_that_does_not_fit_this_machine(fault: str, fix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    imported = importlib.import_module

    def broken(name: str, *rest: Any) -> Any:
        if name == "vosk":
            raise OSError(fault)
        return imported(name, *rest)

    monkeypatch.setattr(importlib, "import_module", broken)
    finding = only(packages.check_packages())
    assert (finding.verdict.value, finding.message, finding.fix) == ("FAIL", f"vosk cannot be imported: {fault}", fix)


LITERT, TFLITE = RUNTIMES


@pytest.fixture
def runtimes(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The installed runtimes and what is wrong with each, by name; filled in by the test."""
    faults: dict[str, str] = {}
    modules = {module.partition(".")[0]: name for name, module in RUNTIMES.items()}
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda package: modules[package] if modules[package] in faults else None,
    )

    def load(name: str, model: bytes) -> None:
        assert model
        if faults[name]:
            raise interpreter.UnusableRuntimeError(faults[name])

    monkeypatch.setattr(packages, "load_runtime", load)
    installed(monkeypatch, **{LITERT: "2.3.0", TFLITE: "2.14.0"})
    return faults


NUMPY_2 = "it does not work with the installed numpy, which is 2.4.1"


@pytest.mark.parametrize(
    ("faults", "setting", "verdict", "message", "fix"),
    [
        ({LITERT: ""}, "auto", "OK", "LiteRT 2.3.0, the faster runtime", ""),
        ({LITERT: "", TFLITE: ""}, "auto", "OK",
         "LiteRT 2.3.0, the faster runtime; tflite-runtime 2.14.0 is also installed", ""),
        ({LITERT: "", TFLITE: ""}, TFLITE, "OK",
         "tflite-runtime 2.14.0, selected by the settings; LiteRT 2.3.0 is also installed", ""),
        ({TFLITE: ""}, "auto", "OK", "tflite-runtime 2.14.0, because the faster LiteRT is not installed", ""),
        ({LITERT: "no", TFLITE: ""}, "auto", "WARN",
         "tflite-runtime 2.14.0, because the faster LiteRT is broken; LiteRT 2.3.0 is broken: no",
         "run: pip uninstall ai-edge-litert"),
        ({LITERT: "", TFLITE: NUMPY_2}, "auto", "WARN",
         f"LiteRT 2.3.0, the faster runtime; tflite-runtime 2.14.0 is broken: {NUMPY_2}",
         "run: pip uninstall tflite-runtime"),
        ({TFLITE: NUMPY_2}, "auto", "FAIL", f"tflite-runtime 2.14.0 is broken: {NUMPY_2}",
         "run: pip install ai-edge-litert"),
        ({}, "auto", "FAIL", "none is installed", "run: pip install ai-edge-litert"),
        ({TFLITE: ""}, LITERT, "FAIL", "the settings select ai-edge-litert, which is not installed",
         'set runtime = "auto" under [classifier], which selects tflite-runtime, or run: pip install ai-edge-litert'),
        ({LITERT: "", TFLITE: NUMPY_2}, TFLITE, "FAIL",
         f"the settings select tflite-runtime, which is broken; tflite-runtime 2.14.0 is broken: {NUMPY_2}",
         'set runtime = "auto" under [classifier], which selects ai-edge-litert'),
    ],
)  # fmt: skip
def test_which_interpreter_is_selected_and_why(
    faults: dict[str, str], setting: str, verdict: str, message: str, fix: str, runtimes: dict[str, str]
) -> None:
    runtimes.update(faults)
    found = only(packages.check_interpreter(ClassifierSettings(runtime=setting)))
    assert (found.topic, found.verdict.value, found.message, found.fix) == ("interpreter", verdict, message, fix)


def test_the_real_runtimes_load_the_shipped_model() -> None:
    found = only(packages.check_interpreter(ClassifierSettings()))
    names = [name for name, module in RUNTIMES.items() if importlib.util.find_spec(module.partition(".")[0])]
    assert found.verdict.value == "OK"
    assert real_version(names[0]) in found.message


def test_a_real_runtime_that_fails_with_this_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    def interpreter_of_numpy_1(**_options: object) -> None:
        raise SystemError("returned a result with an exception set")

    for module in RUNTIMES.values():
        if importlib.util.find_spec(module.partition(".")[0]):
            monkeypatch.setattr(importlib.import_module(module), "Interpreter", interpreter_of_numpy_1)
    found = only(packages.check_interpreter(ClassifierSettings()))
    assert found.verdict.value == "FAIL"
    assert f"does not work with the installed numpy, which is {real_version('numpy')}" in found.message
