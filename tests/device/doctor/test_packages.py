"""Packages as pip leaves them behind on a bad day."""

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


def one(found: Iterable[Finding]) -> Finding:
    [finding] = found
    return finding


def installed(monkeypatch: pytest.MonkeyPatch, **versions: str | None) -> None:
    """These packages have these versions; None for one that is missing."""

    def version(name: str) -> str:
        found = versions.get(name, real_version(name) if name not in versions else None)
        if found is None:
            raise PackageNotFoundError(name)
        return found

    monkeypatch.setattr(packages, "version", version)


def test_all_is_well_here() -> None:
    found = one(packages.packages())
    assert (found.name, found.verdict.value, found.mend) == ("packages", "good", "")


@pytest.mark.parametrize(
    ("name", "found", "told", "mend"),
    [
        # --only-binary: srt, which a newer vosk needs, has no wheel.
        ("vosk", "0.3.42", "vosk 0.3.42 is too old, 0.3.45 is needed", "run: pip install 'vosk>=0.3.45'"),
        # It fails on a Pi 5 with a new kernel.
        ("gpiozero", "2.0.1", "gpiozero 2.0.1 is too old, 2.0.1.post3 is needed", "'gpiozero>=2.0.1.post3'"),
        ("soxr", None, "soxr is missing", "'soxr>=0.5'"),
    ],
)
def test_packages_that_are_too_old_or_missing(
    name: str, found: str | None, told: str, mend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(monkeypatch, **{name: found})
    finding = one(packages.packages())
    assert (finding.verdict.value, finding.told) == ("bad", told)
    assert mend in finding.mend


def test_newer_ones_are_good(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, gpiozero="2.0.1.post4", vosk="0.4", soxr="1.0.0rc1")
    assert one(packages.packages()).verdict.value == "good"


@pytest.mark.parametrize(
    ("fault", "mend"),
    [
        ("libatomic.so.1: cannot open shared object file", "run: sudo apt-get install libatomic1"),
        ("libvosk.so: invalid ELF header", "run: pip install --force-reinstall vosk"),
    ],
)
def test_a_library_that_does_not_fit_this_machine(fault: str, mend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    imported = importlib.import_module

    def broken(name: str, *rest: Any) -> Any:
        if name == "vosk":
            raise OSError(fault)
        return imported(name, *rest)

    monkeypatch.setattr(importlib, "import_module", broken)
    finding = one(packages.packages())
    assert (finding.verdict.value, finding.told, finding.mend) == ("bad", f"vosk cannot be used: {fault}", mend)


LITERT, TFLITE = RUNTIMES


@pytest.fixture
def runtimes(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Which are installed, by name, and what is wrong with each; to be filled in by the test."""
    there: dict[str, str] = {}
    modules = {module.partition(".")[0]: name for name, module in RUNTIMES.items()}
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda package: modules[package] if modules[package] in there else None
    )

    def load(name: str, model: bytes) -> None:
        assert model
        if there[name]:
            raise interpreter.UnusableRuntimeError(there[name])

    monkeypatch.setattr(packages, "load_runtime", load)
    installed(monkeypatch, **{LITERT: "2.3.0", TFLITE: "2.14.0"})
    return there


NUMPY_2 = "it does not go with the numpy that is installed, which is 2.4.1"


@pytest.mark.parametrize(
    ("there", "setting", "verdict", "told", "mend"),
    [
        ({LITERT: ""}, "auto", "good", "LiteRT 2.3.0, the faster one", ""),
        ({LITERT: "", TFLITE: ""}, "auto", "good",
         "LiteRT 2.3.0, the faster one; tflite-runtime 2.14.0 is there, too", ""),
        ({LITERT: "", TFLITE: ""}, TFLITE, "good",
         "tflite-runtime 2.14.0, as the settings choose; LiteRT 2.3.0 is there, too", ""),
        ({TFLITE: ""}, "auto", "good", "tflite-runtime 2.14.0, since the faster LiteRT is not installed", ""),
        ({LITERT: "no", TFLITE: ""}, "auto", "warning",
         "tflite-runtime 2.14.0, since the faster LiteRT is broken; LiteRT 2.3.0 is broken: no",
         "run: pip uninstall ai-edge-litert"),
        ({LITERT: "", TFLITE: NUMPY_2}, "auto", "warning",
         f"LiteRT 2.3.0, the faster one; tflite-runtime 2.14.0 is broken: {NUMPY_2}",
         "run: pip uninstall tflite-runtime"),
        ({TFLITE: NUMPY_2}, "auto", "bad", f"tflite-runtime 2.14.0 is broken: {NUMPY_2}",
         "run: pip install ai-edge-litert"),
        ({}, "auto", "bad", "none is installed", "run: pip install ai-edge-litert"),
        ({TFLITE: ""}, LITERT, "bad", "the settings choose ai-edge-litert, which is not installed",
         "choose auto, which takes tflite-runtime, or run: pip install ai-edge-litert"),
        ({LITERT: "", TFLITE: NUMPY_2}, TFLITE, "bad",
         f"the settings choose tflite-runtime, which is broken; tflite-runtime 2.14.0 is broken: {NUMPY_2}",
         "choose auto, which takes ai-edge-litert"),
    ],
)  # fmt: skip
def test_which_interpreter_and_why(
    there: dict[str, str], setting: str, verdict: str, told: str, mend: str, runtimes: dict[str, str]
) -> None:
    runtimes.update(there)
    found = one(packages.interpreter(ClassifierSettings(runtime=setting)))
    assert (found.name, found.verdict.value, found.told, found.mend) == ("interpreter", verdict, told, mend)


def test_the_real_ones_load_the_model_that_ships() -> None:
    found = one(packages.interpreter(ClassifierSettings()))
    there = [name for name, module in RUNTIMES.items() if importlib.util.find_spec(module.partition(".")[0])]
    assert found.verdict.value == "good"
    assert real_version(there[0]) in found.told


def test_a_real_one_that_breaks_with_this_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    def interpreter_of_numpy_1(**_options: object) -> None:
        raise SystemError("returned a result with an exception set")

    for module in RUNTIMES.values():
        if importlib.util.find_spec(module.partition(".")[0]):
            monkeypatch.setattr(importlib.import_module(module), "Interpreter", interpreter_of_numpy_1)
    found = one(packages.interpreter(ClassifierSettings()))
    assert found.verdict.value == "bad"
    assert f"does not go with the numpy that is installed, which is {real_version('numpy')}" in found.told
