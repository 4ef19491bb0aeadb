"""Reads the audio of a recording (WAV, FLAC or the audio track of a film) as one mono signal.

libsndfile reads the audio formats; what it cannot read (mp4 and similar) goes to FFmpeg, through PyAV. A clip of a
corpus is one utterance, so a recording much longer than any utterance counts as a wrong cut and is refused.
"""

from pathlib import Path

import librosa
import numpy as np
import soundfile
from numpy.typing import NDArray

from device.errors import AudioError, TrainingError

LONGEST_CLIP_S = 30.0
"""Seconds; longer recordings are refused: MELD has cuts of five minutes that are labelled as one utterance."""


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
    """Read a recording at its native rate and average its channels.

    Returns:
        Samples of shape (samples,), float32, -1 to 1, and their rate in Hz.

    Raises:
        AudioError: the file cannot be read, is empty, holds values that are not numbers, or more than
            `LONGEST_CLIP_S` seconds.
        TrainingError: it is a film, and PyAV is not installed.
    """
    try:
        with soundfile.SoundFile(file) as audio:
            rate = int(audio.samplerate)
            _check_length(file, audio.frames / rate)
            samples = audio.read(dtype="float32", always_2d=True)
    except soundfile.LibsndfileError:
        samples, rate = _read_with_ffmpeg(file)
    except OSError as error:
        raise AudioError(f"{file}: cannot be read ({error.strerror or error})") from None
    if not len(samples):
        raise AudioError(f"{file}: contains no audio")
    mono: NDArray[np.float32] = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1)
    if not np.isfinite(mono).all():
        raise AudioError(f"{file}: contains samples that are not numbers")
    return mono, rate


def _read_with_ffmpeg(file: Path) -> tuple[NDArray[np.float32], int]:
    """Decode the first audio track of a film.

    Returns:
        Samples of shape (samples, channels), float32, and their rate in Hz.
    """
    try:
        import av  # FFmpeg's libraries take a moment to load: only for users who have films
    except ImportError:
        raise TrainingError(
            f"{file}: reading films needs PyAV, which is not installed", fix='run: pip install "edge-mcnn[train]"'
        ) from None

    blocks: list[NDArray[np.float32]] = []
    length = 0
    try:
        with av.open(str(file)) as container:
            if not container.streams.audio:
                raise AudioError(f"{file}: has no audio track")
            to_float = av.AudioResampler(format="fltp")
            for frame in container.decode(container.streams.audio[0]):
                for converted in to_float.resample(frame):
                    blocks.append(np.asarray(converted.to_ndarray(), np.float32))
                    length += converted.samples
                # Counted while decoding: the length in a broken film's header may be anything.
                _check_length(file, length / frame.sample_rate)
    except (av.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise AudioError(f"{file}: not a readable recording ({reason})", fix="convert it to WAV, FLAC or mp4") from None
    if not blocks:
        raise AudioError(f"{file}: contains no audio")
    return np.concatenate(blocks, axis=1).T, int(frame.sample_rate)


def _check_length(file: Path, seconds: float) -> None:
    if seconds > LONGEST_CLIP_S:
        raise AudioError(f"{file}: longer than {LONGEST_CLIP_S:g} s, so not one utterance", fix="cut it into clips")
