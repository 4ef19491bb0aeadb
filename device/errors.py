"""Every error that a user can mend. The command line prints the message on one line and exits with status 1.

Each message says what is wrong, where, and what to do. An exception of any other type that reaches the user is a bug.
"""


class EdgeMcnnError(Exception):
    """Base of all errors below."""


class SettingsError(EdgeMcnnError, ValueError):
    """A settings file or option has an unknown key or a value that is not allowed."""


class BundleError(EdgeMcnnError, ValueError):
    """A model file is not a bundle, is damaged, or asks for what this device cannot do."""


class AudioError(EdgeMcnnError, OSError):
    """A microphone or a recording cannot be opened, or stopped giving sound."""


class DetectorError(EdgeMcnnError, RuntimeError):
    """The weights of the voice detector are missing, or in a format that is not known."""


class SpeechModelError(EdgeMcnnError, OSError):
    """The speech model is missing, incomplete or not the one that was published."""


class InterpreterError(EdgeMcnnError, RuntimeError):
    """No TFLite interpreter is installed, or it refuses the model."""


class LightsError(EdgeMcnnError, RuntimeError):
    """The LEDs cannot be driven: no GPIO, a pin in use, a label without a pin."""


class PublishingError(EdgeMcnnError, RuntimeError):
    """Answers cannot be published as the settings ask: a package is missing, or a file is unusable."""


class ConversionError(EdgeMcnnError, RuntimeError):
    """A Keras model cannot be converted; nothing was written."""


class TrainingError(EdgeMcnnError, RuntimeError):
    """A clip table, its recordings or the weights to start from are missing or unusable."""


class RecordingError(EdgeMcnnError, OSError):
    """A clip or its table cannot be written, or a name cannot be used; what was kept before is safe."""


class StatusError(EdgeMcnnError, OSError):
    """No running daemon answers, or a daemon cannot tell its status."""


class ServiceError(EdgeMcnnError, RuntimeError):
    """The service cannot be installed, removed or asked; what was there is as before."""


class BenchmarkError(EdgeMcnnError, RuntimeError):
    """This machine cannot be measured, since a fresh process that would listen does not get so far."""
