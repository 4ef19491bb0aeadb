"""Everything that the device reads, with valid inputs of each kind and the only error that others may raise."""

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
from paho.mqtt.client import MQTTMessage

from device.adaptation.profile import read_profile
from device.adaptation.speaker_variation import SpeakerVariation
from device.audio.audio_file import Recording
from device.bundle import DEFAULT_BUNDLE, Companions, pack, read_bundle
from device.daemon.status import StatusServer, read_status
from device.errors import (
    AudioError,
    BundleError,
    EdgeMcnnError,
    ProfileError,
    PublishingError,
    SettingsError,
    SpeechModelError,
    StatusError,
)
from device.front_end.parameters import FrontEnd
from device.outputs.mqtt.commands import CommandReceiver
from device.outputs.mqtt.output import MqttOutput
from device.outputs.mqtt.topics import Topics
from device.recognition.classifier import Classifier
from device.recognition.speech_model.fetch import fetch_speech_model, is_speech_model
from device.settings.schema import MqttSettings, Settings
from device.settings.toml import as_toml, check_file, read_settings
from tests.device.adaptation.voices import profile, variation
from tests.device.daemon.test_status import STATUS
from tests.device.outputs.mqtt.recorded_commands import RecordedCommands
from tests.device.outputs.predictions import LABELS
from tests.device.recognition.tiny_model import CONTENT, TINY, zipped

_NEXT_FILE = b"<next file>"


@dataclass(frozen=True)
class Target:
    """Code that reads untrusted input."""

    seeds: Callable[[], list[bytes]]
    """Returns valid inputs of each kind."""
    feed: Callable[[bytes, Path], object]
    """Reads one input; may use the folder, which is empty."""
    documented: type[EdgeMcnnError]
    """The only error that it may raise."""


def _recordings() -> list[bytes]:
    """Files of each format with a tenth of a second of audio, because the risk is in the headers."""
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


def _read_recording(content: bytes, folder: Path) -> None:
    path = folder / "clip"
    path.write_bytes(content)
    for number, _ in enumerate(Recording(path, silence_after_s=0.1).frames()):
        if number > 2000:  # a minute is enough of a file that claims to be endless
            return


def _bundles() -> list[bytes]:
    card = {"note": "x" * 50}
    small = pack(b"\x1c\0\0\0TFL3" + bytes(200), Companions(("a", "b"), ("one", "two"), FrontEnd(), card))
    return [small, DEFAULT_BUNDLE.read_bytes()]


def _load_bundle(content: bytes, folder: Path) -> None:
    path = folder / "Model.tflite"
    path.write_bytes(content)
    bundle = read_bundle(path)
    # The shipped network is loaded into the interpreter; the tiny one is not a real network.
    if len(bundle.model) > 10_000:
        Classifier(bundle)


def _settings() -> list[bytes]:
    lights = 'kind = "gpio"\npins = { happy = 4, "s a d" = 5 }\nrgb = { red = 1, green = 2, blue = 3 }\n'
    own = f"[lights]\n{lights}[endpoint]\nhang_over_s = 1\n"
    return [as_toml(Settings()).encode(), own.encode(), b"endpoint.onset_s = 0.2\nlights.pins.happy = 3\n"]


def _read_settings(content: bytes, folder: Path) -> None:
    path = folder / "config.toml"
    path.write_bytes(content)
    errors = check_file(path)
    assert all(len(str(each).splitlines()) == 1 and each.message.startswith(str(path)) for each in errors), errors
    read_settings(path)
    assert not errors, "an error that `check_file` finds and `read_settings` does not"


def _speech_models() -> list[bytes]:
    """Zips and a folder with the model."""
    zips = [zipped(prefix="somewhere/tiny/", compression=each) for each in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)]
    # A folder is encoded as the name and the content of each file.
    return [*zips, _NEXT_FILE.join(name.encode() + b"\n" + content for name, content in CONTENT.items())]


def _fetch_speech_model(content: bytes, folder: Path) -> None:
    source = folder / "source"
    if content[:2] == b"PK":
        source.write_bytes(content)
    else:
        source.mkdir()
        for part in content.split(_NEXT_FILE):
            name, _, data = part.partition(b"\n")
            # Only names that a file system accepts and that stay within the folder.
            relative = "/".join(each for each in name.decode("latin-1").split("/") if each not in ("", ".", ".."))[:100]
            with contextlib.suppress(OSError, ValueError):
                (source / relative).parent.mkdir(parents=True, exist_ok=True)
                (source / relative).write_bytes(data)
        is_speech_model(source, TINY)
    fetched = fetch_speech_model(source, announce=lambda _: None, destination=folder / "to" / "tiny", model=TINY)
    found = {str(path.relative_to(fetched)): path.read_bytes() for path in fetched.rglob("*") if path.is_file()}
    assert found == CONTENT, "the fetched files are not the model"


