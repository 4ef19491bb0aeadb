"""The server of the events: who gets what, and that no reader delays the daemon or another reader."""

import contextlib
import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from device.errors import StatusError
from device.outputs.event_stream import server as server_module
from device.outputs.event_stream.server import MOST_READERS, PAST, EventServer
from tests.waiting import LIMIT_S, wait_until


@pytest.fixture
def path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="events") as name:  # pytest's own paths are too long for a socket
        yield Path(name) / "run" / "events.sock"


def started(
    path: Path, tick: Callable[[], None] = lambda: None, *, period_s: float = 600, buffer_bytes: int = 1 << 18
) -> EventServer:
    return EventServer(path, tick, period_s, buffer_bytes=buffer_bytes)


class Reader:
    """A connection, read line by line."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(LIMIT_S)
        self.socket.connect(str(path))
        self._file = self.socket.makefile("rb")

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self.socket.close()

    def line(self) -> str:
        """The next line; empty at the end."""
        return self._file.readline().decode().rstrip("\n")

    def rest(self) -> bytes:
        """Everything until the server closes the connection."""
        return self._file.read()


@contextlib.contextmanager
def reading(server: EventServer, path: Path) -> Iterator[Reader]:
    """A reader that the server knows."""
    before = server.joined
    with Reader(path) as reader:
        wait_until(lambda: server.joined > before, message="nobody accepts the reader")
        yield reader


def test_a_reader_gets_the_current_lines_then_the_past_then_what_happens(path: Path) -> None:
    with started(path) as server:
        server.publish(b"hello 1\n", current="hello")
        server.publish(b"state 1\n", current="state")
        server.publish(b"nobody gets this\n")
        server.publish_past(b"prediction 1\n", b"past 1\n")
        server.publish_past(b"prediction 2\n", b"past 2\n")
        server.publish_past(b"corrected 2\n", b"past 2\ncorrected 2\n", replaces=0)
        server.publish_past(b"corrected 1\n", b"past 1\ncorrected 1\n", replaces=1)
        server.publish(b"hello 2\n", current="hello")
        with reading(server, path) as first:
            server.publish(b"state 2\n", current="state")
            server.publish_past(b"prediction 3\n", b"past 3\n")
            past = ["past 1", "corrected 1", "past 2", "corrected 2"]
            lines = [first.line() for _ in range(8)]
            assert lines == ["hello 2", "state 1", *past, "state 2", "prediction 3"]
            with reading(server, path) as second:
                assert [second.line() for _ in range(7)] == ["hello 2", "state 2", *past, "past 3"]
    assert not path.exists()


def test_only_the_latest_past_is_replayed_as_far_as_it_fits(path: Path) -> None:
    with started(path, buffer_bytes=4096) as server:
        for number in range(PAST + 10):
            server.publish_past(b"", b"%d\n" % number)
        with reading(server, path) as reader:
            server.publish(b"end\n")
            assert [reader.line() for _ in range(PAST + 1)] == [*map(str, range(10, PAST + 10)), "end"]
        for number in range(3):
            server.publish_past(b"", b"%d %s\n" % (number, b"x" * 900))
        with reading(server, path) as reader:
            server.publish(b"end\n")
            assert [reader.line()[:3] for _ in range(3)] == ["1 x", "2 x", "end"], "half of the buffer"


def test_a_line_for_those_that_had_joined_when_it_was_made(path: Path) -> None:
    with started(path) as server, reading(server, path) as old:
        joined = server.joined
        with reading(server, path) as new:
            server.publish(b"continued\n", joined=joined)
            server.publish(b"complete\n")
            assert [old.line(), old.line(), new.line()] == ["continued", "complete", "complete"]


def test_a_reader_that_reads_nothing_is_disconnected_and_the_others_go_on(path: Path) -> None:
    line = b"x" * 999 + b"\n"
    with started(path, buffer_bytes=16 * 1024) as server, reading(server, path) as slow, reading(server, path) as quick:
        longest_s = sent = 0.0
        while len(server._readers) > 1:
            assert sent < 5000, "it is still connected"
            begun = time.monotonic()
            server.publish(line)
            longest_s = max(longest_s, time.monotonic() - begun)
            assert quick.line() == "x" * 999
            sent += 1
        assert longest_s < 1, "the listening thread does not wait"
        received = slow.rest()
        assert 0 < len(received) < sent * len(line)
        server.publish(b"on\n")
        assert quick.line() == "on"


def test_a_reader_that_pauses_gets_everything_that_its_buffer_holds(path: Path) -> None:
    with started(path) as server, reading(server, path) as reader:
        for number in range(2600):  # more than the kernel holds for it
            server.publish(b"%099d\n" % number)
        assert [int(reader.line()) for _ in range(2600)] == list(range(2600))
        assert server.watched


def test_one_reader_too_many_is_disconnected_at_once(path: Path) -> None:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(started(path))
        server.publish(b"hello\n", current="hello")
        readers = [stack.enter_context(reading(server, path)) for _ in range(MOST_READERS)]
        with Reader(path) as refused:
            assert refused.rest() == b""
        assert [reader.line() for reader in readers] == ["hello"] * MOST_READERS
        readers[0].socket.shutdown(socket.SHUT_RDWR)
        wait_until(lambda: len(server._readers) < MOST_READERS)
        with reading(server, path) as accepted:
            assert accepted.line() == "hello"


def test_nobody_watches_once_the_last_reader_has_gone_although_nothing_is_published(path: Path) -> None:
    with started(path) as server:
        assert not server.watched
        with reading(server, path):
            assert server.watched
        wait_until(lambda: not server.watched)


def test_a_reader_that_sends_something_or_ends_its_own_direction_still_gets_lines(path: Path) -> None:
    with started(path) as server, reading(server, path) as reader:
        reader.socket.sendall(b"GET / HTTP/1.1\r\n\r\n")
        reader.socket.shutdown(socket.SHUT_WR)  # such as `nc` at the end of its standard input
        server.publish(b"one\n")
        assert reader.line() == "one"
        before = time.thread_time(), _cpu_s(server._thread)
        server.publish(b"two\n")
        assert reader.line() == "two"
        assert _cpu_s(server._thread) - before[1] < 0.1, "it does not turn in circles"


def _cpu_s(thread: threading.Thread) -> float:
    return int(Path(f"/proc/self/task/{thread.native_id}/schedstat").read_text().split()[0]) / 1e9


def test_it_ticks_before_the_first_reader_is_served_and_then_regularly_while_there_is_one(path: Path) -> None:
    ticks: list[int] = []

    def tick() -> None:
        ticks.append(len(ticks))
        server.publish(b"health %d\n" % ticks[-1], current="health")

    server = started(path, tick, period_s=0.05)
    with server:
        with reading(server, path) as reader:
            assert [reader.line() for _ in range(4)] == ["health 0", "health 1", "health 2", "health 3"]
        wait_until(lambda: not server.watched)
        count = len(ticks)
        with reading(server, path) as reader:
            assert reader.line() == f"health {count}", "a current one, and none meanwhile"


def test_at_the_end_readers_get_what_is_waiting_and_one_that_hangs_delays_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "_LAST_LIMIT_S", 2.0)  # this process both sends and reads
    with started(path) as server, reading(server, path) as hanging, reading(server, path) as reader:
        for _ in range(250):  # more than the kernel holds, and less than is disconnected for
            server.publish(b"x" * 999 + b"\n")
        server.publish(b"end\n")
        begun = time.monotonic()
        finishing = threading.Thread(target=server.finish, args=(LIMIT_S,))
        finishing.start()
        assert reader.rest().endswith(b"end\n")
        finishing.join(LIMIT_S)
        assert time.monotonic() - begun < LIMIT_S / 2
        server._thread.join(LIMIT_S)
        assert not server._thread.is_alive()
        assert hanging.rest()
        server.publish(b"nobody\n")


def test_what_waits_is_sent_even_if_the_thread_gets_its_turn_after_the_limit(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with started(path) as server, reading(server, path) as reader:
        flush = server._flush

        def flush_and_finish() -> None:
            flush()
            monkeypatch.setattr(server, "_flush", flush)
            server.publish(b"end\n")
            server._last_at = time.monotonic() - 1  # as if the thread had not run for longer than that
            server._stopping.set()

        monkeypatch.setattr(server, "_flush", flush_and_finish)
        server.publish(b"one\n")
        assert reader.rest() == b"one\nend\n"


def test_without_its_context_lines_are_only_remembered(path: Path) -> None:
    server = started(path)
    server.publish(b"hello\n", current="hello")
    server.finish(0)
    assert not server.watched
    assert not path.exists()


def test_a_second_daemon_leaves_the_socket_to_the_first(path: Path) -> None:
    with started(path) as first, started(path) as second:
        first.publish(b"first\n", current="hello")
        second.publish(b"second\n", current="hello")
        with reading(first, path) as reader:
            assert reader.line() == "first"


def test_a_socket_that_a_killed_daemon_left_is_replaced(path: Path) -> None:
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left:
        left.bind(str(path))
    with started(path) as server, reading(server, path):
        pass


def test_a_folder_that_is_missing(path: Path) -> None:
    with pytest.raises(StatusError, match="the events socket cannot be opened"), started(path / "a" / "b"):
        pass


def test_members_of_the_group_of_the_microphone_may_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import grp

    monkeypatch.setattr(server_module, "AUDIO_GROUP", grp.getgrgid(os.getegid()).gr_name)
    with started(path):
        assert (path.stat().st_mode & 0o777, path.stat().st_gid) == (0o660, os.getegid())
    monkeypatch.setattr(server_module, "AUDIO_GROUP", "no such group")
    with started(path):
        assert path.stat().st_mode & 0o777 == 0o600


def test_a_lack_of_descriptors_is_no_end(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "_RETRY_S", 0.01)
    with started(path) as server:
        server.publish(b"hello\n", current="hello")
        listener = server._listener
        assert listener is not None
        accept = listener.accept
        failures = iter([OSError(24, "Too many open files")] * 3)

        class Failing:
            def accept(self) -> object:
                if (error := next(failures, None)) is not None:
                    raise error
                return accept()

        original = server._accept_from
        monkeypatch.setattr(server, "_accept_from", lambda _listener: original(Failing()))  # type: ignore[arg-type]  # it only accepts
        with reading(server, path) as reader:
            assert reader.line() == "hello"
        assert next(failures, None) is None
