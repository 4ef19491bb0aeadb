"""Draws `docs/terminal-lights.svg`, the picture in the README, from real answers: `python docs/terminal_lights.py`."""

import re
from pathlib import Path

from rich.console import Console

from device.commands import Understanding, classify
from device.settings import Settings
from device.showing.terminal_lights import draw

HERE = Path(__file__).parent
CLIPS = ("austen-0920", "espeak-ruined", "espeak-thank-you")

console = Console(record=True, width=78, force_terminal=True)
understanding = Understanding.load(Settings(), announce=print)
console.print("$ make listen", style="bold")
for name in CLIPS:
    [prediction] = classify(understanding, HERE.parent / "tests" / "fixtures" / "speech" / f"{name}.flac")
    console.print(f"[dim]{name}.flac[/dim]", highlight=False)
    console.print(draw(understanding.classifier.labels, prediction), "")
svg = console.export_svg(title="edge-mcnn")
# Without the fonts that rich would have the reader's browser fetch.
(HERE / "terminal-lights.svg").write_text(re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL), "utf-8")
