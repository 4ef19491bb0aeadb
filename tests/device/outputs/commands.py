"""Commands that an output may give, noted instead of carried out."""

from collections.abc import Callable

from device.adaptation.adapted_classifier import Learnt


class NotedCommands:
    """Implements `device.outputs.commands.Commands`.

    Args:
        correct: what happens with a correction.
    """

    def __init__(self, correct: Callable[[str], Learnt] | None = None) -> None:
        self.muted = False
        self.mutings: list[bool | None] = []
        """Every call of `mute`."""
        self.confidences: dict[str, float] = {}
        self._correct = correct or (lambda _label: Learnt(1, used=True))

    def mute(self, muted: bool | None) -> bool:
        self.mutings.append(muted)
        self.muted = not self.muted if muted is None else muted
        return self.muted

    def set_confidence(self, label: str, confidence: float) -> None:
        self.confidences[label] = confidence

    def correct(self, label: str) -> Learnt:
        return self._correct(label)
