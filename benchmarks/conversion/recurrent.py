"""Speed of recurrent layers in the TFLite runtimes: one fused operator, a loop, or one copy per step.

    python -m benchmarks.conversion.recurrent

It prints the table of `docs/convert.md`: milliseconds per utterance of 200 words, through an embedding of 32 and 25
units, in float32, with one thread.
"""

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from device.recognition.runtimes import DISPLAY_NAMES, SignatureRunner, installed_runtimes, load_runtime

_LENGTH, _WORDS, _UNITS = 200, 2000, 25
_SIGNATURE = "serving_default"
_CALLS = 200


def main() -> None:
    """Convert and measure each layer, and print a Markdown table."""
    runtimes = installed_runtimes()
    print(f"| layer | {' | '.join(DISPLAY_NAMES[name] for name in runtimes)} | file |")
    print("|---|" + "---|" * (len(runtimes) + 1))
    for name, (kind, mask, unroll) in _LAYERS.items():
        content = _converted(kind, mask=mask, unroll=unroll)
        times = [f"{_milliseconds(content, runtime):.2f} ms" for runtime in runtimes]
        print(f"| {name} | {' | '.join(times)} | {len(content) / 1000:.0f} kB |", flush=True)


_LAYERS: Mapping[str, tuple[str, bool, bool]] = {
    "`LSTM` (fused)": ("LSTM", False, False),
    "`LSTM` after `mask_zero=True` (loop)": ("LSTM", True, False),
    "`GRU` (loop)": ("GRU", False, False),
    "`GRU` after `mask_zero=True` (loop)": ("GRU", True, False),
    "`GRU` (step by step, mode `int8`)": ("GRU", False, True),
    "`SimpleRNN` (loop)": ("SimpleRNN", False, False),
}


def _converted(kind: str, *, mask: bool, unroll: bool) -> bytes:
    import tensorflow as tf
    import tf_keras

    layers = tf_keras.layers
    ids = layers.Input((_LENGTH,), batch_size=1, dtype="int32")
    words = layers.Embedding(_WORDS, 32, mask_zero=mask)(ids)
    model = tf_keras.Model(ids, layers.Dense(3)(getattr(layers, kind)(_UNITS, unroll=unroll)(words)))

    @tf.function(input_signature=[tf.TensorSpec([1, _LENGTH], tf.int32, name="ids")])  # type: ignore[untyped-decorator]  # tensorflow ships no types
    def serve(ids: Any) -> dict[str, Any]:
        return {"output": model(ids, training=False)}

    module = tf.Module()
    module.tracked = model.weights
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, str(Path(folder)), signatures={_SIGNATURE: serve})
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[_SIGNATURE])
        content: bytes = converter.convert()
    return content


def _milliseconds(content: bytes, runtime: str) -> float:
    run = SignatureRunner(load_runtime(runtime, content), _SIGNATURE)
    ids = np.zeros((1, _LENGTH), np.int32)
    ids[0, -12:] = np.arange(1, 13)
    times = []
    for _ in range(_CALLS):
        began = time.perf_counter()
        run(ids=ids)
        times.append(time.perf_counter() - began)
    return 1000 * float(np.median(times))


if __name__ == "__main__":
    main()
