import numpy as np
import pytest

from device.audio.level import LOWEST_DBFS, level_dbfs


def sine(peak: float) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    return np.asarray(np.rint(peak * np.sin(np.arange(512) * 2 * np.pi / 64)), np.int16)


@pytest.mark.parametrize(("peak", "dbfs"), [(32767, -3.01), (3277, -23.01), (327.7, -43.01)])
def test_a_sine_has_its_rms_level(peak: float, dbfs: float) -> None:
    assert level_dbfs(sine(peak)) == pytest.approx(dbfs, abs=0.05)


def test_an_offset_is_no_sound() -> None:
    assert level_dbfs(np.full(512, -32768, np.int16)) == LOWEST_DBFS
    assert level_dbfs(sine(327.7) + np.int16(10_000)) == pytest.approx(-43.01, abs=0.05)


def test_the_loudest_and_the_quietest() -> None:
    assert level_dbfs(np.tile(np.array([-32768, 32767], np.int16), 256)) == pytest.approx(0, abs=0.001)
    for quiet in (np.zeros(512, np.int16), np.eye(1, 512, dtype=np.int16)[0], np.zeros(0, np.int16)):
        assert level_dbfs(quiet) == LOWEST_DBFS
