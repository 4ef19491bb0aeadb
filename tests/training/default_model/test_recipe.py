import json
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from numpy.typing import NDArray
from rich.console import Console
from typer.testing import CliRunner

from convert.convert import convert
from device.bundle import read_bundle
from device.errors import TrainingError
from tests.convert.conftest import worker_in_this_process
from tests.training.default_model.conftest import write_corpus
from tests.training.default_model.text_branch.test_corpora import HEADER
from training.data.corpus import open_corpus
from training.default_model import __main__ as command
from training.default_model import recipe, synthetic_pairs
from training.default_model.acceptance import (
    conversion_cost,
    measure_branches,
    measure_conversion,
    measure_fusion,
)
from training.default_model.audio_branch import audio_training
from training.default_model.audio_branch.audio_training import AudioTrainingSettings
from training.default_model.audio_branch.augmented_images import CopySettings
from training.default_model.class_sets import CLASS_SETS, SENTIMENT
from training.default_model.model_card import write_model_card
from training.default_model.recipe import RecipeResult, RecipeSettings, build_default_model
from training.default_model.text_branch import distillation
from training.default_model.text_branch.distillation import TeacherSettings
from training.default_model.text_branch.text_training import TextTrainingSettings
from training.evaluation.evaluator import EvaluationSettings, evaluate_model
from training.evaluation.predictors import KerasPredictor

pytestmark = pytest.mark.slow

QUIET = Console(quiet=True)


class FakeSentenceModel:
    """Replaces the sentence model: predicts the last class for texts with `great`, the first for others."""

    def __init__(self, labels: int, seed: int) -> None:
        self._labels = labels

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: dict[str, Any]) -> None: ...

    def fit(self, texts: Sequence[str], targets: NDArray[np.float32], **_: Any) -> None: ...

    def vectors(self, words: Sequence[str], progress: Callable[[int], None]) -> NDArray[np.float32]:
        return np.random.default_rng(0).standard_normal((len(words), 70)).astype(np.float32)

    def logits(self, texts: Sequence[str], progress: Callable[[int], None]) -> NDArray[np.float32]:
        classes = [self._labels - 1 if "great" in text else 0 for text in texts]
        return 4 * np.eye(self._labels, dtype=np.float32)[classes]


SETTINGS = RecipeSettings(
    seed=5,
    teacher=TeacherSettings(folds=2, comments=4),
    text=TextTrainingSettings(epochs=8, learning_rate=1e-2),
    copies=CopySettings(shifted=1, augmented=1),
    audio=AudioTrainingSettings(units=8, epochs=6),
)


@pytest.fixture(scope="module", autouse=True)
def fast_steps() -> Iterator[None]:
    """Replace the sentence model, which is large and optional, and use two folds instead of five."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distillation, "SentenceModel", FakeSentenceModel)
        patch.setattr(audio_training, "FOLDS", 2)
        yield


@pytest.fixture(scope="module")
def data(corpora: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small versions of all corpora."""
    folder = tmp_path_factory.mktemp("data") / "corpora"
    shutil.copytree(corpora, folder)
    (folder / "meld").mkdir()
    lines = {
        "positive": "that is great great news",
        "negative": "no this is awful",
        "neutral": "the table is over there",
    }
    for name, dialogues in (("train", range(8)), ("dev", range(100, 106))):
        rows = [
            f"1,{text} {dialogue},A,x,{label},{dialogue},0\n" for dialogue in dialogues for label, text in lines.items()
        ]
        (folder / "meld" / f"{name}_sent_emo.csv").write_text(HEADER + "".join(rows))
    group = folder / "text" / "goemotions-group"
    group.mkdir(parents=True)
    for part in ("train", "dev", "test"):
        (group / f"{part}.tsv").write_text("great day\t3\ta\nawful day\t1\tb\nthe day\t2\tc\nwho knows\t0\td\n")
    return folder


@pytest.fixture(scope="module")
def result(data: Path) -> RecipeResult:
    return build_default_model(
        data, SENTIMENT, data.parent / "Model.h5", data.parent / "cache", SETTINGS, {"name": "a test"}, QUIET
    )


