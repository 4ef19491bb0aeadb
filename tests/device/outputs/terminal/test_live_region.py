"""What a live region shows, what has scrolled by, and how little is written for it."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.segment import Segment
from rich.text import Text

from device.outputs.terminal.live_region import LiveRegion
from device.outputs.terminal.text import UNICODE, Line, render_line, shorten
from device.system.display import displayable
from tests.device.outputs.terminal.terminal import Terminal

MODERN = {"TERM": "xterm-256color", "VTE_VERSION": "7006"}
KITTY = {"TERM": "xterm-kitty"}
UNKNOWN = {"TERM": "xterm-256color"}


def lines(*texts: str) -> list[Line]:
    return [[Segment(text)] for text in texts]


def test_it_is_drawn_in_place_and_history_scrolls_by_above() -> None:
    terminal = Terminal(20, 6)
    region = LiveRegion(terminal.console, MODERN)
    region.draw(lines("one", "two", "three"))
    assert terminal.shown == ["one", "two", "three"]
    region.draw(lines("one", "2", "three"))
    assert terminal.shown == ["one", "2", "three"]
    region.draw(lines("one", "2", "III"), [Text("history a"), Text("history b")])
    assert terminal.shown == ["history a", "history b", "one", "2", "III"]
    region.draw(lines("one", "2", "III"), [Text("history c"), Text("history d")])
    assert terminal.scrolled == ["history a"]
    assert terminal.shown == ["history b", "history c", "history d", "one", "2", "III"]
    region.close([Text("history e")])
    assert terminal.scrolled == ["history a"]
    assert terminal.shown == ["history b", "history c", "history d", "history e"]


def test_only_what_changed_is_written() -> None:
    terminal = Terminal(40, 10)
    region = LiveRegion(terminal.console, MODERN)
    region.draw(lines("the first line", "the second", "the third"))
    terminal.written.clear()
    region.draw(lines("the first line", "the 2nd", "the third"))
    [written] = terminal.written
    assert "the 2nd" in written
    assert "first" not in written
    assert "third" not in written
    terminal.written.clear()
    region.draw(lines("the first line", "the 2nd", "the third"))
    assert terminal.written == []


def test_each_drawing_is_one_write_so_that_nothing_flickers() -> None:
    terminal = Terminal(40, 10)
    region = LiveRegion(terminal.console, MODERN)
    for number in range(5):
        region.draw(lines(f"{number}", f"{number}"), [Text("above")])
    assert len(terminal.written) == 5


def test_the_cursor_is_hidden_while_the_region_is_shown() -> None:
    terminal = Terminal(20, 6)
    region = LiveRegion(terminal.console, MODERN)
    assert not terminal.screen.cursor.hidden
    region.draw(lines("a", "b"))
    assert terminal.screen.cursor.hidden
    region.close()
    assert not terminal.screen.cursor.hidden
    assert (terminal.screen.cursor.x, terminal.screen.cursor.y) == (0, 0)
    assert terminal.shown == []
    region.draw(lines("a", "b"))
    assert (terminal.shown, terminal.screen.cursor.hidden) == (["a", "b"], True)


def test_a_line_that_is_wider_than_expected_breaks_nothing() -> None:
    terminal = Terminal(10, 6)
    region = LiveRegion(terminal.console, MODERN)
    for word in ("b", "c"):
        region.draw(lines("0123456789 and more", word, "0123456789 and more"))
        assert len(terminal.shown) == 3
        assert terminal.shown[1] == word
    assert terminal.screen.mode & {7 << 5}, "long lines of other programs wrap as before"


@pytest.mark.parametrize("above", ["0123456789", "012345678901234", "x" * 200])
def test_history_that_is_longer_than_a_line_is_complete(above: str) -> None:
    terminal = Terminal(10, 40)
    region = LiveRegion(terminal.console, MODERN)
    region.draw(lines("a", "b"))
    region.draw(lines("a", "b"), [Text(above, overflow="fold")])
    assert "".join(terminal.shown) == above + "ab"
    assert terminal.shown[-2:] == ["a", "b"]


@pytest.mark.parametrize("columns", [13, 30, 79, 120])
@pytest.mark.parametrize(("environment", "reflows"), [(MODERN, True), (KITTY, True), (UNKNOWN, False)])
def test_a_terminal_that_is_resized(columns: int, environment: dict[str, str], reflows: bool) -> None:
    terminal = Terminal(80, 24)
    region = LiveRegion(terminal.console, environment)
    region.draw(lines("x" * 70, "y" * 20, "z" * 60), [Text("history")])
    terminal.resize(columns, 24, reflows=reflows)
    for word in ("a", "b"):
        region.draw(lines(word, "b", "c", "d"))
        assert terminal.shown == ["history", word, "b", "c", "d"]
        assert terminal.scrolled == []


def test_a_terminal_that_becomes_too_small_for_what_it_shows() -> None:
    terminal = Terminal(80, 24)
    region = LiveRegion(terminal.console, MODERN)
    region.draw(lines("x" * 70, "y" * 20, "z" * 60))
    terminal.resize(5, 6, reflows=True)
    for word in ("a", "b"):
        region.draw(lines(word, "b", "c", "d"))
        assert terminal.shown == [word, "b", "c", "d"]


@given(st.lists(st.tuples(st.lists(st.text(max_size=30), min_size=1, max_size=6), st.lists(st.text(max_size=50)))))
def test_any_drawing(drawings: Sequence[tuple[list[str], list[str]]]) -> None:
    terminal = Terminal(24, 12)
    region = LiveRegion(terminal.console, MODERN)
    for shown, above in drawings:
        rows = [render_line(shorten(Text(displayable(each)), 23, UNICODE), terminal.console) for each in shown]
        region.draw(rows, [Text(displayable(each)) for each in above])
        seen = [
            *terminal.scrolled,
            *(line.rstrip() for line in terminal.screen.display[: terminal.screen.cursor.y + 1]),
        ]
        # The history stays above in its order, the region is below it, and nothing is drawn twice.
        assert len(seen) >= len(rows)
        assert terminal.screen.cursor.x == 0
    region.close()
    assert not terminal.screen.cursor.hidden
    # Only history is left, in as many lines as it was wrapped into.
    left = [*terminal.scrolled, *terminal.shown]
    with terminal.console.capture() as capture:
        for _, above in drawings:
            for each in above:
                terminal.console.print(Text(displayable(each)))
    assert len(left) <= len(capture.get().splitlines())
