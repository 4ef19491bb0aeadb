"""Files and options that users supply with a third-party network, and a check of how they are refused."""

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
TOKEN = "<OOV>"  # noqa: S105  # not a password


def tokenizer(**settings: Any) -> Any:
    fitted = tf_keras.preprocessing.text.Tokenizer(**settings)
    fitted.fit_on_texts(TEXTS)
    return fitted


def write(folder: Path, content: str | bytes | object, name: str = "supplied") -> Path:
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
def refused(start: str) -> Iterator[None]:
    """Check for a `ConversionError` of one line that begins with a regular expression."""
    with pytest.raises(ConversionError, match=f"^{start}") as error:
        yield
    assert len(str(error.value).splitlines()) == 1


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
