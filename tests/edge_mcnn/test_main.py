"""The command line as a user meets it: help, usage errors, and a machine without a microphone."""

from pathlib import Path

from tests.edge_mcnn.command_line import assert_refused, edge_mcnn


def test_help_lists_the_commands() -> None:
    done = edge_mcnn("--help")
    assert done.returncode == 0
    for command in (
        "listen", "classify", "doctor", "lights", "microphones", "fetch-speech-model", "convert", "inspect", "train",
    ):  # fmt: skip
        assert command in done.stdout
        assert edge_mcnn(command, "--help").returncode == 0


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
