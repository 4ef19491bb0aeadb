from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data.transcripts.word_errors import simulate, word_error_rate

WORDS = [f"w{number}" for number in range(200)]
FREQUENT = ["the"] * 90 + ["a"] * 10


def test_simulated_error_rate_matches_the_share() -> None:
    random = np.random.default_rng(1)
    pairs = [(WORDS, simulate(WORDS, 0.2, FREQUENT, random)) for _ in range(50)]
    assert word_error_rate(pairs) == pytest.approx(0.2, abs=0.01)
    inserted = Counter(word for _, recognised in pairs for word in recognised if word in ("the", "a"))
    assert inserted["the"] / inserted.total() == pytest.approx(0.9, abs=0.03)
    assert inserted.total() / 10_000 == pytest.approx(0.2 * 0.8, abs=0.015)  # substituted and inserted
    unchanged = sum(word.startswith("w") for _, recognised in pairs for word in recognised)
    assert unchanged / 10_000 == pytest.approx(1 - 0.2 * 0.8, abs=0.015)  # neither substituted nor deleted


def test_a_word_is_never_substituted_by_itself() -> None:
    recognised = simulate(["the"] * 500, 1.0, ["the", "a"], np.random.default_rng(0))
    assert 100 < recognised.count("the") < 200  # a fifth stays beside an inserted word, which may be the same


@given(
    st.lists(st.sampled_from("abc"), max_size=9),
    st.floats(0, 1),
    st.lists(st.sampled_from("ab"), max_size=3),
    st.integers(0, 99),
)
def test_any_words(words: list[str], share: float, frequent: list[str], seed: int) -> None:
    recognised = simulate(words, share, frequent, np.random.default_rng(seed))
    assert recognised == simulate(words, share, frequent, np.random.default_rng(seed))
    assert len(recognised) <= 2 * len(words)
    assert set(recognised) <= {*words, *frequent}
    if not share:
        assert recognised == words


@pytest.mark.parametrize(
    ("spoken", "recognised", "rate"),
    [
        ("a b c", "a b c", 0),
        ("a b c", "a x c", 1 / 3),
        ("a b c", "b c", 1 / 3),
        ("a b c", "a b b c", 1 / 3),
        ("a b", "x y z", 3 / 2),
        ("a b", "", 1),
    ],
)
def test_rate(spoken: str, recognised: str, rate: float) -> None:
    assert word_error_rate([(spoken.split(), recognised.split())]) == pytest.approx(rate)


def test_rate_over_texts() -> None:
    assert word_error_rate([(["a"], ["a"]), (["a", "b", "c"], ["a"])]) == 0.5
    assert word_error_rate([([], ["a"])]) is None
