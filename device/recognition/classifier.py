"""From picture and ids to a probability per class: the bundle's network in a TFLite interpreter."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from device.bundle import Bundle
from device.errors import BundleError, InterpreterError, SettingsError
from device.recognition.runtimes import RUNTIMES, load_interpreter, required_runtime, runtime_of
from device.settings.schema import ClassifierSettings

SIGNATURE = "serving_default"
"""The entry point of the network that is called."""
IMAGES, FEATURES, PROBABILITIES = "images", "features", "probabilities"
"""Names in the signature. Inputs are bound by name: a TFLite file lists them in an order of its own."""


class Classifier:
    """Answers with the bundle's network.

    Args:
        bundle: what `device.bundle.read_bundle` gave.
        runtime: which interpreter, see `device.recognition.runtimes`.
        threads: of the interpreter.

    Raises:
        InterpreterError: no interpreter is installed, not the one that the bundle requires, or it refuses the model.
        BundleError: the network does not fit its companions, or requires what this version does not know.
    """

    def __init__(self, bundle: Bundle, *, runtime: str = "auto", threads: int = 1) -> None:
        self.labels = bundle.companions.labels
        front_end = bundle.companions.front_end
        runtime = _allowed_runtime(bundle, runtime)
        self._interpreter = load_interpreter(bundle.model, runtime=runtime, threads=threads)
        self.runtime = runtime_of(self._interpreter)
        try:
            self._run = self._interpreter.get_signature_runner(SIGNATURE)
        except (ValueError, RuntimeError):
            raise BundleError(
                f"{bundle.path}: has no signature {SIGNATURE!r}; convert it again with `edge-mcnn convert`"
            ) from None
        inputs, outputs = self._run.get_input_details(), self._run.get_output_details()
        found = {name: (tuple(int(n) for n in tensor["shape"]), tensor["dtype"]) for name, tensor in inputs.items()}
        found |= {name: (tuple(int(n) for n in tensor["shape"]), tensor["dtype"]) for name, tensor in outputs.items()}
        expected = {
            IMAGES: ((1, front_end.image_height, front_end.image_width, 3), np.float32),
            FEATURES: ((1, front_end.sequence_length), np.int32),
            PROBABILITIES: ((1, len(self.labels)), np.float32),
        }
        for name, tensor in expected.items():
            if found.get(name) != tensor:
                shape, dtype = tensor
                raise BundleError(
                    f"{bundle.path}: its companions ask for a tensor {name} of shape {shape} and type "
                    f"{np.dtype(dtype)}, the network has {_describe(found.get(name))}; "
                    "convert it again with `edge-mcnn convert`"
                )

    def probabilities(self, picture: NDArray[np.float32], ids: NDArray[np.int32]) -> dict[str, float]:
        """Probability of each class, in the order of the labels.

        Args:
            picture: shape (height, width, 3), float32, 0 to 1.
            ids: shape (sequence_length,), int32.
        """
        # A fused LSTM keeps its state from one call to the next: without this the last utterance colours this one.
        self._interpreter.reset_all_variables()
        softmax = self._run(**{IMAGES: picture[None], FEATURES: ids[None]})[PROBABILITIES][0]
        return {label: float(value) for label, value in zip(self.labels, softmax, strict=True)}


def _allowed_runtime(bundle: Bundle, runtime: str) -> str:
    """The runtime that the card requires, where it requires one, else `runtime`; before anything is loaded."""
    requires = bundle.companions.card.get("requires")
    if requires is not None and (not isinstance(requires, str) or requires not in RUNTIMES):
        raise BundleError(f"{bundle.path}: requires {requires!r}, which this edge-mcnn does not know; update edge-mcnn")
    try:
        return required_runtime(requires, runtime)
    except InterpreterError as error:
        raise InterpreterError(f"{bundle.path}: {error}") from None


def _describe(tensor: tuple[tuple[int, ...], type] | None) -> str:
    return "none" if tensor is None else f"shape {tensor[0]} and type {np.dtype(tensor[1])}"


NEUTRAL = "neutral"


def low_confidence_label(settings: ClassifierSettings, labels: Sequence[str]) -> str | None:
    """The class that is shown of an unsure answer; None for none.

    Args:
        settings: whether there are unsure answers, and what is shown of them.
        labels: classes of the model.

    Raises:
        SettingsError: it is to be a class that the model does not have.
    """
    if settings.confidence == 0 or settings.low_confidence == "dark":
        return None
    if NEUTRAL not in labels:
        raise SettingsError(
            f'classifier.low_confidence is "neutral", and the model has no such class (it has {", ".join(labels)}); '
            'write low_confidence = "dark" under [classifier]'
        )
    return NEUTRAL
