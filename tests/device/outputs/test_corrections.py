"""Requests to correct a prediction: in order, in another thread, and a limited number of them."""

import threading

import pytest

from device.adaptation.adapted_classifier import Learnt
from device.errors import ProfileError
from device.outputs.corrections import CorrectionRequests, outcome
from tests.waiting import LIMIT_S, wait_until


def unexpected(error: ProfileError) -> None:
    raise AssertionError(error.message)


def test_requests_are_served_in_order_and_errors_end_nothing() -> None:
    done: list[str] = []

    def correct(label: str) -> Learnt:
        assert threading.current_thread().name == "corrections"
        if label == "b":
            raise ProfileError("no")
        return Learnt(1, used=False)

    requests = CorrectionRequests(
        "corrections", correct, lambda label, _: done.append(label), lambda error: done.append(error.message)
    )
    for label in "abc":
        requests.put(label)
    wait_until(lambda: len(done) == 3)
    assert done == ["a", "no", "c"]
    requests.put("d")
    wait_until(lambda: done[3:] == ["d"])


def test_nobody_waits_and_too_many_requests_are_dropped() -> None:
    begun, released = threading.Event(), threading.Event()
    done: list[str] = []

    def correct(label: str) -> Learnt:
        begun.set()
        assert released.wait(LIMIT_S)
        done.append(label)
        return Learnt(1, used=False)

    requests = CorrectionRequests("corrections", correct, lambda *_: None, unexpected)
    requests.put("first")
    assert begun.wait(LIMIT_S)
    for number in range(100):
        requests.put(str(number))
    assert done == []
    released.set()
    wait_until(lambda: not requests._runs)
    assert done == ["first", *map(str, range(10))]


def test_an_error_of_the_program_does_not_end_later_corrections(monkeypatch: pytest.MonkeyPatch) -> None:
    raised: list[object] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: raised.append(args.exc_type))
    done: list[str] = []

    def correct(label: str) -> Learnt:
        if label == "a":
            raise ZeroDivisionError
        return Learnt(1, used=False)

    requests = CorrectionRequests("corrections", correct, lambda label, _: done.append(label), unexpected)
    requests.put("a")
    wait_until(lambda: raised == [ZeroDivisionError])
    requests.put("b")
    wait_until(lambda: done == ["b"])


@pytest.mark.parametrize(
    ("label", "learnt", "line"),
    [
        ("negative", Learnt(5, used=True), "learnt: that was negative (5 examples, used)"),
        ("a\x1b", Learnt(1, used=False), "learnt: that was a\\x1b (1 example, not used yet)"),
    ],
)
def test_what_came_of_a_correction(label: str, learnt: Learnt, line: str) -> None:
    assert outcome(label, learnt) == line
