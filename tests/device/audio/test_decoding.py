"""Every format that libsndfile writes, damaged files, pipes and other things that are not files."""

import contextlib
import io
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from device.audio import decoding
from device.audio.audio_file import Recording
from device.audio.decoding import STANDARD_INPUT, Decoder, read_if_pipe
from device.errors import AudioError
from training.data.reading.audio import read_audio

TONE = 0.3 * np.sin(2 * np.pi * 300 * np.arange(8000) / 8000)


def written(folder: Path, form: str, subtype: str, rates: tuple[int, ...] = (8000, 44_100)) -> Path | None:
    """A file of this format; None if libsndfile cannot write it."""
    path = folder / f"x.{form.lower()}"
    for rate in rates:
        try:
            soundfile.write(path, TONE, rate, format=form, subtype=subtype)
        except soundfile.LibsndfileError:
            continue
        return path
    return None


def refusal(function: Callable[[], object]) -> str:
    """The message of the error that the function raises; empty if it raises none."""
    try:
        function()
    except AudioError as error:
        return str(error)
    return ""


def decode(path: Path, content: bytes | None) -> None:
    with Decoder(path, content) as decoder:
        for block in decoder.blocks():
            assert block.shape[1] == decoder.channels


FORMATS = [(form, subtype) for form in soundfile.available_formats() for subtype in soundfile.available_subtypes(form)]


def test_most_formats_can_be_written(tmp_path: Path) -> None:
    assert sum(written(tmp_path, *pair) is not None for pair in FORMATS) > 100


@pytest.mark.parametrize("pair", FORMATS, ids="-".join)
def test_each_format_is_decoded_or_refused_with_one_line(pair: tuple[str, str], tmp_path: Path) -> None:
    path = written(tmp_path, *pair)
    if path is None:
        path = tmp_path / "x.wav"
        path.write_bytes(pair[1].encode())
    if path.stat().st_size < 100 or pair[0] == "RAW":
        for read in (Recording, read_audio):
            with pytest.raises(AudioError) as error:
                read(path)
            assert "\n" not in str(error.value)
        return
    frames = list(Recording(path).frames())
    samples, rate = read_audio(path)
    assert abs(len(samples) - len(TONE)) <= 2500, "some codecs fill their last block"
    assert abs(sum(len(frame.samples) for frame in frames) - len(samples) * 16_000 / rate) < 1500
    assert 0.1 < np.sqrt(np.mean(np.square(samples[1000:7000]))) < 0.4
    assert 0.1 < np.sqrt(np.mean(np.square(np.concatenate([frame.samples for frame in frames]) / 32768.0))) < 0.4


@pytest.mark.parametrize("pair", [("WAV", "PCM_16"), ("WAV", "GSM610"), ("FLAC", "PCM_16"), ("OGG", "OPUS"),
                                  ("OGG", "VORBIS"), ("MP3", "MPEG_LAYER_III"), ("AIFF", "DWVW_16"),
                                  ("AU", "G723_24"), ("CAF", "ALAC_16")], ids="-".join)  # fmt: skip
@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_a_file_that_ends_early_is_decoded_to_there_or_refused(
    pair: tuple[str, str], share: float, tmp_path: Path
) -> None:
    path = written(tmp_path, *pair)
    assert path is not None
    content = path.read_bytes()
    path.write_bytes(content[: round(share * len(content))])
    for read in (lambda: list(Recording(path).frames()), lambda: read_audio(path)):
        message = refusal(read)
        assert "\n" not in message
        assert message.startswith(f"{path}: ") or not message


def test_random_damage_writes_nothing_to_standard_error(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    random = np.random.default_rng(0)
    for pair in (("MP3", "MPEG_LAYER_III"), ("WAV", "PCM_16"), ("FLAC", "PCM_16")):
        path = written(tmp_path, *pair)
        assert path is not None
        content = path.read_bytes()
        for _ in range(20):
            damaged = bytearray(content)
            for position in random.integers(0, len(content), 30):
                damaged[position] = int(random.integers(0, 256))
            path.write_bytes(damaged)
            for source in (None, bytes(damaged)):
                assert "\n" not in refusal(lambda: decode(path, source))  # noqa: B023  # called at once
            assert "\n" not in refusal(lambda: read_audio(path))  # noqa: B023  # called at once
    assert capfd.readouterr().err == ""


def test_libmpg123_does_write_without_the_decoder(tmp_path: Path) -> None:
    """The test above would pass if the library had nothing to write."""
    path = written(tmp_path, "MP3", "MPEG_LAYER_III")
    assert path is not None
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 400] = os.urandom(400)
    path.write_bytes(content)
    script = "import soundfile, sys; soundfile.read(sys.argv[1])"
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=False)
    assert "mpg123" in done.stderr.lower() or "mpeg" in done.stderr.lower()


def test_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    name = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.wav")
    soundfile.write(os.fsencode(name), TONE, 8000)
    assert list(Recording(Path(name)).frames())
    assert len(read_audio(Path(name))[0]) == len(TONE)


def wav() -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, TONE, 8000, format="WAV")
    return buffer.getvalue()


def samples_of(path: Path) -> NDArray[np.int16]:
    return np.concatenate([frame.samples for frame in Recording(path).frames()])


@pytest.fixture
def expected(tmp_path: Path) -> NDArray[np.int16]:
    (tmp_path / "expected.wav").write_bytes(wav())
    return samples_of(tmp_path / "expected.wav")


