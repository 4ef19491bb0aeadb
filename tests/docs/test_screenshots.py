"""The images in the README: a command draws them; they show what they should, and nothing of this machine."""

import getpass
import re
import runpy
import socket
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from device.recognition.speech_model.fetch import speech_model_path

DOCS = Path(__file__).parents[2] / "docs"
NAMES = ("listen.svg", "doctor.svg")


@pytest.fixture(scope="module")
def drawn(speech_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    runpy.run_path(str(DOCS / "screenshots.py"))["draw"](folder)
    return folder


def rows(path: Path) -> list[str]:
    """The text of each line, with its runs of spaces collapsed."""
    root = ET.parse(path).getroot()  # noqa: S314  # our own file
    lines: dict[float, str] = {}
    for element in root.iter():
        if element.tag.endswith("text") and "clip-path" in element.attrib:
            y = float(element.attrib["y"])
            lines[y] = lines.get(y, "") + f" {element.text}"
    return [" ".join(lines[y].split()) for y in sorted(lines)]


def colours(path: Path) -> set[str]:
    return set(re.findall(r'<rect fill="(#\w+)"', path.read_text("utf-8")))


@pytest.fixture(params=["stored", "drawn now"])
def folder(request: pytest.FixtureRequest, drawn: Path) -> Path:
    return DOCS if request.param == "stored" else drawn


def test_listen_shows_history_level_words_lights_and_image(folder: Path) -> None:
    shown = rows(folder / "listen.svg")
    assert shown[0] == "$ edge-mcnn listen"
    text = "\n".join(shown)
    for part in (
        "with Ctrl-C", "listening", "dB", "\u201cno i hate this", "\u201chad he married a more amiable woman",
        "\u201coh that is wonderful thank you so much i love it\u201d", "\u25cf positive", "\u25cb negative",
        "what the network sees",
    ):  # fmt: skip
        assert part in text, part
    assert len(colours(folder / "listen.svg")) > 50, "the spectrogram image"


def test_doctor_shows_a_pi_with_something_to_fix(folder: Path) -> None:
    text = "\n".join(rows(folder / "doctor.svg"))
    for part in (
        "$ edge-mcnn doctor",
        "Raspberry Pi 4",
        "! WARN power",
        "\u2717 FAIL lgpio",
        "python3-lgpio",
        "GPIO17",
    ):
        assert part in text, part
    assert text.splitlines()[-1] == "Fix first: lgpio."
    assert text.count("\u2713 OK") > 10


@pytest.mark.parametrize("name", NAMES)
def test_the_images_show_nothing_of_this_machine_and_are_small(folder: Path, name: str) -> None:
    svg = (folder / name).read_text("utf-8")
    text = "\n".join(rows(folder / name))
    assert len(svg) < 150_000
    assert "@font-face" not in svg
    assert "http" not in svg.replace("http://www.w3.org/2000/svg", "").replace("https://www.textualize.io", "")
    this_machine = [
        socket.gethostname(),
        sys.prefix,
        str(Path.home()),
        str(DOCS.parent),
        str(speech_model_path().parent),
    ]
    for private in this_machine:
        assert private not in text
    assert getpass.getuser() not in re.split(r"\W+", text)
