"""Measures the duration of each stage on its own, in this process, on the speech of the clip.

A recogniser that processes the same sentence again takes half the time, because it caches the words that it has joined.
Therefore each utterance gets a new recogniser here, whatever the settings select: a real speaker rarely repeats a
sentence.
"""

import gc
import math
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from device.audio.audio_file import Recording
from device.audio.endpoint import Endpointer
from device.audio.silero_vad import Silero, VoiceDetector
from device.benchmark.cold_start import CLIP
from device.benchmark.results import InterpreterCall, Stage
from device.bundle import Bundle
from device.errors import InterpreterError
from device.events import FRAME_SECONDS, Frame
from device.front_end.spectrogram import MelSpectrogram, silent_image, spectrogram_image
from device.front_end.tokens import Tokens
from device.loading import load_transcriber
from device.recognition.classifier import Classifier
from device.settings.schema import EndpointSettings, Settings
from device.system.streams.stderr import silenced_stderr

_FRAMES_PER_SECOND = round(1 / FRAME_SECONDS)
_ALWAYS_CLOSED_GATE_DBFS = 0.0

Announce = Callable[[str], None]
"""Prints one line for the user."""


def speech_frames(endpoint: EndpointSettings) -> list[list[Frame]]:
    """The frames of the clip that contain speech, by utterance, without pre-roll and hang-over."""
    endpointer = Endpointer(endpoint, VoiceDetector(endpoint.gate_dbfs))
    onset = max(1, round(endpoint.onset_s / FRAME_SECONDS))
    utterances: list[list[Frame]] = []
    current: list[Frame] = []
    for frame in Recording(CLIP, silence_after_s=endpoint.hang_over_s + endpoint.pre_roll_s).frames():
        update = endpointer.push(frame)
        current += update.frames if current else update.frames[-onset:]
        if update.utterance is not None:
            utterances.append([each for each in current if each.start_s < update.utterance.speech_end_s])
            current = []
    return utterances


def measure_stages(settings: Settings, bundle: Bundle, seconds: float, announce: Announce) -> dict[str, Stage]:
    """Measure all stages except the interpreter.

    Args:
        settings: the daemon's settings.
        bundle: the bundle whose front end and vocabulary are used.
        seconds: the time for which the clip is processed repeatedly, at least once.
        announce: called with a line for the user if the speech model must be fetched.

    Returns:
        The stages by name.

    Raises:
        SpeechModelError: the speech model cannot be fetched or loaded.
        DetectorError: the weights of the voice detector cannot be used.
    """
    front_end = bundle.companions.front_end
    tokens = Tokens(bundle.companions.vocabulary, front_end)
    gate, detector = VoiceDetector(_ALWAYS_CLOSED_GATE_DBFS), Silero()
    new_recognisers = replace(settings.transcriber, utterances_per_recogniser=1)
    transcriber = load_transcriber(replace(settings, transcriber=new_recognisers), announce)
    utterances = speech_frames(settings.endpoint)
    # What only the first run computes (filters, colours) is part of the start-up, not of the stage.
    spectrogram_image(MelSpectrogram(front_end).power(), front_end)
    ms: dict[str, list[float]] = defaultdict(list)
    fed_ms = fed_s = 0.0
    for _ in _repetitions(seconds):
        for frames in utterances:
            detector.reset()
            spectrogram, transcription = MelSpectrogram(front_end), transcriber.begin()
            feeds = []
            for frame in frames:
                ms["loudness_gate"].append(_ms(gate.probability, frame.samples))
                ms["voice_detector"].append(_ms(detector.probability, frame.samples))
                ms["mel_spectrogram"].append(_ms(spectrogram.feed, frame.samples))
                feeds.append(_ms(transcription.feed, frame.samples))
            ms["spectrogram_image"].append(_ms(lambda mel: spectrogram_image(mel.power(), front_end), spectrogram))
            ms["vosk_feed"] += _by_second(feeds)
            fed_ms, fed_s = fed_ms + sum(feeds), fed_s + len(frames) * FRAME_SECONDS
            ms["vosk_final_result"].append(_ms(transcription.text))
            ms["token_ids"].append(_ms(tokens.ids, transcription.text()))
    stages = {}
    for name, durations in ms.items():
        if name in ("loudness_gate", "voice_detector", "mel_spectrogram"):
            stages[name] = _stage("frame", durations, statistics.fmean(durations) / 1000 / FRAME_SECONDS)
        elif name == "vosk_feed":
            stages[name] = _stage("second", durations, fed_ms / 1000 / fed_s)
        else:
            stages[name] = _stage("utterance", durations)
    return stages


