"""The characters that pictures in a terminal are made of, and what stands for them where only ASCII can be shown."""

from dataclasses import dataclass

from rich.console import Console


@dataclass(frozen=True)
class Signs:
    """One character each, but for `more`."""

    full: str
    """A cell of a bar that is full."""
    empty: str
    gate: str
    """A mark on a bar."""
    lit: str
    """A lamp that is on."""
    dark: str
    speaks: str
    """Before what happens now."""
    opening: str
    """A quotation mark."""
    closing: str
    more: str
    """Stands for words that are left out, or not said yet."""
    shades: str
    """From dark to bright."""


UNICODE = Signs(
    full="\u2501",
    empty="\u2500",
    gate="\u253c",
    lit="\u25cf",
    dark="\u25cb",
    speaks="\u25b8",
    opening="\u201c",
    closing="\u201d",
    more="\u2026",
    shades=" \u2591\u2592\u2593\u2588",
)
ASCII = Signs(
    full="#",
    empty=".",
    gate="|",
    lit="*",
    dark="o",
    speaks=">",
    opening='"',
    closing='"',
    more="...",
    shades=" .:-=+*#%@",
)


def signs_for(console: Console) -> Signs:
    """Those that the console's encoding has."""
    return UNICODE if console.encoding.startswith("utf") else ASCII
