"""Configurations that name code are refused, and nothing that a file names is imported or called."""

import json
import sys
from pathlib import Path
from typing import Any

import h5py
import keras
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from convert.source.allowlist import refuse_code
from convert.source.keras_loading import in_keras_2, load_network
from convert.source.keras_source import read_source
from convert.source.model_spec import read_spec
from device.errors import ConversionError
from tests.convert.third_party_models import IGNORE_HDF5_WARNING, keras_file, network, predict

pytestmark = pytest.mark.filterwarnings(IGNORE_HDF5_WARNING)


def model(*layers: object) -> dict[str, Any]:
    """The configuration of a Keras 3 model with these layers."""
    return {
        "module": "keras.src.models.functional",
        "class_name": "Functional",
        "config": {"name": "model", "trainable": True, "layers": list(layers), "input_layers": [], "output_layers": []},
    }


def dense(**changed: Any) -> dict[str, Any]:
    config = {"name": "last", "units": 3, "activation": "softmax", **changed}
    return {"module": "keras.layers", "class_name": "Dense", "config": config, "inbound_nodes": []}


def layer(kind: object, **more: Any) -> dict[str, Any]:
    return {"class_name": kind, "config": {"name": "strange"}, "inbound_nodes": [], **more}


GET_FILE = {
    "module": "keras.utils",
    "class_name": "get_file",
    "config": {"fname": "dropped.txt", "origin": "https://example.invalid/", "cache_dir": "/tmp"},  # noqa: S108  # never made
}
SYSTEM = {"module": "builtins", "class_name": "function", "config": "system", "registered_name": "function"}
NOT_RUN = "carries code, which edge-mcnn does not run"
NOT_ALLOWED = "not a layer that edge-mcnn allows"
NOT_IMPORTED = "which edge-mcnn does not import"
HOSTILE = {
    "Lambda": (layer("Lambda", module="keras.layers"), f"layer 'strange' is a Lambda: it {NOT_RUN}"),
    "nested": (model(dense(), layer("Lambda")), NOT_RUN),
    "wrapped": (layer("TimeDistributed", config={"name": "x", "layer": layer("Lambda")}), NOT_RUN),
    "TFOpLambda": (layer("TFOpLambda"), r"operation on tensors \(TFOpLambda\), not a layer"),
    "SlicingOpLambda": (layer("SlicingOpLambda"), r"operation on tensors \(SlicingOpLambda\)"),
    "__lambda__": (dense(activation={"class_name": "__lambda__", "config": {"value": "4wEA"}}), NOT_RUN),
    "operation": (layer("Multiply", module="keras.src.ops.numpy"), r"operation on tensors \(Multiply\), not a layer"),
    "TFSMLayer": (
        layer("TFSMLayer", module="keras.layers"),
        "is a TFSMLayer: it runs code of another framework",
    ),
    "TorchModuleWrapper": (layer("TorchModuleWrapper", module="keras.layers"), "it runs code of another framework"),
    "StringLookup": (layer("StringLookup", module="keras.layers"), "is a StringLookup: it turns text into word ids"),
    "os": (layer("system", module="os"), f"comes from the Python module 'os', {NOT_IMPORTED}"),
    "os of Dense": (layer("Dense", module="os"), NOT_IMPORTED),
    "like Keras": (layer("Dense", module="keras_evil.layers"), NOT_IMPORTED),
    "module is a list": (layer("Dense", module=["keras"]), NOT_IMPORTED),
    "get_file": (GET_FILE, f"'get_file' is a get_file, which is {NOT_ALLOWED}"),
    "get_file in a setting": (dense(kernel_initializer=GET_FILE), NOT_ALLOWED),
    "system": (dense(activation=SYSTEM), f"comes from the Python module 'builtins', {NOT_IMPORTED}"),
    "function of no module": (dense(activation={**SYSTEM, "module": None}), NOT_ALLOWED),
    "custom": (layer("Mine", module=None, registered_name="me>Mine"), NOT_ALLOWED),
    "custom of Keras 2": (layer("me>Mine"), NOT_ALLOWED),
    "no name": (layer(3), "a class_name in it is 3, not a name"),
    "list": (layer(["Dense"]), r"a class_name in it is \['Dense'\], not a name"),
    "two lines": (layer("Lam\nbda"), r"a class_name in it is 'Lam\\nbda', not a name"),
}


@pytest.mark.parametrize(("hostile", "message"), HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("kind", ["keras", "h5"])
def test_code_is_refused(hostile: dict[str, Any], message: str, kind: str, tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=message):
        refuse_code(hostile)
    path = tmp_path / f"Model.{kind}"
    if kind == "keras":
        keras_file(path, model(dense(), hostile))
    else:
        with h5py.File(path, "w") as file:
            file.attrs["model_config"] = json.dumps(model(dense(), hostile))
            file.attrs["keras_version"] = "2.15.0"
    with pytest.raises(ConversionError, match=message) as caught:
        read_source(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_classes_of_keras_are_allowed() -> None:
    refuse_code(model(dense(), dense(kernel_initializer={"module": "keras.initializers", "class_name": "Zeros"})))
    refuse_code(model(layer("Dense", module=None), layer("LSTM", module="tensorflow.python.keras.layers")))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Model.keras", r"'multiply\w*' is an operation on tensors \(Multiply\), not a layer"),
        # Here Keras 3 leaves out the module, the only difference from the layer Multiply.
        ("Model.h5", r"layer 'multiply\w*' is called with more than its input \(2 arguments\)"),
    ],
)
def test_operation_that_keras_3_saved(name: str, message: str, tmp_path: Path) -> None:
    images = keras.Input((4,))
    keras.Model(images, keras.layers.Dense(2)(images * 2)).save(tmp_path / name)
    with pytest.raises(ConversionError, match=message):
        read_source(tmp_path / name)


