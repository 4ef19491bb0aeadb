"""Commands that arrive from the network, where everyone who may publish at the broker can send them.

Nothing but mute, the confidence of a class, and a correction can be commanded. Everything else is ignored, and each
kind of it is reported once: a broker may send messages without end.
"""

import re
import time
from collections.abc import Callable, Sequence

from device.errors import ProfileError
from device.outputs.commands import Commands
from device.outputs.corrections import CorrectionRequests, outcome
from device.outputs.mqtt.topics import Topics, class_slugs
from device.system.display import displayable, shortened

_LONGEST = 1000
"""Bytes of a payload; a longer one is no command."""
_PER_S = 5.0
"""Number of commands per second that are accepted in the long run."""
_AT_ONCE = 10.0
"""Number of commands that are accepted at once after a pause: automations send a few together."""
_MUTE = {"ON": True, "OFF": False}
_PERCENT = re.compile(
    r"[0-9]{1,3}(\.[0-9]{1,9})?"
)  # unlike `float`, without nan, exponents and digits of other scripts


class CommandReceiver:
    """Does what messages command.

    Args:
        topics: topics of the device.
        labels: classes of the model.
        commands: what is done.
        announce: prints a line about a message that is no command, and about what was learnt; called from any thread.
        changed: called after a command that may have changed a published state.
        corrections: whether corrections are accepted.
        clock: monotonic time, seconds.
    """

    def __init__(
        self,
        topics: Topics,
        labels: Sequence[str],
        commands: Commands,
        announce: Callable[[str], None],
        changed: Callable[[], None],
        *,
        corrections: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._labels = labels
        self._commands = commands
        self._announce = announce
        self._changed = changed
        self._clock = clock
        self._credit, self._credited_at = _AT_ONCE, clock()
        self._reported: set[str] = set()
        self._by_topic: dict[str, Callable[[str, str], None]] = {topics.set_mute: self._mute}
        self._classes = {topics.set_confidence(slug): label for label, slug in class_slugs(labels).items()}
        self._by_topic.update(dict.fromkeys(self._classes, self._set_confidence))
        if corrections:
            self._by_topic[topics.correct] = self._correct
        self._corrections = CorrectionRequests(
            "corrections",
            commands.correct,
            lambda label, learnt: announce(f"mqtt: {outcome(label, learnt)}"),
            self._on_not_learnt,
        )

    @property
    def topics(self) -> Sequence[str]:
        """Topics of the commands that are accepted."""
        return list(self._by_topic)

    def receive(self, topic: str, payload: bytes, *, retained: bool) -> None:
        """Do what a message commands; raises nothing, whatever is in it.

        Args:
            topic: its topic.
            payload: its content.
            retained: whether the broker had stored it before the subscription.
        """
        command = self._by_topic.get(topic)
        if command is None or not payload:  # an empty one deletes a message that the broker has stored
            return
        shown = displayable(topic)
        if retained:  # it may be months old; a correction would be about another prediction
            line = f"the broker has stored a command with the topic {shown}; it is ignored, publish it without retain"
            self._report("retained", line)
        elif not self._has_credit():
            line = f"more than {_PER_S:g} commands a second arrive, such as with the topic {shown}; the rest is ignored"
            self._report("too many", f"{line}; find out who publishes them")
        elif len(payload) > _LONGEST:
            self._report("too long", f"{shown} received {len(payload)} bytes, and a command has at most {_LONGEST}")
        else:
            command(topic, payload.decode(errors="replace").strip())

    def _has_credit(self) -> bool:
        now = self._clock()
        self._credit = min(self._credit + (now - self._credited_at) * _PER_S, _AT_ONCE)
        self._credited_at = now
        if self._credit < 1:
            return False
        self._credit -= 1
        return True

    def _mute(self, topic: str, text: str) -> None:
        if text in _MUTE:
            self._commands.mute(_MUTE[text])
            self._changed()
        else:
            self._refuse("mute", topic, text, "neither ON nor OFF", "publish one of them")

    def _set_confidence(self, topic: str, text: str) -> None:
        if _PERCENT.fullmatch(text) and float(text) <= 100:
            self._commands.set_confidence(self._classes[topic], float(text) / 100)
            self._changed()
        else:
            self._refuse("confidence", topic, text, "not a number from 0 to 100", "publish a percentage, such as 60")

    def _correct(self, topic: str, text: str) -> None:
        if text in self._labels:
            self._corrections.put(text)
        else:
            classes = ", ".join(map(displayable, self._labels))
            self._refuse("correction", topic, text, "not a class of the model", f"publish one of {classes}")

    def _refuse(self, kind: str, topic: str, text: str, problem: str, fix: str) -> None:
        where = displayable(topic)
        self._report(kind, f"{where} received {shortened(text)}, which is {problem}; {fix}; this is reported once")

    def _on_not_learnt(self, error: ProfileError) -> None:
        """Called by the thread of the corrections."""
        self._report(str(error), str(error))

    def _report(self, kind: str, line: str) -> None:
        if kind not in self._reported:
            self._reported.add(kind)
            self._announce(f"mqtt: {line}")
