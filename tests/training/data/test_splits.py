from collections import Counter

import pytest

from training.data.clips import Clip
from training.data.splits import VALIDATION_SHARE, make_splits


def clips(speakers: int, dialogues: int, count: int = 200) -> list[Clip]:
    """Clips of two classes, one of them rarer; 0 speakers or dialogues means that they are unknown."""
    return [
        Clip(
            None,
            f"word {number}",
            "rare" if number % 5 == 0 else "common",
            "",
            speaker=f"s{number % speakers}" if speakers else "",
            dialogue=f"d{number // 3 % dialogues}" if dialogues else "",
        )
        for number in range(count)
    ]


@pytest.mark.parametrize(
    ("speakers", "dialogues", "by"), [(12, 40, "speaker"), (0, 40, "dialogue"), (1, 40, "dialogue"), (0, 0, "clip")]
)
def test_groups_stay_together_and_classes_in_proportion(speakers: int, dialogues: int, by: str) -> None:
    split, note = make_splits(clips(speakers, dialogues), seed=1)
    assert f"made by {by} (seed 1)" in note
    if by != "clip":
        groups = {(getattr(clip, by), clip.split) for clip in split}
        assert len(groups) == len({group for group, _ in groups})
    counts = Counter((clip.split, clip.label) for clip in split)
    for label in ("rare", "common"):
        both = counts["train", label] + counts["validation", label]
        assert counts["validation", label] / both == pytest.approx(VALIDATION_SHARE, abs=0.1)
    assert [clip.text for clip in split] == [clip.text for clip in clips(speakers, dialogues)]


def test_splits_depend_on_the_seed() -> None:
    rows = clips(12, 0)
    assert make_splits(rows, 1) == make_splits(rows, 1)
    assert make_splits(rows, 1) != make_splits(rows, 2)


def test_class_of_a_single_speaker_has_train_clips() -> None:
    rows = [Clip(None, "x", "a" if number % 6 else "b", "", speaker=f"s{number % 6}") for number in range(60)]
    for seed in range(10):
        split, _ = make_splits(rows, seed)
        assert {clip.label for clip in split if clip.split == "train"} == {"a", "b"}


def test_unknown_speakers_are_not_grouped() -> None:
    rows = [*clips(12, 0), Clip(None, "x", "common", "")]
    assert "made by clip" in make_splits(rows, 1)[1]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_very_few_clips(count: int) -> None:
    split, _ = make_splits(clips(0, 0, count), 1)
    assert {clip.split for clip in split} == ({"train", "validation"} if count > 1 else {"validation"})
