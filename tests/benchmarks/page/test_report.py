"""The report of `make bench`, for invented measurements."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import growth, images, listening
from benchmarks.conversion.cost import OURS as OUR_CONVERSION
from benchmarks.conversion.cost import PLAIN as PLAIN_CONVERSION
from benchmarks.listening import ListeningCost
from benchmarks.page.curves import CONVERT, EVALUATE, HISTORY, TRAIN, UTTERANCES, curves
from benchmarks.page.goals import goals
from benchmarks.page.measurements import SHIPPED, TUTORIAL, Measurements
from benchmarks.page.report import write
from benchmarks.page.summary import Summary
from benchmarks.training.cost import OURS as OUR_TRAINING
from benchmarks.training.cost import THEIRS as THEIR_TRAINING

SCENES = (listening.QUIET, listening.SPEECH, listening.NOISE)


def cost(*cpu: float, peak_mb: float, ready_s: float, latencies_ms: tuple[float, ...] = ()) -> ListeningCost:
    shares = {scene: [share] * 3 for scene, share in zip(SCENES, cpu, strict=False)}
    return ListeningCost(shares, [peak_mb] * 3, [ready_s] * 3, list(latencies_ms))


def conversion(seconds: float, mb: float) -> dict[str, float]:
    return {"wall_s": seconds, "cpu_s": seconds, "largest_mb": mb, "together_mb": mb}


def drawn(one_core: float, two_cores: float, theirs: float) -> dict[str, Any]:
    ms = {images.ONE_CORE: one_core, images.TWO_CORES: two_cores, images.THEIRS: theirs}
    return images.summarise(2000, 4.95, {name: [value] * 3 for name, value in ms.items()})


def training(their_s_per_clip: float, our_s_per_clip: float) -> dict[str, dict[str, dict[str, float]]]:
    ours = {str(clips): conversion(9 + our_s_per_clip * clips, 1130 + clips * 0.008) for clips in (500, 1000, 2000)}
    theirs = {str(work): conversion(4 + their_s_per_clip * work, 960) for work in (500, 1000, 2000)}
    return {OUR_TRAINING: ours, THEIR_TRAINING: theirs}


def history(cpu_s: float, peak_mb: float, store_ms: float) -> dict[str, Any]:
    return {"cpu_s": cpu_s, "peak_mb": peak_mb, "store_ms": store_ms, "queries_ms": {"all days": 1.0}}


@pytest.fixture
def good() -> Measurements:
    return Measurements(
        listening={
            listening.OURS: cost(0.002, 0.08, 0.01, peak_mb=205, ready_s=0.65, latencies_ms=(1.0, 1.2, 1.4)),
            listening.VOSK: cost(0.04, 0.16, 0.04, peak_mb=259, ready_s=0.8),
            listening.OURS_TUTORIAL: cost(peak_mb=290, ready_s=1.0, latencies_ms=(2.0, 2.2, 2.4)),
            listening.PORT_AUDIO: cost(0.0019, peak_mb=45, ready_s=0.3),
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
        training=training(their_s_per_clip=0.025, our_s_per_clip=0.0175),
        evaluation={str(clips): conversion(2 + clips / 1000, 180 + clips * 0.014) for clips in (1000, 2000, 4000)},
        history={str(size): history(size / 20_000, 21.0, 0.05) for size in (25_000, 50_000, 200_000)},
        growth={
            "lengths": {"2": [0.34], "4": [0.48], "8": [0.76], "14": [1.18]},
            "hours": {
                f"{growth.QUIET}, at the start": [0.0001], f"{growth.QUIET}, after 10 h": [0.0001],
                f"{growth.TALK}, at the start": [0.04], f"{growth.TALK}, after 10 h": [0.039],
            },
        },
        images=drawn(1.9, 1.0, 24.0),
        preview={"right_s": [0.05, 0.06, 0.352], "final_s": [0.38, 0.38], "flips": [0.0, 0.0, 1.0], "changed": 0},
        search={"quick": {"as recorded": 0.04, "cpu": 0.06}, "thorough": {"as recorded": 0.04, "cpu": 0.1}},
        recognisers={
            "first": {
                "new": {"cpu_ms": 340.0, "late_ms": {"15": [84.0, 380.0]}},
                "prepared": {"cpu_ms": 250.0, "late_ms": {"15": [0.0, 0.0]}},
                "used": {"cpu_ms": 150.0, "late_ms": {"15": [0.0, 0.0]}},
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
        preview={"right_s": [0.2, 0.36], "final_s": [0.61, 0.61], "flips": [0.0, 1.0, 2.0], "changed": 1},
        training={
            OUR_TRAINING: {"500": conversion(9, 1000), "1000": conversion(40, 1060), "2000": conversion(200, 1200)},
            THEIR_TRAINING: good.training[THEIR_TRAINING],
        },
        evaluation={"1000": conversion(3, 200), "2000": conversion(5, 250), "4000": conversion(40, 400)},
        history={
            "25000": history(1.0, 20, 0.05), "50000": history(2.0, 30, 0.06), "200000": history(90.0, 60, 0.08),
        },
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
    del good.listening[listening.WAKE_WORD], good.listening[listening.PORT_AUDIO]
    assert not [goal for goal in goals(good) if "openWakeWord" in goal.target or "PortAudio" in goal.target]


def test_the_page(good: Measurements, tmp_path: Path) -> None:
    page = write(good, 3, tmp_path).read_text(encoding="utf-8")
    assert "on a board,\n4 cores, Linux aarch64" in page
    assert "| CPU, quiet room | <= 0.3 % of a core | 0.20% | met |" in page
    assert "| edge-mcnn | 0.20 (0.20 to 0.20) | 8.00 (8.00 to 8.00) | 1.00 (1.00 to 1.00) | 205 (205 to 205) |" in page
    assert "2,000 clips of 5.0 s on average" in page
    assert "| edge-mcnn pictures, 2 cores | 1.00 (1.00 to 1.00) | 24.0 |" in page
    assert "| librosa and Matplotlib | 24.00 (24.00 to 24.00) |  |" in page
    for unit in ("CPU seconds", "seconds"):
        goal = f"| edge-mcnn train, 10,000 clips, 13 epochs, {unit}, extrapolated "
        goal += "| >= 10 x faster than the tutorial's training |"
        assert f"{goal} 18 x; the lines are off by 0% and 0% at most | met |" in page
    assert "| edge-mcnn train, extrapolated | 10,000 clips, 13 epochs | 184 | 184 |  |" in page
    assert "| the tutorial's training, extrapolated | 10,000 clips, 13 epochs | 3254 | 3254 |  |" in page
    assert "| 4,000 | 6.0 | 6.0 | 236 |" in page
    assert "| ms for one more | 0.050 | 0.050 | 0.050 |" in page
    assert "(growth.png)" in page
    assert (tmp_path / "results.png").stat().st_size > 10_000
    assert (tmp_path / "growth.png").stat().st_size > 10_000


def test_a_measured_training_is_not_extrapolated(good: Measurements, tmp_path: Path) -> None:
    good.training[OUR_TRAINING]["10000"] = conversion(200, 1210)
    page = write(good, 3, tmp_path).read_text(encoding="utf-8")
    assert "| edge-mcnn train | 10,000 clips, 13 epochs | 200 | 200 | 1210 |" in page
    assert "edge-mcnn train, extrapolated |" not in page


def test_curves(good: Measurements) -> None:
    found = curves(good)
    assert list(found) == [UTTERANCES, CONVERT, TRAIN, EVALUATE, HISTORY]
    assert found[CONVERT].cpu_s == {10.0: 12, 20.0: 14, 40.0: 18}
    assert found[EVALUATE].line.fixed_s == pytest.approx(2)
    assert found[EVALUATE].memory_kb == pytest.approx(14)
    assert found[TRAIN].text == "9.0 s + 17.5 ms each, off by 0% at most"
    assert found[HISTORY].text == "0.0 s + 0.05 ms each, off by 0% at most"


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
