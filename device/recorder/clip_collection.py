"""What a recording session collects: a clip in a folder for each accepted take."""

from collections.abc import Sequence
from dataclasses import dataclass

from device.recorder.clip_folder import ClipFolder
from device.recorder.take import Take


@dataclass(frozen=True)
class RecordingPlan:
    """What the session records."""

    classes: Sequence[str]
    """Names of the classes, in the order in which they are prompted for."""
    clips: int
    """Number of clips that each class has at the end, including those that exist already."""
    speaker: str = ""
    """Name of the speaker; empty for none."""
    sentences: Sequence[str] = ()
    """Sentences to read aloud, the same ones for each class; without any, the speaker chooses the words."""
    transcribed: bool = True
    """Whether the text of a clip is Vosk's transcript; if not, it is the sentence that was read."""


class ClipCollection:
    """Saves the accepted takes of a session as clips.

    Args:
        plan: what to record.
        folder: folder in which clips are saved.
    """

    question = "Enter: save  r: record again  n: next class  q: quit"
    activity = "recording"

    def __init__(self, plan: RecordingPlan, folder: ClipFolder) -> None:
        self.classes = plan.classes
        """Names of the classes, in the order in which they are prompted for."""
        self._plan = plan
        self._folder = folder

    def is_complete(self, label: str) -> bool:
        """Whether the folder has as many clips of a class as planned."""
        return self._count(label) >= self._plan.clips

    def prompt(self, label: str) -> str:
        """Return the line that prompts for the next clip of a class."""
        number, sentence = f"({self._count(label) + 1} of {self._plan.clips})", self._sentence(label)
        return f"Read, {label} {number}: \u201c{sentence}\u201d" if sentence else f"Say something {label} {number}"

    def description(self, take: Take, label: str) -> Sequence[str]:
        """Return a line about a take: its duration, its words, and what is wrong with it."""
        return [take.description(with_words=self._plan.transcribed)]

    def accept(self, take: Take, label: str) -> str:
        """Save a take as a clip, and return its name.

        Raises:
            RecordingError: it cannot be written; the folder is unchanged.
        """
        text = take.text if self._plan.transcribed else self._sentence(label)
        return f"saved as {self._folder.add(take.samples, label, text, self._plan.speaker)}"

    def _count(self, label: str) -> int:
        return self._folder.counts()[label]

    def _sentence(self, label: str) -> str:
        sentences = self._plan.sentences
        return sentences[self._count(label) % len(sentences)] if sentences else ""
