"""Files and options as a user gives them beside a stranger's network, and how they are refused."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import tf_keras
from hypothesis import strategies as st

from device.errors import ConversionError

TEXTS = ["The dog isn't happy today, the dog!", "Well-known: the day, the caf\u00e9"]
WORDS = ("the", "dog", "isn't", "happy", "today", "well", "known", "day", "caf\u00e9")
TOKEN = "<OOV>"  # noqa: S105  # no password


def tokenizer(**settings: Any) -> Any:
    fitted = tf_keras.preprocessing.text.Tokenizer(**settings)
    fitted.fit_on_texts(TEXTS)
    return fitted


def write(folder: Path, content: str | bytes | object, name: str = "given") -> Path:
    path = folder / name
    if not isinstance(content, str | bytes):
        content = json.dumps(content)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def edited(**config: Any) -> dict[str, Any]:
    table: dict[str, Any] = json.loads(tokenizer().to_json())
    table["config"].update(config)
    return table


@contextmanager
def refused(told: str) -> Iterator[None]:
    """In one line that begins so, a regular expression."""
    with pytest.raises(ConversionError, match=f"^{told}") as error:
        yield
    assert len(str(error.value).splitlines()) == 1


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
