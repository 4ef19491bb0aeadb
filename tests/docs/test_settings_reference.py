"""The page of settings is up to date with the code."""

import runpy
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_up_to_date() -> None:
    written = runpy.run_path(str(DOCS / "settings_reference.py"))["page"]()
    assert (DOCS / "settings.md").read_text("utf-8") == written, "run: python docs/settings_reference.py"
    assert "| `hang_over_s` | `0.6` | a number from 0.1 to 5 s |" in written