def write_later(path: Path, content: bytes) -> threading.Thread:
    def write() -> None:
        with contextlib.suppress(BrokenPipeError):
            path.write_bytes(content)

    thread = threading.Thread(target=write)
    thread.start()
    return thread


def test_a_named_pipe_is_read_once(tmp_path: Path, expected: NDArray[np.int16]) -> None:
    os.mkfifo(tmp_path / "pipe")
    thread = write_later(tmp_path / "pipe", wav())
    recording = Recording(tmp_path / "pipe")
    for _ in range(2):
        np.testing.assert_array_equal(np.concatenate([frame.samples for frame in recording.frames()]), expected)
    thread.join(10)


def test_a_pipe_that_is_streamed_has_no_length_in_its_header(tmp_path: Path, expected: NDArray[np.int16]) -> None:
    for length in (b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", bytes(4)):
        content = bytearray(wav())
        content[4:8] = content[40:44] = length
        os.mkfifo(tmp_path / "pipe")
        thread = write_later(tmp_path / "pipe", bytes(content))
        samples = samples_of(tmp_path / "pipe")
        thread.join(10)
        np.testing.assert_array_equal(samples, expected)
        (tmp_path / "pipe").unlink()


def test_a_flac_stream_has_no_length_in_its_header(tmp_path: Path) -> None:
    path = written(tmp_path, "FLAC", "PCM_16")
    assert path is not None
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0
    content[22:26] = bytes(4)  # the number of samples, of which 0 means unknown
    path.write_bytes(content)
    assert len(read_audio(path)[0]) == len(TONE)
    assert abs(len(samples_of(path)) - 2 * len(TONE)) < 1000


def test_a_pipe_without_a_program_that_writes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "WRITER_LIMIT_S", 0.05)
    monkeypatch.setattr(decoding, "DATA_LIMIT_S", 0.05)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(AudioError, match="is a pipe that no program writes into"):
        Recording(tmp_path / "pipe")
    held = os.open(tmp_path / "pipe", os.O_RDWR)
    with pytest.raises(AudioError, match=r"delivers nothing for 0\.05 s"):
        Recording(tmp_path / "pipe")
    os.write(held, wav()[:2000])
    with pytest.raises(AudioError, match=r"delivers nothing for 0\.05 s"):
        Recording(tmp_path / "pipe")
    os.close(held)


def test_a_pipe_that_does_not_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "LARGEST_PIPE_MB", 1)
    os.mkfifo(tmp_path / "pipe")
    thread = write_later(tmp_path / "pipe", bytes(2 << 20))
    with pytest.raises(AudioError, match="delivers more than 1 MB"):
        Recording(tmp_path / "pipe")
    thread.join(10)


@pytest.fixture
def special(tmp_path: Path) -> Iterator[dict[str, Path]]:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        os.mkfifo(tmp_path / "pipe")
        (tmp_path / "folder").mkdir()
        yield {
            "is a folder": tmp_path / "folder",
            "is a socket": tmp_path / "socket",
            "is a device": Path("/dev/zero"),
            "is a pipe": tmp_path / "pipe",
        }


def test_what_is_no_file_is_refused_at_once(special: dict[str, Path]) -> None:
    for message, path in special.items():
        with pytest.raises(AudioError, match=f"^{path}: {message}"):
            read_audio(path)
        if message != "is a pipe":
            with pytest.raises(AudioError, match=f"^{path}: {message}"):
                Recording(path)


SCRIPT = """
import sys
from pathlib import Path
from device.audio.audio_file import Recording
from device.audio.decoding import STANDARD_INPUT
from device.errors import AudioError
try:
    print(len(list(Recording(STANDARD_INPUT if sys.argv[1] == "-" else Path(sys.argv[1])).frames())))
except AudioError as error:
    print(error)
"""


def from_standard_input(name: str, **options: object) -> str:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, name], stdout=subprocess.PIPE, text=False, timeout=60, check=True,
        **options,  # type: ignore[call-overload]  # input or stdin
    )  # fmt: skip
    return str(done.stdout.decode())


@pytest.mark.parametrize("name", ["-", "/dev/stdin", "/dev/fd/0"])
def test_standard_input(name: str, tmp_path: Path, expected: NDArray[np.int16]) -> None:
    frames = f"{len(expected) // 512}\n"
    assert from_standard_input(name, input=wav()) == frames
    with (tmp_path / "expected.wav").open("rb") as stream:
        assert from_standard_input(name, stdin=stream) == frames
    ours, theirs = socket.socketpair()
    ours.sendall(wav())
    ours.close()
    assert from_standard_input(name, stdin=theirs) == frames
    theirs.close()
    assert "is a terminal or a device" in from_standard_input(name, stdin=subprocess.DEVNULL)
    assert "is empty" in from_standard_input(name, input=b"")


def test_the_pipe_of_a_process_substitution(tmp_path: Path, expected: NDArray[np.int16]) -> None:
    command = 'exec "$0" -c "$1" <(cat expected.wav)'
    done = subprocess.run(
        ["bash", "-c", command, sys.executable, SCRIPT], cwd=tmp_path, capture_output=True, text=True, timeout=60,
        check=True, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )  # fmt: skip
    assert done.stdout == f"{len(expected) // 512}\n"


def test_other_files_are_not_read_into_memory(tmp_path: Path) -> None:
    assert read_if_pipe(tmp_path / "missing") is None
    (tmp_path / "x.wav").write_bytes(wav())
    assert read_if_pipe(tmp_path / "x.wav") is None
    assert STANDARD_INPUT.exists()
