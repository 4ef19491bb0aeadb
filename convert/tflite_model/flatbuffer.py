"""Reads the structure of a TFLite flatbuffer with `struct` alone: nothing is run, no runtime or schema is needed.

Field numbers are those of TensorFlow's `schema.fbs`, version 3. Files are untrusted: every offset is checked, and a
budget for the parts read prevents a small file from claiming to be a large one.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from convert.tflite_model.operators import NAMES, Operator
from device.errors import BundleError

_T = TypeVar("_T")
_SCHEMA = 3
_CUSTOM = 32
_MOST_READ = 1_000_000
"""Parts read at most: numbers, quarters of a table, blocks of text. The tutorial's network has about two thousand."""
_DTYPES = (
    "float32", "float16", "int32", "uint8", "int64", "string", "bool", "int16", "complex64", "int8", "float64",
    "complex128", "uint64", "resource", "variant", "uint32", "uint16", "int4", "bfloat16", "int2", "uint4",
    "float8_e4m3fn", "float8_e5m2",
)  # fmt: skip


@dataclass(frozen=True)
class Tensor:
    """A constant, or a value that operators compute and exchange."""

    name: str
    """Name in the model."""
    shape: tuple[int, ...]
    """Size of each dimension."""
    dtype: str
    """Data type with its numpy name, such as float32."""
    buffer: int
    """Number of the tensor's buffer; tensors may share one. 0 is the empty buffer."""
    bytes: int
    """Size of the constant data in bytes; 0 for a computed tensor."""
    scales: int
    """Number of quantisation scales: 0 if not quantised, 1 for one per tensor, more for one per channel."""


@dataclass(frozen=True)
class Signature:
    """One entry point of a model."""

    inputs: Mapping[str, Tensor]
    """Input tensors by name."""
    outputs: Mapping[str, Tensor]
    """Output tensors by name."""


@dataclass(frozen=True)
class FlatbufferModel:
    """The structure of a model."""

    description: str
    """Text with which the converter describes itself."""
    subgraphs: int
    """Number of subgraphs."""
    tensors: tuple[Tensor, ...]
    """Tensors of all subgraphs, concatenated."""
    operators: tuple[Operator, ...]
    """Operator calls of all subgraphs, concatenated; their indices point into `tensors`."""
    signatures: Mapping[str, Signature]
    """Entry points by name."""


def read_flatbuffer(content: bytes) -> FlatbufferModel:
    """Read the structure of a model; of its weights, only the size.

    Args:
        content: a flatbuffer; any bytes after it are ignored.

    Raises:
        BundleError: not a TFLite flatbuffer, or a damaged one.
    """
    if content[4:8] != b"TFL3":
        raise BundleError("not a TFLite model", fix="give a Model.tflite that `edge-mcnn convert` wrote")
    root = _Table(_Reader(content), 0).table_at(0)
    if (version := root.number(0, "<I", 0)) != _SCHEMA:
        raise BundleError(
            f"a TFLite model of schema version {version}, this edge-mcnn reads {_SCHEMA} only", fix="update edge-mcnn"
        )
    codes = [_code(code) for code in root.tables(1)]
    sizes = [_size(buffer, len(content)) for buffer in root.tables(4)]
    tensors: list[Tensor] = []
    operators: list[Operator] = []
    graphs: list[tuple[int, int]] = []
    for graph in root.tables(2):
        first = len(tensors)
        tensors += [_tensor(tensor, sizes) for tensor in graph.tables(0)]
        graphs.append((first, len(tensors)))
        for operator in graph.tables(3):
            name, version, custom = _pick(codes, operator.number(0, "<I", 0), "an operator code")
            inputs, outputs = (
                tuple(_index(index, first, len(tensors)) for index in operator.numbers(field)) for field in (1, 2)
            )
            operators.append(Operator(name, version, custom, inputs, outputs))
    signatures = {}
    for signature in root.tables(7):
        first, end = _pick(graphs, signature.number(4, "<I", 0), "a subgraph")
        named_inputs, named_outputs = (
            {
                entry.text(0): _pick(tensors[first:end], entry.number(1, "<I", 0), "a tensor")
                for entry in signature.tables(field)
            }
            for field in (0, 1)
        )
        signatures[signature.text(2)] = Signature(named_inputs, named_outputs)
    return FlatbufferModel(root.text(3), len(graphs), tuple(tensors), tuple(operators), signatures)


