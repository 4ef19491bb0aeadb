"""Lets the utterances before an utterance of the same conversation influence its probabilities.

In a conversation a class often follows the same class. The bundle carries how often each class follows each other one
in the dialogues of the training corpus; a forward filter combines that with what the network predicts.
"""

import numpy as np
from numpy.typing import NDArray

from device.bundle import Companions, Transitions
from device.errors import SettingsError

STRENGTH = 1.0
"""Exponent of the influence of earlier utterances: 0 is none, 1 is the exact filter."""


class ConversationFilter:
    """Filters the probabilities of consecutive utterances; a new stream of audio needs a new object.

    The classes of the utterances are the states of a hidden Markov model with transitions A(i, j), the probability that
    class j follows class i. The network's softmax p(j | x) for an input x, divided by the share f(j) of the class, is
    proportional to the likelihood of x in state j (Bourlard and Morgan, "Connectionist Speech Recognition", 1994). With
    the forward algorithm (Rabiner, "A Tutorial on Hidden Markov Models", Proceedings of the IEEE 77, 1989, equations 19
    and 20), normalised at each utterance t, the filtered probabilities are

        q_t(j) proportional to p(j | x_t) * (sum over i of q_(t-1)(i) A(i, j) / f(j)) ^ STRENGTH

    and q_1 = p for the first utterance of a conversation. For a class that is as probable after the previous
    utterance as it is in general, the factor is 1.

    Args:
        transitions: the table of the bundle.
        memory_s: pause after which the conversation is forgotten, seconds.
    """

    def __init__(self, transitions: Transitions, memory_s: float) -> None:
        self._ratios = np.array(transitions.following) / np.array(transitions.frequencies)
        self._memory_s = memory_s
        self._latest: NDArray[np.float64] | None = None
        self._latest_end_s = 0.0

    def filtered(self, probabilities: NDArray[np.float64], start_s: float) -> NDArray[np.float64]:
        """Filter the probabilities for an utterance, which has no influence on later ones.

        Args:
            probabilities: softmax of the network, shape (classes,), float64.
            start_s: where the utterance begins in the stream, seconds.

        Returns:
            Filtered probabilities, shape (classes,), which add up to 1.
        """
        if self._latest is None or start_s - self._latest_end_s > self._memory_s:
            return probabilities
        weighted: NDArray[np.float64] = probabilities * (self._latest @ self._ratios) ** STRENGTH
        filtered: NDArray[np.float64] = weighted / weighted.sum()
        return filtered

    def update(self, probabilities: NDArray[np.float64], start_s: float, end_s: float) -> NDArray[np.float64]:
        """Filter the probabilities for the next utterance, which has an influence on those after it.

        Args:
            probabilities: softmax of the network, shape (classes,), float64.
            start_s: where the utterance begins in the stream, seconds.
            end_s: where it ends, seconds.

        Returns:
            Filtered probabilities, shape (classes,), which add up to 1.
        """
        self._latest, self._latest_end_s = self.filtered(probabilities, start_s), end_s
        return self._latest


def conversation_filter(context_s: float, companions: Companions) -> ConversationFilter | None:
    """Return a filter for one stream of audio, or None if the settings choose none.

    Args:
        context_s: pause after which a conversation is forgotten, seconds; 0 for no filter.
        companions: companions of the model.

    Raises:
        SettingsError: the settings choose a filter, and the model has no class transitions.
    """
    if context_s == 0:
        return None
    if companions.transitions is None:
        raise SettingsError(
            f"classifier.context_s is {context_s:g}, and the model has no class transitions: its training corpus had "
            "no dialogues",
            fix="write context_s = 0 under [classifier], or train a model on a corpus with a column dialogue",
        )
    return ConversationFilter(companions.transitions, context_s)
