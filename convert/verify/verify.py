"""The bundle, run in the TFLite runtimes that are installed here, and what it answers held against Keras.

Each runtime runs in a process of its own, see `convert.verify.runner`.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convert import subprocess_job as child
from convert.subprocess_job import Progress
from convert.verify import runner as probe
from convert.verify.agreement import Agreement, check, measure
from device.errors import ConversionError
from device.recognition.runtimes import is_installed


def installed_runtimes(requires: str | None) -> list[str]:
    """Runtimes to prove a model in, by the name of their package; those first that refuse most.

    Args:
        requires: the one that must be among them; None if any will do.

    Raises:
        ConversionError: it is not installed, or none is.
    """
    found = [runtime for runtime in probe.RUNTIMES if is_installed(runtime)]
    if not found or requires not in (None, *found):
        raise ConversionError(
            f"no TFLite runtime is installed to prove the model in: pip install {requires or 'ai-edge-litert'}"
        )
    return found


def prove(
    bundle: Path,
    samples: Path,
    expected: NDArray[np.float32],
    labels: Sequence[str],
    runtimes: Sequence[str],
    *,
    tolerance: float,
    advice: str,
    progress: Progress,
) -> dict[str, Agreement]:
    """Run the bundle in each runtime; gives by runtime how far its answers are from Keras's.

    Args:
        bundle: as the device gets it.
        samples: file of the samples, as `convert.worker` takes it; the answers are left beside it.
        expected: Keras's probabilities for them, shape (samples, labels).
        labels: names of the classes.
        runtimes: by the name of their package.
        tolerance: see `convert.verify.agreement.check`.
        advice: what to do about answers that are too far off.
        progress: told what is being done.

    Raises:
        ConversionError: a runtime refuses the bundle or crashes, or answers too differently.
    """
    agreements = {}
    for runtime in runtimes:
        name = probe.RUNTIMES[runtime]
        answers = samples.with_name(f"{runtime}.npy")
        arguments = [runtime, str(bundle), str(samples), str(answers)]
        child.run(f"{name}, running the converted model,", "convert.verify.runner", arguments, progress)
        agreements[runtime] = measure(np.load(answers), expected, labels)
        check(agreements[runtime], tolerance, name, advice)
    return agreements
