"""A microphone that is lost in every possible way, and received again without a restart."""

import pytest

from tests.conftest import CLIPS
from tests.system.losses import LOSSES, observed_daemon
from tests.system.virtual_microphone import missing_programs
from tests.waiting import wait_until

pytestmark = pytest.mark.skipif(
    bool(missing_programs()), reason=f"no virtual microphone: {', '.join(missing_programs())} missing; see `make test`"
)


def test_the_daemon_recovers_from_every_loss_without_leaks() -> None:
    with observed_daemon() as daemon:
        outcome = daemon.cycles(len(LOSSES))
        daemon.microphone.play(CLIPS / "espeak-ruined.flac")
        wait_until(lambda: daemon.status().utterances, message="it does not detect speech as before")
        assert daemon.status().utterances == 1
    worst = {kind: max(seconds) for kind, seconds in outcome.seconds.items()}
    assert max(worst.values()) < 5, worst
    assert outcome.after.memory_mb < outcome.before.memory_mb + 10
    assert outcome.after.blocks_dropped == 0
    assert outcome.after.uptime_s > outcome.before.uptime_s, "the daemon never restarted"


def test_the_daemon_reports_its_microphone() -> None:
    with observed_daemon() as daemon:
        assert (daemon.status().microphone, daemon.status().rate) == ("usbmic", 48_000)
        daemon.lose_and_restore(LOSSES["replaced"])
        assert daemon.status().microphone == "othermic"
        daemon.lose_and_restore(LOSSES["other rate"])
        assert (daemon.status().microphone, daemon.status().rate) == ("usbmic", 44_100)
        daemon.microphone.unplug()
        lost = daemon.wait_for("lost")
        assert lost.microphone == ""
        assert lost.reason
