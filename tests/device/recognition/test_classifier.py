import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from device.bundle import DEFAULT_BUNDLE, Bundle, pack, read_bundle
from device.errors import BundleError, InterpreterError
from device.front_end.parameters import FrontEnd
from device.front_end.spectrogram import mel_power, silent_image, spectrogram_image
from device.front_end.tokens import Tokens
from device.recognition import classifier
from device.recognition import runtimes as interpreter
from device.recognition.classifier import Classifier
from device.recognition.runtimes import RUNTIMES, installed_runtimes, load_interpreter

INSTALLED = installed_runtimes()


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return read_bundle(DEFAULT_BUNDLE)


def test_both_interpreters_are_tested_where_both_exist() -> None:
    assert (list(RUNTIMES) if sys.version_info < (3, 12) else ["ai-edge-litert"]) == INSTALLED


@pytest.mark.parametrize("runtime", INSTALLED)
def test_answers_with_a_softmax(bundle: Bundle, runtime: str) -> None:
    companions = bundle.companions
    classifier = Classifier(bundle, runtime=runtime, threads=2)
    noise = (np.random.default_rng(0).standard_normal(16_000) * 3000).astype(np.int16)
    image = spectrogram_image(mel_power(noise, companions.front_end), companions.front_end)
    tokens = Tokens(companions.vocabulary, companions.front_end)
    answers = [
        classifier.probabilities(image, tokens.ids("i hate you")),
        classifier.probabilities(image, tokens.ids("i love you so much thank you")),
        classifier.probabilities(silent_image(companions.front_end), tokens.ids("i hate you")),
    ]
    for answer in answers:
        assert tuple(answer) == companions.labels
        assert sum(answer.values()) == pytest.approx(1, abs=1e-3)
    assert answers[0] != answers[1], "the words change nothing"
    assert answers[0] != answers[2], "the sound changes nothing"
    assert classifier.probabilities(image, tokens.ids("i hate you")) == answers[0]


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


def test_a_runtime_that_breaks_with_this_numpy_is_passed_over(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    works = INSTALLED[0]

    def broken(**_options: object) -> None:
        raise SystemError("returned a result with an exception set")  # tflite-runtime with numpy 2

    monkeypatch.setitem(sys.modules, "broken", SimpleNamespace(Interpreter=broken))
    monkeypatch.setattr(interpreter, "RUNTIMES", {"broken": "broken", works: RUNTIMES[works]})
    assert type(load_interpreter(bundle.model)).__module__.startswith(RUNTIMES[works].partition(".")[0])
    with pytest.raises(InterpreterError, match="broken: it does not work with the installed numpy"):
        load_interpreter(bundle.model, runtime="broken")


def changed(
    bundle: Bundle, folder: Path, *, labels: int | None = None, front_end: FrontEnd | None = None, **card: Any
) -> Bundle:
    """The same flatbuffer with other companions."""
    companions = replace(
        bundle.companions,
        labels=tuple(f"class {number}" for number in range(labels)) if labels else bundle.companions.labels,
        front_end=front_end or bundle.companions.front_end,
        card={**bundle.companions.card, **card},
    )
    path = folder / "Changed.tflite"
    path.write_bytes(pack(bundle.model[: bundle.flatbuffer_size], companions))
    return read_bundle(path)


def test_companions_of_another_network_are_refused(bundle: Bundle, tmp_path: Path) -> None:
    front_end = bundle.companions.front_end
    for wrong, told in [
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
        with pytest.raises(BundleError, match=told):
            Classifier(wrong)


@pytest.mark.parametrize("runtime", INSTALLED)
def test_a_model_that_is_none_is_refused(bundle: Bundle, runtime: str) -> None:
    with pytest.raises(InterpreterError, match="refuses the model"):
        load_interpreter(b"\x1c\x00\x00\x00TFL3" + bytes(100), runtime=runtime)


def test_no_interpreter_at_all(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreter, "RUNTIMES", {"ai-edge-litert": "no.such.package", "tflite-runtime": "nor.this"})
    with pytest.raises(InterpreterError, match="pip install ai-edge-litert") as caught:
        load_interpreter(bundle.model)
    assert "\n" not in str(caught.value)


def test_litert_is_preferred_and_the_log_says_which(bundle: Bundle, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        load_interpreter(bundle.model, threads=2)
    assert "interpreter: ai-edge-litert" in caplog.text


@pytest.mark.parametrize("required", INSTALLED)
def test_a_bundle_gets_the_runtime_that_it_requires(
    bundle: Bundle, tmp_path: Path, required: str, caplog: pytest.LogCaptureFixture
) -> None:
    demanding = changed(bundle, tmp_path, requires=required)
    for runtime in ("auto", required):
        caplog.clear()
        with caplog.at_level("INFO"):
            Classifier(demanding, runtime=runtime)
        assert f"interpreter: {required} " in caplog.text


@pytest.fixture
def nothing_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: object, **__: object) -> None:
        raise AssertionError("an interpreter was asked to load the model")

    monkeypatch.setattr(classifier, "load_interpreter", load)


@pytest.mark.usefixtures("nothing_is_loaded")
@pytest.mark.parametrize("chosen", ["auto", "ai-edge-litert", "tflite-runtime"])
def test_without_the_required_runtime(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chosen: str
) -> None:
    monkeypatch.setattr(
        interpreter, "RUNTIMES", {"ai-edge-litert": "no_such_package.interpreter", "tflite-runtime": "json"}
    )
    demanding = changed(bundle, tmp_path, requires="ai-edge-litert")
    with pytest.raises(InterpreterError, match=r"requires ai-edge-litert.*pip install ai-edge-litert") as caught:
        Classifier(demanding, runtime=chosen)
    assert str(caught.value).startswith(f"{demanding.path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("nothing_is_loaded")
def test_settings_that_choose_another_runtime(bundle: Bundle, tmp_path: Path) -> None:
    demanding = changed(bundle, tmp_path, requires="ai-edge-litert")
    with pytest.raises(InterpreterError, match="the settings choose tflite-runtime") as caught:
        Classifier(demanding, runtime="tflite-runtime")
    assert str(caught.value).startswith(f"{demanding.path}: the model requires ai-edge-litert")
    assert "pip install ai-edge-litert" in str(caught.value)


@pytest.mark.usefixtures("nothing_is_loaded")
@pytest.mark.parametrize("requires", ["onnxruntime", "", 3, True, ["ai-edge-litert"], {}])
def test_an_unknown_requirement(bundle: Bundle, tmp_path: Path, requires: Any) -> None:
    demanding = changed(bundle, tmp_path, requires=requires)
    with pytest.raises(BundleError, match="update edge-mcnn") as caught:
        Classifier(demanding)
    assert str(caught.value).startswith(f"{demanding.path}: requires {requires!r}")
