"""The table of operators agrees with measurements in each installed runtime."""

import functools
import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.version import Version

from convert.tflite_model.operators import (
    MEASURED_VERSIONS,
    NAMES,
    NEWEST,
    OLDEST,
    Operator,
    check_operators,
    unsupported,
)
from device.errors import ConversionError
from device.recognition.runtimes import RUNTIMES
from tests.convert.conftest import INSTALLED
from tests.convert.tflite_model import operator_probe

ROOT = Path(__file__).parents[3]


def operator(name: str, version: int = 1, *, custom: bool = False) -> Operator:
    return Operator(name, version, custom, (), ())


@functools.cache
def measured(runtime: str) -> dict[str, list[int]]:
    done = subprocess.run(
        [sys.executable, "-m", operator_probe.__name__, runtime], cwd=ROOT, capture_output=True, text=True, check=True
    )
    found: dict[str, list[int]] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("runtime", INSTALLED)
def test_the_table_agrees_with_the_runtime(runtime: str) -> None:
    found = measured(runtime)
    assert len(found) > 200
    table = {name: list(range(OLDEST.get(name, 1), NEWEST[runtime].get(name, 0) + 1)) for name in found}
    if Version(importlib.metadata.version(runtime)) > Version(MEASURED_VERSIONS[runtime]):
        assert [name for name, versions in table.items() if not set(versions) <= set(found[name])] == []
    else:
        assert table == found
    assert max(map(max, filter(None, found.values()))) < operator_probe.TRIED - 1


def test_names_and_codes_are_those_of_the_schema() -> None:
    assert set(RUNTIMES) == set(MEASURED_VERSIONS)
    assert all(operator_probe.CODES[name] == code for code, name in NAMES.items())
    assert len(set(NAMES.values())) == len(NAMES)


def test_litert_supports_everything_that_tflite_runtime_supports() -> None:
    assert all(NEWEST["ai-edge-litert"][name] >= version for name, version in NEWEST["tflite-runtime"].items())


def test_each_unsupported_operator_is_named_once() -> None:
    operators = [operator("FULLY_CONNECTED", 12)] * 2 + [operator("FULLY_CONNECTED", 1), operator("DILATE")]
    assert unsupported(operators, "tflite-runtime") == [("DILATE", 1, 0), ("FULLY_CONNECTED", 12, 10)]
    assert unsupported(operators, "ai-edge-litert") == []


def test_custom_and_unknown_operators_are_unsupported() -> None:
    operators = [operator("FlexErf", custom=True), operator("ADD", custom=True), operator("builtin operator 999")]
    for runtime in MEASURED_VERSIONS:
        assert unsupported(operators, runtime) == [("ADD", 1, 0), ("FlexErf", 1, 0), ("builtin operator 999", 1, 0)]
    assert unsupported([operator("ADD", 0), operator("ADD", -1)], "tflite-runtime") == [("ADD", -1, 5), ("ADD", 0, 5)]


def called(*operators: tuple[str, int] | str) -> list[Operator]:
    calls = [each if isinstance(each, tuple) else (each, 1) for each in operators]
    return [operator(name, version, custom=name.startswith("Flex")) for name, version in calls]


@pytest.mark.parametrize(
    ("operators", "message"),
    [
        (["UNIDIRECTIONAL_SEQUENCE_LSTM", "FlexErf"], "needs FlexErf"),
        (
            ["UNIDIRECTIONAL_SEQUENCE_LSTM", ("FULLY_CONNECTED", 12)],
            "tflite-runtime 2.14.0 does not support FULLY_CONNECTED version 12 (newest supported: 10); "
            "convert with --requires ai-edge-litert",
        ),
        (
            ["UNIDIRECTIONAL_SEQUENCE_LSTM", ("CONV_2D", 99)],
            "CONV_2D version 99 (newest supported: 7); use other layers",
        ),
    ],
)
def test_refused_operators(operators: list[tuple[str, int] | str], message: str) -> None:
    with pytest.raises(ConversionError, match=re.escape(message)):
        check_operators(called(*operators), requires=None)


def test_the_newer_runtime_is_required_only_if_needed() -> None:
    assert check_operators(called("UNIDIRECTIONAL_SEQUENCE_LSTM", "SOFTMAX", "WHILE"), requires=None) is None
    newer = called("UNIDIRECTIONAL_SEQUENCE_LSTM", ("FULLY_CONNECTED", 12))
    assert check_operators(newer, requires="ai-edge-litert") == "ai-edge-litert"
    assert check_operators(called("UNIDIRECTIONAL_SEQUENCE_LSTM"), requires="ai-edge-litert") is None
    with pytest.raises(ConversionError, match=r"ai-edge-litert 2\.3\.0 does not support CONV_2D version 99"):
        check_operators(called("UNIDIRECTIONAL_SEQUENCE_LSTM", ("CONV_2D", 99)), requires="ai-edge-litert")
