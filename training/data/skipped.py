"""Recordings that are left out: counted and listed, so that nothing is missing in silence."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

_LISTED = 20


@dataclass(frozen=True)
class Skipped:
    """A recording that cannot be used."""

    recording: Path
    """The file."""
    reason: str
    """Why, in words."""


def tell_skipped(skipped: Sequence[Skipped], recordings: int, console: Console) -> None:
    """Say how many of how many recordings are left out, and name them; of very many the first ones."""
    if not skipped:
        return
    for each in skipped[:_LISTED]:
        console.print(f"skipped {each.recording}: {each.reason}", style="yellow", markup=False, soft_wrap=True)
    if len(skipped) > _LISTED:
        console.print(f"and {len(skipped) - _LISTED} more", style="yellow")
    console.print(f"{len(skipped)} of {recordings} recordings skipped")
