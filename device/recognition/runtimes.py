"""The one place that chooses a TFLite interpreter: LiteRT (`ai-edge-litert`) when installed, else `tflite-runtime`."""

import importlib
import importlib.util
import logging
from importlib.metadata import version
from typing import Any

from device.errors import InterpreterError
from device.system.stderr import silenced_stderr

RUNTIMES = {"ai-edge-litert": "ai_edge_litert.interpreter", "tflite-runtime": "tflite_runtime.interpreter"}
"""Interpreters by the name of their package, the preferred first; same makers, same interface."""

_LOG = logging.getLogger(__name__)


class UnusableRuntimeError(InterpreterError):
    """A runtime that is not installed, or cannot run anything as it is installed."""


def is_installed(runtime: str) -> bool:
    """Whether a runtime, a key of `RUNTIMES`, is there, working or not; it is not imported."""
    return importlib.util.find_spec(RUNTIMES[runtime].partition(".")[0]) is not None


def required_runtime(requires: str | None, runtime: str = "auto") -> str:
    """The runtime to load a model with.

    Args:
        requires: the only runtime that can run the model, a key of `RUNTIMES`; None if any can.
        runtime: what the settings choose, a key of `RUNTIMES`, or `auto`.

    Raises:
        InterpreterError: the required runtime is not installed, or the settings choose another.
    """
    if requires is None:
        return runtime
    missing = not is_installed(requires)
    install = f"pip install {requires}"
    if runtime not in ("auto", requires):
        mend = f"choose {requires} or auto" + (
            f", after {install}" if missing else f" ({install}, where it is missing)"
        )
        raise InterpreterError(f"the model requires {requires}, and the settings choose {runtime}: {mend}")
    if missing:
        raise InterpreterError(f"the model requires {requires}, which is not installed: {install}")
    return requires


def load_interpreter(model: bytes, *, runtime: str = "auto", threads: int = 1) -> Any:
    """An interpreter that holds `model`, ready to run.

    Args:
        model: a TFLite flatbuffer; anything behind it is ignored.
        runtime: a key of `RUNTIMES`, or `auto`.
        threads: of the interpreter.

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
        f"no TFLite interpreter can be used ({'; '.join(problems)}); install one: pip install ai-edge-litert"
    )


def load_runtime(name: str, model: bytes, *, threads: int = 1) -> Any:
    """An interpreter of the runtime `name`, a key of `RUNTIMES`, that holds `model`.

    Raises:
        UnusableRuntimeError: the runtime is not installed, or is broken.
        InterpreterError: it refuses the model.
    """
    try:
        module = importlib.import_module(RUNTIMES[name])
    except ImportError as error:
        raise UnusableRuntimeError(str(error).splitlines()[0] if str(error) else "cannot be imported") from None
    try:
        with silenced_stderr():
            interpreter = module.Interpreter(model_content=model, num_threads=threads)
            interpreter.allocate_tensors()
    except SystemError:  # tflite-runtime with numpy 2, which pip lets happen
        told = f"it does not go with the numpy that is installed, which is {version('numpy')}"
        raise UnusableRuntimeError(told) from None
    except (ValueError, RuntimeError) as error:
        raise InterpreterError(f"{name} refuses the model ({' '.join(str(error).split())[:200]})") from None
    _LOG.info("interpreter: %s %s, %d thread%s", name, version(name), threads, "s" if threads > 1 else "")
    return interpreter


def runtime_of(interpreter: Any) -> str:
    """Which runtime an interpreter is of, a key of `RUNTIMES`."""
    package = type(interpreter).__module__.partition(".")[0]
    return next(name for name, module in RUNTIMES.items() if module.partition(".")[0] == package)
