import numpy as np

from device.audio.audio_file import Recording
from device.audio.endpoint import Endpointer
from device.audio.silero_vad import VoiceDetector
from device.recorder.take import Take, TakeListener
from device.settings.schema import EndpointSettings
from tests.conftest import CLIPS
from tests.device.recorder.conftest import LOUD, SETTINGS, FrameCounter, Loudness, Stream


def takes(listener: TakeListener, stream: Stream, *parts: tuple[int, int]) -> list[Take]:
    pushed = (listener.push(frame) for level, count in parts for frame in stream.frames(level, count))
    return [take for take in pushed if take is not None]


def test_a_take_has_pre_roll_and_hang_over_and_the_complete_transcript(listener: TakeListener, stream: Stream) -> None:
    first, second = takes(listener, stream, (1, 20), (LOUD, 30), (2, 30), (LOUD, 5), (3, 40))
    levels = first.samples[::512]
    assert list(levels) == [1] * 5 + [LOUD] * 30 + [2] * 10
    assert first.text == f"{len(levels)} frames"
    assert first.seconds == len(levels) * 0.032
    assert (first.ending, first.clipped) == ("silence", False)
    assert list(second.samples[::512]) == [2] * 5 + [LOUD] * 5 + [3] * 10
    assert second.text == "20 frames"


def test_takes_end_where_the_daemon_ends_utterances() -> None:
    """The same samples as from the daemon's endpointer, for real speech and the real detector."""
    settings = EndpointSettings()
    recording = Recording(CLIPS / "austen-0930.flac", silence_after_s=2)
    endpointer = Endpointer(settings, VoiceDetector(settings.gate_dbfs))
    expected = [each.samples for frame in recording.frames() for each in endpointer.push(frame).frames]
    listener = TakeListener(settings, VoiceDetector(settings.gate_dbfs), None)
    [take] = [take for frame in recording.frames() if (take := listener.push(frame)) is not None]
    np.testing.assert_array_equal(take.samples, np.concatenate(expected))
    assert take.text == ""


def test_speech_without_a_pause_is_cut(listener: TakeListener, stream: Stream) -> None:
    [take] = takes(listener, stream, (LOUD, 105))
    assert take.ending == "longest"


def test_restart_discards_the_open_utterance(stream: Stream) -> None:
    listener = TakeListener(SETTINGS, Loudness(), FrameCounter())
    assert takes(listener, stream, (1, 20), (LOUD, 30)) == []
    assert listener.speaking
    listener.restart()
    assert not listener.speaking
    [take] = takes(listener, stream, (2, 20), (LOUD, 4), (2, 20))
    assert list(take.samples[::512]) == [2] * 5 + [LOUD] * 4 + [2] * 10
    assert take.text == "19 frames"


def test_clipped() -> None:
    def take(loudest: int) -> Take:
        return Take(np.array([0, loudest], np.int16), "", "silence")

    assert take(32767).clipped
    assert take(-32768).clipped
    assert not take(32766).clipped
