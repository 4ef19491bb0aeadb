"""`edge-mcnn listen` with the microphones of strangers: dead and inverted channels, an offset, an array, a low gain."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray

from tests.conftest import CLIPS
from tests.edge_mcnn.command_line import assert_refused
from tests.system.listen_process import ListenProcess
from tests.system.test_listen import LAST_WORDS, run
from tests.system.virtual_microphone import VirtualMicrophone, missing_programs, plugged_in

RATE = 48_000
OTHER_WORDS = "amiable himself"

pytestmark = [
    pytest.mark.usefixtures("speech_model"),
    pytest.mark.skipif(
        bool(missing_programs()),
        reason=f"no virtual microphone: {', '.join(missing_programs())} missing; see `make test`",
    ),
]


@pytest.fixture(scope="module")
def stereo() -> Iterator[VirtualMicrophone]:
    with plugged_in(rate=RATE, channels=2, strict=True) as microphone:
        yield microphone


@pytest.fixture(scope="module")
def array() -> Iterator[VirtualMicrophone]:
    with plugged_in(rate=RATE, channels=8, strict=True) as microphone:
        yield microphone


def speech(name: str = "espeak-ruined") -> NDArray[np.float32]:
    """Speech at the rate of the microphones, and a second of silence before and after it."""
    samples, rate = soundfile.read(CLIPS / f"{name}.flac", dtype="float32")
    silence = np.zeros(RATE, np.float32)
    return np.concatenate([silence, soxr.resample(samples, rate, RATE), silence])


def play(microphone: VirtualMicrophone, path: Path, *channels: NDArray[np.float32]) -> None:
    soundfile.write(path, np.stack(channels, axis=1), RATE, "PCM_16")
    microphone.play(path)


def noise(length: int, seed: int) -> NDArray[np.float32]:
    return np.asarray(0.005 * np.random.default_rng(seed).standard_normal(length), np.float32)


def test_inverted_channels_then_a_dead_one_with_offsets(stereo: VirtualMicrophone, tmp_path: Path) -> None:
    x, offset = speech(), np.float32(0.1)
    with ListenProcess(stereo, "--lights", "none") as listening:
        listening.wait_for("listening to")
        for channels in ((x + offset, offset - x), (0 * x - offset, x + offset)):
            play(stereo, tmp_path / "x.wav", *channels)
            assert listening.next_prediction()["text"].endswith(LAST_WORDS)


def test_an_array_with_the_voice_in_one_of_its_channels(array: VirtualMicrophone, tmp_path: Path) -> None:
    x = speech()
    channels = [x if number == 5 else noise(len(x), number) for number in range(8)]
    with ListenProcess(array, "--lights", "none") as listening:
        listening.wait_for("listening to")
        play(array, tmp_path / "x.wav", *channels)
        assert listening.next_prediction()["text"].endswith(LAST_WORDS)


def test_a_microphone_with_a_very_low_gain(stereo: VirtualMicrophone, tmp_path: Path) -> None:
    x = np.concatenate([np.zeros(5 * RATE, np.float32), speech()])
    quiet = x * np.float32(10 ** (-45 / 20)) + noise(len(x), 1) * np.float32(10 ** (-44 / 20))
    active = quiet[np.abs(quiet) > 0.0001]
    assert 20 * np.log10(np.sqrt(np.mean(active**2))) < -60, "below the default gate"
    with ListenProcess(stereo, "--lights", "none") as listening:
        listening.wait_for("listening to")
        play(stereo, tmp_path / "x.wav", quiet, quiet)
        assert LAST_WORDS in listening.next_prediction()["text"]


def test_only_the_selected_channel_is_used(array: VirtualMicrophone, tmp_path: Path) -> None:
    x, other = speech(), speech("austen-0930")
    settings = {"EDGE_MCNN_MICROPHONE_CHANNELS": "[0]"}
    with ListenProcess(array, "--lights", "none", settings=settings) as listening:
        listening.wait_for("listening to")
        play(array, tmp_path / "x.wav", *(x if number == 5 else 0 * x for number in range(8)))
        play(array, tmp_path / "x.wav", *(other if number == 0 else 0 * other for number in range(8)))
        assert listening.next_prediction()["text"].endswith(OTHER_WORDS), "the first one was not transcribed"


def test_a_channel_that_the_microphone_does_not_have(array: VirtualMicrophone, tmp_path: Path) -> None:
    settings = tmp_path / "config.toml"
    settings.write_text("[microphone]\nchannels = [8]\n")
    done = run(array, "listen", "--lights", "none", "--config", str(settings))
    assert_refused(done, "has 8 channels, 0 to 7, and microphone.channels is [8]", 'channels = "auto"')
