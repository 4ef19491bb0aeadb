import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tf_keras
from numpy.typing import NDArray
from rich.console import Console

from convert.convert import convert
from device.errors import TrainingError
from device.front_end.parameters import FrontEnd
from device.front_end.spectrogram import silent_image
from tests.training.default_model.test_texts import HEADER
from training.data.corpus import open_corpus
from training.default_model import distillation as lessons
from training.default_model import recipe
from training.default_model.acceptance import of_answers, of_branches, of_difference
from training.default_model.assembly import assemble
from training.default_model.comparison import ask, difference
from training.default_model.distillation import TeacherSettings
from training.default_model.fusion import Balance, softmax
from training.default_model.model_card import write_model_card
from training.default_model.recipe import Made, Settings, make
from training.default_model.sound_training import HeadSettings
from training.default_model.sounds import Copies
from training.default_model.words_training import WordsSettings
from training.evaluation.predictors import KerasPredictor
from training.networks.evidence_audio import audio_evidence
from training.networks.evidence_text import text_evidence
from training.networks.network import AUDIO_PART, evidence_network

FRONT_END = FrontEnd(image_height=32, image_width=32, sequence_length=6, num_words=9)
BALANCE = Balance(words=0.5, sound=0.25, trust=0.8, joint=1.5)
QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def branches() -> tuple[Any, Any]:
    tf_keras.utils.set_random_seed(3)
    ids = tf_keras.layers.Input((6,), dtype="int32")
    words = tf_keras.Model(ids, text_evidence(ids, labels=3, vocabulary=8))
    wide = evidence_network(3, 8, FRONT_END, sound_units=5).full.get_layer(AUDIO_PART).input_shape[1]
    statistics = tf_keras.layers.Input((wide,))
    return words, tf_keras.Model(statistics, audio_evidence(statistics, labels=3, units=5))


def test_the_whole_adds_what_the_branches_say_by_their_factors(branches: tuple[Any, Any]) -> None:
    words, sound = branches
    full = assemble(words, sound, BALANCE, FRONT_END)
    random = np.random.default_rng(0)
    pictures = random.random((6, 32, 32, 3)).astype(np.float32)
    ids = random.integers(0, 9, (6, 6)).astype(np.int32)
    ids[0] = 0
    factor = np.where(ids.any(axis=1), 1.5, 1)[:, None]
    statistics = tf_keras.Model(full.inputs[0], full.get_layer("audio_statistics").output).predict(pictures, verbose=0)
    of_sound = 0.25 * sound.predict(statistics, verbose=0) * np.where(ids.any(axis=1), 0.8, 1)[:, None]
    logits = factor * (0.5 * words.predict(ids, verbose=0) + of_sound)
    np.testing.assert_allclose(full.predict([pictures, ids], verbose=0), softmax(logits), atol=1e-5)

    # No words and no sound leave the other side's answer standing, and together they say nothing.
    silent = np.repeat(silent_image(FRONT_END)[None], 6, axis=0)
    alone = full.predict([silent, ids], verbose=0)
    np.testing.assert_allclose(alone, softmax(0.5 * words.predict(ids, verbose=0)), atol=1e-6)
    nothing = full.predict([silent, np.zeros_like(ids)], verbose=0)
    np.testing.assert_allclose(nothing, 1 / 3, atol=1e-6)


class Sentences:
    """In the place of the sentence model: knows which words are good."""

    def __init__(self, labels: int, seed: int) -> None: ...

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: dict[str, Any]) -> None: ...

    def fit(self, texts: Sequence[str], targets: NDArray[np.float32], **_: Any) -> None: ...

    def vectors(self, words: Sequence[str], progress: Callable[[int], None]) -> NDArray[np.float32]:
        return np.random.default_rng(0).standard_normal((len(words), 70)).astype(np.float32)

    def logits(self, texts: Sequence[str], progress: Callable[[int], None]) -> NDArray[np.float32]:
        return np.array([[0, 0, 4] if "great" in text else [4, 0, 0] for text in texts], np.float32)


SETTINGS = Settings(
    seed=5,
    teacher=TeacherSettings(folds=2, comments=4),
    words=WordsSettings(epochs=8, rate=1e-2),
    copies=Copies(moved=1, altered=1),
    sound=HeadSettings(units=8, epochs=6),
)


@pytest.fixture(scope="module", autouse=True)
def sentences() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lessons, "SentenceModel", Sentences)
        yield


