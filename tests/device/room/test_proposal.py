import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.room.proposal import gain_change_db, propose_gate
from tests.device.room.audio import measured


@pytest.mark.parametrize(
    ("loud", "quiet", "gate"),
    [
        (-57.0, -35.0, -51),  # 6 dB above the room
        (-57.4, -35.0, -51),  # the next whole number
        (-48.0, -35.0, -45),  # 10 dB below quiet speech, although the room is louder than 6 dB below that
        (-30.0, -35.0, -45),  # a room as loud as the voice: no word may be lost
        (-96.0, -35.0, -65),  # a microphone with noise suppression: 30 dB below quiet speech
        (-96.0, -89.0, -96),  # the limits of the setting
        (-9.0, 0.0, -10),
    ],
)
def test_the_gate(loud: float, quiet: float, gate: float) -> None:
    proposal = propose_gate(measured(loud=loud, quiet=quiet), -60)
    assert proposal is not None
    assert proposal.proposed_dbfs == gate


def test_without_speech_there_is_no_proposal() -> None:
    silent = measured(speech=None)
    assert propose_gate(silent, -60) is None
    assert gain_change_db(silent) == 0


@pytest.mark.parametrize(
    ("present", "passes_noise", "blocks_speech"),
    [(-60.0, True, False), (-57.0, False, False), (-51.0, False, False), (-45.0, False, False), (-44.0, False, True)],
)
def test_whether_the_present_gate_fits(present: float, passes_noise: bool, blocks_speech: bool) -> None:
    proposal = propose_gate(measured(loud=-57, quiet=-35), present)
    assert proposal is not None
    assert (proposal.passes_noise, proposal.blocks_speech) == (passes_noise, blocks_speech)
    assert proposal.fits == (not passes_noise and not blocks_speech)


@given(st.floats(-96, 0), st.floats(-96, 0), st.floats(-96, 0))
def test_a_proposal_is_allowed_leaves_speech_its_margin_and_fits_the_next_time(
    loud: float, quiet: float, present: float
) -> None:
    measurement = measured(loud=loud, quiet=quiet)
    proposal = propose_gate(measurement, present)
    assert proposal is not None
    assert -96 <= proposal.proposed_dbfs <= 0
    assert proposal.proposed_dbfs == round(proposal.proposed_dbfs)
    assert proposal.proposed_dbfs <= max(quiet - 10, -96)
    again = propose_gate(measurement, proposal.proposed_dbfs)
    assert again is not None
    assert again.proposed_dbfs == proposal.proposed_dbfs
    assert not again.passes_noise


@pytest.mark.parametrize(
    ("speech", "peak", "clipped", "change"),
    [
        (-30.0, -12.0, 0.0, 0.0),
        (-44.0, -20.0, 0.0, 0.0),
        (-50.0, -35.0, 0.0, 20.0),
        (-50.0, -20.0, 0.0, 11.0),  # its peaks reach -9 dBFS
        (-50.0, -11.0, 0.0, 0.0),  # a change of 2 dB is none
        (-12.0, -2.0, 0.0, -18.0),
        (-20.0, 0.0, 0.0, 0.0),
        (-20.0, 0.0, 0.02, -10.0),
        (-40.0, 0.0, 0.001, -6.0),  # clipped bangs of a quiet voice
        (-30.0, 0.0, 0.00001, 0.0),  # two samples of ten seconds
    ],
)
def test_the_gain(speech: float, peak: float, clipped: float, change: float) -> None:
    assert gain_change_db(measured(speech=speech, peak=peak, clipped=clipped)) == pytest.approx(change)
