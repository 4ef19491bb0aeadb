"""What `make check-arm64` types and compares, without the roots."""

from pathlib import Path

import pytest

from tests.arm64 import page
from tests.arm64.__main__ import answers, difference

LINE = '{"file": "clips/one.flac", "label": "calm", "text": "oh well", "probabilities": {"calm": 0.75, "angry": 0.25}}'


def test_only_what_is_for_the_pi_is_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "```sh\ngit clone ADDRESS x   # of it\nmake listen\n```\n```console\nlaptop$ scp x pi:\n```\n"
    (tmp_path / "page.md").write_text(f"{text}## Remove it\n```sh\ncd\n```\n")
    monkeypatch.setattr(page, "PAGE", tmp_path / "page.md")
    typed, removing = page.steps("/srv/x")
    assert [(step.command, step.told) for step in typed] == [
        ("git clone /srv/x x", ""), ("make listen", "No microphone found"),
    ]  # fmt: skip
    assert [step.command for step in removing] == ["cd"]


def test_the_page_has_each_line_that_comes_to_something_else_without_a_pi() -> None:
    commands = [step.command for part in page.steps("x") for step in part]
    for start in page.WITHOUT_A_PI:
        assert any(command.startswith(start) for command in commands), f"the page has no line that starts with {start}"


def test_answers_that_agree() -> None:
    here = answers(f"the speech model is missing: fetching it\n{LINE}\n")
    assert list(here) == ["one"]
    assert difference(here, answers(LINE.replace("0.75", "0.755"))) == pytest.approx(0.005)


@pytest.mark.parametrize(
    "other",
    [LINE.replace('"calm",', '"angry",'), LINE.replace("oh well", "oh"), f"{LINE}\n{LINE.replace('one', 'two')}", ""],
)
def test_answers_that_do_not(other: str) -> None:
    with pytest.raises(ValueError, match="here"):
        difference(answers(LINE), answers(other))
