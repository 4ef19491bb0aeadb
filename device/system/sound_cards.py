"""The sound cards of this machine, as ALSA describes them in /proc/asound."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SoundCard:
    """What identifies a sound card independently of the order in which the kernel found the cards."""

    id: str
    """ALSA's short name of the card, such as `Device`; a second card of that name is `Device_1`. Empty if unknown."""
    usb_id: str
    """Vendor and product of a USB card, such as `0d8c:0014`; two cards of one kind have the same. Empty for others."""


def sound_cards(root: Path = Path("/")) -> dict[int, SoundCard]:
    """Read the sound cards, by ALSA's number of the card, which may change at each boot.

    Args:
        root: the root of the file system, / except in tests.
    """
    folders = (root / "proc/asound").glob("card[0-9]*")
    return {
        int(folder.name.removeprefix("card")): SoundCard(_line(folder / "id"), _line(folder / "usbid").lower())
        for folder in sorted(folders)
        if folder.name.removeprefix("card").isdecimal()
    }


def _line(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace").strip()
    except OSError:
        return ""  # it is no USB card, or was just unplugged
