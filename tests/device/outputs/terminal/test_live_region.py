"""A pane in a terminal: what is seen, what has scrolled by, and how little is written for it."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.segment import Segment
from rich.text import Text

from device.outputs.terminal.live_region import Pane
from device.outputs.terminal.text import UNICODE, Line, fitted, line_of, printable
from tests.device.outputs.terminal.terminal import Terminal

MODERN = {"TERM": "xterm-256color", "VTE_VERSION": "7006"}
KITTY = {"TERM": "xterm-kitty"}
UNKNOWN = {"TERM": "xterm-256color"}


def lines(*texts: str) -> list[Line]:
    return [[Segment(text)] for text in texts]


def test_it_is_drawn_in_place_and_history_scrolls_by_above() -> None:
    terminal = Terminal(20, 6)
    pane = Pane(terminal.console, MODERN)
    pane.draw(lines("one", "two", "three"))
    assert terminal.shown == ["one", "two", "three"]
    pane.draw(lines("one", "2", "three"))
    assert terminal.shown == ["one", "2", "three"]
    pane.draw(lines("one", "2", "III"), [Text("said a"), Text("said b")])
    assert terminal.shown == ["said a", "said b", "one", "2", "III"]
    pane.draw(lines("one", "2", "III"), [Text("said c"), Text("said d")])
    assert terminal.scrolled == ["said a"]
    assert terminal.shown == ["said b", "said c", "said d", "one", "2", "III"]
    pane.close([Text("said e")])
    assert terminal.scrolled == ["said a"]
    assert terminal.shown == ["said b", "said c", "said d", "said e"]


def test_only_what_changed_is_written() -> None:
    terminal = Terminal(40, 10)
    pane = Pane(terminal.console, MODERN)
    pane.draw(lines("the first line", "the second", "the third"))
    terminal.written.clear()
    pane.draw(lines("the first line", "the 2nd", "the third"))
    [written] = terminal.written
    assert "the 2nd" in written
    assert "first" not in written
    assert "third" not in written
    terminal.written.clear()
    pane.draw(lines("the first line", "the 2nd", "the third"))
    assert terminal.written == []


def test_each_drawing_is_one_write_so_that_nothing_flickers() -> None:
    terminal = Terminal(40, 10)
    pane = Pane(terminal.console, MODERN)
    for number in range(5):
        pane.draw(lines(f"{number}", f"{number}"), [Text("above")])
    assert len(terminal.written) == 5


def test_the_cursor_is_hidden_meanwhile_and_comes_back() -> None:
    terminal = Terminal(20, 6)
    pane = Pane(terminal.console, MODERN)
    assert not terminal.screen.cursor.hidden
    pane.draw(lines("a", "b"))
    assert terminal.screen.cursor.hidden
    pane.close()
    assert not terminal.screen.cursor.hidden
    assert (terminal.screen.cursor.x, terminal.screen.cursor.y) == (0, 0)
    assert terminal.shown == []
    pane.draw(lines("a", "b"))
    assert (terminal.shown, terminal.screen.cursor.hidden) == (["a", "b"], True)


def test_a_line_that_is_wider_than_it_was_thought_tears_nothing() -> None:
    terminal = Terminal(10, 6)
    pane = Pane(terminal.console, MODERN)
    for word in ("b", "c"):
        pane.draw(lines("0123456789 and more", word, "0123456789 and more"))
        assert len(terminal.shown) == 3
        assert terminal.shown[1] == word
    assert terminal.screen.mode & {7 << 5}, "long lines of others break as before"


@pytest.mark.parametrize("above", ["0123456789", "012345678901234", "x" * 200])
def test_history_that_is_longer_than_a_line_is_whole(above: str) -> None:
    terminal = Terminal(10, 40)
    pane = Pane(terminal.console, MODERN)
    pane.draw(lines("a", "b"))
    pane.draw(lines("a", "b"), [Text(above, overflow="fold")])
    assert "".join(terminal.shown) == above + "ab"
    assert terminal.shown[-2:] == ["a", "b"]


@pytest.mark.parametrize("columns", [13, 30, 79, 120])
@pytest.mark.parametrize(("environment", "reflows"), [(MODERN, True), (KITTY, True), (UNKNOWN, False)])
def test_a_terminal_that_is_resized(columns: int, environment: dict[str, str], reflows: bool) -> None:
    terminal = Terminal(80, 24)
    pane = Pane(terminal.console, environment)
    pane.draw(lines("x" * 70, "y" * 20, "z" * 60), [Text("said")])
    terminal.resize(columns, 24, reflows=reflows)
    for word in ("a", "b"):
        pane.draw(lines(word, "b", "c", "d"))
        assert terminal.shown == ["said", word, "b", "c", "d"]
        assert terminal.scrolled == []


def test_a_terminal_that_becomes_too_small_for_what_it_shows() -> None:
    terminal = Terminal(80, 24)
    pane = Pane(terminal.console, MODERN)
    pane.draw(lines("x" * 70, "y" * 20, "z" * 60))
    terminal.resize(5, 6, reflows=True)
    for word in ("a", "b"):
        pane.draw(lines(word, "b", "c", "d"))
        assert terminal.shown == [word, "b", "c", "d"]


@given(st.lists(st.tuples(st.lists(st.text(max_size=30), min_size=1, max_size=6), st.lists(st.text(max_size=50)))))
def test_whatever_is_drawn(drawings: Sequence[tuple[list[str], list[str]]]) -> None:
    terminal = Terminal(24, 12)
    pane = Pane(terminal.console, MODERN)
    for shown, above in drawings:
        rows = [line_of(fitted(Text(printable(each)), 23, UNICODE), terminal.console) for each in shown]
        pane.draw(rows, [Text(printable(each)) for each in above])
        seen = [
            *terminal.scrolled,
            *(line.rstrip() for line in terminal.screen.display[: terminal.screen.cursor.y + 1]),
        ]
        # What is above stays there in its order, what is drawn is below it, and nothing is drawn twice.
        assert len(seen) >= len(rows)
        assert terminal.screen.cursor.x == 0
    pane.close()
    assert not terminal.screen.cursor.hidden
    # Only history is left: as many lines as it broke into.
    left = [*terminal.scrolled, *terminal.shown]
    with terminal.console.capture() as capture:
        for _, above in drawings:
            for each in above:
                terminal.console.print(Text(printable(each)))
    assert len(left) <= len(capture.get().splitlines())
