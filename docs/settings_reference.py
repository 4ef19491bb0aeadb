"""Writes `docs/settings.md`, every setting with its meaning, from the code: `python docs/settings_reference.py`."""

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from device.settings.check import allowed_values
from device.settings.schema import sections
from device.settings.toml import PREFIX, toml_value

PAGE = Path(__file__).with_name("settings.md")


def page() -> str:
    """The page, as Markdown."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield "# Settings"
    yield ""
    yield "They go into a TOML file (`edge-mcnn listen --config my.toml`; the service's: `/etc/edge-mcnn/config.toml`);"
    yield "what is left out has its default; `edge-mcnn settings --show` prints such a file, `--check` finds what is"
    yield f"wrong in one. A variable in the environment wins over the file: `{PREFIX}ENDPOINT_HANG_OVER_S=0.8`."
    yield ""
    yield "This page is written by `python docs/settings_reference.py` from the code."
    for name, kind in sections().items():
        yield ""
        yield f"## `[{name}]`"
        yield ""
        about = (kind.__doc__ or "").partition(": ")[2].splitlines()[0]
        yield about[:1].upper() + about[1:]
        yield ""
        yield "| setting | default | may be | |"
        yield "| --- | --- | --- | --- |"
        for setting in fields(kind):
            limits = f"{allowed_values(setting)} {setting.metadata.get('unit', '')}".strip()
            default = toml_value(getattr(kind(), setting.name))
            yield f"| `{setting.name}` | `{default}` | {limits} | {setting.metadata['about']} |".replace("|  |", "| |")
    yield ""


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
