"""Measures what `edge-mcnn convert` costs against a plain run of TensorFlow's converter, and how it grows.

    python -m benchmarks.conversion.cost [ROUNDS]

Both convert the tutorial's network, with random weights, to 8 bits, in turns, each in a process of its own. The plain
run is the one of TensorFlow's documentation, dynamic range quantisation, and neither prepares the weights nor verifies
anything. The growth is measured with networks whose convolutions have fewer channels. Prints one JSON object.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

OURS, PLAIN = "edge-mcnn convert", "TFLiteConverter"
_PLAIN_OPTION = "--plain"
_ROUNDS = 3
_SHARES = (0.25, 0.5, 0.71, 1.0)
"""Channels of the networks for the growth; the number of weights grows with the square."""
_SAMPLE_EVERY_S = 0.1


@dataclass(frozen=True)
class Cost:
    """The cost of a process and of all that it starts."""

    wall_s: float
    """Seconds from its start to its end."""
    cpu_s: float
    """CPU seconds of all processes, user and system."""
    largest_mb: float
    """Peak memory of the largest of the processes, 10^6 bytes."""
    together_mb: float
    """Peak of the memory of all processes at the same time, 10^6 bytes; what they share is counted for each."""


def cost(command: list[str]) -> Cost:
    """Run a command and measure it.

    Raises:
        RuntimeError: it failed.
    """
    started = time.perf_counter()
    ended = threading.Event()
    peak = 0.0

    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)

        def sample() -> None:
            nonlocal peak
            while not ended.wait(_SAMPLE_EVERY_S):
                peak = max(peak, _tree_mb(process.pid))

        sampler = threading.Thread(target=sample)
        sampler.start()
        try:
            # Not `wait`, which discards what the process and its children used.
            _, status, used = os.wait4(process.pid, 0)
        finally:
            ended.set()
            sampler.join()
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            errors.seek(0)
            raise RuntimeError(f"{' '.join(command)}: {errors.read().decode(errors='replace')[-500:]}")
    largest = used.ru_maxrss * 1024 / 1e6
    return Cost(time.perf_counter() - started, used.ru_utime + used.ru_stime, largest, max(peak, largest))


def write_network(path: Path, share: float) -> None:
    """Write the tutorial's network with a share of the channels of its convolutions, and random weights."""
    import tf_keras

    from benchmarks.tutorial import tutorial_companions
    from training.fit.h5_writer import write_model
    from training.networks.network import build_network

    companions = tutorial_companions()
    network = build_network(
        "tutorial",
        labels=len(companions.labels),
        vocabulary=len(companions.vocabulary),
        front_end=companions.front_end,
        vgg19_weights=None,
    )
    configuration = network.full.get_config()
    for layer in configuration["layers"]:
        if layer["class_name"] == "Conv2D":
            layer["config"]["filters"] = round(layer["config"]["filters"] * share)
    write_model(tf_keras.Model.from_config(configuration), companions, path)


def convert_plainly(source: Path, target: Path) -> None:
    """Convert as TensorFlow's documentation does, with the operators of TensorFlow that the tutorial's LSTM needs."""
    import tensorflow as tf
    import tf_keras

    converter = tf.lite.TFLiteConverter.from_keras_model(tf_keras.models.load_model(source, compile=False))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
    converter._experimental_lower_tensor_list_ops = False
    target.write_bytes(converter.convert())


def measure(rounds: int, folder: Path) -> dict[str, object]:
    """Measure both in turns, then the growth.

    Args:
        rounds: number of turns.
        folder: an empty folder, for about 200 MB.

    Returns:
        For each of the two its costs, and under `growth` the cost by the size of the Keras model in kB.
    """
    models = [folder / f"{share}.h5" for share in _SHARES]
    for model, share in zip(models, _SHARES, strict=True):
        subprocess.run(
            [sys.executable, "-m", "benchmarks.conversion.cost", "--write", str(model), str(share)], check=True
        )
    target = folder / "Model.tflite"
    commands = {
        PLAIN: ["-m", "benchmarks.conversion.cost", _PLAIN_OPTION, str(models[-1]), str(target)],
        OURS: ["-m", "edge_mcnn", "convert", str(models[-1]), "--output", str(target)],
    }
    found: dict[str, list[dict[str, float]]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            found[name].append(asdict(cost([sys.executable, *command])))
    growth = {}
    for model in models:
        command = [sys.executable, "-m", "edge_mcnn", "convert", str(model), "--output", str(target)]
        growth[model.stat().st_size // 1000] = asdict(cost(command))
    return {**found, "growth": growth}


def _tree_mb(root: int) -> float:
    """Memory of a process and of those that it started and that still run, 10^6 bytes."""
    parents: dict[int, int] = {}
    resident: dict[int, float] = {}
    for status in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):  # the process has ended
            rows = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
            if "VmRSS" in rows:
                process = int(status.parent.name)
                parents[process], resident[process] = int(rows["PPid"]), int(rows["VmRSS"].split()[0]) * 1024 / 1e6
    tree = [root]
    for process in tree:
        tree += [child for child, parent in parents.items() if parent == process]
    return sum(resident.get(process, 0.0) for process in tree)


def _main(arguments: list[str]) -> None:
    if arguments[:1] == [_PLAIN_OPTION]:
        convert_plainly(Path(arguments[1]), Path(arguments[2]))
    elif arguments[:1] == ["--write"]:
        write_network(Path(arguments[1]), float(arguments[2]))
    else:
        with tempfile.TemporaryDirectory() as name:
            print(json.dumps(measure(int(arguments[0]) if arguments else _ROUNDS, Path(name))))


if __name__ == "__main__":
    _main(sys.argv[1:])
