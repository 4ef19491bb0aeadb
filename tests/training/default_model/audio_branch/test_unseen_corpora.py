from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from tests.training.default_model.conftest import FRONT_END
from training.default_model.audio_branch import audio_training, unseen_corpora
from training.default_model.audio_branch.audio_training import AudioTrainingSettings
from training.default_model.audio_branch.augmented_images import AugmentedImages, CopySettings, corpus_images
from training.default_model.audio_branch.unseen_corpora import (
    CORPORA,
    Generalisation,
    MacroF1,
    measure_generalisation,
)
from training.default_model.class_sets import SENTIMENT

pytestmark = pytest.mark.slow

QUIET = Console(quiet=True)
SETTINGS = AudioTrainingSettings(units=8, epochs=6, batch_size=16, learning_rate=1e-2, weight_decay=0.01)


@pytest.fixture(scope="module", autouse=True)
def two_folds() -> Iterator[None]:
    """Use two folds instead of five, for fast tests."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (audio_training, unseen_corpora):
            patch.setattr(module, "FOLDS", 2)
        yield


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def images(corpora: Path, cache: Path) -> dict[object, AugmentedImages]:
    copies = CopySettings(shifted=1, augmented=1)
    return {
        corpus: corpus_images(
            corpora, corpus, cache, classes=SENTIMENT, front_end=FRONT_END, copies=copies, console=QUIET
        )
        for corpus in CORPORA
    }


@pytest.fixture(scope="module")
def found(images: dict[object, AugmentedImages], cache: Path) -> Generalisation:
    return measure_generalisation(images, cache, QUIET, seeds=(1, 2), settings=SETTINGS)  # type: ignore[arg-type]  # dict is invariant


def test_every_corpus_is_measured_with_heads_that_did_not_meet_it(found: Generalisation) -> None:
    assert list(found.folds) == [("RAVDESS",), ("RAVDESS", "nEMO")]  # never EMO-DB: that is not for what ships
    assert sorted(found.unseen) == sorted(
        [
            *(((one,), other) for one in TITLES for other in TITLES if one != other),
            *((tuple(each for each in TITLES if each != left_out), left_out) for left_out in TITLES),
        ]
    )
    for value in (*found.folds.values(), *found.unseen.values()):
        assert value.value > 0.8
        assert value.resampled.shape == (2000,)
    assert found.trained_on_one.value == pytest.approx(
        np.mean([value.value for (trained, _), value in found.unseen.items() if len(trained) == 1])
    )
    assert found.one_left_out.value == pytest.approx(
        np.mean([value.value for (trained, _), value in found.unseen.items() if len(trained) == 2])
    )


TITLES = [corpus.title for corpus in CORPORA]


def test_labels_of_the_measured_corpus_do_not_change_its_predictions(
    images: dict[object, AugmentedImages], found: Generalisation, cache: Path
) -> None:
    """All trainings but those on EMO-DB come from the cache when only its labels change, and its values fall."""
    *others, emodb = CORPORA
    wrong = {corpus: images[corpus] for corpus in others}
    wrong[emodb] = replace(images[emodb], labels=(images[emodb].labels + 1) % 3)
    again = measure_generalisation(wrong, cache, QUIET, seeds=(1, 2), settings=SETTINGS)
    assert again.folds.keys() == found.folds.keys()
    for trained, value in found.folds.items():
        assert again.folds[trained].value == value.value
    assert again.unseen[("RAVDESS", "nEMO"), "EMO-DB"].value < 0.2 < found.unseen[("RAVDESS", "nEMO"), "EMO-DB"].value


def test_the_page_lists_every_value_and_the_command(found: Generalisation) -> None:
    page = found.page("the command")
    assert "`the command`" in page
    for (trained, measured), value in found.unseen.items():
        assert f"| {' + '.join(trained)} | {measured} | {value.formatted} |" in page
    for trained, value in found.folds.items():
        assert f"| {' + '.join(trained)} | RAVDESS, five folds by actor | {value.formatted} |" in page
    assert f"| two corpora | mean over the one left out | {found.one_left_out.formatted} |" in page


def test_means_of_independent_measurements() -> None:
    first = MacroF1(0.5, np.linspace(0.4, 0.6, 2000))
    second = MacroF1(0.7, np.linspace(0.8, 0.6, 2000))
    mean = MacroF1.mean_of([first, second])
    assert mean.value == pytest.approx(0.6)
    assert mean.formatted == "0.600 (0.600\u20130.600)"
    assert first.formatted == "0.500 (0.405\u20130.595)"
