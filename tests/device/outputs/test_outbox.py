import threading

from device.outputs.outbox import Outbox
from device.outputs.publishers import Table
from tests.device.outputs.published_predictions import LIMIT_S, Told, answer


class Deliveries:
    """Takes what is delivered; while the gate is shut, not to the end."""

    def __init__(self, *, well: bool = True) -> None:
        self.taken: list[float] = []
        self.begun = threading.Event()
        self.gate = threading.Event()
        self.gate.set()
        self._well = well

    def __call__(self, table: Table) -> bool:
        self.begun.set()
        assert self.gate.wait(LIMIT_S)
        self.taken.append(table["seconds"])
        return self._well


def test_in_order_and_what_is_left_at_the_end_too() -> None:
    deliveries, told = Deliveries(), Told()
    outbox = Outbox("x", deliveries, told, bound=10)
    for number in range(3):
        outbox.put(answer(number))
    outbox.open()
    for number in range(3, 6):
        outbox.put(answer(number))
    assert outbox.close(LIMIT_S)
    assert deliveries.taken == [0, 1, 2, 3, 4, 5]
    assert told.lines == []


def test_of_too_many_the_oldest_are_dropped_counted_and_told() -> None:
    deliveries, told = Deliveries(), Told()
    deliveries.gate.clear()
    outbox = Outbox("x", deliveries, told, bound=3)
    outbox.open()
    outbox.put(answer(0))
    assert deliveries.begun.wait(LIMIT_S)
    for number in range(1, 10):
        outbox.put(answer(number))  # and this comes back, though nothing is taken
    assert outbox.dropped == 6
    deliveries.gate.set()
    assert outbox.close(LIMIT_S)
    assert deliveries.taken == [0, 7, 8, 9]
    assert told.lines == ["x: 6 answers were dropped so far, the oldest of too many"]


def test_held_nothing_is_begun() -> None:
    deliveries, told = Deliveries(), Told()
    outbox = Outbox("x", deliveries, told, bound=2, held=True)
    outbox.open()
    for number in range(4):
        outbox.put(answer(number))
    assert not deliveries.begun.wait(0.1)
    outbox.hold(held=False)
    assert deliveries.begun.wait(LIMIT_S)
    assert outbox.close(LIMIT_S)
    assert deliveries.taken == [2, 3]


def test_held_at_the_end_it_says_what_is_left() -> None:
    deliveries, told = Deliveries(), Told()
    outbox = Outbox("x", deliveries, told, bound=10, held=True)
    outbox.open()
    outbox.put(answer(0))
    outbox.put(answer(1))
    assert outbox.close(LIMIT_S)
    assert deliveries.taken == []
    assert told.lines == ["x: 2 answers were left at the end"]


def test_closing_ends_at_the_limit_and_says_that_it_is_not_done() -> None:
    deliveries, told = Deliveries(), Told()
    deliveries.gate.clear()
    outbox = Outbox("x", deliveries, told, bound=10)
    outbox.open()
    outbox.put(answer(0))
    assert deliveries.begun.wait(LIMIT_S)
    assert not outbox.close(0.05)
    deliveries.gate.set()
    assert outbox.close(LIMIT_S)


def test_after_a_delivery_that_went_ill_there_is_no_other() -> None:
    deliveries, told = Deliveries(well=False), Told()
    outbox = Outbox("x", deliveries, told, bound=10)
    outbox.put(answer(0))
    outbox.put(answer(1))
    outbox.open()
    assert outbox.close(LIMIT_S)
    assert deliveries.taken == [0]


def test_closed_before_it_was_opened() -> None:
    assert Outbox("x", Deliveries(), Told(), bound=1).close(1)
