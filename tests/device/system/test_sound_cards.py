"""Sound cards in a folder like /proc/asound."""

from pathlib import Path

from device.system.sound_cards import SoundCard, sound_cards


def write(root: Path, **files: str) -> None:
    for name, content in files.items():
        path = root / "proc/asound" / name.replace("_", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def test_ids_of_cards(tmp_path: Path) -> None:
    write(
        tmp_path,
        cards=" 0 [Headphones     ]: bcm2835_headpho - bcm2835 Headphones\n",
        card0_id="Headphones\n",
        card1_id="Device\n",
        card1_usbid="0D8C:0014\n",
        card12_usbid="0d8c:0014\n",
        card1x_id="none\n",
    )
    assert sound_cards(tmp_path) == {
        0: SoundCard("Headphones", ""),
        1: SoundCard("Device", "0d8c:0014"),
        12: SoundCard("", "0d8c:0014"),
    }


def test_a_machine_without_sound(tmp_path: Path) -> None:
    assert sound_cards(tmp_path) == {}
