"""Measures which operators a runtime supports: `python -m tests.convert.tflite_model.operator_probe RUNTIME`.

RUNTIME is tflite-runtime or ai-edge-litert. It prints a JSON object, the supported versions by name of the operator,
found with models of a single operator. It runs in a process of its own, because the runtimes print to file descriptor
2, bypassing Python.
"""

import importlib
import json
import os
import sys
from typing import Any

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

from device.recognition.runtimes import RUNTIMES

CODES = {name: code for name, code in vars(schema.BuiltinOperator).items() if name.isupper()}
TRIED = 25
"""The first version that is not tried; no operator has such a high version."""
REFUSALS = ("Didn't find op for builtin", "builtin_code out of range")
"""Messages of the runtimes about an unsupported operator; missing options of a supported one have other messages."""


def one_operator(code: int, version: int = 1, custom: bytes | None = None) -> bytes:
    """A flatbuffer with a single operator of this code and version."""
    operator_code = schema.OperatorCodeT()
    operator_code.builtinCode, operator_code.deprecatedBuiltinCode = code, min(code, 127)
    operator_code.version, operator_code.customCode = version, custom
    tensor = schema.TensorT()
    tensor.shape, tensor.type, tensor.buffer, tensor.name = [1], schema.TensorType.FLOAT32, 0, b"x"
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = 0, [0], [0]
    graph = schema.SubGraphT()
    graph.tensors, graph.inputs, graph.outputs, graph.operators, graph.name = [tensor], [0], [0], [operator], b"main"
    model = schema.ModelT()
    model.version, model.description, model.buffers = 3, b"one operator", [schema.BufferT()]
    model.operatorCodes, model.subgraphs = [operator_code], [graph]
    return packed(model)


def packed(model: Any) -> bytes:
    """The bytes of a `ModelT`."""
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def supports(interpreter: Any, code: int, version: int) -> bool:
    try:
        interpreter(model_content=one_operator(code, version))
    except ValueError as error:
        return not any(refusal in str(error) for refusal in REFUSALS)
    return True


def main(runtime: str) -> None:
    interpreter = importlib.import_module(RUNTIMES[runtime]).Interpreter
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    codes = {name: code for name, code in CODES.items() if name != "CUSTOM"}
    supported = {name: [v for v in range(1, TRIED) if supports(interpreter, code, v)] for name, code in codes.items()}
    print(json.dumps(supported))


if __name__ == "__main__":
    main(sys.argv[1])
