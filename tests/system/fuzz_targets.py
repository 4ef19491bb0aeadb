"""All that the device reads, each with good input of every kind and the only error that bad input may end in."""

import contextlib
import io
import json
import socket
import threading
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import soundfile

from device.audio.audio_file import Recording
from device.bundle import DEFAULT_BUNDLE, Companions, pack, read_bundle
from device.daemon.status import StatusServer, read_status
from device.errors import AudioError, BundleError, EdgeMcnnError, SettingsError, SpeechModelError, StatusError
from device.front_end.parameters import FrontEnd
from device.recognition.classifier import Classifier
from device.recognition.speech_model import fetch as speech_model
from device.settings.schema import Settings
from device.settings.toml import as_toml, check_file, read_settings
from tests.device.daemon.test_status import STATUS
from tests.device.recognition.tiny_model import CONTENT, TINY, zipped

_NEXT_FILE = b"<next file>"


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
    wrong = check_file(path)
    assert all(len(str(each).splitlines()) == 1 and each.message.startswith(str(path)) for each in wrong), wrong
    read_settings(path)
    assert not wrong, "found by the one who checks, and not by the one who reads"


def _speech_models() -> list[bytes]:
    """Zips that hold the model; as folders they are the same files."""
    zips = [zipped(prefix="somewhere/tiny/", compression=each) for each in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)]
    # A folder, as a text: each file's name, and what is in it.
    return [*zips, _NEXT_FILE.join(name.encode() + b"\n" + content for name, content in CONTENT.items())]


def _fetch(content: bytes, folder: Path) -> None:
    source = folder / "source"
    if content[:2] == b"PK":
        source.write_bytes(content)
    else:
        source.mkdir()
        for part in content.split(_NEXT_FILE):
            name, _, data = part.partition(b"\n")
            # Names that a file system takes, and that stay within the folder.
            kept = "/".join(each for each in name.decode("latin-1").split("/") if each not in ("", ".", ".."))[:100]
            with contextlib.suppress(OSError, ValueError):
                (source / kept).parent.mkdir(parents=True, exist_ok=True)
                (source / kept).write_bytes(data)
        speech_model.is_present(source, TINY)
    fetched = speech_model.fetch(source, announce=lambda _: None, destination=folder / "to" / "tiny", model=TINY)
    found = {str(path.relative_to(fetched)): path.read_bytes() for path in fetched.rglob("*") if path.is_file()}
    assert found == CONTENT, "what was fetched is not the model"


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
