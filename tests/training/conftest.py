"""A small corpus of synthetic recordings: high tones and glad words are `positive`, the others `negative`."""

import csv
import socket
from collections.abc import Callable, Sequence
from io import StringIO
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from rich.console import Console

from device.front_end.parameters import FrontEnd
from tests.training.small_vgg19 import small_vgg19
from training.networks.network import AudioShape, Network, evidence_network, set_joint_factors

WORDS = {"positive": "what a great day", "negative": "this is so awful"}
TONES = {"positive": 2000.0, "negative": 200.0}

WriteTable = Callable[[Sequence[Sequence[str]]], Path]


def printed(console: Console) -> str:
    """Return the output of the console of the fixture below."""
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


@pytest.fixture
def console() -> Console:
    """A console that stores its output; `printed` returns it."""
    return Console(file=StringIO(), width=200)


@pytest.fixture
def small_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tutorial's network with a small substitute for VGG19."""
    import tf_keras

    monkeypatch.setattr(tf_keras.applications, "VGG19", small_vgg19)


@pytest.fixture
def write_table(tmp_path: Path) -> WriteTable:
    """A function that writes rows below the header audio, text, label, split to a new table."""

    def write(rows: Sequence[Sequence[str]]) -> Path:
        path = tmp_path / "table.csv"
        with path.open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows([("audio", "text", "label", "split"), *rows])
        return path

    return write


@pytest.fixture
def corpus(tmp_path: Path, write_table: WriteTable) -> Path:
    """A table of 20 train and 8 validation clips, with their recordings beside it; a few lack text or audio."""
    rows = []
    random = np.random.default_rng(0)
    for split, count in (("train", 20), ("validation", 8)):
        for number in range(count):
            label = ("positive", "negative")[number % 2]
            audio, text = f"{split}{number}.wav", f"{WORDS[label]} {number % 3}"
            tone = 0.3 * np.sin(2 * np.pi * TONES[label] * np.arange(8000) / 16_000)
            soundfile.write(tmp_path / audio, tone + 0.001 * random.standard_normal(8000), 16_000)
            rows.append(("" if number in (4, 5) else audio, "" if number in (6, 7) else text, label, split))
    return write_table(rows)


def new_evidence(
    *, labels: int, vocabulary: int, front_end: FrontEnd, audio_shape: AudioShape | None = None
) -> Network:
    """Build the network `evidence` with random weights everywhere, as after a training."""
    network = evidence_network(labels, vocabulary, front_end, audio_shape or AudioShape())
    random = np.random.default_rng(4)
    random_ones = ("words_logits", "audio_dense", "audio_logits", "audio_kinds")
    for layer in (*network.full.layers, *network.full.get_layer("audio").layers):
        if layer.name.startswith(("words_embedding", "words_patterns")) or layer.name in random_ones:
            layer.set_weights([random.normal(0, 0.2, each.shape) for each in layer.get_weights()])
    standardise = network.full.get_layer("audio").get_layer("audio_standardise")
    gamma, beta, mean, variance = (each.shape for each in standardise.get_weights())
    standardise.set_weights(
        [random.uniform(0.7, 1.3, gamma), random.normal(0, 0.1, beta), random.random(mean), random.random(variance)]
    )
    set_joint_factors(network.full, 1.3, 0.6)
    return network


def free_ports(count: int) -> list[int]:
    """Return ports on which no process listens."""
    sockets = [socket.create_server(("localhost", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def write_film(path: Path, samples: NDArray[np.float64], rate: int = 48_000, layout: str = "stereo") -> Path:
    """Encode audio, shape (samples,) or (channels, samples), -1 to 1, as the AAC track of an mp4 file."""
    channels = {"mono": 1, "stereo": 2, "5.1": 6}[layout]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(np.broadcast_to(samples.astype(np.float32), (channels, samples.shape[-1]))),
            format="fltp",
            layout=layout,
        )
        frame.sample_rate = rate
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    return path


def write_silent_film(path: Path) -> Path:
    """Encode an mp4 file that has a video track and no audio track."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10, width=64, height=64, pix_fmt="yuv420p")
        for _ in range(3):
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


MELD_PARTS = {
    "train": ("train_splits", "train_sent_emo.csv", 16),
    "validation": ("dev_splits_complete", "dev_sent_emo.csv", 8),
    "test": ("output_repeated_splits_test", "test_sent_emo.csv", 4),
}
MELD_BROKEN = {
    "dia2_utt0": "cut off",
    "dia2_utt1": "empty file",
    "dia2_utt2": "no audio track",
    "dia2_utt3": "too long",
    "dia3_utt0": "missing",
}
"""Defects of some of the train clips of `meld`."""


@pytest.fixture(scope="session")
def meld(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small `MELD.Raw`: real mp4 films, four utterances per dialogue, some of the train clips broken."""
    folder = tmp_path_factory.mktemp("meld") / "MELD.Raw"
    random = np.random.default_rng(0)
    header = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime"
    for recordings, table, count in MELD_PARTS.values():
        (folder / recordings).mkdir(parents=True)
        lines = [header]
        for number in range(count):
            sentiment, emotion, tone = (("positive", "joy", 2000), ("negative", "anger", 200))[number % 2]
            dialogue, utterance = divmod(number, 4)
            text = f'"{WORDS[sentiment].capitalize()}, it\u0092s {number % 3}!"'
            speaker = ("Joey", "Monica", "Ross")[number % 3]
            lines.append(
                f"{number + 1},{text},{speaker},{emotion},{sentiment},{dialogue},{utterance},"
                '8,21,"00:16:16,059","00:16:21"'
            )
            path = folder / recordings / f"dia{dialogue}_utt{utterance}.mp4"
            defect = MELD_BROKEN.get(path.stem) if recordings == "train_splits" else None
            seconds = 31 if defect == MELD_BROKEN["dia2_utt3"] else 0.5
            times = np.arange(int(seconds * 48_000)) / 48_000
            audio = 0.3 * np.sin(2 * np.pi * tone * times) + 0.001 * random.standard_normal(len(times))
            write_film(path, audio)
            if defect == "cut off":
                path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
            elif defect == "empty file":
                path.write_bytes(b"")
            elif defect == "no audio track":
                write_silent_film(path)
            elif defect == "missing":
                path.unlink()
        (folder / table).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder
