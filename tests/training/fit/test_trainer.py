"""Trains on synthetic recordings, with random weights in VGG19 or a small substitute, and opens `Model.h5` again."""

import errno
import json
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tf_keras
from numpy.typing import NDArray
from rich.console import Console

from convert.convert import convert
from convert.source.keras_h5 import read_companions
from convert.tflite_model.flatbuffer import read_flatbuffer
from device.bundle import read_bundle
from device.errors import TrainingError
from device.front_end.parameters import FrontEnd
from device.front_end.tokens import Tokens
from tests.training.conftest import printed
from training.data.clip_table import read_trainable_clips
from training.evaluation.modalities import AUDIO_AND_TEXT, AUDIO_ONLY, TEXT_ONLY, score_modalities
from training.fit.epochs import head_probabilities
from training.fit.trainer import TrainingSettings, train
from training.images.examples import Examples
from training.images.spectrogram_images import clip_images
from training.networks.network import TRUNK_INPUT

pytestmark = pytest.mark.slow

WriteTable = Callable[[Sequence[Sequence[str]]], Path]
Floats = NDArray[np.float32]

SETTINGS = TrainingSettings(
    epochs=3, batch_size=6, learning_rate=0.01, seed=5, vgg19_weights=None, card={"data": "tones", "epochs": "mine"}
)


def weights(path: Path) -> list[Floats]:
    return list(tf_keras.models.load_model(path, compile=False).get_weights())


def test_written_model_opens_again(corpus: Path, tmp_path: Path, console: Console) -> None:
    output = tmp_path / "new folder" / "Model.h5"
    result = train(corpus, output, SETTINGS, console)
    assert sorted(path.name for path in output.parent.iterdir()) == ["Model.h5", "labels.txt"]
    companions = result.companions
    assert read_companions(output) == companions
    assert (output.parent / "labels.txt").read_text("utf-8") == "negative\npositive\n"
    assert companions.labels == ("negative", "positive")
    assert set(companions.vocabulary) == {*["what", "a", "great", "day", "this", "is", "so", "awful", "0", "1", "2"]}
    card = companions.card
    assert json.loads(json.dumps(card)) == card
    assert card["data"] == "tones"
    assert card["epochs"] == 3  # the actual number, not the one in the card file
    assert card["recurrent_dropout"] is True
    assert (card["seed"], card["table"], card["rows"]) == (5, "table.csv", {"train": 20, "validation": 8})
    assert card["rows_without_audio"] == {"train": 2, "validation": 2}
    assert len(card["history"]) == 3
    assert set(card["validation"]) == {AUDIO_AND_TEXT, TEXT_ONLY, AUDIO_ONLY}
    assert not result.stopped_early
    output_text = printed(console)
    before, _, after = output_text.partition("epoch 1/3  ")
    for expected in (
        "20 train and 8 validation rows, labels negative, positive\n",
        "steps per epoch: 4; the tutorial computes floor(20 / 6) = 3, without the last, smaller batch; here its 2 rows",
        "validation steps: 2; the tutorial computes floor(8 / 6) = 1, without",
    ):
        assert expected in before
    for expected in (
        "epoch 3/3",
        "text only",
        "always",
        "confusion, audio + text",
        f"saved {output}, and its labels in {output.parent / 'labels.txt'}\n",
    ):
        assert expected in after

    # The saved network predicts from images and ids exactly what the scores counted.
    model = tf_keras.models.load_model(output, compile=False)
    clips = [clip for clip in read_trainable_clips(corpus) if clip.split == "validation"]
    data = clip_images(clips, FrontEnd(), console)
    tokens = Tokens(companions.vocabulary, companions.front_end)
    ids = np.stack([tokens.ids(clip.text) for clip in clips])
    predictions = model.predict_on_batch({"images": data.images[data.index], "features": ids}).argmax(axis=1)
    truth = [companions.labels.index(clip.label) for clip in clips]
    confusion = result.scores[AUDIO_AND_TEXT].confusion
    assert [
        sum(1 for pair in zip(truth, predictions, strict=True) if pair == (i, j)) for i in (0, 1) for j in (0, 1)
    ] == (confusion.ravel().tolist())


@pytest.mark.usefixtures("small_network")
def test_same_seed_gives_the_same_weights(corpus: Path, tmp_path: Path, console: Console) -> None:
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        train(corpus, tmp_path / f"{name}.h5", TrainingSettings(epochs=2, seed=seed, vgg19_weights=None), console)
    first, repeated, other = (weights(tmp_path / f"{name}.h5") for name in "abc")
    for one, two in zip(first, repeated, strict=True):
        np.testing.assert_array_equal(one, two)
    assert not np.array_equal(first[-2], other[-2])


