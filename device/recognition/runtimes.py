"""TFLite runtimes: which ones exist, which one to use, and how to run a signature of a model in it.

LiteRT (`ai-edge-litert`) is used when it is installed, else `tflite-runtime`.
"""

import importlib
import importlib.util
import logging
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from device.errors import InterpreterError
from device.system.display import displayable
from device.system.streams.stderr import silenced_stderr

if TYPE_CHECKING:  # the settings import this module for the names alone
    import numpy as np
    from numpy.typing import NDArray

LITERT, TFLITE_RUNTIME = "ai-edge-litert", "tflite-runtime"
RUNTIMES = {LITERT: "ai_edge_litert.interpreter", TFLITE_RUNTIME: "tflite_runtime.interpreter"}
"""Module of each runtime by the name of its package, the preferred first; same makers, same interface."""
DISPLAY_NAMES = {LITERT: "LiteRT", TFLITE_RUNTIME: "tflite-runtime"}
"""Name of each runtime for people, by the name of its package."""

_LOG = logging.getLogger(__name__)
_LONGEST_REASON = 200


class UnusableRuntimeError(InterpreterError):
    """A runtime is not installed, or its installation cannot run any model."""


def is_installed(runtime: str) -> bool:
    """Whether a runtime, a key of `RUNTIMES`, is installed, working or not; it is not imported."""
    return importlib.util.find_spec(RUNTIMES[runtime].partition(".")[0]) is not None


def installed_runtimes() -> list[str]:
    """The runtimes that are installed, working or not, by the name of their package; the preferred first."""
    return [runtime for runtime in RUNTIMES if is_installed(runtime)]


def required_runtime(requires: str | None, runtime: str = "auto") -> str:
    """Choose the runtime to load a model with.

    Args:
        requires: the only runtime that can run the model, a key of `RUNTIMES`; None if any can.
        runtime: the choice of the settings, a key of `RUNTIMES`, or `auto`.

    Raises:
        InterpreterError: the required runtime is not installed, or the settings choose another.
    """
    if requires is None:
        return runtime
    missing = not is_installed(requires)
    install = f"pip install {requires}"
    if runtime not in ("auto", requires):
        hint = f", after {install}" if missing else f" ({install}, where it is missing)"
        raise InterpreterError(
            f"the model requires {requires}, and the settings choose {runtime}",
            fix=f"choose {requires} or auto{hint}",
        )
    if missing:
        raise InterpreterError(f"the model requires {requires}, which is not installed", fix=f"run: {install}")
    return requires


def load_interpreter(model: bytes, *, runtime: str = "auto", threads: int = 1) -> Any:
    """Load a model into an interpreter, ready to run.

    Args:
        model: a TFLite flatbuffer; bytes that follow it are ignored.
        runtime: a key of `RUNTIMES`, or `auto`.
        threads: number of threads of the interpreter.

    Raises:
        InterpreterError: the runtime is not installed, or refuses the model.
    """
    problems = []
    for name in RUNTIMES if runtime == "auto" else [runtime]:
        try:
            return load_runtime(name, model, threads=threads)
        except UnusableRuntimeError as error:
            problems.append(f"{name}: {error}")
    raise InterpreterError(
        f"no TFLite interpreter can be used ({'; '.join(problems)})", fix=f"install one: pip install {LITERT}"
    )


def load_runtime(name: str, model: bytes, *, threads: int = 1) -> Any:
    """Load a model into an interpreter of one runtime.

    Args:
        name: the runtime, a key of `RUNTIMES`.
        model: a TFLite flatbuffer; bytes that follow it are ignored.
        threads: number of threads of the interpreter.

    Raises:
        UnusableRuntimeError: the runtime is not installed, or is broken.
        InterpreterError: the runtime refuses the model.
    """
    try:
        module = importlib.import_module(RUNTIMES[name])
        make_interpreter = module.Interpreter
    # Besides ImportError: AttributeError with a numpy of another version, OSError with a library that is cut short.
    except (ImportError, AttributeError, OSError, RuntimeError, SystemError) as error:
        raise UnusableRuntimeError(_reason(error)) from None
    try:
        with silenced_stderr():
            interpreter = make_interpreter(model_content=model, num_threads=threads)
            interpreter.allocate_tensors()
    except SystemError:  # tflite-runtime with numpy 2, which pip allows
        message = f"it does not work with the installed numpy, which is {version('numpy')}"
        raise UnusableRuntimeError(message) from None
    except (ValueError, RuntimeError) as error:
        raise InterpreterError(f"{name} refuses the model ({' '.join(str(error).split())[:_LONGEST_REASON]})") from None
    _LOG.info("interpreter: %s %s, %d thread%s", name, version(name), threads, "s" if threads > 1 else "")
    return interpreter


def _reason(error: Exception) -> str:
    lines = str(error).splitlines()
    return displayable(lines[0][:_LONGEST_REASON]) if lines else "cannot be imported"


def runtime_of(interpreter: Any) -> str:
    """Return the runtime that an interpreter belongs to, a key of `RUNTIMES`."""
    package = type(interpreter).__module__.partition(".")[0]
    return next(name for name, module in RUNTIMES.items() if module.partition(".")[0] == package)


class SignatureRunner:
    """Runs one signature of a TFLite model; no call is influenced by the calls before it.

    Args:
        interpreter: holds the model, with its tensors allocated; of any runtime, TensorFlow's own included.
        signature: name of the signature.

    Raises:
        InterpreterError: the model has no such signature.
    """

    def __init__(self, interpreter: Any, signature: str) -> None:
        self._interpreter = interpreter
        try:
            self._run = interpreter.get_signature_runner(signature)
        except (ValueError, RuntimeError):
            raise InterpreterError(f"the model has no signature {signature!r}") from None

    @property
    def tensors(self) -> "dict[str, tuple[tuple[int, ...], type[np.generic]]]":
        """Shape and dtype of each input and output by its name in the signature."""
        details = {**self._run.get_input_details(), **self._run.get_output_details()}
        return {name: (tuple(int(n) for n in each["shape"]), each["dtype"]) for name, each in details.items()}

    def __call__(self, **inputs: "NDArray[Any]") -> "dict[str, NDArray[Any]]":
        """Run the signature once.

        Args:
            inputs: one array for each input, by its name in the signature, with the shape and dtype in `tensors`.

        Returns:
            The outputs by their names in the signature.
        """
        # A fused LSTM keeps its state between calls: without this, one utterance would influence the next.
        self._interpreter.reset_all_variables()
        outputs: dict[str, NDArray[Any]] = self._run(**inputs)
        return outputs
