"""The class sets of the bundles that ship: which classes, and which annotation of each corpus they are.

A corpus that does not have a set's classes takes no part in the stages that need labels.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from training.data.meld import Target


@dataclass(frozen=True)
class ClassSet:
    """Classes of one bundle, and how the annotations of the corpora map to them."""

    name: str
    """Name of the bundle: `device/models/NAME.tflite`."""
    labels: tuple[str, ...]
    """Names of the classes, in the order of the network's outputs."""
    meld_target: Target
    """Which annotation of MELD is the class."""
    of_comment: Mapping[str, str]
    """Class by group of GoEmotions; empty if a group does not determine the class."""
    of_acted_emotion: Mapping[str, str]
    """Class by emotion in the tables of the acted corpora; recordings of other emotions are left out."""


SENTIMENT = ClassSet(
    name="sentiment",
    labels=("negative", "neutral", "positive"),
    meld_target="sentiment",
    of_comment={"negative": "negative", "neutral": "neutral", "positive": "positive"},
    of_acted_emotion={
        "neutral": "neutral",
        "calm": "neutral",
        "happy": "positive",
        "sad": "negative",
        "angry": "negative",
        "fearful": "negative",
        "disgust": "negative",
    },
)
"""Three classes; surprise is left out of the audio, because it can be good or bad."""
EMOTIONS = ClassSet(
    name="emotions",
    labels=("neutral", "joy", "sadness", "anger", "surprise", "fear", "disgust"),
    meld_target="emotion",
    of_comment={},
    of_acted_emotion={
        "neutral": "neutral",
        "calm": "neutral",
        "happy": "joy",
        "sad": "sadness",
        "angry": "anger",
        "surprised": "surprise",
        "fearful": "fear",
        "disgust": "disgust",
    },
)
"""MELD's seven emotions. The groups of GoEmotions do not determine them: positive is joy, admiration or relief."""
CLASS_SETS = (SENTIMENT, EMOTIONS)
"""Class sets of all bundles that ship; the first is that of the default model."""
