"""The report of `make bench`, for invented measurements."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import growth, images, listening
from benchmarks.conversion.cost import OURS as OUR_CONVERSION
from benchmarks.conversion.cost import PLAIN as PLAIN_CONVERSION
from benchmarks.listening import ListeningCost
from benchmarks.page.goals import goals
from benchmarks.page.measurements import SHIPPED, TUTORIAL, Measurements
from benchmarks.page.report import write
from benchmarks.page.summary import Summary

SCENES = (listening.QUIET, listening.SPEECH, listening.NOISE)


def cost(*cpu: float, peak_mb: float, ready_s: float, latencies_ms: tuple[float, ...] = ()) -> ListeningCost:
    shares = {scene: [share] * 3 for scene, share in zip(SCENES, cpu, strict=False)}
    return ListeningCost(shares, [peak_mb] * 3, [ready_s] * 3, list(latencies_ms))


def conversion(seconds: float, mb: float) -> dict[str, float]:
    return {"wall_s": seconds, "cpu_s": seconds, "largest_mb": mb, "together_mb": mb}


def drawn(one_core: float, two_cores: float, theirs: float) -> dict[str, Any]:
    ms = {images.ONE_CORE: one_core, images.TWO_CORES: two_cores, images.THEIRS: theirs}
    return images.summarise(2000, 4.95, {name: [value] * 3 for name, value in ms.items()})


@pytest.fixture
def good() -> Measurements:
    return Measurements(
        listening={
            listening.OURS: cost(0.002, 0.08, 0.01, peak_mb=205, ready_s=0.65, latencies_ms=(1.0, 1.2, 1.4)),
            listening.VOSK: cost(0.04, 0.08, 0.04, peak_mb=259, ready_s=0.8),
            listening.OURS_TUTORIAL: cost(peak_mb=290, ready_s=1.0, latencies_ms=(2.0, 2.2, 2.4)),
            listening.WAKE_WORD: cost(0.03, 0.04, 0.04, peak_mb=200, ready_s=1.5),
        },
        live_ready_s=[15.0],
        live_first_ms=[7000.0],
        live_warm_ms=[130.0, 140.0],
        live_peak_mb=[840.0],
        call_ms={TUTORIAL: [5.0], SHIPPED: [0.1]},
        classify_s=[2.0],
        classified_s=45.0,
        help_s=[0.12],
        import_s=[0.09],
        conversion={
            PLAIN_CONVERSION: [conversion(10, 1300)],
            OUR_CONVERSION: [conversion(19, 1600)],
            "growth": {"10000": conversion(12, 700), "20000": conversion(14, 900), "40000": conversion(18, 1300)},
        },
        growth={
            "lengths": {"2": [0.34], "4": [0.48], "8": [0.76], "14": [1.18]},
            "hours": {
                f"{growth.QUIET}, at the start": [0.0001], f"{growth.QUIET}, after 10 h": [0.0001],
                f"{growth.TALK}, at the start": [0.04], f"{growth.TALK}, after 10 h": [0.039],
            },
        },
        images=drawn(1.9, 1.0, 24.0),
        search={"quick": {"as recorded": 0.04, "cpu": 0.06}, "thorough": {"as recorded": 0.04, "cpu": 0.1}},
        recognisers={
            "first": {
                "new": {"cpu_ms": 340.0, "late_ms": {"12": [84.0, 380.0]}},
                "prepared": {"cpu_ms": 250.0, "late_ms": {"12": [0.0, 0.0]}},
                "used": {"cpu_ms": 150.0, "late_ms": {"12": [0.0, 0.0]}},
            },
            "lives": {"1": {"cpu": 0.08, "peak_mb": 205.0, "loaded_mb": 175.0}},
        },
        board={
            "machine": {"name": "a board", "cores": 4, "architecture": "aarch64"},
            "stages": {"voice_detector": {"per": "frame", "median_ms": 0.12, "p95_ms": 0.4}},
        },
    )  # fmt: skip


def missed(found: Measurements) -> list[str]:
    return [f"{goal.quantity}: {goal.target}" for goal in goals(found) if not goal.met]


def test_all_goals_are_met(good: Measurements) -> None:
    assert missed(good) == []


def test_each_goal_can_be_missed(good: Measurements) -> None:
    ours = cost(0.0061, 0.0881, 0.021, peak_mb=300, ready_s=1.81, latencies_ms=(5.1, 5.1, 5.2, 11.0))
    slow = replace(
        good,
        listening={
            **good.listening,
            listening.OURS: ours,
            listening.OURS_TUTORIAL: replace(good.listening[listening.OURS_TUTORIAL], latencies_ms=[9.0]),
        },
        live_ready_s=[17.0],
        help_s=[0.31],
        conversion={
            **good.conversion,
            OUR_CONVERSION: [conversion(21, 1700)],
            "growth": {"10000": conversion(2, 700), "20000": conversion(9, 900), "40000": conversion(40, 1300)},
        },
        growth={
            "lengths": {"2": [0.34], "4": [0.6], "8": [1.9], "14": [6.0]},
            "hours": {key: [value * (1.2 if "after" in key else 1) for value in values]
                      for key, values in good.growth["hours"].items()},
        },
        images=drawn(3.5, 2.01, 24.0),
        recognisers={
            **good.recognisers,
            "first": {**good.recognisers["first"], "prepared": good.recognisers["first"]["new"]},
        },
    )  # fmt: skip
    assert len(missed(slow)) == sum(1 for _ in goals(slow))


def test_images_that_do_not_scale_miss_one_goal(good: Measurements) -> None:
    assert [goal.split(": ")[1] for goal in missed(replace(good, images=drawn(3.59, 2.0, 24.0)))] == [
        "2 cores >= 1.8 x as fast as 1"
    ]


def test_a_missing_peer_is_not_compared(good: Measurements) -> None:
    del good.listening[listening.WAKE_WORD]
    assert not [goal for goal in goals(good) if "openWakeWord" in goal.target]


def test_the_page(good: Measurements, tmp_path: Path) -> None:
    page = write(good, 3, tmp_path).read_text(encoding="utf-8")
    assert "on a board,\n4 cores, Linux aarch64" in page
    assert "| CPU, quiet room | <= 0.3 % of a core | 0.20% | met |" in page
    assert "| edge-mcnn | 0.20 (0.20 to 0.20) | 8.00 (8.00 to 8.00) | 1.00 (1.00 to 1.00) | 205 (205 to 205) |" in page
    assert "2,000 clips of 5.0 s on average" in page
    assert "| edge-mcnn pictures, 2 cores | 1.00 (1.00 to 1.00) | 24.0 |" in page
    assert "| librosa and Matplotlib | 24.00 (24.00 to 24.00) |  |" in page
    assert (tmp_path / "results.png").stat().st_size > 10_000


def test_instructions_are_compared_with_those_of_the_report_before(good: Measurements, tmp_path: Path) -> None:
    assert "Instructions" not in write(good, 3, tmp_path).read_text(encoding="utf-8")  # where they cannot be counted
    first = write(replace(good, instructions={listening.SPEECH: 200.0}), 3, tmp_path).read_text(encoding="utf-8")
    assert "| someone speaks | 200.00 |  |  |" in first
    second = write(replace(good, instructions={listening.SPEECH: 150.0}), 3, tmp_path).read_text(encoding="utf-8")
    assert "| someone speaks | 150.00 | 200.00 | -25.0% |" in second
    third = write(replace(good, instructions={listening.SPEECH: 150.0}), 3, tmp_path).read_text(encoding="utf-8")
    assert "| someone speaks | 150.00 | 150.00 | +0.0% |" in third


def test_summary_and_fit() -> None:
    summary = Summary.of([3.0, 1.0, 2.0])
    assert (summary.median, summary.text(".0f", 10)) == (2.0, "20 (10 to 30)")
    assert Summary.of([float(each) for each in range(100)]).p95 == 95
    line = growth.fit({2: 1.2, 4: 1.4, 8: 1.8})
    assert [line.fixed_s, line.per_second_s] == pytest.approx([1.0, 0.1])
    assert line.max_error == pytest.approx(0, abs=1e-9)