def measure_interpreters(
    settings: Settings, bundle: Bundle, runtimes: Sequence[str], cores: int, seconds: float
) -> tuple[list[InterpreterCall], dict[str, str], Stage]:
    """Measure the network in each runtime, with 1, 2, 4 ... threads and with the number that the settings select.

    Args:
        settings: the daemon's settings.
        bundle: the bundle with the network.
        runtimes: keys of `device.recognition.runtimes.RUNTIMES`.
        cores: the maximum number of threads to try.
        seconds: the time for all measurements together.

    Returns:
        The calls; the reason by runtime for those that cannot run this bundle; and, as a stage, the call that the
        settings select.

    Raises:
        InterpreterError: the runtime that the settings select is not installed, or refuses the model.
        BundleError: the bundle needs something that this runtime does not have.
    """
    classifier = settings.classifier
    threads = sorted({2**n for n in range(cores.bit_length()) if 2**n <= cores} | {classifier.threads})
    each_s = seconds / (len(threads) * len(runtimes) + 1)
    selected, selected_ms = _time_calls(bundle, classifier.runtime, classifier.threads, each_s)
    calls, unusable = [], {}
    for runtime in runtimes:
        for number in threads:
            is_selected = (runtime, number) == (selected, classifier.threads)
            try:
                ms = selected_ms if is_selected else _time_calls(bundle, runtime, number, each_s)[1]
            except InterpreterError as error:
                unusable[runtime] = str(error)
                break
            calls.append(InterpreterCall(runtime, number, _median(ms), _p95(ms), is_selected))
    return calls, unusable, _stage("utterance", selected_ms)


def _time_calls(bundle: Bundle, runtime: str, threads: int, seconds: float) -> tuple[str, list[float]]:
    """Time calls of the network; the interpreter's memory is released before the function returns.

    Returns:
        The runtime that was used, and the milliseconds of each call.
    """
    companions = bundle.companions
    image = silent_image(companions.front_end)
    ids = Tokens(companions.vocabulary, companions.front_end).ids(" ".join(companions.vocabulary[:5]))
    with silenced_stderr():  # a runtime that is incompatible with this numpy prints long warnings
        classifier = Classifier(bundle, runtime=runtime, threads=threads)
    classifier.probabilities(image, ids)  # the first call packs the weights
    return classifier.runtime, [_ms(classifier.probabilities, image, ids) for _ in _repetitions(seconds)]


def _stage(per: str, ms: Sequence[float], core_share: float | None = None) -> Stage:
    """Summarise the milliseconds of the runs of a stage."""
    return Stage(per, _median(ms), _p95(ms), len(ms), None if core_share is None else round(core_share, 4))


def _repetitions(seconds: float) -> Iterator[None]:
    """Yield once, then until the time is up; limited by time, not by number, so that slow boards finish as soon."""
    gc.collect()
    until = time.perf_counter() + seconds
    yield
    while time.perf_counter() < until:
        yield


def _by_second(frames_ms: Sequence[float]) -> list[float]:
    """Milliseconds per second of audio, for each full second of frames, or for all frames if they are fewer."""
    length = min(_FRAMES_PER_SECOND, len(frames_ms))
    starts = range(0, len(frames_ms) - length + 1, length)
    return [sum(frames_ms[start : start + length]) / (length * FRAME_SECONDS) for start in starts]


def _ms(work: Callable[..., object], *arguments: object) -> float:
    started = time.perf_counter()
    work(*arguments)
    return 1000 * (time.perf_counter() - started)


def _median(ms: Sequence[float]) -> float:
    return round(statistics.median(ms), 4)


def _p95(ms: Sequence[float]) -> float:
    """95th percentile by nearest rank."""
    return round(sorted(ms)[math.ceil(0.95 * len(ms)) - 1], 4)
