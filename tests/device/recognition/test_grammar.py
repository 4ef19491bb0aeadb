import random
import struct
import sys
from subprocess import run

import pytest

from device.recognition.grammar import ordered

Symbols = list[tuple[str, int]]


def table(symbols: Symbols, count: int | None = None) -> bytes:
    def text(value: str) -> bytes:
        return struct.pack("<i", len(value.encode())) + value.encode()

    size = len(symbols) if count is None else count
    header = struct.pack("<i", 2125658996) + text("words.txt") + struct.pack("<qq", size, size)
    return header + b"".join(text(word) + struct.pack("<q", number) for word, number in symbols)


def test_symbols_are_ordered_by_their_numbers() -> None:
    symbols = [("<eps>", 0), ("you", 3), ("I", 1), ("am", 2), ("été", 4)]
    assert ordered(table(symbols)) == table(sorted(symbols, key=lambda each: each[1]))


def test_symbols_of_the_same_number_stay_in_their_order() -> None:
    assert ordered(table([("</s>", 7), ("b", 1), ("<s>", 7)])) == table([("b", 1), ("</s>", 7), ("<s>", 7)])


@pytest.mark.parametrize("seed", range(5))
def test_any_symbols(seed: int) -> None:
    source = random.Random(seed)
    # Numbers with zeros in each of their bytes, and texts of one to 255 bytes with any byte but 0.
    numbers = [0, 1, 255, 256, 257, 65_535, 65_536, 65_537, 1 << 23, (1 << 24) - 1]
    numbers += [source.randrange(1 << 24) for _ in range(200)]
    letters = [chr(code) for code in range(1, 127)]
    symbols = [("".join(source.choices(letters, k=source.choice([1, 2, 9, 255]))), number) for number in numbers]
    source.shuffle(symbols)
    assert ordered(table(symbols)) == table(sorted(symbols, key=lambda each: each[1]))


@pytest.mark.parametrize(
    "found",
    [
        table([]),
        table([("a", 1 << 24), ("b", 0)]),
        table([("a", -1), ("b", 0)]),
        table([("a" * 256, 1), ("b", 0)]),
        table([("b", 1), ("", 0)]),
        table([("a", 1), ("b", 0)], count=3),
        table([("a", 1), ("b", 0)])[:-1],
        table([("a", 1), ("b", 0)])[:20],
    ],
    ids=lambda found: f"{len(found)} bytes",
)
def test_another_table_is_not_ordered(found: bytes) -> None:
    try:
        assert ordered(found) is None
    except struct.error:
        assert len(found) == 20, "not even its beginning is complete"


def test_numpy_is_not_imported_before_memory_was_checked() -> None:
    code = "import sys, device.recognition.vosk_loading; sys.exit('numpy' in sys.modules)"
    assert run([sys.executable, "-c", code], check=False).returncode == 0
