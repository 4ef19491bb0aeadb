import pytest

from training.data.split_names import is_split_name, read_splits

NAMES = {
    "train": "train Train TRAIN training Trainset train_set train-data train.wav 01_train 1-Training TrainingData tr",
    "validation": "val VAL valid Validation validation_set dev Dev devel development valset dev-clips 02-val va",
    "test": "test Testing tests tst test_data TESTSET test1 testing-audio holdout te",
}
OTHERS = (
    "happy trains_test train_val restrain testimony developer value evil set data 01 docs __MACOSX latest strain "
    "contest trauer tetris trains"
)
MELD = {"train_splits": "train", "dev_splits_complete": "validation", "output_repeated_splits_test": "test"}
MELD_TABLES = {"train_sent_emo": "train", "dev_sent_emo": "validation", "test_sent_emo": "test"}


@pytest.mark.parametrize(
    ("name", "split"),
    [
        *((name, split) for split, names in NAMES.items() for name in names.split()),
        *MELD.items(),
        *MELD_TABLES.items(),
        ("\uff54\uff52\uff41\uff49\uff4e", "train"),  # full-width letters
        (" train ", "train"),
    ],
)
def test_usual_names(name: str, split: str) -> None:
    assert read_splits([name]) == {name: split}


@pytest.mark.parametrize("name", ["", "train happy", *OTHERS.split()])
def test_other_names(name: str) -> None:
    assert not is_split_name(name)
    assert read_splits([name, "train"]) == {"train": "train"}


def test_evaluation_is_validation_unless_there_is_another() -> None:
    assert read_splits(["train", "Eval"]) == {"train": "train", "Eval": "validation"}
    assert read_splits(["train", "eval", "test"])["eval"] == "validation"
    assert read_splits(["train", "eval_set", "dev"])["eval_set"] == "test"
    assert read_splits(["evaluation", "valid", "test"]) == {
        "evaluation": "test", "valid": "validation", "test": "test",
    }  # fmt: skip
