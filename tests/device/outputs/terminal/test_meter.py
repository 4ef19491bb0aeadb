import pytest
from rich.text import Text

from device.outputs.terminal.meter import Needle, meter
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


def test_what_is_too_loud_or_no_speech_is_seen() -> None:
    assert "cyan" in style_at(meter(-30, 10, ASCII, -60), 0)
    assert "yellow" in style_at(meter(-10, 10, ASCII, -60), 0)
    assert "red" in style_at(meter(-1, 10, ASCII), 0)
    assert "cyan" not in style_at(meter(-61, 10, ASCII, -60), 0)
    assert "cyan" not in style_at(meter(-30, 10, ASCII, -60), 9), "the rest is dim"


def test_a_needle_rises_at_once_and_falls_slowly() -> None:
    needle = Needle()
    needle.follow(-20, 0.125)
    assert needle.dbfs == -20
    needle.follow(-96, 0.25)
    assert needle.dbfs == pytest.approx(-26)
    for _ in range(40):
        needle.follow(-70, 0.125)
    assert needle.dbfs == pytest.approx(-70, abs=1.5)


def test_a_needle_is_still_in_a_quiet_room() -> None:
    needle = Needle()
    needle.follow(-65, 0.125)
    stood = []
    for wavers in (-65.6, -64.2, -65.0, -64.4) * 5:
        needle.follow(wavers, 0.125)
        stood.append(needle.dbfs)
    assert set(stood) == {-65}
