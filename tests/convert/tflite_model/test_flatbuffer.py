import struct
from contextlib import suppress
from typing import Any

import flatbuffers
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st

from convert.tflite_model.flatbuffer import read_flatbuffer
from convert.tflite_model.operators import NAMES
from device.bundle import DEFAULT_BUNDLE, read_bundle
from device.errors import BundleError
from tests.convert.tflite_model.operator_probe import CODES, one_operator, packed

BUNDLE = read_bundle(DEFAULT_BUNDLE)
FLATBUFFER = BUNDLE.model[: BUNDLE.flatbuffer_size]


def two_graphs() -> Any:
    """A `ModelT` with every part that is read: two subgraphs, scaled constants, a custom operator, signatures."""
    model = schema.ModelT()
    model.version, model.description = 3, b"two graphs"
    codes = []
    for code, version, custom in [(CODES["FULLY_CONNECTED"], 12, None), (CODES["CUSTOM"], 1, b"FlexErf")]:
        codes.append(schema.OperatorCodeT())
        codes[-1].deprecatedBuiltinCode, codes[-1].builtinCode = code, code
        codes[-1].version, codes[-1].customCode = version, custom
    buffers = [schema.BufferT() for _ in range(3)]
    buffers[1].data, buffers[2].data = list(range(12)), list(range(16))
    graphs, signatures = [], []
    for number in range(2):
        tensors = []
        for name, shape, kind, buffer, scales in [
            (b"in", [1, 3], schema.TensorType.FLOAT32, 0, 0),
            (b"weights", [4, 3], schema.TensorType.INT8, 1, 4),
            (b"bias", [4], schema.TensorType.INT32, 2, 1),
            (b"out", [1, 4], schema.TensorType.FLOAT16, 0, 0),
        ]:
            tensor = schema.TensorT()
            tensor.name, tensor.shape, tensor.type, tensor.buffer = name, shape, kind, buffer
            if scales:
                tensor.quantization = schema.QuantizationParametersT()
                tensor.quantization.scale = [0.5] * scales
            tensors.append(tensor)
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = number, [0, 1, -1 if number else 2], [3]
        graph = schema.SubGraphT()
        graph.tensors, graph.operators, graph.inputs, graph.outputs = tensors, [operator], [0], [3]
        graphs.append(graph)
        signature = schema.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = b"first" if number == 0 else b"second", number
        maps = []
        for name, index in [(b"x", 0), (b"y", 3)]:
            maps.append(schema.TensorMapT())
            maps[-1].name, maps[-1].tensorIndex = name, index
        signature.inputs, signature.outputs = maps[:1], maps[1:]
        signatures.append(signature)
    model.operatorCodes, model.buffers, model.subgraphs, model.signatureDefs = codes, buffers, graphs, signatures
    return model


TWO_GRAPHS = packed(two_graphs())


def test_reads_the_same_as_the_schema() -> None:
    model = read_flatbuffer(FLATBUFFER)
    expected = schema.ModelT.InitFromObj(schema.Model.GetRootAs(FLATBUFFER))
    (graph,) = expected.subgraphs
    assert (model.description, model.subgraphs) == (expected.description.decode(), 1)
    assert [(t.name, t.shape, t.buffer) for t in model.tensors] == [
        (t.name.decode(), tuple(t.shape), t.buffer) for t in graph.tensors
    ]
    sizes = [0 if buffer.data is None else len(buffer.data) for buffer in expected.buffers]
    assert [t.bytes for t in model.tensors] == [sizes[t.buffer] for t in graph.tensors]
    kinds = {code: name.lower() for name, code in vars(schema.TensorType).items() if name.isupper()}
    assert [t.dtype for t in model.tensors] == [kinds[t.type] for t in graph.tensors]
    scales = [t.quantization.scale if t.quantization else None for t in graph.tensors]
    assert [t.scales for t in model.tensors] == [0 if s is None else len(s) for s in scales]
    codes = [expected.operatorCodes[operator.opcodeIndex] for operator in graph.operators]
    assert [(o.name, o.version) for o in model.operators] == [(NAMES[c.builtinCode], c.version) for c in codes]
    assert [(o.inputs, o.outputs) for o in model.operators] == [
        (tuple(o.inputs), tuple(o.outputs)) for o in graph.operators
    ]
    (signature,) = model.signatures.values()
    assert {name: (t.shape, t.dtype) for name, t in signature.inputs.items()} == {
        "features": ((1, 32), "int32"),
        "images": ((1, 64, 64, 3), "float32"),
    }
    assert sorted(signature.outputs) == ["embedding", "probabilities"]


def test_appended_companions_are_ignored() -> None:
    assert read_flatbuffer(BUNDLE.model) == read_flatbuffer(FLATBUFFER)


def test_every_dtype_has_its_name() -> None:
    for name, code in vars(schema.TensorType).items():
        if name.isupper():
            model = two_graphs()
            model.subgraphs[0].tensors[0].type = code
            assert read_flatbuffer(packed(model)).tensors[0].dtype == name.lower()


def test_several_subgraphs() -> None:
    model = read_flatbuffer(TWO_GRAPHS)
    assert model.subgraphs == 2
    assert [(o.name, o.version, o.custom, o.inputs, o.outputs) for o in model.operators] == [
        ("FULLY_CONNECTED", 12, False, (0, 1, 2), (3,)),
        ("FlexErf", 1, True, (4, 5, -1), (7,)),
    ]
    assert [(t.name, t.dtype, t.bytes, t.scales) for t in model.tensors[4:]] == [
        ("in", "float32", 0, 0), ("weights", "int8", 12, 4), ("bias", "int32", 16, 1), ("out", "float16", 0, 0),
    ]  # fmt: skip
    assert model.signatures["second"].outputs == {"y": model.tensors[7]}


