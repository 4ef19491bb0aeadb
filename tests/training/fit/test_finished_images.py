"""Training continues from finished images: those of `edge-mcnn pictures`, and those of any other program."""

import csv
from pathlib import Path

import numpy as np
import pytest
import tf_keras
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

from convert.companions.companions import UserCompanions
from convert.convert import convert
from convert.options import ConversionOptions
from device.bundle import OTHER_IMAGES, read_bundle
from device.errors import ConversionError, TrainingError
from edge_mcnn.main import app
from tests.training.conftest import WORDS, printed
from training.evaluation.evaluator import EvaluationSettings, evaluate_model
from training.fit.settings import TrainingSettings
from training.fit.trainer import train

pytestmark = pytest.mark.slow
SETTINGS = TrainingSettings(network="evidence", epochs=2, batch_size=4, augment=False)


def test_images_of_the_command_train_the_same_model_without_recordings(
    corpus: Path, tmp_path: Path, console: Console
) -> None:
    images = tmp_path / "images"
    done = CliRunner().invoke(app, ["pictures", str(corpus), "-o", str(images)])
    assert done.exit_code == 0, done.output
    with (images / "index.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["ID"] == "" for row in rows[:6]] == [False, False, False, False, True, True]
    assert all((images / row["ID"]).is_file() for row in rows if row["ID"])
    train(corpus, tmp_path / "a" / "Model.h5", SETTINGS, console)
    for recording in corpus.parent.glob("*.wav"):
        recording.unlink()

    settings = TrainingSettings(network="evidence", epochs=2, batch_size=4, image_cache=images)
    result = train(images / "index.csv", tmp_path / "b" / "Model.h5", settings, console)
    first, second = (
        tf_keras.models.load_model(tmp_path / name / "Model.h5", compile=False).get_weights() for name in "ab"
    )
    for one, two in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, two)
    assert OTHER_IMAGES not in result.companions.card
    assert "front end is unknown" not in printed(console)


@pytest.fixture
def drawings(tmp_path: Path) -> Path:
    """Bright images are `positive`, dark ones `negative`, in the tutorial's folders, with a table of MELD's columns."""
    random = np.random.default_rng(0)
    rows = []
    for folder, count in (("Train", 20), ("Validation", 8)):
        (tmp_path / "drawings" / folder).mkdir(parents=True)
        for number in range(count):
            label = ("positive", "negative")[number % 2]
            height, width = random.integers(50, 300, 2)
            pixels = random.integers(0, 90, (height, width, 3)) + (160 if label == "positive" else 0)
            name = f"{folder.lower()}{number}.{('png', 'jpg')[number % 3 == 0]}"
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "drawings" / folder / name)
            rows.append((name.partition(".")[0], WORDS[label], label))
    table = tmp_path / "tutorial.csv"
    with table.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("ID", "Utterance", "Sentiment"), *rows])
    return table


def test_images_of_another_program(corpus: Path, drawings: Path, tmp_path: Path, console: Console) -> None:
    images = tmp_path / "drawings"
    before = sorted(images.rglob("*"))
    settings = TrainingSettings(network="evidence", epochs=25, batch_size=4, image_cache=images)
    model = tmp_path / "model" / "Model.h5"
    result = train(drawings, model, settings, console)
    assert {name: score.accuracy for name, score in result.scores.items()} == dict.fromkeys(result.scores, 1)
    assert "20 train and 8 validation rows" in printed(console)
    assert "the device computes its own images and predicts well only if they look the same" in printed(console)
    assert result.companions.card[OTHER_IMAGES] is True
    assert sorted(images.rglob("*")) == before  # nothing is written between someone's images

    evaluation = evaluate_model(model, drawings, EvaluationSettings(image_cache=images), console)
    assert evaluation.results["audio only"].scores.accuracy == 1
    assert "images of the recordings" not in printed(console)
    evaluate_model(model, corpus, EvaluationSettings(), console)
    assert "and is evaluated on images of the recordings: the scores hold for the device" in printed(console)
    with pytest.raises(ConversionError, match=r"its front end is unknown.*--front-end"):
        convert(model)
    (tmp_path / "front_end.json").write_text('{"hop_length": 256}')
    convert(model, options=ConversionOptions(companions=UserCompanions(front_end=tmp_path / "front_end.json")))
    assert read_bundle(model.with_suffix(".tflite")).companions.front_end.hop_length == 256


def test_unreadable_images_are_counted(drawings: Path, tmp_path: Path, console: Console) -> None:
    (tmp_path / "drawings" / "Train" / "train4.png").write_bytes(b"no image")
    settings = TrainingSettings(network="evidence", epochs=1, image_cache=tmp_path / "drawings")
    train(drawings, tmp_path / "model" / "Model.h5", settings, console)
    assert "train4.png: cannot be read as an image (not an image); replace the file" in printed(console)
    assert "1 of 28 recordings skipped" in printed(console)
    for path in (tmp_path / "drawings").rglob("*.*"):
        path.write_bytes(f"no image {path.name}".encode())
    with pytest.raises(TrainingError, match=r"none of the 28 .* is readable.*; replace the file"):
        train(drawings, tmp_path / "model" / "Model.h5", settings, console)


def test_someones_images_are_no_cache(corpus: Path, drawings: Path, tmp_path: Path) -> None:
    assert drawings.is_file()
    images = tmp_path / "drawings" / "Train"
    before = sorted(images.rglob("*"))
    done = CliRunner().invoke(app, ["pictures", str(corpus), "-o", str(images)])
    assert isinstance(done.exception, TrainingError)
    assert "holds images of another program, such as train" in done.exception.message
    assert "column ID" in done.exception.fix
    assert sorted(images.rglob("*")) == before