def _profiles() -> list[bytes]:
    return [profile(count).to_json().encode() for count in (0, 1, 30)]


def _read_profile(content: bytes, folder: Path) -> None:
    path = folder / "profile.json"
    path.write_bytes(content)
    found = read_profile(path)
    assert all(np.isfinite(each).all() for each in found.arrays())
    assert len(found.to_json()) < 2 * len(content) + 1000


def _variations() -> list[bytes]:
    return [variation(seed).to_json().encode() for seed in range(3)]


def _read_variation(content: bytes, _folder: Path) -> None:
    # A bundle contains the text, and is checked to be UTF-8 before.
    found = SpeakerVariation.from_json(content.decode("utf-8", "replace"))
    assert np.isfinite(found.features(np.ones((1, len(found.centre))))).all()


def _statuses() -> list[bytes]:
    return [json.dumps(asdict(STATUS)).encode()]


def _read_status(content: bytes, folder: Path) -> None:
    """Read the status from a server that sends the input."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(folder / "s"))
        listener.listen()
        thread = threading.Thread(target=_send, args=(listener, content))
        thread.start()
        try:
            read_status(folder / "s")
        finally:
            thread.join()


def _send(listener: socket.socket, content: bytes) -> None:
    connection, _ = listener.accept()
    with connection, contextlib.suppress(OSError):
        connection.sendall(content)


def _send_to_server(content: bytes, folder: Path) -> None:
    """Send the input to the status server, which must ignore it."""
    with StatusServer(folder / "s", lambda: STATUS):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(5)
            client.connect(str(folder / "s"))
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                client.sendall(content)
        assert read_status(folder / "s") == STATUS


def _messages() -> list[bytes]:
    """Messages that a broker delivers: the topic and the payload, each on a line of its own."""
    return [f"{topic}\n{payload}".encode() for topic, payload in _COMMANDS]


def _receive(content: bytes, _folder: Path) -> None:
    """Receive a message as paho passes it on; only the valid commands may have an effect, and each its own."""
    topic, _, payload = content.partition(b"\n")
    commands = RecordedCommands()
    lines: list[str] = []
    output = MqttOutput(MqttSettings("127.0.0.1", device="d"), lines.append, commands)
    output._receiver = CommandReceiver(Topics("e", "d"), LABELS, commands, lines.append, lambda: None, corrections=True)
    message = MQTTMessage(topic=topic)
    message.payload, message.retain = payload, len(content) % 7 == 0  # of no valid one
    output._on_message(output._client, None, message)
    changed = {label: value for label, value in commands.confidences.items() if value != 0.4}
    assert set(commands.learnt) <= {payload.decode(errors="replace").strip()}
    if commands.mutings or changed:
        assert not message.retain
        text = payload.strip()
        assert (topic, commands.mutings, changed) in (
            (b"e/d/mute/set", [text == b"ON"], {}),
            *((f"e/d/confidence/{label}/set".encode(), [], {label: changed.get(label)}) for label in LABELS),
        )
        assert text in (b"ON", b"OFF") or 0 <= float(text) <= 100
    elif lines or topic not in _TOPICS:
        raise PublishingError(*lines or ["mqtt: an unknown topic is ignored"])


_COMMANDS = (
    ("e/d/mute/set", "ON"), ("e/d/mute/set", "OFF"), ("e/d/confidence/negative/set", "62.5"),
    ("e/d/confidence/positive/set", "100"), ("e/d/correct", "neutral"), ("homeassistant/status", "online"),
    ("e/other/machine", "0123456789abcdef"), ("e/other/availability", "offline"),
)  # fmt: skip
_TOPICS = {topic.encode() for topic, _ in _COMMANDS}


TARGETS = {
    "recordings": Target(_recordings, _read_recording, AudioError),
    "bundles": Target(_bundles, _load_bundle, BundleError),
    "settings": Target(_settings, _read_settings, SettingsError),
    "speech models": Target(_speech_models, _fetch_speech_model, SpeechModelError),
    "voice profiles": Target(_profiles, _read_profile, ProfileError),
    "speaker variations": Target(_variations, _read_variation, BundleError),
    "status responses": Target(_statuses, _read_status, StatusError),
    "status clients": Target(_statuses, _send_to_server, StatusError),
    "messages of a broker": Target(_messages, _receive, PublishingError),
}