def test_evidence_learns_tones_and_words_and_can_be_converted(corpus: Path, tmp_path: Path, console: Console) -> None:
    settings = TrainingSettings(network="evidence", epochs=25, batch_size=4)
    header, *rows = corpus.read_text().splitlines()
    lines = [f"{header},dialogue", *(f"{row},dialogue {number // 5}" for number, row in enumerate(rows))]
    corpus.write_text("".join(f"{line}\n" for line in lines))
    result = train(corpus, tmp_path / "Model.h5", settings, console)
    assert result.companions.card["learning_rate"] == 1e-3
    assert {name: score.accuracy for name, score in result.scores.items()} == {
        AUDIO_AND_TEXT: 1,
        TEXT_ONLY: 1,
        AUDIO_ONLY: 1,
    }
    report = convert(tmp_path / "Model.h5")
    assert report.same_class == report.samples
    assert report.bytes_after < 500_000
    # 20 train rows in dialogues of 5, the classes in turns; the 8 validation rows do not count.
    assert "learnt from 16 pairs of consecutive utterances in 4 dialogues\n" in printed(console)
    transitions = read_bundle(report.target).companions.transitions
    assert transitions is not None
    assert transitions == result.companions.transitions
    for number, row in enumerate(transitions.following):
        assert row[number] < transitions.frequencies[number] < row[1 - number], "the other class follows"


