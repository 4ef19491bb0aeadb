"""The command line as a user meets it: help, usage errors, and a machine without a microphone."""

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import typer.main

from edge_mcnn.main import app
from tests.edge_mcnn.command_line import assert_refused, edge_mcnn


def test_help_lists_the_commands() -> None:
    done = edge_mcnn("--help")
    assert done.returncode == 0
    for command in (
        "listen", "classify", "doctor", "lights", "microphones", "fetch-speech-model", "convert", "inspect", "train",
    ):  # fmt: skip
        assert command in done.stdout
        assert edge_mcnn(command, "--help").returncode == 0


def test_help_has_the_summaries_that_the_commands_have() -> None:
    group: Any = typer.main.get_command(app)
    text = edge_mcnn("--help", environment={"COLUMNS": "200"}).stdout
    listed = dict(line.split(maxsplit=1) for line in text.splitlines() if line.startswith("  "))
    assert len(group.commands) == 24
    for name, command in group.commands.items():
        assert listed[name] == " ".join(inspect.cleandoc(command.help).split("\n\n")[0].split()), name


def test_without_a_command_the_help_is_printed() -> None:
    done = edge_mcnn()
    assert (done.returncode, done.stderr) == (2, "")
    assert done.stdout == edge_mcnn("--help").stdout


def test_only_the_command_that_is_used_is_imported() -> None:
    assert commands_imported_by("--help") == set()
    assert commands_imported_by("status", "--help") == {"edge_mcnn.setup.status"}


def commands_imported_by(*arguments: str) -> set[str]:
    code = (
        "import sys\nfrom edge_mcnn.main import main\n"
        "try:\n    main()\n"
        "except SystemExit:\n    print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    assert "edge_mcnn.output" in done.stderr
    return {name for name in done.stderr.split() if name.startswith("edge_mcnn.") and name.count(".") > 1}


def test_wrong_options_are_usage_errors() -> None:
    for arguments in (["listen", "--nonsense"], ["classify"], ["listen", "--lights", "disco"], ["sing"]):
        done = edge_mcnn(*arguments)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr


def test_lines_while_someone_speaks_are_for_json() -> None:
    done = edge_mcnn("listen", "--partial", "--lights", "none")
    assert done.returncode == 2
    assert "--partial is for --json" in done.stderr


def test_a_machine_without_a_microphone(tmp_path: Path, speech_model: Path) -> None:
    no_card = tmp_path / "alsa.conf"
    no_card.write_text("pcm.default { type hw card 31 }\n")
    environment = {"ALSA_CONFIG_PATH": str(no_card)}
    assert_refused(edge_mcnn("microphones", environment=environment), "no microphone found")
    assert_refused(edge_mcnn("listen", "--lights", "none", environment=environment), "no microphone found")
