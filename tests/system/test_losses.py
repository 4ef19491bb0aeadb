"""A microphone that is lost in every way there is, and heard again without a restart."""

import pytest

from tests.conftest import CLIPS
from tests.system.losses import LOSSES, patient
from tests.system.virtual_microphone import missing_programs

pytestmark = pytest.mark.skipif(
    bool(missing_programs()), reason=f"no virtual microphone: {', '.join(missing_programs())} missing; see `make test`"
)


def test_every_loss_heals_and_nothing_is_left_behind() -> None:
    with patient() as each:
        outcome = each.cycles(len(LOSSES))
        each.microphone.play(CLIPS / "espeak-ruined.flac")
        end = each.wait_for("healthy")
        assert end.utterances == 1, "it hears as well as before"
    worst = {kind: max(seconds) for kind, seconds in outcome.seconds.items()}
    assert max(worst.values()) < 5, worst
    assert outcome.after.threads == outcome.before.threads
    assert outcome.after.open_files == outcome.before.open_files
    assert outcome.after.memory_mb < outcome.before.memory_mb + 10
    assert outcome.after.blocks_dropped == 0
    assert outcome.after.uptime_s > outcome.before.uptime_s, "not one restart"


def test_the_daemon_says_which_microphone_it_has() -> None:
    with patient() as each:
        assert (each.status().microphone, each.status().rate) == ("usbmic", 48_000)
        each.suffer(LOSSES["replaced"])
        assert each.status().microphone == "othermic"
        each.suffer(LOSSES["other rate"])
        assert (each.status().microphone, each.status().rate) == ("usbmic", 44_100)
        each.microphone.unplug()
        lost = each.wait_for("lost")
        assert lost.microphone == ""
        assert lost.reason