def test_operators_of_old_and_new_files() -> None:
    assert read_flatbuffer(one_operator(CODES["ADD"], 5)).operators[0].name == "ADD"
    assert read_flatbuffer(one_operator(CODES["DILATE"])).operators[0].name == "DILATE"
    assert read_flatbuffer(one_operator(4321)).operators[0].name == "builtin operator 4321"


def refused(content: bytes, message: str) -> None:
    with pytest.raises(BundleError, match=message) as caught:
        read_flatbuffer(content)
    assert "\n" not in str(caught.value)


def test_invalid_indices() -> None:
    def changed(what: str) -> bytes:
        model = two_graphs()
        graph = model.subgraphs[1]
        match what:
            case "code":
                graph.operators[0].opcodeIndex = 2
            case "input":
                graph.operators[0].inputs = [4]
            case "negative":
                graph.operators[0].outputs = [-2]
            case "buffer":
                graph.tensors[0].buffer = 3
            case "subgraph":
                model.signatureDefs[0].subgraphIndex = 2
            case "tensor":
                model.signatureDefs[0].inputs[0].tensorIndex = 4
            case "data":
                model.buffers[1].offset, model.buffers[1].size = 100, 1 << 63
        return packed(model)

    refused(changed("code"), "an operator code that does not exist")
    refused(changed("input"), "no tensor 4")
    refused(changed("negative"), "no tensor -2")
    refused(changed("buffer"), "a buffer that does not exist")
    refused(changed("subgraph"), "a subgraph that does not exist")
    refused(changed("tensor"), "a tensor that does not exist")
    refused(changed("data"), "a buffer reaches beyond")


def test_data_after_the_flatbuffer() -> None:
    model = two_graphs()
    model.buffers[1].data, model.buffers[1].offset, model.buffers[1].size = None, 100, 50
    assert read_flatbuffer(packed(model)).tensors[1].bytes == 50


def test_other_files() -> None:
    refused(b"", "not a TFLite model")
    refused(b"hello, world", "not a TFLite model")
    refused(b"\x08\x00\x00\x00TFL3", "damaged")
    refused(b"\xff\xff\xff\xffTFL3" + bytes(100), "damaged")
    refused(b"\x08\x00\x00\x00TFL3" + bytes(100), "damaged|schema version 0")
    model = two_graphs()
    model.version = 4
    refused(packed(model), "schema version 4")


@pytest.mark.parametrize("length", [9, 50, 300, 1000, -1, -4, -100])
def test_truncated(length: int) -> None:
    # Flatbuffers are written from their end, so the part that is cut off is needed.
    refused(TWO_GRAPHS[: min(length, len(TWO_GRAPHS) - 1)], "damaged")
    refused(FLATBUFFER[:length] if length > 0 else FLATBUFFER[: len(FLATBUFFER) // 2], "damaged")


@pytest.mark.timeout(30)
def test_a_small_file_that_claims_to_be_a_large_one() -> None:
    """Vectors whose elements are all the same table, which contains a long text."""
    builder = flatbuffers.Builder(1024)
    text = builder.CreateString("x" * 100_000)
    schema.OperatorCodeStart(builder)
    schema.OperatorCodeAddBuiltinCode(builder, CODES["CUSTOM"])
    schema.OperatorCodeAddCustomCode(builder, text)
    code = schema.OperatorCodeEnd(builder)
    builder.StartVector(4, 100_000, 4)
    for _ in range(100_000):
        builder.PrependUOffsetTRelative(code)
    codes = builder.EndVector()
    schema.ModelStart(builder)
    schema.ModelAddVersion(builder, 3)
    schema.ModelAddOperatorCodes(builder, codes)
    builder.Finish(schema.ModelEnd(builder), b"TFL3")
    refused(bytes(builder.Output()), "claims more than")


def test_a_vector_longer_than_the_file() -> None:
    model = read_flatbuffer(TWO_GRAPHS)
    assert model.tensors[0].shape == (1, 3)
    place = TWO_GRAPHS.index(struct.pack("<Iii", 2, 1, 3))
    refused(TWO_GRAPHS[:place] + struct.pack("<I", 0xFFFFFFFF) + TWO_GRAPHS[place + 4 :], "beyond its end")


def reads_or_refuses(content: bytes) -> None:
    with suppress(BundleError):
        read_flatbuffer(content)


changes = st.lists(st.tuples(st.integers(0, 1 << 30), st.binary(min_size=1, max_size=8)), min_size=1, max_size=4)


@given(changes, st.booleans())
@settings(max_examples=800)
def test_changed_bytes_are_read_or_refused(changed: list[tuple[int, bytes]], small: bool) -> None:
    content = bytearray(TWO_GRAPHS if small else FLATBUFFER)
    for position, change in changed:
        # Nearly all structure of the large file is in its last part, after the weights.
        where = position % len(content) if small else len(content) - 1 - position % (len(content) // 20)
        content[where : where + len(change)] = change
    reads_or_refuses(bytes(content))


@given(st.binary(max_size=200))
@settings(max_examples=300)
def test_random_bytes_are_read_or_refused(content: bytes) -> None:
    reads_or_refuses(struct.pack("<I", 8) + b"TFL3" + content)
