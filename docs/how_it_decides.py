"""Draws the figure of `docs/how-it-decides.md` from a recorded clip: `python docs/how_it_decides.py`."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import soundfile
from matplotlib import pyplot as plt

from device.audio.silero_vad import Silero
from device.events import FRAME_LENGTH, FRAME_SECONDS, SAMPLE_RATE
from device.front_end.spectrogram import decibels, mel_power, spectrogram_image, trim
from device.loading import LoadedModels, classify
from device.settings.schema import Settings

HERE = Path(__file__).parent
CLIP = HERE.parent / "tests" / "fixtures" / "speech" / "austen-0930.flac"


def draw() -> None:
    """Plot the path of one clip: waveform, probability of speech, mel spectrogram, input image, prediction."""
    mpl.use("Agg")
    samples, _ = soundfile.read(CLIP, dtype="int16")
    models = LoadedModels.load(Settings(), print)
    [prediction] = classify(models, CLIP)
    front_end = models.companions.front_end
    detector = Silero()
    frames = samples[: len(samples) // FRAME_LENGTH * FRAME_LENGTH].reshape(-1, FRAME_LENGTH)
    speech = [detector.probability(frame) for frame in frames]
    mel = mel_power(samples, front_end)

    figure = plt.figure(figsize=(8, 6.4), layout="constrained")
    grid = figure.add_gridspec(3, 3, height_ratios=(1, 0.6, 2))
    waveform = figure.add_subplot(grid[0, :])
    waveform.plot(np.arange(len(samples)) / SAMPLE_RATE, samples / 32768, linewidth=0.4)
    waveform.set_title(f"audio, and the transcript that Vosk makes of it: “{prediction.text}”", loc="left", fontsize=9)
    voice = figure.add_subplot(grid[1, :], sharex=waveform)
    voice.plot((np.arange(len(speech)) + 1) * FRAME_SECONDS, speech, color="tab:green")
    voice.axhline(Settings().endpoint.speech_probability, color="grey", linewidth=0.6)
    voice.set_title("probability of speech by frame; an utterance begins above the line", loc="left", fontsize=9)
    voice.set_ylim(0, 1.05)
    spectrogram = figure.add_subplot(grid[2, 0])
    spectrogram.imshow(decibels(trim(mel, front_end), front_end), origin="lower", aspect="auto", cmap="magma")
    spectrogram.set_title("mel spectrogram without its quiet edges", loc="left", fontsize=9)
    spectrogram.set_xlabel("columns of 32 ms", fontsize=8)
    spectrogram.set_ylabel("mel bands", fontsize=8)
    image = figure.add_subplot(grid[2, 1])
    image.imshow(spectrogram_image(mel, front_end), interpolation="nearest")
    image.set_title("input image of the network", loc="left", fontsize=9)
    classes = figure.add_subplot(grid[2, 2])
    bars = classes.barh(list(prediction.probabilities), list(prediction.probabilities.values()))
    classes.bar_label(bars, fmt="%.2f", padding=3, fontsize=8)
    classes.set_xlim(0, 1.15)
    classes.invert_yaxis()
    classes.set_title("prediction", loc="left", fontsize=9)
    for axes in (waveform, voice, spectrogram, image, classes):
        axes.tick_params(labelsize=7)
    figure.savefig(HERE / "how-it-decides.png", dpi=110)


if __name__ == "__main__":
    draw()
