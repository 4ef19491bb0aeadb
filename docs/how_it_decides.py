"""Draws the pictures of `docs/how-it-decides.md` from the recorded clips: `python docs/how_it_decides.py`."""

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
    """One clip on its way: sound, probability of speech, mel spectrogram, the network's picture, the answer."""
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
    sound = figure.add_subplot(grid[0, :])
    sound.plot(np.arange(len(samples)) / SAMPLE_RATE, samples / 32768, linewidth=0.4)
    sound.set_title(f"the sound, and what Vosk hears in it: “{prediction.text}”", loc="left", fontsize=9)
    voice = figure.add_subplot(grid[1, :], sharex=sound)
    voice.plot((np.arange(len(speech)) + 1) * FRAME_SECONDS, speech, color="tab:green")
    voice.axhline(Settings().endpoint.speech_probability, color="grey", linewidth=0.6)
    voice.set_title("probability of speech, frame by frame; above the line an utterance begins", loc="left", fontsize=9)
    voice.set_ylim(0, 1.05)
    shown = figure.add_subplot(grid[2, 0])
    shown.imshow(decibels(trim(mel, front_end), front_end), origin="lower", aspect="auto", cmap="magma")
    shown.set_title("mel spectrogram, edges cut", loc="left", fontsize=9)
    shown.set_xlabel("columns of 32 ms", fontsize=8)
    shown.set_ylabel("mel bands", fontsize=8)
    seen = figure.add_subplot(grid[2, 1])
    seen.imshow(spectrogram_image(mel, front_end), interpolation="nearest")
    seen.set_title("the picture that the network sees", loc="left", fontsize=9)
    answer = figure.add_subplot(grid[2, 2])
    bars = answer.barh(list(prediction.probabilities), list(prediction.probabilities.values()))
    answer.bar_label(bars, fmt="%.2f", padding=3, fontsize=8)
    answer.set_xlim(0, 1.15)
    answer.invert_yaxis()
    answer.set_title("its answer", loc="left", fontsize=9)
    for axes in (sound, voice, shown, seen, answer):
        axes.tick_params(labelsize=7)
    figure.savefig(HERE / "how-it-decides.png", dpi=110)


if __name__ == "__main__":
    draw()
