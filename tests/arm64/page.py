"""What a reader of docs/install-on-a-pi.md types into the Pi, and what comes of it where there is none."""

from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "install-on-a-pi.md"
_REMOVAL = "## Remove it"


@dataclass(frozen=True)
class Step:
    """A line of shell, and what must come of it."""

    command: str
    status: int = 0
    told: str = ""
    """Must be in what it prints."""


# A root has no microphone, no pins and no systemd; what is said then is worth a check, too.
WITHOUT_A_PI = {
    "make listen": (0, "No microphone found"),
    "edge-mcnn doctor": (1, "Fix first: microphone."),
    "lamp/bin/edge-mcnn listen": (1, "no microphone found"),
    "sudo .venv/bin/edge-mcnn service": (1, "this machine was not started by systemd"),
    "sudo edge-mcnn/.venv/bin/edge-mcnn service": (1, "no service is installed"),
    "edge-mcnn status": (1, "edge-mcnn: "),
    "sudo systemctl": (1, "systemctl"),
    "sudo apt-get install --yes python3-lgpio": (100, "python3-lgpio"),
}


def steps(address: str) -> tuple[list[Step], list[Step]]:
    """The page's lines but for its last part, and the lines of that, which removes it all.

    Args:
        address: of the repository to clone.
    """
    kept, removal = PAGE.read_text("utf-8").split(_REMOVAL)
    return _steps(kept, address), _steps(removal, address)


def _steps(text: str, address: str) -> list[Step]:
    found, on_the_pi = [], False
    for line in text.splitlines():
        if line.startswith("```"):
            on_the_pi = line == "```sh"
        elif on_the_pi:
            command = line.partition("  #")[0].rstrip().replace("ADDRESS", address)
            status, told = next((it for start, it in WITHOUT_A_PI.items() if command.startswith(start)), (0, ""))
            found.append(Step(command, status, told))
    return found
