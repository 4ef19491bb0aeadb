"""The figures that the default model is held against, each with the least that it must reach and what it aims at.

It counts answers; it neither trains nor asks a network.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.default_model.comparison import Difference
from training.default_model.fusion import Evidence, across, scores, softmax
from training.evaluation.bootstrap import Groups, interval, resample
from training.evaluation.evaluator import Evaluation
from training.evaluation.modalities import AUDIO_AND_TEXT

_WEIGHTED, _MACRO, _CALIBRATION = "weighted_f1", "macro_f1", "calibration_error"


@dataclass(frozen=True)
class Figure:
    """One measured number."""

    name: str
    """What was measured, and on what."""
    value: float
    must: float | None
    """What it has to reach; None where nothing was asked."""
    aim: float | None
    """What is hoped for."""
    low: float | None = None
    """Lower end of the 95 % interval, where one can be told."""
    high: float | None = None
    """Upper end."""
    at_most: bool = False
    """Whether small is good."""

    @property
    def reached(self) -> str:
        """`aim`, `must`, `no`, or empty where nothing was asked."""
        if self.must is None or self.aim is None:
            return ""
        sign = -1 if self.at_most else 1
        return (
            "aim" if sign * self.value >= sign * self.aim else "must" if sign * self.value >= sign * self.must else "no"
        )

    @property
    def written(self) -> str:
        """The value, with its interval if there is one."""
        span = "" if self.low is None or self.high is None else f" ({self.low:.3f}\u2013{self.high:.3f})"
        return f"{self.value:.3f}{span}"


def of_branches(
    words: Evidence, with_errors: Sequence[Evidence], sound: Evidence, altered: Evidence, seed: int
) -> list[Figure]:
    """Figures of each branch alone, intervals by a bootstrap over dialogues and over actors.

    Temperatures and trust are fitted on half of the dialogues and actors and measured on the other half.

    Args:
        words: of texts that were held out, not yet balanced.
        with_errors: the same rows with word errors, one for each draw.
        sound: of recordings whose actor was held out, not yet balanced.
        altered: the same recordings altered.
        seed: of the bootstrap and of the pairs.
    """
    balanced_words, balanced_sound = across(words, sound, seed)
    errors = [_figure("", each, _WEIGHTED, seed, None, None) for each in with_errors]
    return [
        _figure("words alone, MELD dev, weighted F1", words, _WEIGHTED, seed, 0.555, 0.59),
        Figure(
            f"the same with 20 % simulated word errors, mean of {len(errors)} draws",
            float(np.mean([each.value for each in errors])),
            0.53,
            0.55,
            float(np.mean([each.low for each in errors if each.low is not None])),
            float(np.mean([each.high for each in errors if each.high is not None])),
        ),
        _figure("sound alone, RAVDESS, five folds by actor, macro F1", sound, _MACRO, seed, 0.58, 0.67),
        _figure("the same, voice, room, microphone and noise altered", altered, _MACRO, seed, None, None),
        _figure("calibration error, words alone", balanced_words, _CALIBRATION, seed, 0.08, 0.04),
        _figure("calibration error, sound alone", balanced_sound, _CALIBRATION, seed, 0.08, 0.04),
    ]


def _figure(name: str, evidence: Evidence, figure: str, seed: int, must: float | None, aim: float | None) -> Figure:
    groups = Groups("group", evidence.groups)
    samples = resample(evidence.labels, softmax(evidence.logits), groups, seed=seed)
    low, high = (None, None) if samples is None else interval(getattr(samples, figure))
    return Figure(
        name,
        float(getattr(scores(evidence), figure)),
        must,
        aim,
        None if low is None else float(low),
        None if high is None else float(high),
        at_most=figure == _CALIBRATION,
    )


def of_answers(evaluation: Evaluation) -> list[Figure]:
    """Figures of the joint answers, and of whom they follow, by a model asked rows that it never learnt from."""
    both = evaluation.results[AUDIO_AND_TEXT]
    low, high = (None, None) if both.resampled is None else interval(getattr(both.resampled, _CALIBRATION))
    found = [
        Figure(
            "calibration error, both, of the same class",
            float(both.scores.calibration_error),
            0.08,
            0.04,
            None if low is None else float(low),
            None if high is None else float(high),
            at_most=True,
        )
    ]
    if evaluation.conflict is not None:
        shares = evaluation.conflict.shares
        found += [
            Figure(f"where the two contradict each other, it follows the {side}", shares[side], 0.6, 0.5, at_most=True)
            for side in ("text", "audio")
        ]
    return found


def of_difference(change: Difference) -> list[Figure]:
    """Figures of what conversion to 8 bits costs."""
    return [
        Figure(f"change of F1 by 8 bits, {way}", value, 0.005, 0.002, at_most=True)
        for way, value in change.figures.items()
    ]
