"""What to tell at the end of a recording session: how many clips there are, whether that will do, and what is next."""

import shlex
from collections.abc import Mapping
from pathlib import Path

_FEW = 10
_UNEVEN = 1.5
"""Times as many clips as of another class."""
_MANY, _EPOCHS = 200, 60
"""With fewer clips an epoch has so few steps that the usual 13 leave a network that says the same to everything."""


def next_steps(table: Path, counts: Mapping[str, int], *, words: bool) -> list[str]:
    """Lines for the user.

    Args:
        table: of the clips.
        counts: clips of each class, those without any included.
        words: whether the words of any clip are known; training needs some.
    """
    lines = [f"{table.parent}: {', '.join(f'{count} {label}' for label, count in counts.items())}"]
    if not any(counts.values()):
        return [*lines, "no clip was kept, so there is nothing to train on yet"]
    few = [label for label, count in counts.items() if count < _FEW]
    if few:
        lines.append(f"few clips of {', '.join(few)}: {_FEW} of each are little, 30 are better; run it again to go on")
    if sum(count > 1 for count in counts.values()) < 2:
        return [*lines, "training needs two classes, with two clips each, at least"]
    if max(counts.values()) > _UNEVEN * min(counts.values()):
        lines.append("the classes are uneven: record more of the rare ones, or train with --balanced")
    epochs = ["--epochs", str(_EPOCHS)] if sum(counts.values()) < _MANY else []
    network = ["--network", "evidence", *epochs, "--output", "Model.h5"]
    if words:
        return [*lines, f"next: {shlex.join(['edge-mcnn', 'train', str(table), *network])}"]
    heard = str(table.with_name("heard.csv"))
    return [
        *lines,
        f"next: {shlex.join(['edge-mcnn', 'transcribe', str(table), '--output', heard])}",
        f"then: {shlex.join(['edge-mcnn', 'train', heard, '--text', 'vosk', *network])}",
    ]
