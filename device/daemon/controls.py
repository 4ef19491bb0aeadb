"""What can be changed while the daemon runs, from everywhere: whether it is muted, its thresholds, and corrections."""

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from pathlib import Path

from device.adaptation.adapted_classifier import AdaptedClassifier, Learnt
from device.audio.liveness import Muting
from device.daemon.corrections import Corrections
from device.outputs.commands import Diagnostics
from device.settings.schema import MuteSettings
from device.system.atomic_write import write_text
from device.system.display import displayable

_LOG = logging.getLogger(__name__)
_NAME = "muted"
_IN_HOME = Path(".local/state/edge-mcnn")
_ON, _OFF = "on", "off"
_BY_USER = Muting("the microphone is closed", "to open it: edge-mcnn mute off")


def mute_file(environment: Mapping[str, str] = os.environ) -> Path | None:
    """File in which a daemon with this environment remembers whether it is muted; None if it has no place for it."""
    if folder := environment.get("STATE_DIRECTORY"):  # set by systemd
        return Path(folder.partition(":")[0]) / _NAME
    state = Path(environment.get("XDG_STATE_HOME", ""))
    if state.is_absolute():  # by the specification, a relative path has no effect
        return state / "edge-mcnn" / _NAME
    with contextlib.suppress(RuntimeError):  # this user has no home folder
        return Path.home() / _IN_HOME / _NAME
    return None


class Controls:
    """The state that commands change; see `device.outputs.commands.Commands`.

    Args:
        settings: whether the daemon is muted at its start.
        file: remembers whether it is muted; None to forget it. Used with `start = "last"` alone.
    """

    def __init__(self, settings: MuteSettings | None = None, file: Path | None = None) -> None:
        start = (settings or MuteSettings()).start
        self.corrections = Corrections()
        """The latest prediction, which can be corrected."""
        self._file = file if start == "last" else None
        self._muted = start == _ON or (self._file is not None and _was_muted(self._file))
        self._holders: list[int] = []
        self._confidences: MutableMapping[str, float] = {}
        self._lock = threading.Lock()
        self._on_mute: Callable[[Muting | None], None] = lambda _muting: None
        self._diagnostics: Callable[[], Diagnostics | None] = lambda: None

    def attach(
        self, on_mute: Callable[[Muting | None], None], diagnostics: Callable[[], Diagnostics | None] = lambda: None
    ) -> None:
        """The daemon runs.

        Args:
            on_mute: called whenever the microphone must be closed or may be opened, and now if it must be closed.
            diagnostics: returns how the daemon is.
        """
        self._diagnostics = diagnostics
        with self._lock:
            self._on_mute = on_mute
            if self.muting is not None:
                on_mute(self.muting)

    def loaded(self, classifier: AdaptedClassifier, confidences: MutableMapping[str, float]) -> None:
        """The models are loaded: correct this classifier, and change these thresholds."""
        self.corrections.loaded(classifier)
        self._confidences = confidences

    @property
    def muted(self) -> bool:
        """See `Commands.muted`."""
        return self._muted

    def mute(self, muted: bool | None) -> bool:
        """Mute or unmute; see `Commands.mute`."""
        with self._lock:
            wanted = not self._muted if muted is None else muted
            if wanted != self._muted:
                self._muted = wanted
                self._on_mute(self.muting)
                self._remember()
            return wanted

    @property
    def muting(self) -> Muting | None:
        """Why the microphone is closed, or about to be: it is muted, or another process uses it; None if neither."""
        if self._muted:
            return _BY_USER
        if not (holders := tuple(self._holders)):
            return None
        who = f"process {holders[-1]}" if holders[-1] else "another program"  # 0 is one in another namespace
        return Muting(f"{who} uses the microphone meanwhile")

    @contextlib.contextmanager
    def hold(self, process: int) -> Iterator[None]:
        """While the context lasts, the microphone is closed, because this process uses it.

        Whether the device is muted is a state of its own: it can be changed meanwhile, and is the same afterwards.
        """
        with self._lock:
            self._holders.append(process)
            self._on_mute(self.muting)
        try:
            yield
        finally:
            with self._lock:
                self._holders.remove(process)
                self._on_mute(self.muting)

    @property
    def confidences(self) -> Mapping[str, float]:
        """See `Commands.confidences`."""
        return self._confidences

    def set_confidence(self, label: str, confidence: float) -> None:
        """Change a threshold; see `Commands.set_confidence`."""
        if label in self._confidences:
            self._confidences[label] = min(max(confidence, 0.0), 1.0)

    def correct(self, label: str) -> Learnt:
        """Learn the class of the latest prediction; see `Commands.correct`."""
        return self.corrections.correct(label)

    def diagnostics(self) -> Diagnostics | None:
        """How the daemon is; see `Commands.diagnostics`."""
        return self._diagnostics()

    def _remember(self) -> None:
        if self._file is None:
            return
        try:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_text(self._file, f"{_ON if self._muted else _OFF}\n")
        except (OSError, ValueError) as error:
            _LOG.warning(
                "%s: cannot be written (%s), so whether the microphone is muted is forgotten at the next start",
                displayable(self._file),
                error,
            )


def _was_muted(file: Path) -> bool:
    """Whether the daemon was muted when it ended: if the file cannot be read, it may have been."""
    try:
        return file.read_bytes().strip() != _OFF.encode()
    except FileNotFoundError:
        return False
    except (OSError, ValueError):
        return True
