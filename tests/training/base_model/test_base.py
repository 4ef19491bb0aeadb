"""Trained networks as the base of another training: what is taken over, what is frozen, and what is refused."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from convert.source.keras_h5 import write_companions
from device.bundle import OTHER_IMAGES, SHIPPED_BUNDLES, Companions
from device.errors import EdgeMcnnError, TrainingError
from device.front_end.parameters import FrontEnd
from tests.training.conftest import new_evidence
from training.base_model.base import AUDIO_SHARE, BaseModel, check_base, describe_base, read_base
from training.data.clips import TRAIN, VALIDATION, Clip
from training.fit.h5_writer import write_model
from training.networks.network import AudioShape

FRONT_END = FrontEnd(sequence_length=10, image_height=32, image_width=32)
LABELS = ("angry", "calm", "happy")
VOCABULARY = ("good", "bad", "day")
COMPANIONS = Companions(LABELS, VOCABULARY, FRONT_END, {"network": "evidence", "licence": "CC0", "data": "tones"})


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "Base.h5"
    network = new_evidence(labels=3, vocabulary=3, front_end=FRONT_END, audio_shape=AudioShape(32))
    write_model(network.full, COMPANIONS, path)
    return path


@pytest.fixture
def base(written: Path) -> BaseModel:
    return read_base(written)


def weights(network: Any, name: str) -> list[Any]:
    model = network.full.get_layer("audio") if name.startswith("audio_") else network.full
    return list(model.get_layer(name).get_weights())


def predictions(network: Any) -> Any:
    random = np.random.default_rng(1)
    images = random.random((5, 32, 32, 3)).astype(np.float32)
    ids = np.zeros((5, 10), np.int32)
    ids[1:4, -2:] = 1, 3
    return network.full.predict_on_batch({"images": images, "features": ids})


def test_weights_are_those_of_the_file(written: Path, base: BaseModel) -> None:
    original = new_evidence(labels=3, vocabulary=3, front_end=FRONT_END, audio_shape=AudioShape(32))
    assert (base.network, base.audio_shape, base.companions) == ("evidence", AudioShape(32), COMPANIONS)
    network = base.build(LABELS)
    for name in (
        "words_embedding",
        "words_patterns_2",
        "words_logits",
        "audio_standardise",
        "audio_dense",
        "words_factor",
    ):
        for found, expected in zip(weights(network, name), weights(original, name), strict=True):
            np.testing.assert_array_equal(found, expected)
    for found, expected in zip(weights(network, "audio_logits"), weights(original, "audio_logits"), strict=True):
        np.testing.assert_allclose(found, AUDIO_SHARE * expected, rtol=1e-6)
    trained = {each.name.split("/")[-2] for each in network.head.trainable_weights}
    assert trained == {"audio_standardise", "audio_dense", "audio_logits"}


def test_order_of_the_classes_does_not_matter(base: BaseModel) -> None:
    order = [2, 0, 1]
    np.testing.assert_allclose(
        predictions(base.build([LABELS[place] for place in order])),
        predictions(base.build(LABELS))[:, order],
        atol=1e-6,
    )


def test_new_classes_begin_without_evidence_and_shared_ones_with_that_of_the_base(base: BaseModel) -> None:
    np.testing.assert_allclose(predictions(base.build(("bored", "keen"))), 0.5)
    network = base.build(("bored", "happy"))
    for name in ("words_logits", "audio_logits"):
        for new, own in zip(weights(network, name), weights(base.build(LABELS), name), strict=True):
            assert not new[..., 0].any()
            np.testing.assert_array_equal(new[..., 1], own[..., 2])
    assert weights(network, "words_factor")[0] == 0  # a factor of 1
    assert weights(base.build(LABELS[:2]), "words_factor")[0] == pytest.approx(0.3)
    assert "words_logits" in {each.name.split("/")[-2] for each in network.head.trainable_weights}


def test_discriminants_of_the_default_model_are_taken_over_for_shared_classes(tmp_path: Path) -> None:
    shape = AudioShape(16, kinds=2, products=True)
    original = new_evidence(labels=3, vocabulary=3, front_end=FRONT_END, audio_shape=shape)
    write_model(original.full, COMPANIONS, tmp_path / "Base.h5")
    base = read_base(tmp_path / "Base.h5")
    assert base.audio_shape == shape
    network = base.build(("bored", "happy"))
    for new, old in zip(weights(network, "audio_kinds"), weights(original, "audio_kinds"), strict=True):
        new, old = new.reshape(*new.shape[:-1], 2, 2), old.reshape(*old.shape[:-1], 2, 3)
        assert not new[..., 0].any()
        np.testing.assert_allclose(new[..., 1], AUDIO_SHARE * old[..., 2], rtol=1e-6)
    np.testing.assert_allclose(predictions(base.build(("bored", "keen"))), 0.5)
    assert "audio_kinds" in {each.name.split("/")[-2] for each in network.head.trainable_weights}


def test_card_names_the_base_with_its_licence(base: BaseModel) -> None:
    card = base.card()
    assert (card["file"], card["labels"], card["licence"], card["data"]) == ("Base.h5", list(LABELS), "CC0", "tones")
    assert len(card["sha256"]) == 64


def test_lines_about_classes_licence_and_unknown_words(base: BaseModel) -> None:
    clips = [
        Clip(None, "A good day, Łódź! a\x1b", "happy", TRAIN),
        Clip(None, "never trained", "happy", VALIDATION),
    ]
    first, licence, words = describe_base(base, LABELS, clips)
    assert first == f"starting from {base.name}, network evidence, the same classes"
    assert licence == "licence of the base, which holds for the new model, too: CC0"
    assert words.startswith(
        "2 of the 4 different words of the train rows are not in the base's vocabulary and are ignored: a, "
    )
    for labels, expected in (
        (("bored", "keen"), "new classes: bored, keen"),
        (("bored", "calm", "happy"), "new classes: bored; 2 of the base's remain"),
        (("calm", "happy"), "2 of its 3 classes"),
    ):
        assert describe_base(base, labels, [])[0].endswith(expected)
    many = [Clip(None, " ".join(f"x{chr(97 + each)}" for each in range(20)), "happy", TRAIN)]
    assert describe_base(base, LABELS, many)[2].endswith(", xh, ...")


@pytest.mark.parametrize("name", SHIPPED_BUNDLES)
def test_each_shipped_model_is_a_base(name: str) -> None:
    base = read_base(Path(name))
    assert (base.network, base.name, base.path) == ("evidence", name, SHIPPED_BUNDLES[name])
    assert base.build(("a", "b")).head.output_shape == (None, 2)


def _without_companions(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file["edge_mcnn"]


def _of_a_stranger(path: Path) -> None:
    write_companions(path, replace(COMPANIONS, card={}))


def _with_another_image_size(path: Path) -> None:
    write_companions(path, replace(COMPANIONS, front_end=replace(FRONT_END, image_width=64)))


def _with_more_words(path: Path) -> None:
    write_companions(path, replace(COMPANIONS, vocabulary=(*VOCABULARY, "more")))


def _with_another_network(path: Path) -> None:
    write_companions(path, replace(COMPANIONS, card={"network": "tutorial"}))


def _cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5000])


def _text(path: Path) -> None:
    path.write_text("not a model")


NO_WEIGHTS = (
    r"its weights are not those of the network '{}' with its labels, vocabulary and front end; a base is of one of"
)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (_without_companions, r"has no group 'edge_mcnn'.*; train it with"),
        (_of_a_stranger, r"its model card does not name a network of edge-mcnn.*; a base is of one of the networks"),
        (_with_another_image_size, NO_WEIGHTS.format("evidence")),
        (_with_more_words, NO_WEIGHTS.format("evidence")),
        (_with_another_network, NO_WEIGHTS.format("tutorial")),
        (_cut_off, r"Base\.h5"),
        (_text, r"neither a Keras HDF5 file nor a bundle; give a Model\.h5 that `edge-mcnn train` wrote"),
    ],
)
@pytest.mark.usefixtures("small_network")
def test_bad_base_is_one_error(change: Callable[[Path], None], expected: str, written: Path) -> None:
    change(written)
    with pytest.raises(EdgeMcnnError, match=expected):
        read_base(written)


def test_missing_base_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"Missing\.h5.*; give a Model\.h5"):
        read_base(tmp_path / "Missing.h5")


def test_contradictions_to_the_base_are_refused(base: BaseModel) -> None:
    def check(network: str = "evidence", front_end: FrontEnd = FRONT_END, *, other: bool = False) -> None:
        check_base(base, network, front_end, other_images=other, recordings=True)

    check()
    with pytest.raises(TrainingError, match=r"has the network 'evidence', and 'tutorial' shall be .*; leave out --net"):
        check("tutorial")
    expected = r"has another front end \(image_width 32, not 64; n_mels 128, not 40\); use the base's front end"
    with pytest.raises(TrainingError, match=expected):
        check(front_end=replace(FRONT_END, image_width=64, n_mels=40))
    with pytest.raises(
        TrainingError, match=r"trained on images that edge-mcnn computed, and these clips have others; "
    ):
        check(other=True)
    card = {**COMPANIONS.card, OTHER_IMAGES: True}
    foreign = replace(base, companions=replace(COMPANIONS, card=card))
    with pytest.raises(TrainingError, match=r"trained on images of another program, and these clips have others; "):
        check_base(foreign, "evidence", FRONT_END, other_images=False, recordings=True)
    check_base(foreign, "evidence", FRONT_END, other_images=True, recordings=True)
    check_base(foreign, "evidence", FRONT_END, other_images=False, recordings=False)  # text only
