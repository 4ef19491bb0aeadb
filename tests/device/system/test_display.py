"""Foreign text on one line, harmless to a terminal, and still recognisable."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.system.display import counted, displayable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Yeti [usb] (hw:1,0)", "Yeti [usb] (hw:1,0)"),
        ("übermütig 喜び 🙂", "übermütig 喜び 🙂"),
        ("\U0001f469\u200d\U0001f52c", "\U0001f469\u200d\U0001f52c"),
        ("a\u00a0b\u3000c", "a\u00a0b\u3000c"),
        ("two\nlines\tand\r", r"two\nlines\tand\r"),
        ("\x1b[31mred\x07\x9b0m", r"\x1b[31mred\x07\x9b0m"),
        ("txt.\u202egpj", r"txt.\u202egpj"),
        ("line\u2028separator", r"line\u2028separator"),
        ("half \ud83d", r"half \ud83d"),
        ("nul\0", r"nul\x00"),
    ],
)
def test_text_stays_and_what_controls_a_terminal_becomes_visible(text: str, shown: str) -> None:
    assert displayable(text) == shown


def test_a_byte_that_is_not_utf8_is_shown_as_that_byte() -> None:
    assert displayable(Path(os.fsdecode(b"caf\xe9.flac"))) == r"caf\xe9.flac"


@given(st.text(st.characters(codec=None)))
def test_every_text_becomes_one_line_that_can_be_encoded(text: str) -> None:
    shown = displayable(text)
    assert len(shown.splitlines()) <= 1
    assert "\x1b" not in shown
    shown.encode("utf-8")


def test_a_number_of_things() -> None:
    assert [counted(number, "example") for number in (0, 1, 2)] == ["0 examples", "1 example", "2 examples"]
