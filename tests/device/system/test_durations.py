import pytest

from device.system.durations import duration_text


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0 ms"), (0.0312, "0.031 ms"), (0.5, "0.5 ms"),
        (0.97, "1.0 ms"), (3.5, "3.5 ms"), (9.96, "10 ms"), (25.4, "25 ms"),
        (99.96, "100 ms"), (412.6, "413 ms"), (9999.4, "9999 ms"), (9999.6, "10.0 s"), (10_000, "10.0 s"),
        (99_960, "100 s"), (154_036, "154 s"),
    ],
)  # fmt: skip
def test_durations(ms: float, text: str) -> None:
    assert duration_text(ms) == text
