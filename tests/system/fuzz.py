"""Damaged and hostile input for everything that the device reads: nothing may come of it but the documented errors.

    python -m tests.system.fuzz [COUNT [TARGET]]

feeds COUNT inputs to each target, or to one. An input is a good one that was changed: bits, bytes, whole stretches,
numbers at their limits, cut short, or spliced with another. The same COUNT gives the same inputs.
"""

import contextlib
import io
import json
import socket
import sys
import tempfile
import threading
import time
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import soundfile

from device.bundle import DEFAULT_BUNDLE, Companions, pack, read_bundle
from device.errors import AudioError, BundleError, EdgeMcnnError, SettingsError, SpeechModelError, StatusError
from device.front_end.parameters import FrontEnd
from device.hearing.recording import Recording
from device.running.status import StatusServer, read_status
from device.settings import Settings
from device.settings_file import as_toml, mistakes, read_settings
from device.understanding import speech_model
from device.understanding.classifier import Classifier
from device.understanding.speech_model_sums import PinnedFile, PinnedModel
from tests.device.running.test_status import STATUS

_SLOWEST_S = 20.0
_LIMITS = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF]


@dataclass(frozen=True)
class Target:
    """Something that reads."""

    seeds: Callable[[], list[bytes]]
    """Good input, of each kind."""
    feed: Callable[[bytes, Path], object]
    """Reads one input; the folder is empty, and its own."""
    documented: type[EdgeMcnnError]
    """The only error that may come of it."""


def _recordings() -> list[bytes]:
    """Each kind of file, and a tenth of a second in it: what is wild here are the headers."""
    wave = np.sin(np.linspace(0, 60, 1600)).astype(np.float32) * 0.3
    seeds = []
    for kind, subtype, rate, channels in [
        ("WAV", "PCM_16", 16_000, 1), ("WAV", "PCM_24", 48_000, 2), ("WAV", "FLOAT", 44_100, 1),
        ("WAV", "ULAW", 8000, 1), ("WAVEX", "PCM_16", 44_100, 2), ("FLAC", "PCM_16", 16_000, 1),
        ("AIFF", "PCM_16", 22_050, 1),
        ("OGG", "VORBIS", 16_000, 1), ("W64", "PCM_16", 16_000, 1), ("AU", "PCM_16", 16_000, 1),
    ]:  # fmt: skip
        buffer = io.BytesIO()
        soundfile.write(buffer, np.tile(wave[:, None], (1, channels)), rate, format=kind, subtype=subtype)
        seeds.append(buffer.getvalue())
    return seeds


def _hear(content: bytes, folder: Path) -> None:
    path = folder / "clip"
    path.write_bytes(content)
    for number, _ in enumerate(Recording(path, silence_after_s=0.1).frames()):
        if number > 2000:  # a minute: enough of a file that claims to be endless
            return


def _bundles() -> list[bytes]:
    card = {"note": "x" * 50}
    small = pack(b"\x1c\0\0\0TFL3" + bytes(200), Companions(("a", "b"), ("one", "two"), FrontEnd(), card))
    return [small, DEFAULT_BUNDLE.read_bytes()]


def _load(content: bytes, folder: Path) -> None:
    path = folder / "Model.tflite"
    path.write_bytes(content)
    bundle = read_bundle(path)
    # One whose network is as it was packed, and real, is loaded.
    if len(bundle.model) > 10_000:
        Classifier(bundle)


def _settings() -> list[bytes]:
    lights = 'kind = "gpio"\npins = { happy = 4, "s a d" = 5 }\nrgb = { red = 1, green = 2, blue = 3 }\n'
    own = f"[lights]\n{lights}[endpoint]\nhang_over_s = 1\n"
    return [as_toml(Settings()).encode(), own.encode(), b"endpoint.onset_s = 0.2\nlights.pins.happy = 3\n"]


def _set(content: bytes, folder: Path) -> None:
    path = folder / "config.toml"
    path.write_bytes(content)
    wrong = mistakes(path)
    assert all(len(line.splitlines()) == 1 and line.startswith(str(path)) for line in wrong), wrong
    read_settings(path)
    assert not wrong, "found by the one who checks, and not by the one who reads"


_FILES = {
    "am/final.mdl": bytes(range(256)) * 4,
    "conf/model.conf": b"--beam=10\n",
    "ivector/final.ie": b"<IvectorExtractor>" * 9,
}
_MODEL = PinnedModel(
    "tiny",
    {name: PinnedFile(len(content), sha256(content).hexdigest()) for name, content in _FILES.items()},
    official="http://127.0.0.1:9/model.zip",
    mirror=(sys.executable, "-c", "raise SystemExit(1)"),
)


def _speech_models() -> list[bytes]:
    """Zips that hold the model; as folders they are the same files."""
    seeds = []
    for packing in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", packing) as archive:
            for name, content in _FILES.items():
                archive.writestr(f"somewhere/tiny/{name}", content)
        seeds.append(buffer.getvalue())
    # A folder, as a text: each file's name, and what is in it.
    seeds.append(b"".join(name.encode() + b"\0" + content + b"\0\0" for name, content in _FILES.items()))
    return seeds


