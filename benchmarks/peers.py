"""The programs that edge-mcnn is compared with, each a separate process that prints when it is ready.

    python -m benchmarks.peers NAME

All record from the same microphone through PortAudio. The comparison is fair: each is written as its own documentation
recommends, and does less than edge-mcnn.
"""

import sys
import threading
from collections.abc import Callable, Iterator

import numpy as np
import sounddevice

RATE = 16_000


def _blocks(length: int) -> Iterator[bytes]:
    """Yield blocks of 16-bit audio from the microphone."""
    with sounddevice.RawInputStream(samplerate=RATE, blocksize=length, channels=1, dtype="int16") as stream:
        for number in range(sys.maxsize):
            data, _ = stream.read(length)
            if number == 0:
                print("ready", flush=True)
            yield bytes(data)


def vosk_alone() -> None:
    """Run Vosk's own microphone example: always fed, with words."""
    import vosk

    from device.recognition.speech_model.fetch import find_speech_model

    vosk.SetLogLevel(-1)
    model = vosk.Model(model_path=str(find_speech_model(announce=print)))
    recogniser = vosk.KaldiRecognizer(model, RATE)
    recogniser.SetWords(True)
    for block in _blocks(4000):
        if recogniser.AcceptWaveform(block):
            print(recogniser.Result().replace("\n", " "), flush=True)


def open_wake_word() -> None:
    """Run openWakeWord's own microphone example, with one of its wake words."""
    import openwakeword
    from openwakeword.model import Model

    paths = [path for path in openwakeword.get_pretrained_model_paths("onnx") if "hey_jarvis" in path]
    model = Model(wakeword_models=paths, inference_framework="onnx")
    for block in _blocks(1280):
        model.predict(np.frombuffer(block, np.int16))


def port_audio_alone() -> None:
    """Record blocks of the same size as edge-mcnn and discard them: the cost before any processing."""
    first, end = threading.Event(), threading.Event()
    with sounddevice.RawInputStream(
        samplerate=RATE, blocksize=2048, channels=1, dtype="int16", callback=lambda *_: first.set()
    ):
        first.wait()
        print("ready", flush=True)
        end.wait()


PEERS: dict[str, Callable[[], None]] = {
    "Vosk alone": vosk_alone,
    "openWakeWord": open_wake_word,
    "PortAudio alone": port_audio_alone,
}

if __name__ == "__main__":
    PEERS[sys.argv[1]]()
