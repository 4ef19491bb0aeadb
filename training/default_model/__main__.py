"""`python -m training.default_model DATA`: builds the models that ship, evaluates them and writes their cards.

It runs the steps and reports their progress; each can be called from Python as well.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from device.errors import EdgeMcnnError, TrainingError
from device.system.atomic_write import write_text
from device.system.streams.console import SafeConsole

if TYPE_CHECKING:
    from training.default_model.class_sets import ClassSet

_EMOTION_SEEDS = 10
"""Seeds of the measurement on RAVDESS's eight emotions; their values differ by .01."""


class BundleName(StrEnum):
    """Values of `--only`: the names in `training.default_model.class_sets`, whose imports take seconds."""

    SENTIMENT = "sentiment"
    EMOTIONS = "emotions"


def main(
    data: Annotated[
        Path,
        typer.Argument(
            help="Folder with the corpora: meld/ (train_sent_emo.csv, dev_sent_emo.csv), text/goemotions-group/, "
            "ravdess/ and nemo/ (labels.csv, flac/); to measure the default model, also emodb/ (labels.csv, flac/) and "
            "vgg19/ (Keras's notop weights, for the tutorial's network)."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for all results.")] = Path(
        "build/default-model"
    ),
    only: Annotated[BundleName | None, typer.Option(help="Build this model only.", show_default="all")] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same model on the same machine.")] = 1,
) -> None:
    """Build and evaluate the models that ship: `sentiment`, beside the tutorial's network, and `emotions`.

    Word vectors, the teacher's predictions, images and features are cached below the output folder, so that an
    interrupted run continues where it stopped, and both models share what they can. It takes half an hour to two hours
    on two cores, half of it for the teachers.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # hides TensorFlow's start-up messages
    console = SafeConsole()
    try:
        _build(data, [only] if only else list(BundleName), output, seed, console)
    except EdgeMcnnError as error:
        errors = SafeConsole(stderr=True)
        errors.print(f"default model: {error.message}", style="red", soft_wrap=True)
        if error.fix:
            errors.print(f"  fix: {error.fix}", soft_wrap=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        SafeConsole(stderr=True).print("stopped; the same command continues from the steps that are done")
        raise typer.Exit(130) from None


def _build(data: Path, names: Sequence[str], output: Path, seed: int, console: Console) -> None:
    from training.default_model.audio_branch.acted_speech import EMO_DB, read_acted_speech
    from training.default_model.class_sets import CLASS_SETS, SENTIMENT

    weights = None
    if SENTIMENT.name in names:  # only its card has these comparisons; what they need is missed now, not in an hour
        weights = _vgg19_weights(data)
        read_acted_speech(data / EMO_DB.folder, EMO_DB)
    for classes in CLASS_SETS:
        if classes.name in names:
            _build_bundle(data, classes, output, seed, weights if classes == SENTIMENT else None, console)


def _build_bundle(
    data: Path, classes: "ClassSet", output: Path, seed: int, tutorial_weights: Path | None, console: Console
) -> None:
    from convert.convert import convert
    from training.data.corpus import open_corpus
    from training.default_model import synthetic_pairs
    from training.default_model.acceptance import (
        conversion_cost,
        measure_branches,
        measure_conversion,
        measure_fusion,
        measure_generalisation,
        measure_size,
    )
    from training.default_model.class_sets import SENTIMENT
    from training.default_model.generalisation import eight_emotions, unseen_corpora
    from training.default_model.model_card import card_entries, write_model_card
    from training.default_model.recipe import WORD_ERRORS, RecipeSettings, build_default_model
    from training.evaluation.evaluator import EvaluationSettings, evaluate_model
    from training.fit.trainer import TrainingSettings, train

    command = f"python -m training.default_model DATA --seed {seed}"  # without the paths of this machine
    cache, images, folder = output / "cache", output / "images", output / classes.name
    card = {**card_entries(classes), "command": command}

    console.rule(f"{classes.name}: the model that ships")
    result = build_default_model(data, classes, folder / "Model.h5", cache, RecipeSettings(seed), card, console)
    bundle = convert(result.output, output / f"{classes.name}.tflite")
    held_out_actors = synthetic_pairs.HELD_OUT_ACTORS
    console.rule(f"the same without actors {', '.join(map(str, held_out_actors))}, for the evaluation")
    settings = RecipeSettings(seed, held_out_actors)
    partial = build_default_model(data, classes, folder / "held-out" / "Model.h5", cache, settings, card, console)
    held_out = convert(partial.output)

    table = folder / "table.csv"
    synthetic_pairs.write_table(
        table,
        synthetic_pairs.texts_of_meld(data / "meld", classes),
        synthetic_pairs.recordings_of_ravdess(data / "ravdess", classes),
        seed=seed,
        incomplete=0.25,
    )
    corpus = open_corpus(table, data / "ravdess", seed)
    models = {"bundle": (held_out.target, images), "network": (partial.output, images)}
    sizes = {"bundle": held_out.bytes_after}
    if tutorial_weights is not None:
        console.rule("the tutorial's network on the same data")
        tutorial, tutorial_images = folder / "tutorial" / "Model.h5", folder / "tutorial" / "images"
        if not tutorial.exists():
            training = TrainingSettings(
                epochs=3,
                learning_rate=1e-3,
                seed=seed,
                image_cache=tutorial_images,
                vgg19_weights=tutorial_weights,
                resume=True,
            )
            train(corpus, tutorial, training, console)
        tutorial_bundle = convert(tutorial)
        models["tutorial"] = (tutorial_bundle.target, tutorial_images)
        sizes["tutorial"] = tutorial_bundle.bytes_after

    generalisation = None
    if classes == SENTIMENT:
        console.rule("the audio branch on corpora that it was not trained on")
        generalisation = (
            unseen_corpora(data, cache, [seed], console),
            eight_emotions(data, cache, range(seed, seed + _EMOTION_SEEDS), console),
        )
    console.rule("evaluation of all of them on the same rows")
    evaluations = {
        name: evaluate_model(
            model, corpus, EvaluationSettings(word_errors=WORD_ERRORS, seed=seed, image_cache=image_cache), console
        )
        for name, (model, image_cache) in models.items()
    }
    cost = conversion_cost(evaluations["bundle"], evaluations["network"])
    measurements = [
        *measure_branches(
            result.text,
            result.text_with_word_errors,
            result.audio,
            result.audio_augmented,
            result.transitions,
            seed,
        ),
        *(measure_generalisation(*generalisation) if generalisation else ()),
        *measure_fusion(evaluations["bundle"]),
        *measure_conversion(cost),
        measure_size(bundle.bytes_after),
    ]
    if classes != SENTIMENT:  # the criteria are those of the default model
        measurements = [replace(each, required=None, target=None) for each in measurements]
    values = json.dumps([asdict(each) for each in measurements], indent=2)
    write_text(folder / "measurements.json", f"{values}\n")
    page = write_model_card(
        output / "docs",
        classes,
        measurements,
        result,
        bundle,
        evaluations,
        cost,
        sizes,
        command,
        generalisation[1] if generalisation else None,
    )
    console.print(
        f"{bundle.target}, to be shipped as device/models/{classes.name}.tflite\n{page}, to be shipped in docs/"
    )


def _vgg19_weights(data: Path) -> Path:
    found = sorted((data / "vgg19").glob("*notop*.h5"))
    if not found:
        raise TrainingError(f"{data / 'vgg19'}: has no *notop*.h5", fix="put Keras's VGG19 weights without top there")
    return found[0]


if __name__ == "__main__":
    typer.run(main)
