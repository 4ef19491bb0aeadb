"""Third-party networks of Keras 2 and 3 in every format are read, and predict the same after they are rebuilt."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import h5py
import keras
import numpy as np
import pytest
import tf_keras
from google.protobuf import message

from convert.companions.companions import UserCompanions
from convert.convert import convert
from convert.options import ConversionOptions
from convert.source.keras_loading import in_keras_2, load_network
from convert.source.keras_source import KerasSource, read_source
from convert.source.model_spec import read_spec
from convert.tflite_model.flatbuffer import read_flatbuffer
from device.bundle import read_bundle
from device.errors import ConversionError
from tests.convert.third_party_models import IGNORE_HDF5_WARNING, IMAGE_SIZE, LENGTH, WORDS, network, predict

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings(IGNORE_HDF5_WARNING)]
KERAS: dict[int, Any] = {2: tf_keras, 3: keras}
SAVED_FORMATS = [
    (2, "Model.h5", "hdf5"),
    (2, "Model.keras", "keras"),
    (2, "model", "saved_model"),
    (3, "Model.h5", "hdf5"),
    (3, "Model.keras", "keras"),
]


@pytest.fixture(scope="module")
def trained() -> dict[int, Any]:
    return {version: network(package) for version, package in KERAS.items()}


@pytest.fixture(scope="module")
def saved_model(trained: dict[int, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("saved") / "model"
    trained[2].save(folder, save_format="tf")
    return folder


def rebuilt(path: Path) -> tuple[KerasSource, Any, Any]:
    """The source, the network in its own Keras version, and in Keras 2."""
    source = read_source(path)
    own = load_network(path, source.format, source.keras, source.stored)
    return source, own, in_keras_2(own, source.configuration)


def check_same(expected: Any, path: Path) -> KerasSource:
    source, own, in_2 = rebuilt(path)
    assert type(own).__module__.split(".")[0] == KERAS[source.keras].__name__
    assert type(in_2).__module__.split(".")[0] == "tf_keras"
    for found in (own, in_2):
        assert [len(tensor.shape) for tensor in found.inputs] == [len(tensor.shape) for tensor in expected.inputs]
        np.testing.assert_allclose(predict(found), predict(expected), atol=1e-5)
    return source


@pytest.mark.parametrize(("version", "name", "expected"), SAVED_FORMATS)
def test_every_format_of_both_keras(
    version: int, name: str, expected: str, trained: dict[int, Any], saved_model: Path, tmp_path: Path
) -> None:
    path = saved_model
    if expected != "saved_model":
        path = tmp_path / name
        trained[version].save(path)
    assert predict(trained[version]).std(axis=0).min() > 0.01
    source = check_same(trained[version], path)
    assert (source.path, source.format, source.keras) == (path, expected, version)
    assert source.companions is None
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    assert source.size == sum(file.stat().st_size for file in files)
    assert len(source.sha256) == 64
    found = read_spec(source.configuration)
    assert (found.image_input, found.ids_input, found.image_size) == (
        "spectrogram",
        "transcript",
        (IMAGE_SIZE, IMAGE_SIZE),
    )
    assert (found.sequence_length, found.embedding_rows) == (LENGTH, WORDS + 1)


def without_later_keys(node: Any) -> Any:
    if isinstance(node, dict):
        later = ("module", "registered_name", "build_config")
        return {key: without_later_keys(value) for key, value in node.items() if key not in later}
    return [without_later_keys(value) for value in node] if isinstance(node, list) else node


def test_hdf5_of_keras_2_4(trained: dict[int, Any], tmp_path: Path) -> None:
    path = tmp_path / "Model.h5"
    trained[2].save(path)
    adam = {"name": "Adam", "lr": 0.001, "decay": 0.0, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = json.dumps(without_later_keys(json.loads(file.attrs["model_config"])))
        file.attrs["keras_version"] = "2.4.0"
        file.attrs["training_config"] = json.dumps(
            {"loss": "categorical_crossentropy", "optimizer_config": {"class_name": "Adam", "config": adam}}
        )
    assert '"module"' not in json.dumps(read_source(path).stored)
    assert check_same(trained[2], path).keras == 2


def test_saved_model_of_tensorflow_2_4(trained: dict[int, Any], saved_model: Path, tmp_path: Path) -> None:
    from tensorflow.core.protobuf import saved_model_pb2
    from tf_keras.protobuf import saved_metadata_pb2

    folder = saved_model.rename(tmp_path / "model")
    metadata_file, model_file = folder / "keras_metadata.pb", folder / "saved_model.pb"
    try:
        metadata, saved = saved_metadata_pb2.SavedMetadata(), saved_model_pb2.SavedModel()
        metadata.ParseFromString(metadata_file.read_bytes())
        saved.ParseFromString(before := model_file.read_bytes())
        for node in metadata.nodes:
            of_object = saved.meta_graphs[0].object_graph_def.nodes[node.node_id].user_object
            of_object.metadata = json.dumps(without_later_keys(json.loads(node.metadata)))
        model_file.write_bytes(saved.SerializeToString())
        hidden = metadata_file.rename(tmp_path / "keras_metadata.pb")
        assert isinstance(saved, message.Message)
        assert check_same(trained[2], folder).format == "saved_model"
    finally:
        model_file.write_bytes(before)
        hidden.rename(metadata_file)
        folder.rename(saved_model)


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize(
    "options",
    [{"text_first": True}, {"ids_dtype": "int32"}, {"image_size": None, "length": None}],
    ids=["text first", "integer ids", "open sizes"],
)
def test_variants_of_the_network(version: int, options: dict[str, Any], tmp_path: Path) -> None:
    model = network(KERAS[version], **options)
    model.save(tmp_path / "Model.keras")
    source = check_same(model, tmp_path / "Model.keras")
    found = read_spec(source.configuration)
    assert (found.image_input, found.ids_input) == ("spectrogram", "transcript")
    if "length" in options:
        assert (found.image_size, found.sequence_length) == ((None, None), None)


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("name", ["Model.h5", "Model.keras"])
def test_half_precision_becomes_single(version: int, name: str, trained: dict[int, Any], tmp_path: Path) -> None:
    package = KERAS[version]
    package.mixed_precision.set_global_policy("mixed_float16")
    try:
        half = network(package)
    finally:
        package.mixed_precision.set_global_policy("float32")
    half.save(tmp_path / name)
    source, own, in_2 = rebuilt(tmp_path / name)
    assert "mixed_float16" not in json.dumps(source.stored)
    assert np.abs(predict(half) - predict(trained[version])).max() < 0.01  # they have the same weights
    for found in (own, in_2):
        np.testing.assert_allclose(predict(found), predict(trained[version]), atol=1e-5)


@pytest.mark.parametrize("version", [2, 3])
def test_exported_for_inference(version: int, trained: dict[int, Any], tmp_path: Path) -> None:
    trained[version].export(tmp_path / "exported")
    with pytest.raises(ConversionError, match="exported for inference") as caught:
        read_source(tmp_path / "exported")
    assert "\n" not in str(caught.value)


def user_companions(folder: Path) -> UserCompanions:
    (folder / "words.txt").write_text("\n".join(f"word{index}" for index in range(WORDS)), "utf-8")
    (folder / "front_end.json").write_text("{}", "utf-8")
    return UserCompanions("angry, happy, neutral", folder / "words.txt", folder / "front_end.json")


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize(("version", "mode"), [(3, "dynamic"), (2, "float32")], ids=["Keras 3", "SavedModel"])
def test_third_party_network_becomes_a_bundle(
    version: int, mode: Literal["dynamic", "float32"], trained: dict[int, Any], saved_model: Path, tmp_path: Path
) -> None:
    path, target = saved_model, tmp_path / "ThirdParty.tflite"
    if version == 3:
        path = tmp_path / "Model.keras"
        trained[3].save(path)
    report = convert(path, target, options=ConversionOptions(mode, user_companions(tmp_path)))
    assert report.keras.split()[0] == KERAS[version].__name__
    bundle = read_bundle(target)
    assert bundle.companions.labels == ("angry", "happy", "neutral")
    assert len(bundle.companions.vocabulary) == WORDS
    front_end = bundle.companions.front_end
    assert (front_end.image_height, front_end.image_width, front_end.sequence_length) == (
        IMAGE_SIZE,
        IMAGE_SIZE,
        LENGTH,
    )
    operators = [operator.name for operator in read_flatbuffer(target.read_bytes()).operators]
    assert operators.count("UNIDIRECTIONAL_SEQUENCE_LSTM") == 1
    assert "WHILE" not in operators


@pytest.mark.parametrize("where", [Path.absolute, lambda path: path.with_name("Model.h5")], ids=["folder", "file"])
def test_third_party_network_needs_companions(
    where: Callable[[Path], Path], trained: dict[int, Any], saved_model: Path, tmp_path: Path
) -> None:
    path = where(saved_model)
    if path != saved_model:
        trained[3].save(path)
    with pytest.raises(ConversionError) as caught:
        convert(path, tmp_path / "ThirdParty.tflite")
    assert caught.value.message.startswith(f"{path}: carries no labels, no vocabulary and no front end")
    assert "\n" not in str(caught.value)
    assert all(option in caught.value.fix for option in ("--labels", "--vocabulary", "--front-end"))
    assert not list(tmp_path.iterdir())
