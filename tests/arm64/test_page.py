"""The commands and comparisons of `make check-arm64`, without the roots."""

from pathlib import Path

import pytest

from tests.arm64 import page
from tests.arm64.__main__ import max_difference, parse_predictions

LINE = '{"file": "clips/one.flac", "label": "calm", "text": "oh well", "probabilities": {"calm": 0.75, "angry": 0.25}}'


def test_only_the_commands_for_the_pi_are_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "```sh\ngit clone ADDRESS x   # of it\nmake listen\n```\n```console\nlaptop$ scp x pi:\n```\n"
    (tmp_path / "page.md").write_text(f"{text}## Remove it\n```sh\ncd\n```\n")
    monkeypatch.setattr(page, "PAGE", tmp_path / "page.md")
    installation, removal = page.steps("/srv/x")
    assert [(step.command, step.output) for step in installation] == [
        ("git clone /srv/x x", ""), ("make listen", "No microphone found"),
    ]  # fmt: skip
    assert [step.command for step in removal] == ["cd"]


def test_the_page_has_every_command_with_another_result_without_a_pi() -> None:
    commands = [step.command for part in page.steps("x") for step in part]
    for start in page.WITHOUT_A_PI:
        assert any(command.startswith(start) for command in commands), (
            f"the page has no command that starts with {start}"
        )


def test_predictions_that_agree() -> None:
    here = parse_predictions(f"the speech model is missing: fetching it\n{LINE}\n")
    assert list(here) == ["one"]
    assert max_difference(here, parse_predictions(LINE.replace("0.75", "0.755"))) == pytest.approx(0.005)


@pytest.mark.parametrize(
    "other",
    [LINE.replace('"calm",', '"angry",'), LINE.replace("oh well", "oh"), f"{LINE}\n{LINE.replace('one', 'two')}", ""],
)
def test_predictions_that_differ(other: str) -> None:
    with pytest.raises(ValueError, match="here"):
        max_difference(parse_predictions(LINE), parse_predictions(other))
