import pytest
from rich.text import Text

from device.outputs.terminal.meter import DecayingPeak, meter
from device.outputs.terminal.text import ASCII, UNICODE


@pytest.mark.parametrize(
    ("dbfs", "bar"),
    [(-96, "|..........."), (-60, "##|........."), (-36, "##|###......"), (0, "##|#########"), (6, "##|#########")],
)
def test_a_bar_with_the_gate_on_it(dbfs: float, bar: str) -> None:
    gate = -72.0 if dbfs == -96 else -60.0
    assert meter(dbfs, 12, ASCII, gate).plain == bar


@pytest.mark.parametrize("cells", [0, 1, 2, 40])
@pytest.mark.parametrize("gate", [None, -96.0, -30.0, 0.0])
def test_a_bar_of_any_length(cells: int, gate: float | None) -> None:
    bar = meter(-20.0, cells, UNICODE, gate).plain
    assert len(bar) == cells
    assert bar.count(UNICODE.gate) == (gate is not None and cells > 0)


def style_at(text: Text, offset: int) -> str:
    return " ".join([str(text.style), *(str(span.style) for span in text.spans if span.start <= offset < span.end)])


def test_too_loud_and_too_quiet_levels_have_their_own_colours() -> None:
    assert "cyan" in style_at(meter(-30, 10, ASCII, -60), 0)
    assert "yellow" in style_at(meter(-10, 10, ASCII, -60), 0)
    assert "red" in style_at(meter(-1, 10, ASCII), 0)
    assert "cyan" not in style_at(meter(-61, 10, ASCII, -60), 0)
    assert "cyan" not in style_at(meter(-30, 10, ASCII, -60), 9), "the rest is dim"


def test_the_peak_rises_at_once_and_falls_slowly() -> None:
    peak = DecayingPeak()
    peak.update(-20, 0.125)
    assert peak.dbfs == -20
    peak.update(-96, 0.25)
    assert peak.dbfs == pytest.approx(-26)
    for _ in range(40):
        peak.update(-70, 0.125)
    assert peak.dbfs == pytest.approx(-70, abs=1.5)


def test_the_peak_is_still_in_a_quiet_room() -> None:
    peak = DecayingPeak()
    peak.update(-65, 0.125)
    shown = []
    for level in (-65.6, -64.2, -65.0, -64.4) * 5:
        peak.update(level, 0.125)
        shown.append(peak.dbfs)
    assert set(shown) == {-65}
