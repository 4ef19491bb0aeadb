from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from training.data.clips import Clip, check_trainable
from training.data.splits import VALIDATION_SHARE, complete_splits, make_splits


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
    """A class of one clip has it in train; `check_trainable` refuses that class with its name."""
    split, _ = make_splits(clips(0, 0, count), 1)
    assert {clip.split for clip in split} == ({"train", "validation"} if count > 2 else {"train"})


def by(*speakers: str, count: int = 10) -> list[Clip]:
    """Clips by `label:speaker`."""
    return [
        Clip(None, "x", label, "", speaker=speaker)
        for label, speaker in (each.split(":") for each in speakers)
        for _ in range(count)
    ]


def test_speakers_with_one_class_each_are_not_held_out() -> None:
    rows = by("a:ann", "b:bob")
    split, note = make_splits(rows, 1)
    check_trainable(split, "x")
    assert "made by clip (seed 1): 16 train and 4 validation clips; every class has one speaker only, so the" in note
    assert {clip.label for clip in split if clip.split == "validation"} == {"a", "b"}


def test_classes_of_one_speaker_are_divided_and_others_held_out_by_speaker() -> None:
    rows = by("a:ann", "a:bob", "a:cem", "a:dan", "b:eva")
    split, note = make_splits(rows, 1)
    check_trainable(split, "x")
    assert "by speaker (seed 1)" in note
    assert ", 1 of 4 speakers held out; clips of 'b' were divided one by one, because only one speaker has them" in note
    assert {clip.label for clip in split if clip.split == "validation"} == {"a", "b"}
    held = {clip.speaker for clip in split if clip.split == "validation" and clip.label == "a"}
    assert not held & {clip.speaker for clip in split if clip.split == "train" and clip.label == "a"}


def test_reason_for_dividing_clips_is_printed() -> None:
    assert "all clips are of one dialogue, so the scores will" in make_splits(clips(0, 1), 1)[1]
    assert "all clips are of one speaker" in make_splits(clips(1, 0), 1)[1]
    assert "1 clips name no speaker" in make_splits([*clips(12, 0), Clip(None, "x", "common", "")], 1)[1]
    assert make_splits(clips(0, 0), 1)[1].endswith("validation clips")


def test_missing_validation_is_held_out_of_train() -> None:
    train = [replace(clip, split="train") for clip in clips(12, 0)]
    test = [replace(clip, split="test") for clip in clips(0, 0, 7)]
    split, note = complete_splits([*train, *test], 1)
    assert "the corpus defines no validation split, made from its train clips by speaker (seed 1)" in note
    assert split[-7:] == tuple(test)
    assert {clip.split for clip in split[:-7]} == {"train", "validation"}
    assert complete_splits(split, 1) == (split, "")
    assert complete_splits(test, 1) == (tuple(test), "")


CORPORA = st.lists(
    st.builds(
        lambda label, speaker, dialogue: Clip(None, "x", label, "", speaker=speaker, dialogue=dialogue),
        st.sampled_from("abcd"),
        st.sampled_from(["", "ann", "bob", "cem"]) | st.just("ann"),
        st.sampled_from(["", "1", "2"]) | st.just("1"),
    ),
    min_size=4,
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(CORPORA, st.booleans(), st.integers(0, 3))
def test_made_splits_can_be_trained_on(rows: list[Clip], all_known: bool, seed: int) -> None:
    counts = Counter(clip.label for clip in rows)
    rows = [clip for clip in rows if counts[clip.label] > 1]
    if all_known:
        rows = [replace(clip, speaker=clip.speaker or "dan", dialogue=clip.dialogue or "3") for clip in rows]
    assume(len({clip.label for clip in rows}) > 1)
    split, note = make_splits(rows, seed)
    check_trainable(split, "x")
    assert [replace(clip, split="") for clip in split] == rows
    assert "validation clips" in note
