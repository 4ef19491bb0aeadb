from pathlib import Path

from edge_mcnn.own_model.record import next_steps

TABLE = Path("my voice/clips.csv")


def test_enough_of_each() -> None:
    assert next_steps(TABLE, {"happy": 12, "angry": 10}, words=True) == [
        "my voice: 12 happy, 10 angry",
        "next: edge-mcnn train 'my voice/clips.csv' --network evidence --epochs 60 --output Model.h5",
    ]


def test_many_clips_need_the_default_epochs() -> None:
    assert "--epochs" not in next_steps(TABLE, {"happy": 100, "angry": 100}, words=True)[-1]


def test_few_and_uneven() -> None:
    lines = next_steps(TABLE, {"happy": 16, "calm": 10, "angry": 9}, words=True)
    assert "few clips of angry:" in lines[1]
    assert "uneven" in lines[2]
    assert lines[3].startswith("next: ")
    assert not any("uneven" in line for line in next_steps(TABLE, {"happy": 15, "angry": 10}, words=True))


def test_too_few_to_train_on() -> None:
    assert next_steps(TABLE, {"happy": 0, "angry": 0}, words=True)[-1].startswith("no clips were saved")
    for counts in ({"happy": 20}, {"happy": 20, "angry": 1}):
        lines = next_steps(TABLE, counts, words=True)
        assert lines[-1].startswith("training needs at least two classes")
        assert not any("next:" in line for line in lines)


def test_training_needs_transcripts() -> None:
    assert next_steps(TABLE, {"happy": 12, "angry": 10}, words=False)[1:] == [
        "next: edge-mcnn transcribe 'my voice/clips.csv' --output 'my voice/transcripts.csv'",
        "then: edge-mcnn train 'my voice/transcripts.csv' --text vosk --network evidence --epochs 60 --output Model.h5",
    ]
