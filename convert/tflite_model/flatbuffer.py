"""What a TFLite flatbuffer says of itself, read with `struct` alone: nothing runs, no runtime and no schema are needed.

Field numbers are those of TensorFlow's `schema.fbs`, version 3. A file may come from anywhere, so every offset is
checked, and a count of what was read keeps a small file from claiming to be a large one.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from convert.tflite_model.operators import NAMES
from device.errors import BundleError

_T = TypeVar("_T")
_SCHEMA = 3
_CUSTOM = 32
_MOST_READ = 1_000_000
"""Parts: numbers, quarters of a table, lines of a text. A network of ours has some two thousand."""
_DTYPES = (
    "float32", "float16", "int32", "uint8", "int64", "string", "bool", "int16", "complex64", "int8", "float64",
    "complex128", "uint64", "resource", "variant", "uint32", "uint16", "int4", "bfloat16", "int2", "uint4",
    "float8_e4m3fn", "float8_e5m2",
)  # fmt: skip


@dataclass(frozen=True)
class Tensor:
    """A constant, or what passes between operators."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    """As numpy names it, such as float32."""
    buffer: int
    """Number of its buffer; tensors may share one. 0 is the empty buffer."""
    bytes: int
    """Size of its constant data; 0 for what is computed."""
    scales: int
    """Quantisation scales: 0 none, 1 for the whole tensor, more for one per channel."""


@dataclass(frozen=True)
class Operator:
    """A call of one operator."""

    name: str
    """As the schema names it, such as FULLY_CONNECTED; a custom operator's own name."""
    version: int
    custom: bool
    """Whether it is none of TFLite's own."""
    inputs: tuple[int, ...]
    """Indices into `Model.tensors`; -1 is an optional input left out."""
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class Signature:
    """Named inputs and outputs of one entry point."""

    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]


@dataclass(frozen=True)
class Model:
    """A whole flatbuffer."""

    description: str
    subgraphs: int
    tensors: tuple[Tensor, ...]
    """Of all subgraphs, one after the other."""
    operators: tuple[Operator, ...]
    """Of all subgraphs, one after the other."""
    signatures: Mapping[str, Signature]


def read_flatbuffer(content: bytes) -> Model:
    """Read the structure of a model; its weights are only measured.

    Args:
        content: a flatbuffer; anything behind it is ignored.

    Raises:
        BundleError: not a TFLite flatbuffer, or a damaged one.
    """
    if content[4:8] != b"TFL3":
        raise BundleError("not a TFLite model")
    root = _Table(_Reader(content), 0).table_at(0)
    if (version := root.number(0, "<I", 0)) != _SCHEMA:
        raise BundleError(f"a TFLite model of schema version {version}, this edge-mcnn reads {_SCHEMA} only")
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
    return Model(root.text(3), len(graphs), tuple(tensors), tuple(operators), signatures)


class _Reader:
    """The bytes, and how much more of them may be read."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self._left = _MOST_READ

    def number(self, kind: str, position: int) -> int:
        if not 0 <= position <= len(self.content) - struct.calcsize(kind):
            raise _damaged("an offset points outside of the file")
        value: int = struct.unpack_from(kind, self.content, position)[0]
        return value

    def spend(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise _damaged(f"it claims more than {_MOST_READ} parts")


@dataclass(frozen=True)
class _Table:
    """A flatbuffer table; fields are asked for by their number in the schema."""

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
        """Where the elements of `size` bytes start, and how many there are; all within the file."""
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
    """Name, version, and whether it is custom."""
    # Old files have the first field only, newer ones both; the first ends at 127.
    code = max(table.number(0, "<b", 0), table.number(3, "<i", 0))
    name = table.text(1) if code == _CUSTOM else NAMES.get(code, f"builtin operator {code}")
    return name, table.number(2, "<i", 1), code == _CUSTOM


def _size(buffer: _Table, most: int) -> int:
    """Bytes of its data, which very large models have behind the flatbuffer."""
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
        raise _damaged(f"it asks for {what} that it has not")
    return items[index]


def _damaged(why: str) -> BundleError:
    return BundleError(f"damaged: {why}; copy it again, or convert it again with `edge-mcnn convert`")
