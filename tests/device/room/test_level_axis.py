import pytest

from device.outputs.terminal.text import ASCII, UNICODE
from device.room.level_axis import level_axis
from tests.device.room.audio import measured

GATES = [("gate", -60.0), ("better gate", -51.0)]


def test_all_levels_are_on_one_axis() -> None:
    lines = [line.plain for line in level_axis(measured(floor=-72, loud=-48, peak=-12), GATES, 120, ASCII)]
    assert [line.split()[0] for line in lines[:-1]] == ["room", "gate", "better", "speech", "loudest"]
    axis = lines[-1]
    place = {mark: axis.index(mark) for mark in ("-96", "-72", "-48", "-24")}
    assert lines[0].index("#") == place["-72"]
    assert lines[0].rindex("#") == place["-48"]
    assert place["-72"] < lines[1].index("|") < lines[2].index("|") < place["-48"]
    assert lines[3].index("#") > place["-48"]
    assert place["-24"] < lines[4].index("|")
    assert [line.split()[-2:] for line in lines[:-1]] == [
        ["-72", "dB"], ["-60", "dB"], ["-51", "dB"], ["-30", "dB"], ["-12", "dB"],
    ]  # fmt: skip


def test_without_speech_there_are_no_gates_to_compare() -> None:
    assert [line.plain.split()[0] for line in level_axis(measured(speech=None), [], 80, UNICODE)][:-1] == [
        "room", "loudest",
    ]  # fmt: skip


@pytest.mark.parametrize("width", [30, 40, 60, 80, 200])
def test_every_line_fits(width: int) -> None:
    lines = level_axis(measured(peak=0, clipped=0.1, floor=-96, loud=-96), GATES, width, UNICODE)
    assert max(line.cell_len for line in lines) <= width
    assert len({len(line.plain) for line in lines[:-1]}) == 1


def test_clipped_peaks_are_red() -> None:
    assert any(span.style == "red" for span in level_axis(measured(clipped=0.1), [], 80, UNICODE)[-2].spans)
    assert not any(span.style == "red" for span in level_axis(measured(), [], 80, UNICODE)[-2].spans)
