import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from device.bundle import DEFAULT_BUNDLE, Bundle, pack, read_bundle
from device.errors import BundleError, InterpreterError
from device.front_end.parameters import FrontEnd
from device.front_end.spectrogram import mel_power, silent_image, spectrogram_image
from device.front_end.tokens import Tokens
from device.recognition import classifier, runtimes
from device.recognition.classifier import Classifier
from device.recognition.runtimes import RUNTIMES, installed_runtimes

INSTALLED = installed_runtimes()


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return read_bundle(DEFAULT_BUNDLE)


def test_both_runtimes_are_tested_where_both_exist() -> None:
    assert (list(RUNTIMES) if sys.version_info < (3, 12) else ["ai-edge-litert"]) == INSTALLED


@pytest.mark.parametrize("runtime", INSTALLED)
def test_probabilities_are_a_softmax_that_depends_on_both_inputs(bundle: Bundle, runtime: str) -> None:
    companions = bundle.companions
    classifier = Classifier(bundle, runtime=runtime, threads=2)
    noise = (np.random.default_rng(0).standard_normal(16_000) * 3000).astype(np.int16)
    image = spectrogram_image(mel_power(noise, companions.front_end), companions.front_end)
    tokens = Tokens(companions.vocabulary, companions.front_end)
    predictions = [
        classifier.probabilities(image, tokens.ids("i hate you")),
        classifier.probabilities(image, tokens.ids("i love you so much thank you")),
        classifier.probabilities(silent_image(companions.front_end), tokens.ids("i hate you")),
    ]
    for prediction in predictions:
        assert tuple(prediction) == companions.labels
        assert sum(prediction.values()) == pytest.approx(1, abs=1e-3)
    assert predictions[0] != predictions[1], "the words have no influence"
    assert predictions[0] != predictions[2], "the audio has no influence"
    assert classifier.probabilities(image, tokens.ids("i hate you")) == predictions[0]


def test_the_words_alone_carry_meaning(bundle: Bundle) -> None:
    companions = bundle.companions
    classifier = Classifier(bundle)
    tokens = Tokens(companions.vocabulary, companions.front_end)
    silence = silent_image(companions.front_end)
    kind, unkind = (
        classifier.probabilities(silence, tokens.ids(text))
        for text in ("thank you so much that is great i love it", "no i hate this i am so sorry this is awful")
    )
    assert kind["positive"] > unkind["positive"]
    assert unkind["negative"] > kind["negative"]


def changed(
    bundle: Bundle, folder: Path, *, labels: int | None = None, front_end: FrontEnd | None = None, **card: Any
) -> Bundle:
    """Pack the same flatbuffer with other companions."""
    companions = replace(
        bundle.companions,
        labels=tuple(f"class {number}" for number in range(labels)) if labels else bundle.companions.labels,
        front_end=front_end or bundle.companions.front_end,
        transitions=None if labels else bundle.companions.transitions,
        card={**bundle.companions.card, **card},
    )
    path = folder / "Changed.tflite"
    path.write_bytes(pack(bundle.model[: bundle.flatbuffer_size], companions))
    return read_bundle(path)


def test_companions_of_another_network_are_refused(bundle: Bundle, tmp_path: Path) -> None:
    front_end = bundle.companions.front_end
    for wrong, message in [
        (changed(bundle, tmp_path, labels=7), r"tensor probabilities of shape \(1, 7\)"),
        (
            changed(bundle, tmp_path, front_end=replace(front_end, sequence_length=33)),
            r"tensor features of shape \(1, 33\)",
        ),
        (
            changed(bundle, tmp_path, front_end=replace(front_end, image_width=96)),
            r"tensor images of shape \(1, 64, 96, 3\)",
        ),
    ]:
        with pytest.raises(BundleError, match=message) as error:
            Classifier(wrong)
        assert error.value.fix == "convert it again with `edge-mcnn convert`"


@pytest.mark.parametrize("required", INSTALLED)
def test_a_bundle_is_run_by_the_runtime_that_it_requires(
    bundle: Bundle, tmp_path: Path, required: str, caplog: pytest.LogCaptureFixture
) -> None:
    restricted = changed(bundle, tmp_path, requires=required)
    for runtime in ("auto", required):
        caplog.clear()
        with caplog.at_level("INFO"):
            Classifier(restricted, runtime=runtime)
        assert f"interpreter: {required} " in caplog.text


@pytest.fixture
def nothing_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: object, **__: object) -> None:
        raise AssertionError("a model was loaded into an interpreter")

    monkeypatch.setattr(classifier, "load_interpreter", load)


@pytest.mark.usefixtures("nothing_is_loaded")
@pytest.mark.parametrize("chosen", ["auto", "ai-edge-litert", "tflite-runtime"])
def test_without_the_required_runtime(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chosen: str
) -> None:
    monkeypatch.setattr(
        runtimes, "RUNTIMES", {"ai-edge-litert": "no_such_package.interpreter", "tflite-runtime": "json"}
    )
    restricted = changed(bundle, tmp_path, requires="ai-edge-litert")
    with pytest.raises(InterpreterError, match=r"requires ai-edge-litert.*pip install ai-edge-litert") as error:
        Classifier(restricted, runtime=chosen)
    assert str(error.value).startswith(f"{restricted.path}: ")
    assert "\n" not in str(error.value)


@pytest.mark.usefixtures("nothing_is_loaded")
def test_settings_that_choose_another_runtime(bundle: Bundle, tmp_path: Path) -> None:
    restricted = changed(bundle, tmp_path, requires="ai-edge-litert")
    with pytest.raises(InterpreterError, match="the settings choose tflite-runtime") as error:
        Classifier(restricted, runtime="tflite-runtime")
    assert str(error.value).startswith(f"{restricted.path}: the model requires ai-edge-litert")
    assert "pip install ai-edge-litert" in error.value.fix


@pytest.mark.usefixtures("nothing_is_loaded")
@pytest.mark.parametrize("requires", ["onnxruntime", "", 3, True, ["ai-edge-litert"], {}])
def test_an_unknown_requirement(bundle: Bundle, tmp_path: Path, requires: Any) -> None:
    restricted = changed(bundle, tmp_path, requires=requires)
    with pytest.raises(BundleError, match="update edge-mcnn") as error:
        Classifier(restricted)
    assert error.value.message.startswith(f"{restricted.path}: requires {requires!r}")
    assert error.value.fix == "update edge-mcnn"
