"""The full-size network, converted in each mode and run in each runtime."""

import hashlib
import importlib
from typing import Any

import numpy as np
import pytest

from convert.recipes import RECIPES
from convert.tflite_model.flatbuffer import read_flatbuffer
from convert.verify.representative_data import synthetic_inputs
from device.bundle import read_bundle
from device.recognition.classifier import Classifier
from device.recognition.runtimes import RUNTIMES
from tests.convert import tutorial_models
from tests.convert.conftest import INSTALLED, Conversion

COMPANIONS = tutorial_models.companions(image_height=32, image_width=32)
# The first test converts, which takes most of a minute for the modes with 8 bits.
pytestmark = pytest.mark.slow
LARGEST_SHARE_OF_FLOAT32 = {"float32": 1.0, "float16": 0.51, "dynamic": 0.26, "int8": 0.26}


@pytest.fixture(params=list(INSTALLED))
def interpreter(request: pytest.FixtureRequest, converted: Conversion) -> Any:
    runtime = importlib.import_module(RUNTIMES[request.param])
    return runtime.Interpreter(model_content=converted.report.target.read_bytes())


def test_signature_is_bound_by_name(interpreter: Any) -> None:
    run = interpreter.get_signature_runner("serving_default")
    inputs = {name: (tuple(tensor["shape"]), tensor["dtype"]) for name, tensor in run.get_input_details().items()}
    outputs = {name: (tuple(tensor["shape"]), tensor["dtype"]) for name, tensor in run.get_output_details().items()}
    assert inputs == {"images": ((1, 32, 32, 3), np.float32), "features": ((1, 200), np.int32)}
    assert outputs == {"probabilities": ((1, 3), np.float32), "embedding": ((1, 32), np.float32)}


def test_predictions_agree_with_keras(interpreter: Any, converted: Conversion) -> None:
    images, features = synthetic_inputs(COMPANIONS, seed=2)
    expected = converted.network([images, features.astype(np.float32)]).numpy()
    interpreter.allocate_tensors()
    run = interpreter.get_signature_runner("serving_default")
    rows = []
    for image, ids in zip(images, features, strict=True):
        interpreter.reset_all_variables()
        rows.append(run(images=image[None], features=ids[None])["probabilities"][0])
    probabilities = np.stack(rows)
    assert len(set(expected.argmax(axis=1))) > 1, "a network that always predicts the same class verifies nothing"
    assert np.ptp(expected, axis=0).min() > 0.1
    np.testing.assert_allclose(probabilities, expected, atol=0.05)
    assert (probabilities.argmax(axis=1) == expected.argmax(axis=1)).mean() > 0.9


def test_lstm_is_one_operator(interpreter: Any) -> None:
    operators = [details["op_name"] for details in interpreter._get_ops_details()]
    assert operators.count("UNIDIRECTIONAL_SEQUENCE_LSTM") == 1
    assert "WHILE" not in operators
    assert not [name for name in operators if name.startswith("Flex")]


@pytest.mark.parametrize("runtime", INSTALLED)
def test_an_utterance_does_not_affect_the_next_one(runtime: str, converted: Conversion) -> None:
    images, features = synthetic_inputs(COMPANIONS, seed=2)
    wordy = int(np.count_nonzero(features, axis=1).argmax())
    classifier = Classifier(read_bundle(converted.report.target), runtime=runtime)
    first = classifier.probabilities(images[0], features[0])
    classifier.probabilities(images[wordy], features[wordy])
    assert classifier.probabilities(images[0], features[0]) == first


def test_bundle_carries_the_companions_and_its_origin(converted: Conversion) -> None:
    companions = read_bundle(converted.report.target).companions
    assert (companions.labels, companions.vocabulary, companions.front_end) == (
        COMPANIONS.labels,
        COMPANIONS.vocabulary,
        COMPANIONS.front_end,
    )
    assert companions.card["trained_on"] == "nothing"
    conversion = companions.card["conversion"]
    assert conversion["mode"] == converted.report.mode
    assert conversion["source"] == "Model.h5"
    assert conversion["source_sha256"] == hashlib.sha256(converted.source.read_bytes()).hexdigest()
    assert conversion["tensorflow"].startswith("2.")


def test_card_carries_the_agreement(converted: Conversion) -> None:
    stored = read_bundle(converted.report.target).companions.card["agreement"]
    assert stored["reference"].startswith("tf_keras 2.")
    assert stored["compared_on"] == converted.report.samples_origin
    assert stored["tolerance"] == RECIPES[converted.report.mode].tolerance
    for runtime, agreement in converted.report.agreements.items():
        assert stored[runtime]["same_class"] == agreement.same_class
        assert stored[runtime]["largest_difference"] == pytest.approx(agreement.largest_difference, abs=1e-6)
        assert sum(each["samples"] for each in stored[runtime]["classes"].values()) == agreement.samples


def test_weights_have_the_dtype_of_the_mode(converted: Conversion) -> None:
    model = read_flatbuffer(converted.report.target.read_bytes())
    mode = converted.report.mode
    stored = {"float32": "float32", "float16": "float16", "dynamic": "int8", "int8": "int8"}[mode]
    kernels = [tensor for tensor in model.tensors if tensor.bytes > 100_000 and len(tensor.shape) == 4]
    assert len(kernels) >= 12
    assert {tensor.dtype for tensor in kernels} == {stored}
    assert {tensor.scales for tensor in kernels} <= ({64, 128, 256, 512} if stored == "int8" else {0})
    [lstm] = [operator for operator in model.operators if operator.name == "UNIDIRECTIONAL_SEQUENCE_LSTM"]
    assert model.tensors[lstm.outputs[0]].dtype == "float32"
    first, *convolutions = [model.tensors[op.outputs[0]].dtype for op in model.operators if op.name == "CONV_2D"]
    assert first == "float32"
    assert set(convolutions) == {"int8" if mode == "int8" else "float32"}


def test_report(converted: Conversion) -> None:
    report = converted.report
    assert report.runtimes == tuple(INSTALLED.values())
    assert report.bytes_before == converted.source.stat().st_size
    assert report.bytes_after == report.target.stat().st_size
    assert 0 <= report.largest_difference <= RECIPES[report.mode].tolerance
    assert 0 <= report.mean_difference <= report.largest_difference
    assert report.samples == (28 if report.mode == "int8" else 32)
    assert report.samples - 1 <= report.same_class <= report.samples
    assert report.requires is None
    assert report.unreachable_words == ()
    assert report.seconds > 0
    # VGG19 has 20,024,384 weights: all are stored, and in `dynamic` each in one byte.
    assert 20e6 < report.bytes_after < 80.9e6 * LARGEST_SHARE_OF_FLOAT32[report.mode]


def test_every_slow_step_is_reported(converted: Conversion) -> None:
    assert [stage.split(" (")[0] for stage in converted.stages] == [
        "loading tensorflow",
        "loading the network",
        "running the network in Keras",
        *(["checking the operators"] if converted.report.mode != "float32" else []),
        *(["preparing the weights for 8 bits"] if converted.report.mode in ("dynamic", "int8") else []),
        "converting",
        *(f"running it in {name}" for name in INSTALLED.values()),
    ]


def test_no_other_files_are_left_beside_it(converted: Conversion) -> None:
    names = {path.name for path in converted.source.parent.iterdir()}
    assert names <= {"Model.h5", *(f"{mode}.tflite" for mode in RECIPES)}
