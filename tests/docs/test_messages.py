"""Messages that the pages quote are messages of the program."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("edge_mcnn", "training", "convert", "device")
TROUBLESHOOTING = (ROOT / "docs/troubleshooting.md").read_text("utf-8")
OWN_CLASSES = (ROOT / "docs/your-own-classes.md").read_text("utf-8")
SYMPTOMS = [
    quoted
    for symptom in re.findall(r"^\| (.*?) \|", TROUBLESHOOTING, re.M)
    for quoted in re.findall(r"`([^`]*)`", symptom)
    if " " in quoted and not quoted.startswith("edge-mcnn ")
]
"""Quoted texts in the column of symptoms, without commands and names of settings."""


def messages() -> Iterator[str]:
    """Yield the strings of the packages; a value that is inserted into one is a zero byte."""
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.JoinedStr):
                    yield "".join(str(part.value) if isinstance(part, ast.Constant) else "\0" for part in node.values)
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield node.value


MESSAGES = "\n".join(messages())


def is_printed(text: str) -> bool:
    """Whether a message contains the text, one word of which may be an inserted value."""
    words = [re.escape(word) for word in text.split()]
    with_value = [" ".join([*words[:place], "\0", *words[place + 1 :]]) for place in range(len(words))]
    return any(re.search(pattern, MESSAGES) for pattern in [" ".join(words), *(with_value if len(words) > 2 else [])])


@pytest.mark.parametrize("symptom", SYMPTOMS)
def test_symptoms(symptom: str) -> None:
    for part in re.split(r"…|\.\.\. \S+|\.\.\.", symptom):  # what stands there differs each time
        if text := part.strip(" :"):
            assert is_printed(text), text


def test_there_are_symptoms() -> None:
    assert {"no microphone found", "mqtt: … cannot be reached", "blocks dropped"} <= set(SYMPTOMS)


@pytest.mark.parametrize(
    "line",
    [
        "After each clip: Enter saves it, r repeats it, n goes to the next class, q quits.",
        "Enter: save  r: record again  n: next class  q: quit",
        "and sent nowhere.",
        "the corpus defines no splits, made by ",
        "synthetic pairs of different classes",
    ],
)
def test_lines_of_a_recording_and_a_training(line: str) -> None:
    assert line in MESSAGES
    assert line in OWN_CLASSES


def test_a_message_that_is_not_printed_is_found() -> None:
    assert is_printed("no pin for")
    assert is_printed("its certificate is not valid yet")
    assert not is_printed("no plug for joy")
    assert not is_printed("its certificate is not to be trusted")
