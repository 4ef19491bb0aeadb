"""Every error that a user can fix. The command line prints the message and the fix and exits with status 1.

An exception of any other type that reaches the user is a bug.
"""


class EdgeMcnnError(Exception):
    """Base of all errors below.

    Args:
        message: what is wrong, with the value and the place; one line, no full stop.
        fix: what the user can do about it, in the imperative; empty only where the message leaves no doubt.
    """

    def __init__(self, message: str, *, fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        """The message and the fix on one line, for logs."""
        return f"{self.message}; {self.fix}" if self.fix else self.message


class SettingsError(EdgeMcnnError):
    """A settings file or option has an unknown key or a value that is not allowed."""


class BundleError(EdgeMcnnError):
    """A model file is not a bundle, is damaged, or needs what this device does not have."""


class AudioError(EdgeMcnnError):
    """A microphone or an audio file cannot be opened, or delivers no audio any more."""


class DecodingError(AudioError):
    """The content of an audio file is in an unknown format, or damaged."""


class DetectorError(EdgeMcnnError):
    """The weights of the voice activity detector are missing, or in an unknown format."""


class SpeechModelError(EdgeMcnnError):
    """The speech model is missing, incomplete or not the published one."""


class InterpreterError(EdgeMcnnError):
    """No TFLite runtime is installed, or the runtime refuses the model."""


class LightsError(EdgeMcnnError):
    """The LEDs cannot be driven: no GPIO, a pin in use, a label without a pin."""


class PublishingError(EdgeMcnnError):
    """Predictions cannot be published as the settings say: a package is missing, or a file is unusable."""


class ConversionError(EdgeMcnnError):
    """A Keras model cannot be converted; nothing was written."""


class TrainingError(EdgeMcnnError):
    """A clip table, its recordings or the initial weights are missing or unusable."""


class RecordingError(EdgeMcnnError):
    """A clip or its table cannot be written, or a name cannot be used; clips recorded before are safe."""


class ProfileError(EdgeMcnnError):
    """A voice profile is missing, damaged, of another model, or cannot be written."""


class StatusError(EdgeMcnnError):
    """No daemon is running, or a daemon cannot publish its status."""


class NoDaemonError(StatusError):
    """No daemon is running."""


class HistoryError(EdgeMcnnError):
    """The history cannot be opened, read or written; what was stored before is unchanged."""


class UnwritableHistoryError(HistoryError):
    """Nothing can be stored at present: the disk is full, or another program writes. What is stored can be read."""


class DamagedHistoryError(HistoryError):
    """The file of the history is damaged; the fix moves it aside, and a new one can be begun."""


class UnusablePredictionError(HistoryError):
    """A prediction lacks a value, or has an impossible one, so that it cannot be stored; others can."""


class WebError(EdgeMcnnError):
    """The page cannot be served: a port in use, no password where one is needed, an unusable certificate."""


class ServiceError(EdgeMcnnError):
    """The service cannot be installed, removed or queried; the previous state is unchanged."""


class BenchmarkError(EdgeMcnnError):
    """This machine cannot be measured, because a fresh process does not get as far as listening."""


class StandardOutputError(EdgeMcnnError):
    """Standard output cannot be written, because the disk is full for example."""


class PathError(EdgeMcnnError):
    """A path on the command line names nothing, or something that the option cannot use."""
