"""Opens the pin library: gpiozero's pin factory, which imports lgpio, the library that drives the pins.

The import of lgpio has two effects on the process. It creates a FIFO, `.lgd-nfy0`, in the working directory, which
fails if that is read-only; and if LG_WD names a folder, it makes that one the working directory. Here the FIFO is
created in a private folder, which is removed at once, because an open FIFO needs no name.
"""

import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager, suppress
from pathlib import Path

from device.errors import LightsError
from device.outputs.gpio.chip import how_to_open, opened_chip
from device.system.display import displayable
from device.system.permissions import may_open

_FOLDER = "LG_WD"
"""Variable that names the folder of the FIFO; a value that the user has set is respected."""
_FALLBACK = "Falling back from lgpio: "
_TAKEN_FIX = "stop the program that uses the pins; if it is the service, run: sudo systemctl stop edge-mcnn"
_NO_PINS_FIX = "on a Raspberry Pi install python3-lgpio and add this user to the group gpio; on another machine "


def lights_error(error: Exception | str) -> LightsError:
    """The error for an exception of a pin library that drives LEDs, with the fix that fits this machine."""
    return _pins_error(error, "the LEDs cannot be driven", "use --lights terminal")


def buttons_error(error: Exception | str) -> LightsError:
    """The same for buttons."""
    return _pins_error(error, "the buttons cannot be read", "remove button from [mute] and [learn] in the settings")


def ensure_pin_factory(explain: Callable[[Exception | str], LightsError] = lights_error) -> None:
    """Make sure that gpiozero has a pin factory.

    Args:
        explain: makes the error.

    Raises:
        LightsError: no pin library can be used, with the reason that lgpio, the preferred one, gives.
    """
    import gpiozero

    if gpiozero.Device.pin_factory is not None:
        return
    with _private_folder(), warnings.catch_warnings(record=True) as fallbacks:
        # gpiozero warns for every pin library that it tries; the error below reports the first.
        warnings.simplefilter("always", gpiozero.PinFactoryFallback)
        try:
            gpiozero.Device.ensure_pin_factory()
        except Exception as error:  # noqa: BLE001  # each library has its own errors
            reasons = (str(each.message).partition(_FALLBACK)[2] for each in fallbacks)
            raise explain(next(filter(None, reasons), None) or error) from None


def _pins_error(error: Exception | str, what: str, elsewhere: str) -> LightsError:
    reason = displayable(" ".join(str(error).split())) or type(error).__name__
    if reason[0] == reason[-1] == "'":  # lgpio's errors are quoted
        reason = reason[1:-1]
    chip = opened_chip()
    if "busy" in reason.lower():
        fix = _TAKEN_FIX
    elif chip.exists() and not may_open(chip):
        fix = how_to_open(chip)
    else:
        fix = f"{_NO_PINS_FIX}{elsewhere}"
    return LightsError(f"{what} ({reason})", fix=fix)


def folder_for_fifo(environment: Mapping[str, str] = os.environ) -> Path:
    """Return a folder in which lgpio can create its FIFO, or a private folder with it.

    Raises:
        LightsError: none can be written to.
    """
    if folder := environment.get(_FOLDER):
        if not os.access(folder, os.W_OK | os.X_OK):
            message = f"{_FOLDER} names {displayable(folder)}, in which lgpio cannot create its FIFO"
            raise LightsError(message, fix=f"unset {_FOLDER}, or set it to a folder that can be written to")
        return Path(folder)
    for folder in (environment.get("RUNTIME_DIRECTORY", "").partition(":")[0], environment.get("XDG_RUNTIME_DIR", "")):
        if folder and os.access(folder, os.W_OK | os.X_OK):
            return Path(folder)
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError:
        message = "lgpio needs a folder for its FIFO, and no temporary folder can be written to"
        raise LightsError(message, fix=f"set {_FOLDER} to a folder that can be written to") from None


@contextmanager
def _private_folder(environment: MutableMapping[str, str] = os.environ) -> Iterator[None]:
    """Let lgpio create its FIFO in a folder of this process, and keep the working directory."""
    parent = folder_for_fifo(environment)
    private = None if environment.get(_FOLDER) else tempfile.mkdtemp(prefix="edge-mcnn-lgpio-", dir=parent)
    before = None
    with suppress(OSError):  # a working directory that this user may not enter is of no use afterwards, either
        before = os.open(".", os.O_PATH | os.O_DIRECTORY)  # it may have no name any more
    if private is not None:
        environment[_FOLDER] = private
    try:
        yield
    finally:
        if before is not None:
            os.fchdir(before)
            os.close(before)
        if private is not None:
            del environment[_FOLDER]
            shutil.rmtree(private, ignore_errors=True)
