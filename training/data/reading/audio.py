"""Reads the audio of a recording (WAV, FLAC or the audio track of a film) as one mono signal.

libsndfile reads the audio formats; what it cannot read (mp4 and similar) goes to FFmpeg, through PyAV. A clip of a
corpus is one utterance, so a recording much longer than any utterance counts as a wrong cut and is refused.
"""

from pathlib import Path
from typing import BinaryIO

import librosa
import numpy as np
from numpy.typing import NDArray

from device.audio.channels import ChannelMixer
from device.audio.decoding import Decoder
from device.errors import AudioError, DecodingError, TrainingError
from device.system.display import displayable
from device.system.streams.stderr import silenced_c_libraries

LONGEST_CLIP_S = 30.0
"""Seconds; longer recordings are refused: MELD has cuts of five minutes that are labelled as one utterance."""
_BLOCK_SECONDS = 1.0
"""A recording has a few such blocks; with the short ones of the device a third of the time of decoding is overhead."""


def read_recording(file: Path, sample_rate: int) -> NDArray[np.float32]:
    """Read a recording of any rate and any number of channels.

    Returns:
        Shape (samples,), float32, -1 to 1, mono at `sample_rate` Hz.

    Raises:
        AudioError: the recording cannot be used, see `read_audio`.
        TrainingError: it is a film, and PyAV is not installed.
    """
    mono, rate = read_audio(file)
    return mono if rate == sample_rate else librosa.resample(mono, orig_sr=rate, target_sr=sample_rate)


def read_audio(file: Path) -> tuple[NDArray[np.float32], int]:
    """Read a recording at its native rate, and mix its channels as the device mixes those of a microphone.

    Returns:
        Samples of shape (samples,), float32, -1 to 1, and their rate in Hz.

    Raises:
        AudioError: the file cannot be read, is a pipe or a device, is empty, holds values that are not numbers, or more
            than `LONGEST_CLIP_S` seconds.
        TrainingError: it is a film, and PyAV is not installed.
    """
    try:
        samples, rate = _read_with_libsndfile(file)
    except DecodingError:
        samples, rate = _read_with_ffmpeg(file)
    if not len(samples):
        raise AudioError(f"{displayable(file)}: contains no audio")
    if not np.isfinite(samples).all():
        raise AudioError(f"{displayable(file)}: contains samples that are not numbers")
    return ChannelMixer(rate).mix(samples), rate


def _read_with_libsndfile(file: Path) -> tuple[NDArray[np.float32], int]:
    """Decode an audio file.

    Returns:
        Samples of shape (samples, channels), float32, and their rate in Hz.
    """
    with Decoder(file) as decoder:
        blocks = [np.zeros((0, decoder.channels), np.float32)]
        length = 0
        for block in decoder.blocks(_BLOCK_SECONDS):
            blocks.append(block)
            length += len(block)
            # Counted while decoding: the length in a header may be anything.
            _check_length(file, length / decoder.rate)
    return np.concatenate(blocks), decoder.rate


def _read_with_ffmpeg(file: Path) -> tuple[NDArray[np.float32], int]:
    """Decode the first audio track of a film.

    Returns:
        Samples of shape (samples, channels), float32, and their rate in Hz.
    """
    try:
        import av  # FFmpeg's libraries take a moment to load: only for users who have films
    except ImportError:
        raise TrainingError(
            f"{displayable(file)}: reading films needs PyAV, which is not installed",
            fix='run: pip install "edge-mcnn[train]"',
        ) from None

    blocks: list[NDArray[np.float32]] = []
    length = 0
    try:
        with silenced_c_libraries(), file.open("rb") as stream, av.open(_ffmpeg_name(file, stream)) as container:
            if not container.streams.audio:
                raise AudioError(f"{displayable(file)}: has no audio track")
            to_float = av.AudioResampler(format="fltp")
            for frame in container.decode(container.streams.audio[0]):
                for converted in to_float.resample(frame):
                    blocks.append(np.asarray(converted.to_ndarray(), np.float32))
                    length += converted.samples
                # Counted while decoding: the length in a broken film's header may be anything.
                _check_length(file, length / frame.sample_rate)
    except (av.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise AudioError(
            f"{displayable(file)}: not a readable recording ({displayable(reason)})",
            fix="convert it to WAV, FLAC or mp4",
        ) from None
    if not blocks:
        raise AudioError(f"{displayable(file)}: contains no audio")
    return np.concatenate(blocks, axis=1).T, int(frame.sample_rate)


def _ffmpeg_name(file: Path, stream: BinaryIO) -> str:
    """Name a file for FFmpeg, which takes `a:b.mp4` for something on the network and accepts only UTF-8.

    Args:
        file: the file.
        stream: the same file, opened.
    """
    try:
        str(file).encode()
    except UnicodeEncodeError:
        return f"file:/proc/self/fd/{stream.fileno()}"
    return f"file:{file}"


def _check_length(file: Path, seconds: float) -> None:
    if seconds > LONGEST_CLIP_S:
        raise AudioError(
            f"{displayable(file)}: longer than {LONGEST_CLIP_S:g} s, so not one utterance", fix="cut it into clips"
        )
