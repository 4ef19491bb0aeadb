"""From spectrogram image and word ids to a probability per class: the bundle's network in a TFLite interpreter.

Also decides which class is shown for a prediction that is less probable than the settings require.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np
from numpy.typing import NDArray

from device.bundle import Bundle
from device.errors import BundleError, InterpreterError, SettingsError
from device.recognition.runtimes import RUNTIMES, SignatureRunner, load_interpreter, required_runtime, runtime_of
from device.system.display import displayable

SIGNATURE = "serving_default"
"""The signature of the network that is run."""
IMAGES, FEATURES, PROBABILITIES, EMBEDDING = "images", "features", "probabilities", "embedding"
"""Names in the signature. Inputs are bound by name, because a TFLite file lists them in an arbitrary order."""
NEUTRAL = "neutral"
"""The class that may be shown for a low-confidence prediction."""
CONVERT_AGAIN = "convert it again with `edge-mcnn convert`"
_NO_EMBEDDING = np.zeros(0, np.float32)


@dataclass(frozen=True, eq=False)
class NetworkOutput:
    """What the network computes for an utterance."""

    probabilities: dict[str, float]
    """Softmax per class, in the order of the labels."""
    embedding: NDArray[np.float32]
    """What the last layer works on, or a layer that the bundle names, shape (n,); empty for a bundle of an earlier
    version, which does not deliver it."""


class Classifier:
    """Runs the network of a bundle.

    Args:
        bundle: as read by `device.bundle.read_bundle`.
        runtime: the interpreter to use, a key of `device.recognition.runtimes.RUNTIMES`, or `auto`.
        threads: number of threads of the interpreter.

    Raises:
        InterpreterError: no interpreter is installed, not the one that the bundle requires, or it refuses the model.
        BundleError: the network does not match its companions, or requires what this version does not support.
    """

    def __init__(self, bundle: Bundle, *, runtime: str = "auto", threads: int = 1) -> None:
        self.labels = bundle.companions.labels
        """Class names in the order of the softmax."""
        front_end = bundle.companions.front_end
        interpreter = load_interpreter(bundle.model, runtime=_allowed_runtime(bundle, runtime), threads=threads)
        self.runtime = runtime_of(interpreter)
        """The runtime in use, a key of `device.recognition.runtimes.RUNTIMES`."""
        try:
            self._run = SignatureRunner(interpreter, SIGNATURE)
        except InterpreterError:
            raise BundleError(f"{bundle.path}: has no signature {SIGNATURE!r}", fix=CONVERT_AGAIN) from None
        found = self._run.tensors
        expected = {
            IMAGES: ((1, front_end.image_height, front_end.image_width, 3), np.float32),
            FEATURES: ((1, front_end.sequence_length), np.int32),
            PROBABILITIES: ((1, len(self.labels)), np.float32),
        }
        self.embedding_size = 0 if EMBEDDING not in found else int(np.prod(found[EMBEDDING][0]))
        """Number of elements of the embedding; 0 for a bundle of an earlier version, which does not have it."""
        for name, tensor in expected.items():
            if found.get(name) != tensor:
                raise BundleError(
                    f"{bundle.path}: its companions require a tensor {name} of {_describe(tensor)}, "
                    f"the network has {_describe(found.get(name))}",
                    fix=CONVERT_AGAIN,
                )

    def run(self, image: NDArray[np.float32], ids: NDArray[np.int32]) -> NetworkOutput:
        """Run the network.

        Args:
            image: spectrogram image, shape (height, width, 3), float32, 0 to 1.
            ids: word ids, shape (sequence_length,), int32.
        """
        outputs = self._run(**{IMAGES: image[None], FEATURES: ids[None]})
        probabilities = zip(self.labels, outputs[PROBABILITIES][0].tolist(), strict=True)
        return NetworkOutput(dict(probabilities), outputs.get(EMBEDDING, _NO_EMBEDDING).ravel())

    def probabilities(self, image: NDArray[np.float32], ids: NDArray[np.int32]) -> dict[str, float]:
        """Compute the probability of each class, in the order of the labels; arguments as for `run`."""
        return self.run(image, ids).probabilities


def required_confidences(confidence: float | Mapping[str, float], labels: Sequence[str]) -> dict[str, float]:
    """Return for each class the probability below which a prediction of it has a low confidence.

    Args:
        confidence: probability for all classes, or probabilities by class, as in the settings; a class that is missing
            has 0.
        labels: classes of the model.

    Raises:
        SettingsError: a class in `confidence` is not one of the model's.
    """
    if not isinstance(confidence, Mapping):
        return dict.fromkeys(labels, confidence)
    for label in confidence:
        if label not in labels:
            lower = {each.lower(): each for each in labels}
            near = get_close_matches(label.lower(), lower, n=1)
            raise SettingsError(
                f"classifier.confidence has {displayable(label)}, and the model has no such class (it has "
                f"{', '.join(map(displayable, labels))})",
                fix=f"did you mean {displayable(lower[near[0]])}?"
                if near
                else "rename or remove the class in confidence under [classifier]",
            )
    return {label: confidence.get(label, 0.0) for label in labels}


def low_confidence_label(required: Mapping[str, float], low_confidence: str) -> str | None:
    """Choose the class that is shown for a low-confidence prediction; None for no light.

    Args:
        required: result of `required_confidences`.
        low_confidence: `dark` or `neutral`, as in the settings.

    Raises:
        SettingsError: the class that should be shown is not one of the model's.
    """
    if not any(required.values()) or low_confidence == "dark":
        return None
    if NEUTRAL not in required:
        raise SettingsError(
            'classifier.low_confidence is "neutral", and the model has no such class (it has '
            f"{', '.join(map(displayable, required))})",
            fix='write low_confidence = "dark" under [classifier]',
        )
    return NEUTRAL


def _allowed_runtime(bundle: Bundle, runtime: str) -> str:
    """Return the runtime that the card requires, where it requires one, else `runtime`; before anything is loaded."""
    requires = bundle.companions.card.get("requires")
    if requires is not None and (not isinstance(requires, str) or requires not in RUNTIMES):
        raise BundleError(
            f"{bundle.path}: requires {requires!r}, which this edge-mcnn does not support", fix="update edge-mcnn"
        )
    try:
        return required_runtime(requires, runtime)
    except InterpreterError as error:
        raise InterpreterError(f"{bundle.path}: {error.message}", fix=error.fix) from None


def _describe(tensor: tuple[tuple[int, ...], type[np.generic]] | None) -> str:
    return "none" if tensor is None else f"shape {tensor[0]} and type {np.dtype(tensor[1])}"
