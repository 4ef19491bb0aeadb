"""`edge-mcnn train`. From Python: `training.fit.trainer.train`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from device.bundle import SHIPPED_BUNDLES
from device.errors import TrainingError
from device.system.text_files import read_text
from edge_mcnn.options import (
    AudioRoot,
    CorpusArgument,
    ImageCache,
    Meld,
    MeldTarget,
    Target,
    TextOption,
    open_selected_corpus,
    prepare_tensorflow,
    require,
    typed_command,
)
from edge_mcnn.output import out
from edge_mcnn.paths import input_file, model_file, output_file, output_folder

_BASE = f"give a Model.h5 that `edge-mcnn train` wrote, or the name of a model that ships: {', '.join(SHIPPED_BUNDLES)}"
_CARD = "--card requires a file with a JSON object in UTF-8: the entries to add to the model card"


def train_command(
    corpus: CorpusArgument = None,
    meld: Meld = None,
    target: MeldTarget = Target.SENTIMENT,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="FILE.h5", parser=output_file(), help="File to write the trained model to."
        ),
    ] = Path("Model.h5"),
    audio_root: AudioRoot = None,
    text: Annotated[
        TextOption,
        typer.Option(
            help="Which text to train on: the transcripts of the corpus (reference), those that `edge-mcnn transcribe` "
            "wrote (vosk), or both."
        ),
    ] = TextOption.REFERENCE,
    pictures: ImageCache = None,
    network: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Which network to train. tutorial: that of the tutorial, VGG19 and an LSTM. evidence: small, fast to "
            "train, needs no pretrained weights, and adds the evidence of the audio to the evidence of the text.",
            show_default="tutorial, or with --from that of the base",
        ),
    ] = None,
    base: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="NAME|FILE",
            parser=model_file(_BASE),
            help="Start from a trained model instead of random weights, with its front end and vocabulary: a Model.h5 "
            "of `edge-mcnn train`, or sentiment or emotions, which ship with edge-mcnn, or another Model.tflite of the "
            "network evidence. The classes may be others.",
            show_default="random weights",
        ),
    ] = None,
    vgg19_weights: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.h5",
            parser=input_file("give the VGG19 weights of Keras without the top layers"),
            help="VGG19 ImageNet weights without the top layers, to train without network access.",
            show_default="download once",
        ),
    ] = None,
    fast_lstm: Annotated[
        bool,
        typer.Option(
            "--fast-lstm",
            help="Train the LSTM of the tutorial's network without its recurrent dropout. A step then takes less "
            "time on a GPU, but the network is not exactly the published one and may overfit "
            "sooner. The converted model has the same size and speed either way, because dropout is only for training.",
        ),
    ] = False,
    epochs: Annotated[int, typer.Option(min=1, help="Largest number of passes over the training rows.")] = 13,
    patience: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Stop when the validation loss has not improved for N epochs, and restore the weights of the best "
            "epoch.",
            show_default="train all epochs",
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Number of rows per training step.")] = 16,
    learning_rate: Annotated[
        float | None,
        typer.Option(
            min=1e-8,
            max=1.0,
            help="Learning rate of the Adam optimiser.",
            show_default="1e-4 for tutorial, 1e-3 for evidence",
        ),
    ] = None,
    balanced: Annotated[
        bool,
        typer.Option(
            "--balanced",
            help="Give rare classes more weight, so that the most common class does not dominate.",
        ),
    ] = False,
    augment: Annotated[
        bool | None,
        typer.Option(
            "--augment/--no-augment",
            help="Train on augmented copies of the train recordings as well: with moved edges, other speed and pitch, "
            "gain, microphone, room and noise.",
            show_default="--augment with fewer than 200 train recordings",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Random seed; the same seed gives the same model.")] = 1,
    folds: Annotated[
        int | None,
        typer.Option(
            min=2,
            metavar="K",
            help="Cross-validate first: train K times, each time without one of K parts of the train and validation "
            "rows, and print mean and spread of the scores. Complete speakers are held out if each row names one, else "
            "dialogues, else rows. The model is then trained as without this option; its card contains the scores.",
            show_default="no cross-validation",
        ),
    ] = None,
    seeds: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="N",
            help="Train with N seeds, from --seed on, and print mean and spread of the scores before the model is "
            "trained with the first; with --folds, each seed divides the rows in another way.",
        ),
    ] = 1,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Continue an interrupted training after its last complete epoch. Repeat the same command and add this "
            "option.",
        ),
    ] = False,
    tensorboard: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            parser=output_folder(),
            help="Log loss, accuracy, validation loss, validation weighted F1 and learning rate of each epoch to this "
            "folder, for `tensorboard --logdir FOLDER`. Every training needs another folder; --resume continues in the "
            "same one.",
            show_default="no log",
        ),
    ] = None,
    allow_identical: Annotated[
        bool,
        typer.Option(
            "--allow-identical",
            help="Train although recordings are in train and in validation as well, which makes the scores too good.",
        ),
    ] = False,
    card: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.json",
            parser=input_file(_CARD, pipes=True),
            help="Additional entries for the model card, such as data, licences and limits.",
            show_default="none",
        ),
    ] = None,
) -> None:
    """Train a network on your own recordings.

    Each clip becomes the spectrogram image and the word ids that the device will compute from it. Model.h5 then
    contains the network with its labels, vocabulary and front-end settings, and `edge-mcnn convert Model.h5` prepares
    it for the device. The labels are also written to labels.txt beside it, one per line.

    Ctrl-C stops early and saves what the network has learned. After each epoch the state is saved to
    Model.h5.checkpoint; after a power cut, --resume continues from there to the same result. If TF_CONFIG names
    several machines and each runs this command, they share every batch, and the first machine writes the model.

    For example:

        edge-mcnn train clips.csv --network evidence --epochs 60
        edge-mcnn train --meld MELD.Raw --pictures images --output Model.h5
        edge-mcnn train my-voice/clips.csv --from sentiment --epochs 60 --output Mine.h5
    """
    require("tf_keras", "librosa", *(["tensorboard"] if tensorboard else []))
    # Report a mistake in the card or the corpus before tensorflow takes seconds to load.
    entries = {"command": typed_command(), **_read_card(card)}
    source = open_selected_corpus(corpus, meld, target, audio_root, seed, images=pictures)
    from training.data.clips import check_trainable
    from training.data.corpus import with_text
    from training.data.leaks import refuse_identical

    try:
        check_trainable(with_text(source, text.value).clips, source.name)
        if not allow_identical:
            refuse_identical(source.clips, source.name)
    except TrainingError:
        source.report(out.console())  # it may contain the cause
        raise
    if base is not None and vgg19_weights is not None:
        raise typer.BadParameter("--vgg19-weights: a model that is started from contains these weights")
    prepare_tensorflow()
    from training.fit.trainer import TrainingSettings, train

    settings = TrainingSettings(
        network=network or TrainingSettings.network,
        patience=patience,
        resume=resume,
        allow_identical=allow_identical,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        seed=seed,
        balanced=balanced,
        augment=augment,
        text=text.value,
        image_cache=pictures,
        vgg19_weights=vgg19_weights or "imagenet",
        fast_lstm=fast_lstm,
        tensorboard=tensorboard,
        card=entries,
    )
    if base is not None:
        from training.base_model.base import read_base

        settings = settings.starting_from(read_base(base), network)
    if folds is None and seeds == 1:
        train(source, output, settings)
        return
    from training.fit.folds import validate_and_train

    validate_and_train(source, output, settings, folds, seeds, out.console())


def _read_card(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    text = read_text(path, TrainingError, fix=_CARD)
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise TrainingError(f"{path}: not valid JSON ({error})", fix=_CARD) from None
    if not isinstance(entries, dict):
        raise TrainingError(f"{path}: expected a JSON object, {{...}}", fix=_CARD)
    return entries