@pytest.mark.parametrize("name", ["Model.h5", "Model.keras"])
def test_lambda_that_keras_3_saved(name: str, tmp_path: Path) -> None:
    images = keras.Input((4,))
    keras.Model(images, keras.layers.Lambda(lambda tensor: tensor + 1, name="more")(images)).save(tmp_path / name)
    with pytest.raises(ConversionError, match=f"layer 'more' is a Lambda: it {NOT_RUN}"):
        read_source(tmp_path / name)


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that exists only after the module `sprung_trap`, which is on the path, has been imported."""
    sprung = tmp_path / "sprung"
    code = f"open({str(sprung)!r}, 'w').close()\n\ndef shut(*args, **kwargs):\n    return None\n\nShut = shut\n"
    (tmp_path / "sprung_trap.py").write_text(code, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return sprung


TRAP = {"module": "sprung_trap", "class_name": "Shut", "config": {"name": "shut"}, "registered_name": "Shut"}
TRAPS = {
    "model": {**model(), "module": "sprung_trap"},
    "layer": model(TRAP),
    "activation": model(dense(activation={**TRAP, "class_name": "function", "config": "shut"})),
    "initialiser": model(dense(kernel_initializer=TRAP)),
    "dtype": model(dense(dtype=TRAP)),
    "build_config": model({**dense(), "build_config": TRAP}),
    "call": model({**dense(), "inbound_nodes": [{"args": [TRAP], "kwargs": {"mask": TRAP}}]}),
}


@pytest.mark.parametrize("hostile", TRAPS.values(), ids=TRAPS)
@pytest.mark.parametrize("kind", ["keras", "h5"])
@pytest.mark.parametrize("version", ["2.15.0", "3.5.0"])
def test_nothing_is_imported(hostile: dict[str, Any], kind: str, version: str, trap: Path, tmp_path: Path) -> None:
    path = tmp_path / f"Model.{kind}"
    if kind == "keras":
        keras_file(path, hostile, version=version)
    else:
        with h5py.File(path, "w") as file:
            file.attrs["model_config"] = json.dumps(hostile)
            file.attrs["keras_version"] = version
    with pytest.raises(ConversionError, match="Python module 'sprung_trap'"):
        read_source(path)
    assert not trap.exists()
    assert "sprung_trap" not in sys.modules


def test_the_compile_configuration_is_ignored(trap: Path, tmp_path: Path) -> None:
    trained = network(keras)
    stored = json.loads(trained.to_json())
    stored |= {"compile_config": {"loss": TRAP, "optimizer": TRAP}, "build_config": TRAP, "registered_name": "Shut"}
    trained.save(tmp_path / "trusted.h5")
    path = tmp_path / "Model.h5"
    trained.save(path)
    with h5py.File(path, "r+") as file:
        file.attrs["training_config"] = json.dumps({"loss": TRAP, "optimizer_config": TRAP})
    weights = tmp_path / "model.weights.h5"
    trained.save_weights(weights)
    zipped = keras_file(tmp_path / "Model.keras", stored, version=keras.__version__, weights=weights.read_bytes())
    for file in (path, zipped):
        source = read_source(file)
        rebuilt = in_keras_2(load_network(file, source.format, 3, source.stored), source.configuration)
        assert predict(rebuilt) == pytest.approx(predict(trained), abs=1e-5)
    assert not trap.exists()
    assert "sprung_trap" not in sys.modules


_KEYS = (
    "class_name config module name layers inbound_nodes input_layers output_layers args kwargs keras_history dtype "
    "batch_shape batch_input_shape registered_name value items input_dim mask_zero"
)
KEYS = st.sampled_from(_KEYS.split())
KINDS = ["Functional", "Dense", "Embedding", "LSTM", "InputLayer", "Lambda", "__keras_tensor__", "__tuple__", "keras"]
RANDOM_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.sampled_from(KINDS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(max_size=3), inner, max_size=6),
    max_leaves=25,
)
LAYERS = st.lists(
    st.fixed_dictionaries({"class_name": st.sampled_from(KINDS) | RANDOM_JSON, "config": RANDOM_JSON}), max_size=3
)
LIKE_MODELS = st.fixed_dictionaries(
    {
        "class_name": st.just("Functional"),
        "config": st.fixed_dictionaries(
            {"name": RANDOM_JSON, "layers": LAYERS, "input_layers": RANDOM_JSON, "output_layers": RANDOM_JSON}
        ),
    }
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stored=RANDOM_JSON | LIKE_MODELS, version=st.sampled_from(["2.15.0", "3.5.0"]))
def test_random_configurations(stored: object, version: str, tmp_path: Path) -> None:
    path = keras_file(tmp_path / "Model.keras", stored, version=version)
    try:
        read_spec(read_source(path).configuration)
    except ConversionError as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017  # not every example is refused
