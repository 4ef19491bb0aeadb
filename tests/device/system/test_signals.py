import signal
from collections.abc import Iterator

import pytest

from device.system.signals import ending_with_parent, interrupted_by_signals, stopped_by_signals


@pytest.fixture(params=[signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def number(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def previous(number: int) -> Iterator[list[int]]:
    """The signals that reach the handler that was set before."""
    reached: list[int] = []
    original = signal.signal(number, lambda got, _frame: reached.append(got))
    yield reached
    signal.signal(number, original)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_what_ends_a_process_is_like_ctrl_c_for_a_while(number: signal.Signals) -> None:
    original = signal.signal(number, signal.SIG_DFL)
    try:
        with pytest.raises(KeyboardInterrupt), interrupted_by_signals():
            signal.raise_signal(number)
        assert signal.getsignal(number) == signal.SIG_DFL
        signal.signal(number, signal.SIG_IGN)
        with interrupted_by_signals():
            signal.raise_signal(number)
    finally:
        signal.signal(number, original)


def test_each_signal_requests_the_end(number: int, previous: list[int]) -> None:
    requests: list[None] = []
    with stopped_by_signals(lambda: requests.append(None)):
        signal.raise_signal(number)
        signal.raise_signal(number)
    assert len(requests) == 2
    assert previous == []
    signal.raise_signal(number)
    assert previous == [number], "the previous handler is restored"


def test_the_second_signal_has_its_previous_effect(number: int, previous: list[int]) -> None:
    requests: list[None] = []
    with stopped_by_signals(lambda: requests.append(None), second_ends=True):
        signal.raise_signal(number)
        assert previous == []
        signal.raise_signal(number)
    assert len(requests) == 1
    assert previous == [number]


def test_an_error_inside_restores_the_handler(number: int, previous: list[int]) -> None:
    with pytest.raises(RuntimeError), stopped_by_signals(lambda: None):
        raise RuntimeError
    signal.raise_signal(number)
    assert previous == [number]


def test_a_command_that_ends_with_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Real processes: `tests/device/daemon/test_self_check.py` and `tests/system/test_page.py`."""
    command = ["sleep", "600"]
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    setpriv = ["/usr/bin/setpriv", "--pdeathsig", "TERM", "--"]
    assert ending_with_parent(command, signal.SIGTERM, {}) == setpriv + command
    service = {"RUNTIME_DIRECTORY": "/run/edge-mcnn"}
    assert ending_with_parent(command, signal.SIGTERM, service) == command, "there, setpriv would fail"
    monkeypatch.setattr("shutil.which", lambda _name: None)
    assert ending_with_parent(command, signal.SIGTERM, {}) == command