@pytest.mark.usefixtures("small_network")
def test_learns_tones_and_words_with_balanced_classes(
    corpus: Path, tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With random VGG19 weights all images look alike; the mean colours of an image replace its features.
    def mean_colours(_features: object, images: Floats) -> Floats:
        rows = images.mean(axis=2).reshape(len(images), -1)
        return np.pad(rows, ((0, 0), (0, 512 - rows.shape[1]))).astype(np.float32)

    monkeypatch.setattr("training.images.feature_cache.FeatureCache.compute", mean_colours)
    settings = TrainingSettings(epochs=20, batch_size=4, learning_rate=0.01, balanced=True, vgg19_weights=None)
    result = train(corpus, tmp_path / "Model.h5", settings, console)
    assert {name: score.accuracy for name, score in result.scores.items()} == {
        AUDIO_AND_TEXT: 1,
        TEXT_ONLY: 1,
        AUDIO_ONLY: 1,
    }


@pytest.mark.usefixtures("small_network")
def test_ctrl_c_saves_the_current_weights(
    corpus: Path, tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signal.getsignal(signal.SIGINT)
    get = __import__("training.fit.batches", fromlist=["x"]).ExampleBatches.__getitem__

    def interrupt(self: object, batch: int) -> object:
        if batch == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return get(self, batch)

    monkeypatch.setattr("training.fit.batches.ExampleBatches.__getitem__", interrupt)
    result = train(corpus, tmp_path / "Model.h5", SETTINGS, console)
    assert result.stopped_early
    assert len(result.companions.card["history"]) == 1
    assert "stopping after this batch" in printed(console)
    assert len(weights(tmp_path / "Model.h5")) > 0
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.usefixtures("small_network")
def test_unreadable_clips_are_left_out(corpus: Path, tmp_path: Path, console: Console) -> None:
    (tmp_path / "train0.wav").write_text("broken")
    result = train(corpus, tmp_path / "Model.h5", TrainingSettings(epochs=1, vgg19_weights=None), console)
    assert result.companions.card["recordings_unreadable"] == ["train0.wav"]
    assert result.companions.card["rows"]["train"] == 19


@pytest.mark.usefixtures("small_network")
def test_unusable_output_and_clips(corpus: Path, tmp_path: Path, write_table: WriteTable, console: Console) -> None:
    with pytest.raises(TrainingError, match=r"ends in \.h5"):
        train(corpus, tmp_path / "Model.keras", SETTINGS, console)
    with pytest.raises(TrainingError, match="nothing can be written there"):
        train(corpus, corpus / "Model.h5", SETTINGS, console)
    (tmp_path / "folder.h5").mkdir()
    with pytest.raises(TrainingError, match="is a folder"):
        train(corpus, tmp_path / "folder.h5", SETTINGS, console)
    (tmp_path / "broken.wav").write_text("broken")
    recordings = [(f"train{number}.wav", "", "ab"[number % 2], "train") for number in (0, 1, 2, 3)]
    spoken = [(audio, f"word {label}", label, split) for audio, _, label, split in recordings]
    unreadable = write_table([*spoken, ("broken.wav", "hi", "a", "dev")])
    with pytest.raises(TrainingError, match="without the unreadable recordings: no clip has split 'validation'"):
        train(unreadable, tmp_path / "Model.h5", SETTINGS, console)
    wordless = write_table([*recordings, ("", "hi", "a", "dev"), ("", "hi", "b", "dev")])
    with pytest.raises(TrainingError, match="no train row has words"):
        train(wordless, tmp_path / "Model.h5", replace(SETTINGS, image_cache=tmp_path / "images"), console)
    assert not (tmp_path / "images").exists(), "refused before any image is computed"
    assert not (tmp_path / "Model.h5").exists()


@pytest.mark.usefixtures("small_network")
def test_full_disk_leaves_the_previous_model(
    corpus: Path, tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out" / "Model.h5"
    output.parent.mkdir()
    output.write_text("old")

    def full(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    settings = TrainingSettings(epochs=1, vgg19_weights=None)
    expected = r"cannot be written .*No space left.*; .*checkpoint holds epoch 1; .*--resume"
    with monkeypatch.context() as patch:
        patch.setattr("convert.source.keras_h5.add_companions", full)
        with pytest.raises(TrainingError, match=expected):
            train(corpus, output, settings, console)
    assert sorted(path.name for path in output.parent.iterdir()) == ["Model.h5", "Model.h5.checkpoint"]
    assert output.read_text() == "old"
    train(corpus, output, replace(settings, resume=True), console)
    assert sorted(path.name for path in output.parent.iterdir()) == ["Model.h5", "labels.txt"]
    assert printed(console).count("epoch 1/1  loss") == 1  # trained once


@pytest.mark.usefixtures("small_network")
def test_file_of_labels_is_refused_before_any_work_or_replaced(corpus: Path, tmp_path: Path, console: Console) -> None:
    (tmp_path / "labels.txt").write_text("train0.wav joy\n")
    with pytest.raises(TrainingError, match=r"labels\.txt: exists, and does not hold the labels of a model"):
        train(corpus, tmp_path / "Model.h5", TrainingSettings(epochs=1, vgg19_weights=None), console)
    assert "images" not in printed(console)
    output = tmp_path / "out" / "Model.h5"
    train(corpus, output, TrainingSettings(epochs=1, vgg19_weights=None), console)
    corpus.write_text(corpus.read_text("utf-8").replace("positive", "joy"), "utf-8")
    train(corpus, output, TrainingSettings(epochs=1, vgg19_weights=None), console)
    assert "labels.txt (it held those of an earlier training: negative, positive)" in printed(console)
    assert (tmp_path / "out" / "labels.txt").read_text("utf-8") == "joy\nnegative\n"


@pytest.mark.usefixtures("small_network")
def test_recurrent_dropout_is_trained_or_left_out_and_never_converted(
    corpus: Path, tmp_path: Path, console: Console
) -> None:
    """The converted LSTM is one fused operator, and predicts what Keras predicts."""
    settings = TrainingSettings(epochs=1, vgg19_weights=None)
    for name, fast, rate in (("published", False, 0.25), ("fast", True, 0.0)):
        output = tmp_path / f"{name}.h5"
        result = train(corpus, output, replace(settings, fast_lstm=fast), console)
        assert ("--fast-lstm: the LSTM is trained without recurrent dropout" in printed(console)) is fast
        assert result.companions.card["recurrent_dropout"] is not fast
        assert tf_keras.models.load_model(output, compile=False).get_layer("words_lstm").recurrent_dropout == rate
    report = convert(tmp_path / "published.h5")
    assert report.same_class == report.samples
    bundle = read_bundle(report.target)
    operators = [each.name for each in read_flatbuffer(bundle.model[: bundle.flatbuffer_size]).operators]
    assert operators.count("UNIDIRECTIONAL_SEQUENCE_LSTM") == 1
    assert "WHILE" not in operators


@pytest.mark.usefixtures("small_network")
def test_a_training_with_recurrent_dropout_is_not_continued_without_it(
    corpus: Path, tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = TrainingSettings(epochs=1, vgg19_weights=None)
    with monkeypatch.context() as patch:
        patch.setattr("training.fit.checkpoints.Checkpoint.remove", lambda _self: None)
        train(corpus, tmp_path / "Model.h5", settings, console)
    with pytest.raises(TrainingError, match=r"other recurrent dropout \(0\.25 there, none here\)"):
        train(corpus, tmp_path / "Model.h5", replace(settings, resume=True, fast_lstm=True), console)


class _CopyingHead:
    """A head that predicts the first feature of an image with audio, else the last id."""

    def predict_on_batch(self, inputs: dict[str, Any]) -> Floats:
        audio, word = inputs[TRUNK_INPUT][:, 0].astype(int), inputs["features"][:, -1]
        probabilities: Floats = np.eye(3, dtype=np.float32)[np.where(audio > 0, audio, word)]
        return probabilities


def test_scores_for_each_modality() -> None:
    images = np.array([[0.0], [1.0], [2.0]], np.float32)  # the first is silence
    ids = np.array([[0, 1], [0, 2], [0, 1], [0, 0], [0, 2]], np.int32)
    examples = Examples(images, np.array([1, 1, 2, 2, 0]), ids, np.array([1, 1, 2, 2, 2]))
    scores = score_modalities(lambda rows: head_probabilities(_CopyingHead(), rows), examples)
    assert [scores[name].rows for name in (AUDIO_AND_TEXT, TEXT_ONLY, AUDIO_ONLY)] == [5, 4, 2]
    assert scores[AUDIO_AND_TEXT].accuracy == 1
    assert scores[TEXT_ONLY].accuracy == 0.5
    assert scores[AUDIO_ONLY].accuracy == 1
