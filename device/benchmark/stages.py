"""Each stage on its own, in the process that asks: how long it takes, on the speech of the clip.

A recogniser that has heard a sentence hears it again for half the time, since it keeps what it has joined. So each
utterance gets a fresh one here, whatever the settings say: a real speaker says what was not said before.
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
from device.recognition.runtimes import RUNTIMES, is_installed
from device.settings.schema import EndpointSettings, Settings
from device.system.stderr import silenced_stderr

_FRAMES_IN_SECOND = round(1 / FRAME_SECONDS)
_LOUDER_THAN_ANYTHING_DBFS = 0.0

Announce = Callable[[str], None]
"""Takes one line for the user."""


def spoken(endpoint: EndpointSettings) -> list[list[Frame]]:
    """The frames of the clip in which someone speaks, utterance by utterance, without pre-roll and hang-over."""
    endpointer = Endpointer(endpoint, VoiceDetector(endpoint.gate_dbfs))
    onset = max(1, round(endpoint.onset_s / FRAME_SECONDS))
    utterances: list[list[Frame]] = []
    heard: list[Frame] = []
    for frame in Recording(CLIP, silence_after_s=endpoint.hang_over_s + endpoint.pre_roll_s).frames():
        step = endpointer.push(frame)
        heard += step.frames if heard else step.frames[-onset:]
        if step.utterance is not None:
            utterances.append([each for each in heard if each.start_s < step.utterance.speech_end_s])
            heard = []
    return utterances


def stages(settings: Settings, bundle: Bundle, seconds: float, announce: Announce) -> dict[str, Stage]:
    """All stages but the interpreter, by name.

    Args:
        settings: of the daemon.
        bundle: whose front end and vocabulary are used.
        seconds: for which the clip is heard over and over, and at least once.
        announce: is told if the speech model must be fetched.

    Raises:
        EdgeMcnnError: as loading it for listening does.
    """
    front_end = bundle.companions.front_end
    tokens = Tokens(bundle.companions.vocabulary, front_end)
    gate, detector = VoiceDetector(_LOUDER_THAN_ANYTHING_DBFS), Silero()
    fresh = replace(settings.transcriber, utterances_per_recogniser=1)
    transcriber = load_transcriber(replace(settings, transcriber=fresh), announce)
    utterances = spoken(settings.endpoint)
    # What only a first run does (filters, colours) belongs to the start.
    spectrogram_image(MelSpectrogram(front_end).power(), front_end)
    ms: dict[str, list[float]] = defaultdict(list)
    fed_ms = fed_s = 0.0
    for _ in _rounds(seconds):
        for frames in utterances:
            detector.reset()
            spectrogram, transcription = MelSpectrogram(front_end), transcriber.begin()
            feeds = []
            for frame in frames:
                ms["loudness_gate"].append(_ms(gate.probability, frame.samples))
                ms["voice_detector"].append(_ms(detector.probability, frame.samples))
                ms["mel_spectrogram"].append(_ms(spectrogram.feed, frame.samples))
                feeds.append(_ms(transcription.feed, frame.samples))
            ms["picture"].append(_ms(lambda of: spectrogram_image(of.power(), front_end), spectrogram))
            ms["vosk_feed"] += _by_second(feeds)
            fed_ms, fed_s = fed_ms + sum(feeds), fed_s + len(frames) * FRAME_SECONDS
            ms["vosk_last_words"].append(_ms(transcription.text))
            ms["token_ids"].append(_ms(tokens.ids, transcription.text()))
    found = {}
    for name, each in ms.items():
        if name in ("loudness_gate", "voice_detector", "mel_spectrogram"):
            found[name] = stage("frame", each, statistics.fmean(each) / 1000 / FRAME_SECONDS)
        elif name == "vosk_feed":
            found[name] = stage("second", each, fed_ms / 1000 / fed_s)
        else:
            found[name] = stage("utterance", each)
    return found


def interpreter_calls(
    settings: Settings, bundle: Bundle, runtimes: Sequence[str], cores: int, seconds: float
) -> tuple[list[InterpreterCall], dict[str, str], Stage]:
    """The network in each runtime, with 1, 2, 4 ... threads and with as many as the settings choose.

    Args:
        settings: of the daemon.
        bundle: holds the network.
        runtimes: keys of `device.recognition.runtimes.RUNTIMES`.
        cores: the most threads to try.
        seconds: in all.

    Returns:
        The calls; the runtimes that do not run this bundle, and why; and, as a stage, the call that the settings
        choose.

    Raises:
        InterpreterError, BundleError: what the settings choose cannot run it.
    """
    chosen = settings.classifier
    threads = sorted({2**n for n in range(cores.bit_length()) if 2**n <= cores} | {chosen.threads})
    slot_s = seconds / (len(threads) * len(runtimes) + 1)
    selected, selected_ms = _asked(bundle, chosen.runtime, chosen.threads, slot_s)
    calls, unusable = [], {}
    for runtime in runtimes:
        for number in threads:
            is_selected = (runtime, number) == (selected, chosen.threads)
            try:
                ms = selected_ms if is_selected else _asked(bundle, runtime, number, slot_s)[1]
            except InterpreterError as error:
                unusable[runtime] = str(error)
                break
            calls.append(InterpreterCall(runtime, number, _median(ms), _p95(ms), is_selected))
    return calls, unusable, stage("utterance", selected_ms)


def _asked(bundle: Bundle, runtime: str, threads: int, seconds: float) -> tuple[str, list[float]]:
    """The runtime, and milliseconds of its calls; its memory is free again for the next one."""
    companions = bundle.companions
    image = silent_image(companions.front_end)
    ids = Tokens(companions.vocabulary, companions.front_end).ids(" ".join(companions.vocabulary[:5]))
    with silenced_stderr():  # a runtime that does not go with this numpy complains at length
        classifier = Classifier(bundle, runtime=runtime, threads=threads)
    classifier.probabilities(image, ids)  # the first call packs the weights
    return classifier.runtime, [_ms(classifier.probabilities, image, ids) for _ in _rounds(seconds)]


def stage(per: str, ms: Sequence[float], core_share: float | None = None) -> Stage:
    """A stage whose runs took so many milliseconds each."""
    return Stage(per, _median(ms), _p95(ms), len(ms), None if core_share is None else round(core_share, 4))


def installed_runtimes() -> list[str]:
    """Keys of `RUNTIMES` that are there, whether or not they work; none is imported."""
    return [runtime for runtime in RUNTIMES if is_installed(runtime)]


def _rounds(seconds: float) -> Iterator[None]:
    """One, and more until the time is up. Bounded by time: a slow board has as little patience as a fast one."""
    gc.collect()
    until = time.perf_counter() + seconds
    yield
    while time.perf_counter() < until:
        yield


def _by_second(frames_ms: Sequence[float]) -> list[float]:
    """Milliseconds per second of sound, for each whole second of frames, or for all where they are fewer."""
    length = min(_FRAMES_IN_SECOND, len(frames_ms))
    starts = range(0, len(frames_ms) - length + 1, length)
    return [sum(frames_ms[start : start + length]) / (length * FRAME_SECONDS) for start in starts]


def _ms(work: Callable[..., object], *arguments: object) -> float:
    began = time.perf_counter()
    work(*arguments)
    return 1000 * (time.perf_counter() - began)


def _median(ms: Sequence[float]) -> float:
    return round(statistics.median(ms), 4)


def _p95(ms: Sequence[float]) -> float:
    """By nearest rank."""
    return round(sorted(ms)[math.ceil(0.95 * len(ms)) - 1], 4)
