"""`report.html`, parsed by Python's own HTML parser."""

import os
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote_to_bytes

import numpy as np
import pytest
import soundfile
from PIL import Image
from rich.console import Console

from device.bundle import Companions
from device.front_end.parameters import FrontEnd
from device.system.display import displayable
from tests.training.evaluation.rule_predictor import HISTORY, RulePredictor, evaluated
from training.data.clips import Clip
from training.data.corpus import Corpus
from training.evaluation.evaluator import Evaluation
from training.evaluation.modalities import TEXT_ONLY
from training.evaluation.report.files import write_report

HOSTILE = '<script>alert("1")</script>'
_VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """The elements and the text of a page; each element has to be closed by its own end tag."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(content)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.text += data

    def of(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def page_of(found: Evaluation, folder: Path, worst: int = 50) -> Page:
    content = write_report(found, folder, "edge-mcnn evaluate Model.h5", worst=worst).with_name("report.html")
    return Page(content.read_text("utf-8"))


def test_summary_plots_and_the_worst_errors(corpus: Path, console: Console, tmp_path: Path) -> None:
    page = page_of(evaluated(corpus, console), tmp_path / "report")
    assert page.of("html") == [{"lang": "en"}]
    assert len(page.of("title")) == 1
    for expected in ("edge-mcnn evaluate Model.h5", "0.875 (", "1 of 8 predictions are wrong", "true: positive"):
        assert expected in page.text
    images = page.of("img")
    assert len(images) == 4 + 1  # the plots, and the spectrogram image of the only error
    assert all(image["src"].startswith("data:image/png;base64,") and len(image["alt"]) > 10 for image in images)
    (audio,) = page.of("audio")
    assert (audio["src"], audio["preload"], audio["aria-label"]) == (
        "../validation6.wav",
        "none",
        "Recording of error 1",
    )
    assert "audio only: negative 80%" in page.text
    assert "text only: " not in page.text  # that row has no words
    assert "no text" in page.text
    assert page.text.index("Metrics") < page.text.index("Confusion matrix") < page.text.index("Worst errors")


def test_nothing_is_loaded_but_recordings(corpus: Path, console: Console, tmp_path: Path) -> None:
    report = write_report(evaluated(corpus, console), tmp_path, "").with_name("report.html").read_text("utf-8")
    report = re.sub(r"data:image/png;base64,[\w+/=]+", "", report)
    assert not re.search(r"https?:|//[a-z]|url\(|@import|<link|<script|<iframe", report)
    assert "script-src 'none'" in report
    assert "prefers-color-scheme: dark" in report
    assert "@media print" in report


def test_number_of_errors(corpus: Path, console: Console, tmp_path: Path) -> None:
    lines = corpus.read_text("utf-8")
    lines = lines.replace("negative", "?").replace("positive", "negative").replace("?", "positive")
    corpus.write_text(lines, "utf-8")
    found = evaluated(corpus, console)
    page = page_of(found, tmp_path / "r", worst=2)
    assert len(page.of("article")) == 2
    assert "7 of 8 predictions are wrong. Here are the 2 whose wrong class has the highest probability" in page.text
    assert len(page_of(found, tmp_path / "r", worst=0).of("article")) == 0
    assert len(page_of(found, tmp_path / "r").of("article")) == 7


def test_text_only_needs_no_players(corpus: Path, console: Console, tmp_path: Path) -> None:
    page = page_of(evaluated(corpus, console, modalities=(TEXT_ONLY,)), tmp_path / "r")
    assert page.of("audio") == []
    assert "0 of 3 predictions are wrong" in page.text


def test_finished_images_have_no_player(tmp_path: Path, console: Console) -> None:
    Image.new("RGB", (64, 64), "red").save(tmp_path / "a.png")
    clip = Clip(tmp_path / "a.png", "day", "positive", "validation")
    page = page_of(evaluated(Corpus("clips", (clip,)), console), tmp_path / "r")
    assert len(page.of("article")) == 1
    assert page.of("audio") == []
    assert "Spectrogram image of error 1" in [image["alt"] for image in page.of("img")]


@pytest.mark.parametrize(
    "name",
    [
        b"a b.wav", b"#1?x=%41&y.wav", b"\"'><img src=x onerror=alert(1)>.wav", b"caf\xe9.wav", b"a:b.wav",
        "\u202egpj.wav".encode(), b"two\nlines.wav", b"-x.wav", b"\\x.wav",
    ],
)  # fmt: skip
def test_hostile_names(name: bytes, tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = ("<b>=cmd|&amp;", HOSTILE)
    companions = Companions(labels, ("great", "day"), FrontEnd(), {"history": HISTORY})
    monkeypatch.setattr(RulePredictor, "companions", companions)
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
    with path.open("wb") as stream:
        soundfile.write(stream, np.zeros(8000), 16_000, format="WAV")
    text = "day </blockquote><script>x()</script>\n\u202e\x1b[31m"
    clip = Clip(path, text, HOSTILE, "validation", HOSTILE, HOSTILE, HOSTILE, transcript=HOSTILE)
    page = page_of(evaluated(Corpus(HOSTILE, (clip,)), console), tmp_path / "new folder #1")
    assert {tag for tag, _ in page.elements} == {
        "html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "h3", "bdi", "pre", "code", "div",
        "table", "caption", "thead", "tbody", "tr", "th", "td", "p", "figure", "img", "details", "summary", "article",
        "span", "audio", "blockquote", "br",
    }  # fmt: skip
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    (audio,) = page.of("audio")
    assert re.fullmatch(r"[\w./~%-]+", audio["src"], re.ASCII)
    target = os.fsencode(tmp_path / "new folder #1") + b"/" + unquote_to_bytes(audio["src"])
    assert Path(os.fsdecode(target)).samefile(path)
    for shown in (*labels, displayable(path.name), "day </blockquote>"):
        assert shown in page.text
    assert displayable(page.text.replace("\n", "")) == page.text.replace("\n", "")
    markdown = (tmp_path / "new folder #1" / "report.md").read_text("utf-8")
    assert "<script" not in markdown.replace("\\<", "")
