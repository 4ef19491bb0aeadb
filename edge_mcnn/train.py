"""`edge-mcnn train`: thin, so that everything it does can be called from Python (`training.fit.trainer.train`)."""

import json
import os
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from device.errors import TrainingError
from edge_mcnn.corpus_options import AudioRoot, CorpusArgument, Meld, MeldTarget, Target, TextOption, opened, require


def train_command(
    corpus: CorpusArgument = None,
    meld: Meld = None,
    target: MeldTarget = Target.SENTIMENT,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the trained model is written.")] = Path(
        "Model.h5"
    ),
    audio_root: AudioRoot = None,
    text: Annotated[
        TextOption,
        typer.Option(
            help="Words to train on: the corpus's own, those that Vosk heard (see `edge-mcnn transcribe`), or both."
        ),
    ] = TextOption.REFERENCE,
    pictures: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Keep the pictures of the sound there, as `edge-mcnn pictures` does, and what the frozen layers see "
            "in them; take what is there.",
            show_default="computed anew",
        ),
    ] = None,
    network: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Which network to train: `tutorial` is the published one, VGG19 and an LSTM; `evidence` is small and "
            "quick, needs no weights from elsewhere, and adds what the sound and what the words say.",
        ),
    ] = "tutorial",
    vgg19_weights: Annotated[
        Path | None,
        typer.Option(help="VGG19 ImageNet weights without top (.h5), to train offline.", show_default="download once"),
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the train rows, at most.")] = 13,
    patience: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Stop when the validation loss has not improved for N epochs, and keep the best epoch's weights.",
            show_default="train all epochs",
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Rows per step.")] = 16,
    learning_rate: Annotated[
        float | None,
        typer.Option(min=1e-8, max=1.0, help="Step size of Adam.", show_default="1e-4 for tutorial, 1e-3 for evidence"),
    ] = None,
    balanced: Annotated[
        bool, typer.Option("--balanced", help="Weigh rare classes up, so that the commonest does not win by default.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same model.")] = 1,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on from the last whole epoch of a training that was stopped: the same command, and this.",
        ),
    ] = False,
    card: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.json", help="More to say in the model card: data, licences, limits.", show_default="none"
        ),
    ] = None,
) -> None:
    """Train a network that tells emotions from the sound of speech and from its words.

    Each clip becomes the picture that the device will compute and the word ids that it will read. When done, Model.h5
    holds the network with its labels, vocabulary and front-end settings; `edge-mcnn convert Model.h5` makes it ready
    for the device.

    Ctrl-C stops early and keeps what was learnt. After each epoch the state is kept in Model.h5.checkpoint, from which
    --resume goes on after a lost power supply; the end is the same as without. Where TF_CONFIG names several machines,
    and each runs this command, they share every batch; the first one writes the model.
    """
    require("tf_keras", "librosa")
    # A slip in the card or the corpus is told before tensorflow takes its seconds to load.
    entries = {"command": shlex.join(["edge-mcnn", *sys.argv[1:]]), **_read_card(card)}
    source = opened(corpus, meld, target, audio_root, seed)
    from training.data.clips import check_trainable
    from training.data.corpus import with_text

    check_trainable(with_text(source, text.value).clips, source.name)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's start-up remarks say nothing to a maker
    from training.fit.trainer import TrainingSettings, train

    settings = TrainingSettings(
        network=network,
        patience=patience,
        resume=resume,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        seed=seed,
        balanced=balanced,
        text=text.value,
        image_cache=pictures,
        vgg19_weights=vgg19_weights or "imagenet",
        card=entries,
    )
    train(source, output, settings)


def _read_card(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TrainingError(f"{path}: cannot be read ({error.strerror}); --card takes a JSON file") from None
    except ValueError as error:
        raise TrainingError(f"{path}: not valid JSON ({error}); --card takes a JSON object in UTF-8") from None
    if not isinstance(entries, dict):
        raise TrainingError(f"{path}: expected a JSON object, {{...}}, with the entries to add to the model card")
    return entries
