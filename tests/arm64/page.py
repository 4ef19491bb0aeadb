"""Reads the commands in docs/install-on-a-pi.md, and states their expected results on a machine that is no Pi."""

from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "install-on-a-pi.md"
_REMOVAL = "## Remove it"


@dataclass(frozen=True)
class Step:
    """A shell command and its expected result."""

    command: str
    """One line of shell."""
    status: int = 0
    """Expected exit status."""
    output: str = ""
    """Text that the output must contain."""


# A root has no microphone, no pins and no systemd: these commands fail there, with these messages.
WITHOUT_A_PI = {
    "make listen": (0, "No microphone found"),
    "edge-mcnn learn": (1, "no microphone found"),
    "edge-mcnn calibrate": (1, "no microphone found"),
    "edge-mcnn doctor": (1, "Fix first: microphone."),
    "lamp/bin/edge-mcnn listen": (1, "no microphone found"),
    "sudo .venv/bin/edge-mcnn service": (1, "this machine was not started by systemd"),
    "sudo edge-mcnn/.venv/bin/edge-mcnn service": (1, "no service is installed"),
    "edge-mcnn status": (1, "edge-mcnn: "),
    "sudo systemctl": (1, "systemctl"),
    "sudo apt-get install --yes python3-lgpio": (100, "python3-lgpio"),
}


def steps(address: str) -> tuple[list[Step], list[Step]]:
    """Read the commands of the page.

    Args:
        address: address of the repository to clone.

    Returns:
        The commands of all sections but the last, and those of the last, which removes everything.
    """
    installation, removal = PAGE.read_text("utf-8").split(_REMOVAL)
    return _steps(installation, address), _steps(removal, address)


def _steps(text: str, address: str) -> list[Step]:
    steps, on_the_pi = [], False
    for line in text.splitlines():
        if line.startswith("```"):
            on_the_pi = line == "```sh"
        elif on_the_pi:
            command = line.partition("  #")[0].rstrip().replace("ADDRESS", address)
            status, output = next(
                (result for start, result in WITHOUT_A_PI.items() if command.startswith(start)), (0, "")
            )
            steps.append(Step(command, status, output))
    return steps