@pytest.fixture(scope="module")
def data(ravdess: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All corpora, small."""
    folder = tmp_path_factory.mktemp("data") / "corpora"
    shutil.copytree(ravdess / "ravdess", folder / "ravdess")
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
def made(data: Path) -> Made:
    return make(data, data.parent / "Model.h5", data.parent / "cache", SETTINGS, {"name": "a test"}, QUIET)


def test_from_corpora_to_a_model_that_can_be_asked(made: Made) -> None:
    assert (made.words.logits.argmax(axis=1) == made.words.labels).mean() > 0.9
    assert (made.sound.logits.argmax(axis=1) == made.sound.labels).mean() > 0.6
    assert len(made.sound.labels) == 60
    assert len(made.sound_altered.labels) == 60
    assert set(made.sound.groups) == set(range(1, 11))
    assert [len(each.labels) for each in made.words_with_errors] == [18] * 5

    model = KerasPredictor(made.output)
    assert model.companions.labels == ("negative", "neutral", "positive")
    assert "great" in model.companions.vocabulary
    assert model.companions.front_end.sequence_length == recipe.SEQUENCE_LENGTH
    assert model.companions.card["name"] == "a test"
    assert model.companions.card["balance"]["trust"] == made.balance.trust


def test_what_an_interrupted_run_has_done_is_not_done_again(made: Made, data: Path, tmp_path: Path) -> None:
    cache = data.parent / "cache"
    files = {path: path.stat().st_mtime_ns for path in cache.iterdir()}
    again = make(data, tmp_path / "Again.h5", cache, SETTINGS, {}, QUIET)
    assert {path: path.stat().st_mtime_ns for path in cache.iterdir()} == files
    np.testing.assert_array_equal(again.words.logits, made.words.logits)
    np.testing.assert_array_equal(again.sound.logits, made.sound.logits)


def test_what_was_made_is_compared_and_described(made: Made, data: Path, tmp_path: Path) -> None:
    bundle = convert(made.output)
    rows = [("flac/01-positive-0.flac", "that is great", "positive"), ("flac/02-negative-1.flac", "awful", "negative")]
    table = tmp_path / "table.csv"
    lines = [f"{audio},{text},{label},validation" for audio, text, label in rows * 3]
    table.write_text("\n".join(["audio,text,label,split", *lines]))
    corpus = open_corpus(table, data / "ravdess")
    asked = {
        name: ask(model, corpus, errors=0.2, seed=1, pictures=tmp_path / "pictures", console=QUIET)
        for name, model in (("bundle", bundle.target), ("network", made.output))
    }
    change = difference(asked["bundle"], asked["network"])
    assert 0 < change.largest < 0.1
    assert change.rows == 6
    figures = [*of_branches(made.words, made.words_with_errors, made.sound, made.sound_altered, 1)]
    figures += [*of_answers(asked["bundle"]), *of_difference(change)]
    asked["tutorial"] = asked["network"]
    sizes = {"bundle": bundle.bytes_after, "tutorial": 20_000_000}
    page = write_model_card(tmp_path / "docs", figures, made, bundle, asked, change, sizes, "the command")
    text = page.read_text("utf-8")
    for figure in figures:
        assert f"| {figure.name} | {figure.written} |" in text
    assert "the command" in text
    assert "20.0 MB" in text
    assert "$" not in text
    for link in re.findall(r"!\[.*\]\((.*)\)", text):
        assert (page.parent / link).read_bytes().startswith(b"\x89PNG")


def test_actors_left_out_are_not_heard(data: Path, tmp_path: Path) -> None:
    settings = Settings(
        without_actors=(1, 2),
        teacher=SETTINGS.teacher,
        words=WordsSettings(epochs=1),
        copies=SETTINGS.copies,
        sound=HeadSettings(units=8, epochs=1),
    )
    made = make(data, tmp_path / "Model.h5", tmp_path / "cache", settings, {}, QUIET)
    assert set(made.sound.groups) == set(range(3, 11))


def test_a_corpus_that_is_missing_is_named_before_anything_is_done(data: Path, tmp_path: Path) -> None:
    (tmp_path / "meld").mkdir()
    shutil.copy(data / "meld" / "train_sent_emo.csv", tmp_path / "meld")
    with pytest.raises(TrainingError, match=r"meld: no dev_sent_emo\.csv in it"):
        make(tmp_path, tmp_path / "Model.h5", tmp_path / "cache", SETTINGS, {}, QUIET)
    assert not (tmp_path / "cache").exists()
