import signal
from collections.abc import Iterator

import pytest

from device.system.signals import stopped_by_signals


@pytest.fixture(params=[signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def number(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def former(number: int) -> Iterator[list[int]]:
    """What reaches the handler that was there before."""
    reached: list[int] = []
    kept = signal.signal(number, lambda got, _frame: reached.append(got))
    yield reached
    signal.signal(number, kept)


def test_it_asks_for_the_end_each_time(number: int, former: list[int]) -> None:
    asked: list[None] = []
    with stopped_by_signals(lambda: asked.append(None)):
        signal.raise_signal(number)
        signal.raise_signal(number)
    assert len(asked) == 2
    assert former == []
    signal.raise_signal(number)
    assert former == [number], "afterwards all is as it was"


def test_the_second_one_does_what_it_did_before(number: int, former: list[int]) -> None:
    asked: list[None] = []
    with stopped_by_signals(lambda: asked.append(None), second_ends=True):
        signal.raise_signal(number)
        assert former == []
        signal.raise_signal(number)
    assert len(asked) == 1
    assert former == [number]


def test_an_error_inside_leaves_no_handler_behind(number: int, former: list[int]) -> None:
    with pytest.raises(RuntimeError), stopped_by_signals(lambda: None):
        raise RuntimeError
    signal.raise_signal(number)
    assert former == [number]