def _fetch(content: bytes, folder: Path) -> None:
    source = folder / "source"
    if content[:2] == b"PK":
        source.write_bytes(content)
    else:
        source.mkdir()
        for part in content.split(b"\0\0"):
            name, _, data = part.partition(b"\0")
            # Names that a file system takes, and that stay within the folder.
            kept = "/".join(each for each in name.decode("latin-1").split("/") if each not in ("", ".", ".."))[:100]
            with contextlib.suppress(OSError, ValueError):
                (source / kept).parent.mkdir(parents=True, exist_ok=True)
                (source / kept).write_bytes(data)
        speech_model.is_present(source, _MODEL)
    fetched = speech_model.fetch(source, announce=lambda _: None, destination=folder / "to" / "tiny", model=_MODEL)
    found = {str(path.relative_to(fetched)): path.read_bytes() for path in fetched.rglob("*") if path.is_file()}
    assert found == _FILES, "what was fetched is not the model"


def _answers() -> list[bytes]:
    return [json.dumps(asdict(STATUS)).encode()]


def _ask(content: bytes, folder: Path) -> None:
    """Something that answers like a daemon, or not."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(folder / "s"))
        listener.listen()
        thread = threading.Thread(target=_answer, args=(listener, content))
        thread.start()
        try:
            read_status(folder / "s")
        finally:
            thread.join()


def _answer(listener: socket.socket, content: bytes) -> None:
    connection, _ = listener.accept()
    with connection, contextlib.suppress(OSError):
        connection.sendall(content)


def _visit(content: bytes, folder: Path) -> None:
    """A visitor of the daemon who says what nobody asked for."""
    with StatusServer(folder / "s", lambda: STATUS):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as visitor:
            visitor.settimeout(5)
            visitor.connect(str(folder / "s"))
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                visitor.sendall(content)
        assert read_status(folder / "s") == STATUS


TARGETS = {
    "recordings": Target(_recordings, _hear, AudioError),
    "bundles": Target(_bundles, _load, BundleError),
    "settings": Target(_settings, _set, SettingsError),
    "speech models": Target(_speech_models, _fetch, SpeechModelError),
    "status answers": Target(_answers, _ask, StatusError),
    "status visitors": Target(_answers, _visit, StatusError),
}


def changed(content: bytes, other: bytes, random: np.random.Generator) -> bytes:
    """Another input, made from a good one."""
    data = bytearray(content)
    for _ in range(int(random.integers(1, 6))):
        # Half of all changes are near the start, where headers are.
        reach = len(data) if random.random() < 0.5 else min(len(data), 200)
        at = int(random.integers(0, reach + 1)) if reach else 0
        kind = int(random.integers(0, 8))
        length = int(random.integers(1, 1 + min(64, max(1, len(data)))))
        if kind == 0 and data:
            data[min(at, len(data) - 1)] ^= 1 << int(random.integers(8))
        elif kind == 1:
            data[at : at + length] = random.bytes(length)
        elif kind == 2:
            data[at:at] = random.bytes(length)
        elif kind == 3:
            del data[at : at + length]
        elif kind == 4:
            size = int(random.choice([1, 2, 4, 8]))
            limit = _LIMITS[int(random.integers(len(_LIMITS)))] & ((1 << (8 * size)) - 1)
            data[at : at + size] = limit.to_bytes(size, "little" if random.random() < 0.7 else "big")
        elif kind == 5:
            del data[at:]
        elif kind == 6:
            start = int(random.integers(0, len(other) + 1))
            data[at : at + length] = other[start : start + length]
        else:
            data[at:at] = data[at : at + length] * int(random.integers(1, 20))
    return bytes(data)


@dataclass
class Outcome:
    """What came of a target's inputs."""

    count: int
    read: int
    """How many were read as if nothing were wrong with them."""
    refused: Counter[str]
    """How many were refused, by the first words of the error without its place."""
    slowest_s: float


def fuzz(name: str, count: int) -> Outcome:
    """Feed a target.

    Raises:
        AssertionError: something else came of an input than the documented error, in one line; the input is kept.
    """
    target = TARGETS[name]
    seeds = target.seeds()
    random = np.random.default_rng(count)
    outcome = Outcome(count, 0, Counter(), 0.0)
    for _ in range(count):
        seed, other = (seeds[int(random.integers(len(seeds)))] for _ in range(2))
        content = changed(seed, other, random)
        with tempfile.TemporaryDirectory(prefix="fuzz") as folder, _kept(name, content):
            began = time.monotonic()
            try:
                target.feed(content, Path(folder))
                outcome.read += 1
            except target.documented as error:
                told = str(error)
                assert told, "an error that says nothing"
                assert "Traceback" not in told
                outcome.refused[" ".join(told.replace(folder, "").split()[1:5])] += 1
            took = time.monotonic() - began
            outcome.slowest_s = max(outcome.slowest_s, took)
            assert took < _SLOWEST_S, f"it took {took:.0f} s"
    return outcome


@contextlib.contextmanager
def _kept(name: str, content: bytes) -> Iterator[None]:
    """Keep the input if anything goes wrong with it."""
    try:
        yield
    except Exception as error:
        kept = Path(tempfile.gettempdir()) / f"edge-mcnn-fuzz-{name.replace(' ', '-')}"
        kept.write_bytes(content)
        raise AssertionError(f"{name}: {type(error).__name__}: {error}; the input is in {kept}") from error


def _main(count: int, *names: str) -> None:
    warnings.simplefilter("error")
    for name in names or TARGETS:
        began = time.monotonic()
        outcome = fuzz(name, count)
        refused = outcome.refused.total()
        print(
            f"{name}: {outcome.count} inputs in {time.monotonic() - began:.0f} s, {outcome.read} read, {refused} "
            f"refused in {len(outcome.refused)} ways, the slowest {outcome.slowest_s:.2f} s; nothing else came of them",
            flush=True,
        )


if __name__ == "__main__":
    _main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000, *sys.argv[2:])