class _Reader:
    """The bytes of a file, and the remaining budget of parts to read."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self._budget = _MOST_READ

    def number(self, kind: str, position: int) -> int:
        if not 0 <= position <= len(self.content) - struct.calcsize(kind):
            raise _damaged("an offset points outside of the file")
        value: int = struct.unpack_from(kind, self.content, position)[0]
        return value

    def spend(self, count: int) -> None:
        self._budget -= count
        if self._budget < 0:
            raise _damaged(f"it claims more than {_MOST_READ} parts")


@dataclass(frozen=True)
class _Table:
    """A flatbuffer table; fields are identified by their number in the schema."""

    reader: _Reader
    position: int

    def number(self, field: int, kind: str, default: int) -> int:
        position = self._field(field)
        return default if position is None else self.reader.number(kind, position)

    def table(self, field: int) -> "_Table | None":
        position = self._field(field)
        return None if position is None else self.table_at(position)

    def table_at(self, position: int) -> "_Table":
        return _Table(self.reader, position + self.reader.number("<I", position))

    def tables(self, field: int) -> list["_Table"]:
        start, count = self.vector(field, 4)
        self.reader.spend(4 * count)
        return [self.table_at(start + 4 * index) for index in range(count)]

    def numbers(self, field: int) -> tuple[int, ...]:
        start, count = self.vector(field, 4)
        self.reader.spend(count)
        return struct.unpack_from(f"<{count}i", self.reader.content, start)

    def text(self, field: int) -> str:
        start, count = self.vector(field, 1)
        self.reader.spend(1 + count // 64)
        return self.reader.content[start : start + count].decode("utf-8", "replace")

    def vector(self, field: int, size: int) -> tuple[int, int]:
        """Position and number of the elements, of `size` bytes each; all are within the file."""
        position = self._field(field)
        if position is None:
            return 0, 0
        start = position + self.reader.number("<I", position) + 4
        count = self.reader.number("<I", start - 4)
        if start + count * size > len(self.reader.content):
            raise _damaged("a vector reaches beyond its end")
        return start, count

    def _field(self, field: int) -> int | None:
        vtable = self.position - self.reader.number("<i", self.position)
        if 4 + 2 * field >= self.reader.number("<H", vtable):
            return None
        offset = self.reader.number("<H", vtable + 4 + 2 * field)
        return self.position + offset if offset else None


def _code(table: _Table) -> tuple[str, int, bool]:
    """Name and version of an operator, and whether it is custom."""
    # Old files have only the first field, newer ones both; the first cannot exceed 127.
    code = max(table.number(0, "<b", 0), table.number(3, "<i", 0))
    name = table.text(1) if code == _CUSTOM else NAMES.get(code, f"builtin operator {code}")
    return name, table.number(2, "<i", 1), code == _CUSTOM


def _size(buffer: _Table, most: int) -> int:
    """Size of a buffer's data in bytes; very large models store it after the flatbuffer."""
    size = buffer.vector(0, 1)[1]
    offset = buffer.number(1, "<Q", 0)
    if offset <= 1:
        return size
    size = buffer.number(2, "<Q", 0)
    if offset + size > most:
        raise _damaged("a buffer reaches beyond its end")
    return size


def _tensor(table: _Table, sizes: list[int]) -> Tensor:
    kind, buffer, quantisation = table.number(1, "<b", 0), table.number(2, "<I", 0), table.table(4)
    return Tensor(
        name=table.text(3),
        shape=table.numbers(0),
        dtype=_DTYPES[kind] if 0 <= kind < len(_DTYPES) else f"type {kind}",
        buffer=buffer,
        bytes=_pick(sizes, buffer, "a buffer"),
        scales=quantisation.vector(2, 4)[1] if quantisation else 0,
    )


def _index(index: int, first: int, end: int) -> int:
    if not -1 <= index < end - first:
        raise _damaged(f"it has no tensor {index}")
    return index if index == -1 else first + index


def _pick(items: list[_T], index: int, what: str) -> _T:
    if index >= len(items):
        raise _damaged(f"it refers to {what} that does not exist")
    return items[index]


def _damaged(why: str) -> BundleError:
    return BundleError(f"damaged: {why}", fix="copy it again, or convert it again with `edge-mcnn convert`")