def test_builds_a_model_that_predicts(result: RecipeResult) -> None:
    assert (result.text.logits.argmax(axis=1) == result.text.labels).mean() > 0.9
    assert (result.audio.logits.argmax(axis=1) == result.audio.labels).mean() > 0.6
    assert len(result.audio.labels) == 60
    assert len(result.audio_augmented.labels) == 60
    assert set(result.audio.groups) == set(range(1, 11))
    assert [len(each.labels) for each in result.text_with_word_errors] == [18] * 5

    model = KerasPredictor(result.output)
    assert model.companions.labels == ("negative", "neutral", "positive")
    assert "great" in model.companions.vocabulary
    assert model.companions.front_end.sequence_length == recipe.SEQUENCE_LENGTH
    assert model.companions.card["name"] == "a test"
    assert model.companions.transitions is not None, "learnt from MELD's dialogues"
    assert model.companions.card["fusion"]["audio_weight"] == result.factors.audio_weight


def test_finished_steps_of_an_interrupted_run_are_not_repeated(
    result: RecipeResult, data: Path, tmp_path: Path
) -> None:
    cache = data.parent / "cache"
    files = {path: path.stat().st_mtime_ns for path in cache.iterdir()}
    again = build_default_model(data, SENTIMENT, tmp_path / "Again.h5", cache, SETTINGS, {}, QUIET)
    assert {path: path.stat().st_mtime_ns for path in cache.iterdir()} == files
    np.testing.assert_array_equal(again.text.logits, result.text.logits)
    np.testing.assert_array_equal(again.audio.logits, result.audio.logits)


def test_the_result_is_evaluated_and_described(result: RecipeResult, data: Path, tmp_path: Path) -> None:
    with worker_in_this_process():
        bundle = convert(result.output)
    rows = [("flac/01-happy-0.flac", "that is great", "positive"), ("flac/02-angry-1.flac", "awful", "negative")]
    table = tmp_path / "table.csv"
    lines = [f"{audio},{text},{label},validation" for audio, text, label in rows * 3]
    table.write_text("\n".join(["audio,text,label,split", *lines]))
    corpus = open_corpus(table, data / "ravdess")
    settings = EvaluationSettings(word_errors=0.2, image_cache=tmp_path / "images")
    evaluations = {
        name: evaluate_model(model, corpus, settings, QUIET)
        for name, model in (("bundle", bundle.target), ("network", result.output))
    }
    cost = conversion_cost(evaluations["bundle"], evaluations["network"])
    assert 0 < cost.largest_change < 0.1
    assert cost.rows == 6
    measurements = measure_branches(
        result.text, result.text_with_word_errors, result.audio, result.audio_augmented, result.transitions, 1
    )
    measurements += [*measure_fusion(evaluations["bundle"]), *measure_conversion(cost)]
    evaluations["tutorial"] = evaluations["network"]
    sizes = {"bundle": bundle.bytes_after, "tutorial": 20_000_000}
    page = write_model_card(
        tmp_path / "docs", SENTIMENT, measurements, result, bundle, evaluations, cost, sizes, "the command"
    )
    text = page.read_text("utf-8")
    for measurement in measurements:
        assert f"| {measurement.name} | {measurement.formatted} |" in text
    assert "the command" in text
    assert "20.0 MB" in text
    assert "$" not in text
    for link in re.findall(r"!\[.*\]\((.*)\)", text):
        assert (page.parent / link).read_bytes().startswith(b"\x89PNG")


def test_actors_left_out_take_no_part(result: RecipeResult, data: Path, tmp_path: Path) -> None:
    settings = replace(SETTINGS, without_actors=(1, 2), audio=AudioTrainingSettings(units=8, epochs=1))
    found = build_default_model(data, SENTIMENT, tmp_path / "Model.h5", data.parent / "cache", settings, {}, QUIET)
    assert set(found.audio.groups) == set(range(3, 11))
    np.testing.assert_array_equal(found.text.logits, result.text.logits)  # the text branch came from the cache


EMOTIONAL_WORDS = {
    "neutral": "the table is over there",
    "joy": "that is wonderful news",
    "sadness": "we lost and I cry",
    "anger": "get out of my house",
    "surprise": "what really no way",
    "fear": "help somebody is coming",
    "disgust": "yuck how great",
}
FREQUENCIES = {
    "neutral": 300,
    "calm": 320,
    "happy": 500,
    "sad": 800,
    "angry": 1200,
    "surprised": 2000,
    "fearful": 3200,
    "disgust": 5000,
}


