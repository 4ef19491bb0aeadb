"""The GPIO chip that drives the pins of the header: which one it is, and who may open it.

A Raspberry Pi 5 has several chips. Those of the header are number 4 with kernels before 6.6.45 and number 0 with newer
ones (https://github.com/raspberrypi/linux/pull/6144); gpiozero opens number 4 on a Pi 5 if there is one, else number 0.
Files of the kernel are read below `root`, which is / except in tests.
"""

from pathlib import Path

from device.system.permissions import access_text, device_group, how_to_join, user_name

GROUP = "gpio"
"""Group whose members may use the pins, on Raspberry Pi OS and wherever the rule below applies."""
UDEV_RULE_FILE = Path("/etc/udev/rules.d/60-edge-mcnn-gpio.rules")
UDEV_RULE = f'SUBSYSTEM=="gpio", KERNEL=="gpiochip*", GROUP="{GROUP}", MODE="0660"'
"""Rule that opens the chips to the group. Raspberry Pi OS has its own; plain Debian has none, so only root may open
them there."""
UDEV_COMMANDS = (("udevadm", "control", "--reload"), ("udevadm", "trigger", "--settle", "--subsystem-match=gpio"))
"""Commands that apply a changed rule to chips that are already there."""
_ROOT = Path("/")
_PI_5 = 0x17
"""Type of the board in the revision code:
https://www.raspberrypi.com/documentation/computers/raspberry-pi.html#new-style-revision-codes"""
_HEADER_CHIPS = ("raspberrypi,rp1-gpio", "brcm,bcm2711-gpio", "brcm,bcm2835-gpio")
"""Names in the device tree of the chips that drive the header: of a Pi 5, of a Pi 4, and of older ones."""


def opened_chip(root: Path = _ROOT) -> Path:
    """Return the device file that gpiozero opens; it may be missing."""
    fourth = root / "dev/gpiochip4"
    return fourth if _is_pi_5(root) and fourth.exists() else root / "dev/gpiochip0"


def header_chip(root: Path = _ROOT) -> Path | None:
    """Return the device file of the chip that drives the header; None if the kernel names no such chip."""
    for folder in sorted((root / "sys/bus/gpio/devices").glob("gpiochip*")):
        try:
            names = (folder / "of_node/compatible").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue  # a chip that is not in the device tree
        if set(names) & set(_HEADER_CHIPS):
            return root / "dev" / folder.name
    return None


def how_to_open(chip: Path) -> str:
    """The fix for a user who may not open the chip: the commands that grant the permission, or a new login."""
    if (group := device_group(chip)) is not None:
        return how_to_join(group)
    apply = "; ".join(f"sudo {' '.join(command)}" for command in UDEV_COMMANDS)
    return (
        f"run: sudo groupadd --force --system {GROUP}; echo '{UDEV_RULE}' | sudo tee {UDEV_RULE_FILE}; {apply}; "
        f"sudo usermod -aG {GROUP} {user_name()}; then log out and in again"
    )


def describe_access(chip: Path) -> str:
    """Describe who may open the chip, such as `/dev/gpiochip0 is root:root 0600`."""
    return f"{chip} is {access_text(chip)}"


def _is_pi_5(root: Path) -> bool:
    try:
        revision = int.from_bytes((root / "proc/device-tree/system/linux,revision").read_bytes()[:4], "big")
    except OSError:
        return False
    return (revision & 0xFF0) >> 4 == _PI_5
