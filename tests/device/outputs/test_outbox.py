import threading

from device.outputs.outbox import Outbox
from tests.device.outputs.predictions import Announcements
from tests.waiting import LIMIT_S


class Deliveries:
    """Records what is delivered; no delivery ends while the gate is shut."""

    def __init__(self, *, succeeds: bool = True) -> None:
        self.delivered: list[int] = []
        self.begun = threading.Event()
        self.gate = threading.Event()
        self.gate.set()
        self._succeeds = succeeds

    def __call__(self, item: int) -> bool:
        self.begun.set()
        assert self.gate.wait(LIMIT_S)
        self.delivered.append(item)
        return self._succeeds


def test_items_are_delivered_in_order_and_the_last_ones_at_the_end(announced: Announcements) -> None:
    deliveries = Deliveries()
    outbox = Outbox("x", deliveries, announced, bound=10)
    for number in range(3):
        outbox.put(number)
    outbox.open()
    for number in range(3, 6):
        outbox.put(number)
    assert outbox.close(LIMIT_S)
    assert deliveries.delivered == [0, 1, 2, 3, 4, 5]
    assert announced.lines == []


def test_of_too_many_the_oldest_are_dropped_counted_and_reported(announced: Announcements) -> None:
    deliveries = Deliveries()
    deliveries.gate.clear()
    outbox = Outbox("x", deliveries, announced, bound=3)
    outbox.open()
    outbox.put(0)
    assert deliveries.begun.wait(LIMIT_S)
    for number in range(1, 10):
        outbox.put(number)  # returns although nothing is delivered
    assert outbox.dropped == 6
    deliveries.gate.set()
    assert outbox.close(LIMIT_S)
    assert deliveries.delivered == [0, 7, 8, 9]
    assert announced.lines == ["x: predictions dropped so far, the oldest of too many: 6"]


def test_items_of_passing_interest_take_the_place_of_no_other_and_are_not_counted(announced: Announcements) -> None:
    deliveries = Deliveries()
    outbox = Outbox("x", deliveries, announced, bound=20, held=True)
    outbox.open()
    outbox.put(0)
    for number in range(1, 100):
        outbox.put(number, passing=True)
    for number in range(100, 110):
        outbox.put(number)
    assert outbox.dropped == 0
    for number in range(110, 119):
        outbox.put(number)
    assert outbox.dropped == 1, "the first; the others that made room were of passing interest"
    outbox.hold(held=False)
    assert outbox.close(LIMIT_S)
    assert deliveries.delivered == [9, *range(100, 119)]
    assert announced.lines == ["x: predictions dropped so far, the oldest of too many: 1"]


def test_items_of_passing_interest_that_are_left_are_not_reported(announced: Announcements) -> None:
    outbox = Outbox("x", Deliveries(), announced, bound=10, held=True)
    outbox.open()
    outbox.put(1, passing=True)
    outbox.put(2)
    outbox.close(0.1)
    assert announced.lines == ["x: predictions not delivered before the end: 1"]


def test_while_it_is_held_no_delivery_begins(announced: Announcements) -> None:
    deliveries = Deliveries()
    outbox = Outbox("x", deliveries, announced, bound=2, held=True)
    outbox.open()
    for number in range(4):
        outbox.put(number)
    assert not deliveries.begun.wait(0.1)
    outbox.hold(held=False)
    assert deliveries.begun.wait(LIMIT_S)
    assert outbox.close(LIMIT_S)
    assert deliveries.delivered == [2, 3]


def test_closed_while_it_is_held_it_reports_what_is_left(announced: Announcements) -> None:
    deliveries = Deliveries()
    outbox = Outbox("x", deliveries, announced, bound=10, held=True)
    outbox.open()
    outbox.put(0)
    outbox.put(1)
    assert outbox.close(LIMIT_S)
    assert deliveries.delivered == []
    assert announced.lines == ["x: predictions not delivered before the end: 2"]


def test_closing_ends_at_the_limit_and_returns_that_a_delivery_is_in_progress(announced: Announcements) -> None:
    deliveries = Deliveries()
    deliveries.gate.clear()
    outbox = Outbox("x", deliveries, announced, bound=10)
    outbox.open()
    outbox.put(0)
    assert deliveries.begun.wait(LIMIT_S)
    assert not outbox.close(0.05)
    deliveries.gate.set()
    assert outbox.close(LIMIT_S)


def test_after_a_failed_delivery_there_is_no_other(announced: Announcements) -> None:
    deliveries = Deliveries(succeeds=False)
    outbox = Outbox("x", deliveries, announced, bound=10)
    outbox.put(0)
    outbox.put(1)
    outbox.open()
    assert outbox.close(LIMIT_S)
    assert deliveries.delivered == [0]


def test_it_can_be_closed_before_it_is_opened(announced: Announcements) -> None:
    assert Outbox("x", Deliveries(), announced, bound=1).close(1)
