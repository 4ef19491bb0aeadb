"""Generates `docs/settings.md`, every setting with its meaning: `python docs/settings_reference.py`."""

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from device.settings.check import allowed_values
from device.settings.schema import sections
from device.settings.toml import PREFIX
from device.settings.toml_values import toml_value

PAGE = Path(__file__).with_name("settings.md")


def page() -> str:
    """The page, as Markdown."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield "# Settings"
    yield ""
    yield "Write the settings that you want to change into a TOML file; all others keep their defaults. Use it with"
    yield "`edge-mcnn listen --config my.toml`; the service reads `/etc/edge-mcnn/config.toml`."
    yield ""
    yield "- `edge-mcnn settings --show` prints a file with every setting, its meaning and its value."
    yield "- `edge-mcnn settings --check my.toml` finds every problem in a file."
    yield f"- An environment variable wins over the file: `{PREFIX}ENDPOINT_HANG_OVER_S=0.8`."
    yield ""
    yield "This page is generated from the code: `python docs/settings_reference.py`."
    for name, kind in sections().items():
        yield ""
        yield f"## `[{name}]`"
        yield ""
        about = (kind.__doc__ or "").partition(": ")[2].splitlines()[0]
        yield about[:1].upper() + about[1:]
        yield ""
        yield "| Setting | Default | Allowed values | Meaning |"
        yield "| --- | --- | --- | --- |"
        for setting in fields(kind):
            limits = f"{allowed_values(setting)} {setting.metadata.get('unit', '')}".strip()
            default = toml_value(getattr(kind(), setting.name))
            yield f"| `{setting.name}` | `{default}` | {limits} | {setting.metadata['about']} |".replace("|  |", "| |")
    yield ""


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
