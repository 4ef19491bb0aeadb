"""A microphone that is opened in a thread, taken once, and closed whenever nobody will take it."""

import threading
from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import pytest

from device.daemon.opening_ahead import OpeningAhead
from device.errors import AudioError
from tests.waiting import LIMIT_S, wait_until


class Opener:
    """Opens one microphone after the other, each as soon as it may."""

    def __init__(self, error: Exception | None = None) -> None:
        self.may_open = threading.Event()
        self.opened: list[Mock] = []
        self._error = error

    def __call__(self, name: str) -> Any:
        assert self.may_open.wait(LIMIT_S)
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        self.opened.append(Mock(name=name))
        return self.opened[-1]

    def close_once_opened(self, close: Callable[[], None]) -> None:
        self.may_open.set()
        wait_until(lambda: self.opened)
        close()


def test_the_microphone_is_taken_once_and_its_earlier_audio_is_skipped() -> None:
    opener = Opener()
    ahead = OpeningAhead(opener)
    ahead.begin("USB")
    opener.may_open.set()
    first, second = ahead.open("USB"), ahead.open("USB")
    assert [first, second] == opener.opened
    first.skip_waiting.assert_called_once_with()  # type: ignore[attr-defined]  # a mock
    second.skip_waiting.assert_not_called()  # type: ignore[attr-defined]  # likewise
    ahead.end()
    first.close.assert_not_called()  # type: ignore[attr-defined]  # likewise


def test_what_prevented_it_is_raised_where_it_is_needed_and_then_it_is_tried_again() -> None:
    opener = Opener(AudioError("no microphone found"))
    opener.may_open.set()
    ahead = OpeningAhead(opener)
    ahead.begin("")
    with pytest.raises(AudioError, match="no microphone found"):
        ahead.open("")
    assert [ahead.open("")] == opener.opened


@pytest.mark.parametrize("is_opened_first", [True, False])
def test_what_prevented_it_before_the_device_was_muted_is_not_raised_later(is_opened_first: bool) -> None:
    opener = Opener(AudioError("no microphone found"))
    ahead = OpeningAhead(opener)
    ahead.begin("")
    if is_opened_first:
        opener.may_open.set()
        wait_until(lambda: ahead._error is not None)
    ahead.close()
    opener.may_open.set()
    ahead.end()
    assert [ahead.open("")] == opener.opened


def test_it_is_closed_when_the_device_is_muted_meanwhile() -> None:
    opener = Opener()
    ahead = OpeningAhead(opener)
    ahead.begin("")
    opener.close_once_opened(ahead.close)
    wait_until(lambda: opener.opened[0].close.called)  # by `close`, or by the thread if that was faster
    assert ahead.open("") is opener.opened[1]


def test_closing_it_delays_nobody_and_the_next_one_is_opened_afterwards() -> None:
    opener = Opener()
    ahead = OpeningAhead(opener)
    ahead.begin("")
    opener.may_open.set()
    wait_until(lambda: ahead._microphone is not None)
    may_close, events = threading.Event(), list[str]()

    def close() -> None:
        assert may_close.wait(LIMIT_S)
        events.append("closed")

    def take() -> None:
        ahead.open("")
        events.append("opened")

    opener.opened[0].close = close
    ahead.close()
    ahead.end(limit_s=0.01)
    assert events == []
    taker = threading.Thread(target=take)
    taker.start()
    may_close.set()
    taker.join(LIMIT_S)
    assert events == ["closed", "opened"]


def test_it_is_closed_when_the_models_cannot_be_loaded() -> None:
    opener = Opener()
    ahead = OpeningAhead(opener)
    ahead.begin("")
    opener.close_once_opened(ahead.end)
    opener.opened[0].close.assert_called_once_with()


def test_nothing_is_opened_after_the_device_was_muted() -> None:
    opener = Opener()
    ahead = OpeningAhead(opener)
    ahead.close()
    ahead.begin("")
    opener.may_open.set()
    ahead.end()
    assert opener.opened == []
