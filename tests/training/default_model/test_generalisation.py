from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from device.front_end.parameters import FrontEnd
from training.default_model import generalisation
from training.default_model.audio_branch import augmented_images, eight_emotions, unseen_corpora
from training.default_model.audio_branch.acted_speech import RAVDESS
from training.default_model.audio_branch.eight_emotions import EightEmotions
from training.default_model.audio_branch.unseen_corpora import CORPORA, Generalisation, MacroF1

FOUND = Generalisation(
    {("RAVDESS",): MacroF1(0.7, np.full(10, 0.7))},
    {
        (("RAVDESS",), "EMO-DB"): MacroF1(0.5, np.full(10, 0.5)),
        (("RAVDESS", "nEMO"), "EMO-DB"): MacroF1(0.6, np.full(10, 0.6)),
    },
)


def run(*arguments: str) -> Any:
    app = typer.Typer()
    app.command()(generalisation.main)
    return CliRunner().invoke(app, list(arguments))


def test_prints_and_writes_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []

    def images(data: Path, corpus: object, cache: Path, *, front_end: FrontEnd, **_: object) -> object:
        assert (data, cache) == (tmp_path / "data", tmp_path / "out" / "cache")
        assert front_end == FrontEnd()
        return corpus

    def measure(images: object, *_: object, seeds: range, **__: object) -> Generalisation:
        calls.append((images, list(seeds)))
        return FOUND

    monkeypatch.setattr(augmented_images, "corpus_images", images)
    monkeypatch.setattr(unseen_corpora, "measure_generalisation", measure)
    result = run(str(tmp_path / "data"), "--output", str(tmp_path / "out"), "--seeds", "2")
    assert result.exit_code == 0, result.output
    assert calls == [({corpus: corpus for corpus in CORPORA}, [1, 2])]
    page = (tmp_path / "out" / "generalisation.md").read_text("utf-8")
    assert "`python -m training.default_model.generalisation DATA --seeds 2`" in page
    assert "| RAVDESS + nEMO | EMO-DB | 0.600 (0.600\u20130.600) |" in page
    assert result.stdout == f"{page}\n"


def test_eight_emotions_have_a_page_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(images: object, *_: object, seeds: range, **__: object) -> EightEmotions:
        assert (images, list(seeds)) == (RAVDESS, [1, 2])
        return EightEmotions([0.6, 0.62], np.full(10, 0.61), 62_000)

    monkeypatch.setattr(augmented_images, "corpus_images", lambda data, corpus, *_, **__: corpus)
    monkeypatch.setattr(eight_emotions, "measure_eight_emotions", measure)
    result = run(str(tmp_path / "data"), "--output", str(tmp_path / "out"), "--emotions", "--seeds", "2")
    assert result.exit_code == 0, result.output
    page = (tmp_path / "out" / "eight-emotions.md").read_text("utf-8")
    assert "`python -m training.default_model.generalisation DATA --emotions --seeds 2`" in page
    assert "0.610 (0.610\u20130.610), deviation of the seeds 0.010" in page
    assert result.stdout == f"{page}\n"


def test_a_missing_corpus_is_an_error_with_a_fix(tmp_path: Path) -> None:
    result = run(str(tmp_path), "--output", str(tmp_path / "out"))
    assert result.exit_code == 1
    assert "labels.csv: cannot be read" in result.stderr
    assert "fix: name the folder that holds the corpus's own CSV" in result.stderr


def test_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object, **__: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr(augmented_images, "corpus_images", stop)
    result = run(str(tmp_path), "--output", str(tmp_path / "out"))
    assert result.exit_code == 130
    assert "continues from the steps that are done" in result.stderr
