from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from device.errors import TrainingError
from training.data.clips import Clip, check_trainable
from training.data.splits import VALIDATION_SHARE, complete_splits, make_folds, make_splits


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


@pytest.mark.parametrize(
    ("speakers", "dialogues", "by"), [(12, 40, "speaker"), (0, 40, "dialogue"), (1, 40, "dialogue"), (0, 0, "clip")]
)
def test_folds_hold_out_complete_groups_with_classes_in_proportion(speakers: int, dialogues: int, by: str) -> None:
    rows = clips(speakers, dialogues)
    folds = make_folds(rows, 5, seed=1)
    assert folds == make_folds(rows, 5, seed=1)
    assert folds.numbers != make_folds(rows, 5, seed=2).numbers
    assert folds.by == by
    assert f"5 folds by {by} (seed 1): each of " in folds.note
    if by != "clip":
        groups = {(getattr(clip, by), number) for clip, number in zip(rows, folds.numbers, strict=True)}
        assert len(groups) == len({group for group, _ in groups})
    counts = Counter(zip(folds.numbers, (clip.label for clip in rows), strict=True))
    assert set(folds.numbers) == set(range(5))
    for fold in range(5):
        assert counts[fold, "rare"] == pytest.approx(8, abs=4)
        assert counts[fold, "common"] == pytest.approx(32, abs=16)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 3)), min_size=8, max_size=40),
    st.integers(2, 4),
    st.integers(0, 9),
)
def test_no_speaker_is_in_train_and_in_a_held_out_fold(rows: list[tuple[int, int]], count: int, seed: int) -> None:
    spoken = [Clip(None, "x", f"class {label}", "", speaker=f"s{speaker}") for speaker, label in rows]
    try:
        folds = make_folds(spoken, count, seed)
    except TrainingError:
        return  # too few speakers can be held out
    for fold in range(count):
        held_out = [clip for clip, number in zip(spoken, folds.numbers, strict=True) if number == fold]
        train = [clip for clip, number in zip(spoken, folds.numbers, strict=True) if number != fold]
        assert held_out
        assert {clip.label for clip in held_out} <= {clip.label for clip in train}
        if folds.by == "speaker":
            assert not {clip.speaker for clip in held_out} & {clip.speaker for clip in train}


def test_speaker_with_all_clips_of_a_class_is_never_held_out() -> None:
    rows = [Clip(None, "x", "ab"[n % 2], "", speaker=f"s{n % 5}") for n in range(40)]
    folds = make_folds([*rows, *(Clip(None, text, "rare", "", speaker="s1") for text in "xy")], 4, 1)
    assert {number for number, clip in zip(folds.numbers, rows, strict=False) if clip.speaker == "s1"} == {-1}
    assert "each of 4 speakers is held out once; always trained on, because nothing else has" in folds.note
    assert folds.note.endswith("classes: speaker 's1'")


def test_folds_keep_identical_recordings_together(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / str(number)).write_bytes(b"%d" % (number // 2))
    rows = [Clip(tmp_path / str(n), "x", "ab"[n // 2 % 2], "", speaker=f"s{n}") for n in range(20)]
    folds = make_folds(rows, 5, seed=1)  # of each two speakers with one recording, both are held out together
    assert folds.numbers[::2] == folds.numbers[1::2]


def test_more_folds_than_speakers_are_refused() -> None:
    with pytest.raises(TrainingError, match="5 folds, but only 3 speakers can be held out; use --folds 3"):
        make_folds(clips(3, 0), 5, seed=1)
