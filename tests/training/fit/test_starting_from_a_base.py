"""Trainings that start from a trained network: other classes, augmentation, folds, resuming, and what is refused."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tf_keras
from rich.console import Console

from convert.source.keras_h5 import read_companions
from device.bundle import Companions
from device.errors import TrainingError
from device.front_end.parameters import FrontEnd
from tests.training.conftest import WORDS, new_evidence, printed
from training.base_model.base import BaseModel, read_base
from training.data.corpus import open_corpus
from training.fit.batches import ExampleBatches
from training.fit.folds import validate_and_train
from training.fit.h5_writer import write_model
from training.fit.settings import TrainingSettings
from training.fit.trainer import train

FRONT_END = FrontEnd(sequence_length=12, image_height=32)
PLAIN = TrainingSettings(network="evidence", epochs=2, batch_size=8, seed=3, augment=False, front_end=FRONT_END)


@pytest.fixture
def base(tmp_path: Path) -> BaseModel:
    """The network `evidence` with some weights, for the classes and words of the small corpus."""
    path = tmp_path / "base" / "Base.h5"
    path.parent.mkdir()
    vocabulary = tuple(dict.fromkeys(" ".join((*WORDS.values(), "0 1 2")).split()))
    network = new_evidence(labels=2, vocabulary=len(vocabulary), front_end=FRONT_END)
    companions = Companions(("negative", "positive"), vocabulary, FRONT_END, {"network": "evidence"})
    write_model(network.full, companions, path)
    return read_base(path)


def loaded(path: Path) -> Any:
    return tf_keras.models.load_model(path, compile=False)


@pytest.mark.slow
def test_table_with_new_classes_and_words(base: BaseModel, corpus: Path, tmp_path: Path, console: Console) -> None:
    corpus.write_text(corpus.read_text("utf-8").replace("positive", "joy").replace("a great", "splendid"), "utf-8")
    settings = replace(PLAIN, augment=None, balanced=True).starting_from(base)
    result = train(corpus, tmp_path / "new" / "Model.h5", settings, console)
    assert result.companions.labels == ("joy", "negative")
    assert result.companions.vocabulary == base.companions.vocabulary
    assert result.companions.front_end == FRONT_END
    companions = read_companions(tmp_path / "new" / "Model.h5")
    assert companions == result.companions
    assert companions.card["base"] == base.card()
    assert companions.card["augmented_copies"] == 8
    text = printed(console)
    assert f"starting from {base.path}, network evidence, new classes: joy; 1 of the base's remain\n" in text
    assert (
        "1 of the 10 different words of the train rows are not in the base's vocabulary and are ignored: splendid\n"
        in text
    )
    old, new = loaded(base.path), loaded(tmp_path / "new" / "Model.h5")
    for name, same in (("words_embedding", True), ("words_patterns_1", True), ("words_logits", False)):
        weights = (network.get_layer(name).get_weights()[0] for network in (old, new))
        assert np.array_equal(*weights) is same
    again = read_base(tmp_path / "new" / "Model.h5")  # a base of a base
    assert again.card()["base"] == base.card()


@pytest.mark.slow
def test_folds_and_seeds_start_from_the_base_each_time(
    base: BaseModel, corpus: Path, tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Any] = []
    build = BaseModel.build

    def observed(self: BaseModel, *arguments: Any, **options: Any) -> Any:
        network = build(self, *arguments, **options)
        started.append(network.full.get_weights())
        return network

    monkeypatch.setattr(BaseModel, "build", observed)
    settings = replace(PLAIN, epochs=1).starting_from(base)
    validate_and_train(open_corpus(corpus), tmp_path / "new" / "Model.h5", settings, 2, 2, console)
    # Per call of `trunk_features` one for the trunk; four folds, and the model.
    assert len(started) == 2 + 4 + 1
    for weights in started[1:]:
        for found, expected in zip(weights, started[0], strict=True):
            np.testing.assert_array_equal(found, expected)
    assert read_companions(tmp_path / "new" / "Model.h5").card["cross_validation"]["folds"] == 2


@pytest.mark.slow
def test_interrupted_training_continues_from_the_same_base_only(
    base: BaseModel, corpus: Path, tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(PLAIN, epochs=3).starting_from(base)
    train(corpus, tmp_path / "a" / "Model.h5", settings, console)

    class PowerCut(Exception):  # noqa: N818  # the test's own
        pass

    get, epochs = ExampleBatches.start, list[int]()

    def cut(self: ExampleBatches, epoch: int) -> None:
        epochs.append(epoch)
        if epoch == 2:
            raise PowerCut
        get(self, epoch)

    output = tmp_path / "b" / "Model.h5"
    with monkeypatch.context() as patch:
        patch.setattr(ExampleBatches, "start", cut)
        with pytest.raises(PowerCut):
            train(corpus, output, settings, console)
    resumed = replace(settings, resume=True)
    with pytest.raises(TrainingError, match="belongs to a training with other base"):
        train(corpus, output, replace(resumed, base=replace(base, sha256="0" * 64)), console)
    with pytest.raises(TrainingError, match="belongs to a training with other"):
        train(corpus, output, replace(resumed, base=None), console)
    train(corpus, output, resumed, console)
    for found, expected in zip(
        loaded(output).get_weights(), loaded(tmp_path / "a" / "Model.h5").get_weights(), strict=True
    ):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.slow
def test_class_folders_need_no_words(base: BaseModel, corpus: Path, tmp_path: Path, console: Console) -> None:
    for number in range(12):
        folder = tmp_path / "voices" / ("high", "low")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.wav").write_bytes((corpus.parent / f"train{8 + number}.wav").read_bytes())
    source = open_corpus(tmp_path / "voices")
    result = train(source, tmp_path / "new" / "Model.h5", PLAIN.starting_from(base), console)
    assert result.companions.labels == ("high", "low")
    assert result.companions.vocabulary == base.companions.vocabulary


@pytest.mark.slow
@pytest.mark.usefixtures("small_network")
def test_network_of_the_tutorial_is_a_base_without_other_weights(
    corpus: Path, tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(PLAIN, network="tutorial", vgg19_weights=None)
    train(corpus, tmp_path / "base" / "Base.h5", settings, console)
    base = read_base(tmp_path / "base" / "Base.h5")
    fast = replace(settings, vgg19_weights="imagenet", fast_lstm=True).starting_from(base)  # none is downloaded
    train(corpus, tmp_path / "new" / "Model.h5", fast, console)
    old, new = loaded(base.path), loaded(tmp_path / "new" / "Model.h5")
    for name, same in (("block1", True), ("words_embedding", True), ("words_lstm", False), ("joint_dense_1", False)):
        weights = (network.get_layer(name).get_weights()[0] for network in (old, new))
        assert np.array_equal(*weights) is same


def _same(base: BaseModel, _folder: Path) -> Path:
    return base.path


def _link(base: BaseModel, folder: Path) -> Path:
    (folder / "Link.h5").symlink_to(base.path)
    return folder / "Link.h5"


def test_refusals_before_any_work(base: BaseModel, corpus: Path, tmp_path: Path, console: Console) -> None:
    content = base.path.read_bytes()
    settings = PLAIN.starting_from(base)
    outputs: list[Callable[[BaseModel, Path], Path]] = [_same, _link]
    for output in outputs:
        with pytest.raises(TrainingError, match=r"is the base of this training.*; choose another name with --output"):
            train(corpus, output(base, tmp_path), settings, console)
    assert base.path.read_bytes() == content
    other = tmp_path / "new" / "Model.h5"
    with pytest.raises(TrainingError, match="leave out --network"):
        train(corpus, other, PLAIN.starting_from(base, "tutorial"), console)
    with pytest.raises(TrainingError, match=r"front end \(image_height 32, not 64; sequence_length 12, not 200\)"):
        validate_and_train(open_corpus(corpus), other, replace(settings, front_end=FrontEnd()), 2, 1, console)
    assert not other.exists()
