"""What an output may ask of the daemon: keys of a terminal, buttons on pins and messages of a broker become these."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

# `service install` imports this module, and numpy may be broken on the machine that it checks.
if TYPE_CHECKING:
    from device.adaptation.adapted_classifier import Learnt


class Commands(Protocol):
    """Controls a running daemon; implemented by `device.daemon.controls.Controls`.

    Every method may be called by any thread.
    """

    @property
    def muted(self) -> bool:
        """Whether the microphone is muted, or about to be: it is closed once the state is `State.MUTED`."""

    def mute(self, muted: bool | None) -> bool:
        """Mute or unmute; None changes it. Does not wait until the microphone is closed or open.

        Returns:
            Whether it is muted now.
        """

    @property
    def confidences(self) -> Mapping[str, float]:
        """Probability by class below which a prediction of the class has a low confidence; empty before `open`."""

    def set_confidence(self, label: str, confidence: float) -> None:
        """Change it for one class, from 0 to 1, until the daemon ends; an unknown class is ignored."""

    def correct(self, label: str) -> "Learnt":
        """Learn that the latest prediction should have been this class; may take a second.

        Raises:
            ProfileError: there is no such class, nothing was predicted yet, or the profile cannot be used or written.
        """