@pytest.fixture(scope="module")
def emotional_data(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small corpora with every emotion; two of the ten actors are held out."""
    folder = tmp_path_factory.mktemp("emotional")
    shutil.copytree(data / "text", folder / "text")
    write_corpus(folder / "ravdess", [f"actor{actor:02}" for actor in range(1, 11)], FREQUENCIES)
    of_nemo = {emotion: hertz for emotion, hertz in FREQUENCIES.items() if emotion not in ("calm", "disgust")}
    write_corpus(folder / "nemo", ("Zoe", "Anna"), of_nemo)
    (folder / "meld").mkdir()
    for name, dialogues in (("train", range(8)), ("dev", range(100, 106))):
        rows = [
            f"1,{text} {dialogue},A,{emotion},neutral,{dialogue},0\n"
            for dialogue in dialogues
            for emotion, text in EMOTIONAL_WORDS.items()
        ]
        (folder / "meld" / f"{name}_sent_emo.csv").write_text(HEADER + "".join(rows))
    return folder


def test_the_command_builds_the_seven_emotions_with_their_card(
    emotional_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def small(seed: int, without_actors: Sequence[int] = ()) -> RecipeSettings:
        return replace(SETTINGS, seed=seed, without_actors=without_actors)

    monkeypatch.setattr(recipe, "RecipeSettings", small)
    monkeypatch.setattr(synthetic_pairs, "HELD_OUT_ACTORS", (9, 10))
    app = typer.Typer()
    app.command()(command.main)
    with worker_in_this_process():
        arguments = [str(emotional_data), "--output", str(tmp_path), "--only", "emotions", "--seed", "5"]
        result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    bundle = read_bundle(tmp_path / "emotions.tflite")
    assert bundle.companions.labels == ("neutral", "joy", "sadness", "anger", "surprise", "fear", "disgust")
    assert bundle.companions.card["name"] == "edge-mcnn emotions"
    assert bundle.companions.card["more"] == "docs/model-card-emotions.md"
    assert bundle.companions.transitions is not None
    measured = {each["name"]: each for each in json.loads((tmp_path / "emotions" / "measurements.json").read_text())}
    assert measured["text only, MELD dev, weighted F1"]["value"] > 0.9
    assert measured["audio only, RAVDESS, five folds by actor, macro F1"]["value"] > 0.3  # chance is 0.14 at most
    assert {each["required"] for each in measured.values()} == {None}
    page = tmp_path / "docs" / "model-card-emotions.md"
    text = page.read_text("utf-8")
    assert "$" not in text
    assert "tutorial" not in text
    assert "| disgust | " in text
    assert "--seed 5" in text
    for link in re.findall(r"!\[.*\]\((.*)\)", text):
        assert (page.parent / link).read_bytes().startswith(b"\x89PNG")
    assert not (tmp_path / "sentiment.tflite").exists()


def test_the_names_of_the_command_are_those_of_the_class_sets() -> None:
    assert list(command.BundleName) == [classes.name for classes in CLASS_SETS]


def test_what_the_card_is_measured_with_is_missed_before_the_first_step(data: Path, tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(command.main)
    shutil.copytree(data, tmp_path / "data", ignore=shutil.ignore_patterns("emodb"))
    arguments = [str(tmp_path / "data"), "--output", str(tmp_path / "out")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert "vgg19: has no *notop*.h5" in result.output
    (tmp_path / "data" / "vgg19").mkdir()
    (tmp_path / "data" / "vgg19" / "notop.h5").touch()
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert "labels.csv: cannot be read" in result.output
    assert not (tmp_path / "out").exists()


def test_a_missing_corpus_is_named_before_the_first_step(data: Path, tmp_path: Path) -> None:
    (tmp_path / "meld").mkdir()
    shutil.copy(data / "meld" / "train_sent_emo.csv", tmp_path / "meld")
    with pytest.raises(TrainingError, match=r"meld: no dev_sent_emo\.csv in it"):
        build_default_model(tmp_path, SENTIMENT, tmp_path / "Model.h5", tmp_path / "cache", SETTINGS, {}, QUIET)
    assert not (tmp_path / "cache").exists()
