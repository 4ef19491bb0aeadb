"""What is concluded from the results of a benchmark."""

from dataclasses import replace

import pytest

from device.benchmark.results import InterpreterCall
from device.benchmark.verdict import MIN_AVAILABLE_MB, MIN_TIMES_REAL_TIME, judge
from device.system.throttling import Throttling
from tests.device.benchmark.example import GOOD, LITERT, PER_UTTERANCE, short_of_memory, slow


def test_a_machine_that_keeps_up() -> None:
    verdict = judge(GOOD)
    assert verdict.keeps_up
    assert verdict.enough_memory
    assert verdict.lines == (
        "This machine keeps up, at 6.1 times real time; the light comes on 41 ms after the pause that ends an "
        "utterance.",
    )


def test_advice_for_a_slow_machine() -> None:
    assert judge(slow(MIN_TIMES_REAL_TIME)).keeps_up
    verdict = judge(slow(MIN_TIMES_REAL_TIME - 0.01))
    assert not verdict.keeps_up
    assert verdict.enough_memory
    assert "too little for other work" in verdict.lines[0]
    assert "audio is lost" in judge(slow(0.9)).lines[0]
    assert "close other programs" in verdict.lines[1]
    for setting in ("search", "utterances_per_recogniser", "64-bit"):
        assert setting not in verdict.lines[1], "already at its fastest value"
    advice = judge(slow(0.9, search="thorough", utterances_per_recogniser=1)).lines[1]
    assert 'search = "quick"' in advice
    assert "utterances_per_recogniser = 16" in advice
    old = replace(slow(0.9), machine=replace(GOOD.machine, bits=32))
    assert "64-bit" in judge(old).lines[1]


def test_advice_for_a_machine_with_little_memory() -> None:
    assert judge(short_of_memory(MIN_AVAILABLE_MB)).enough_memory
    verdict = judge(short_of_memory(MIN_AVAILABLE_MB - 1))
    assert verdict.keeps_up
    assert not verdict.enough_memory
    assert "utterances_per_recogniser = 1," in verdict.lines[1]
    assert "utterances" not in judge(short_of_memory(50, utterances_per_recogniser=1)).lines[1]
    both = judge(replace(short_of_memory(50, utterances_per_recogniser=4), times_real_time=0.9))
    assert "utterances_per_recogniser = 16" not in both.lines[1], "there is not enough memory for it"


@pytest.mark.parametrize(
    ("bits", "expected"),
    [
        (0, None),
        (0x50000, None),  # not while it was measured
        (0x50005, "because its supply voltage is low; another power supply makes it faster"),
        (0x80008, "because it is hot; better cooling makes it faster"),
    ],
)
def test_a_machine_that_is_slowed_down(bits: int, expected: str | None) -> None:
    lines = judge(GOOD, Throttling.from_bits(bits)).lines[1:]
    assert (expected is None and lines == ()) or (expected is not None and expected in lines[0])


@pytest.mark.parametrize(
    ("now_ms", "other_ms", "recommended"),
    [
        (40.0, 35.0, False),  # less than a fifth faster
        (4.0, 3.2, False),  # more than a fifth, but too little to notice
        (4.0, 2.0, True),
        (2.0, 4.0, False),
    ],
)
def test_a_clearly_faster_call_is_recommended(now_ms: float, other_ms: float, recommended: bool) -> None:
    other = InterpreterCall("ai-edge-litert", 1, other_ms, 99.0, selected=False)
    lines = judge(replace(GOOD, interpreter_calls=(replace(LITERT, median_ms=now_ms), other))).lines[1:]
    advice = "The network takes 2.0 ms instead of 4.0 ms with these settings: [classifier] threads = 1."
    assert lines == ((advice,) if recommended else ())


def test_another_runtime_is_recommended() -> None:
    selected = InterpreterCall("tflite-runtime", 2, 25.0, 26.0, selected=True)
    installed = replace(GOOD, interpreter_calls=(selected, replace(LITERT, selected=False)))
    assert '[classifier] runtime = "ai-edge-litert".' in judge(installed).lines[1]
    missing = replace(
        GOOD, interpreter_calls=(selected,), stages={**GOOD.stages, "interpreter": replace(PER_UTTERANCE, median_ms=25)}
    )
    assert "pip install ai-edge-litert" in judge(missing).lines[1]
    assert len(judge(replace(missing, unusable_runtimes={"ai-edge-litert": "refuses"})).lines) == 1
