"""Reads the sound of a recording, WAV, FLAC or out of a film, as one mono signal.

libsndfile reads the sound formats; what it does not know (mp4 and its like) goes to FFmpeg, through PyAV. A clip of a
corpus is one utterance, so a recording much longer than any utterance is taken for a wrong cut and refused.
"""

from pathlib import Path

import librosa
import numpy as np
import soundfile
from numpy.typing import NDArray

from device.errors import AudioError, TrainingError

LONGEST_CLIP_S = 30.0
"""Recordings longer than this are refused: MELD has cuts of five minutes that are labelled as one utterance."""


def read_recording(file: Path, sample_rate: int) -> NDArray[np.float32]:
    """Read a recording of any rate and any number of channels.

    Returns:
        Shape (samples,), float32, -1 to 1, mono at `sample_rate` Hz.

    Raises:
        AudioError: see `read_audio`.
    """
    mono, rate = read_audio(file)
    return mono if rate == sample_rate else librosa.resample(mono, orig_sr=rate, target_sr=sample_rate)


def read_audio(file: Path) -> tuple[NDArray[np.float32], int]:
    """Read a recording at its own rate, its channels averaged.

    Returns:
        Samples of shape (samples,), float32, -1 to 1, and their rate in Hz.

    Raises:
        AudioError: the file cannot be read, holds no sound, values that are not numbers, or more than
            `LONGEST_CLIP_S` seconds.
        TrainingError: it is a film, and PyAV is not installed.
    """
    try:
        with soundfile.SoundFile(file) as sound:
            rate = int(sound.samplerate)
            _check_length(file, sound.frames / rate)
            samples = sound.read(dtype="float32", always_2d=True)
    except soundfile.LibsndfileError:
        samples, rate = _read_with_ffmpeg(file)
    except AudioError:  # is an OSError as well
        raise
    except OSError as error:
        raise AudioError(f"{file}: cannot be read ({error.strerror or error})") from None
    if not len(samples):
        raise AudioError(f"{file}: holds no sound")
    mono: NDArray[np.float32] = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1)
    if not np.isfinite(mono).all():
        raise AudioError(f"{file}: holds values that are not numbers")
    return mono, rate


def _read_with_ffmpeg(file: Path) -> tuple[NDArray[np.float32], int]:
    """The first sound track of a film: samples of shape (samples, channels) and their rate."""
    try:
        import av  # FFmpeg's libraries take a moment: only for those who have films
    except ImportError:
        raise TrainingError(f'{file}: reading films needs PyAV: pip install "edge-mcnn[train]"') from None

    blocks: list[NDArray[np.float32]] = []
    length = 0
    try:
        with av.open(str(file)) as container:
            if not container.streams.audio:
                raise AudioError(f"{file}: has no sound track")
            to_float = av.AudioResampler(format="fltp")
            for frame in container.decode(container.streams.audio[0]):
                for converted in to_float.resample(frame):
                    blocks.append(np.asarray(converted.to_ndarray(), np.float32))
                    length += converted.samples
                # Counted while decoding: the length in a broken film's header may be anything.
                _check_length(file, length / frame.sample_rate)
    except (av.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise AudioError(f"{file}: not a readable recording ({reason}); WAV, FLAC and mp4 are") from None
    if not blocks:
        raise AudioError(f"{file}: holds no sound")
    return np.concatenate(blocks, axis=1).T, int(frame.sample_rate)


def _check_length(file: Path, seconds: float) -> None:
    if seconds > LONGEST_CLIP_S:
        raise AudioError(f"{file}: longer than {LONGEST_CLIP_S:g} s, so not one utterance; cut it")
