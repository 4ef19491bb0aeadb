"""`python -m training.default_model DATA`: builds the default model, evaluates it and writes its model card.

It runs the steps and reports their progress; each can be called from Python as well.
"""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from device.errors import EdgeMcnnError, TrainingError
from device.system.atomic_write import write_text
from device.system.streams.console import SafeConsole


def main(
    data: Annotated[
        Path,
        typer.Argument(
            help="Folder with the corpora: meld/ (train_sent_emo.csv, dev_sent_emo.csv), text/goemotions-group/, "
            "ravdess/ and nemo/ (labels.csv, flac/), and vgg19/ (Keras's notop weights, for the tutorial's network)."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for all results.")] = Path(
        "build/default-model"
    ),
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same model on the same machine.")] = 1,
) -> None:
    """Build the model that ships, and evaluate it beside the tutorial's network.

    Word vectors, the teacher's predictions, images and features are cached below the output folder, so that an
    interrupted run continues where it stopped. It takes a quarter of an hour to an hour on two cores, half of it for
    the teacher.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # hides TensorFlow's start-up messages
    console = SafeConsole()
    command = f"python -m training.default_model DATA --seed {seed}"  # without the paths of this machine
    try:
        _build(data, output, seed, command, console)
    except EdgeMcnnError as error:
        errors = SafeConsole(stderr=True)
        errors.print(f"default model: {error.message}", style="red", soft_wrap=True)
        if error.fix:
            errors.print(f"  fix: {error.fix}", soft_wrap=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        SafeConsole(stderr=True).print("stopped; the same command continues from the steps that are done")
        raise typer.Exit(130) from None


def _build(data: Path, output: Path, seed: int, command: str, console: Console) -> None:
    from convert.convert import convert
    from training.data.corpus import open_corpus
    from training.default_model import synthetic_pairs
    from training.default_model.acceptance import (
        conversion_cost,
        measure_branches,
        measure_conversion,
        measure_fusion,
    )
    from training.default_model.class_sets import SENTIMENT
    from training.default_model.model_card import CARD, write_model_card
    from training.default_model.recipe import WORD_ERRORS, RecipeSettings, build_default_model
    from training.evaluation.evaluator import EvaluationSettings, evaluate_model
    from training.fit.trainer import TrainingSettings, train

    cache, images = output / "cache", output / "images"
    weights = _vgg19_weights(data)
    card = {**CARD, "command": command}

    console.rule("the model that ships")
    result = build_default_model(data, SENTIMENT, output / "Model.h5", cache, RecipeSettings(seed), card, console)
    bundle = convert(result.output)
    held_out_actors = synthetic_pairs.HELD_OUT_ACTORS
    console.rule(f"the same without actors {', '.join(map(str, held_out_actors))}, for the evaluation")
    settings = RecipeSettings(seed, held_out_actors)
    partial = build_default_model(data, SENTIMENT, output / "held-out" / "Model.h5", cache, settings, card, console)
    held_out = convert(partial.output)

    console.rule("the tutorial's network on the same data")
    table = output / "table.csv"
    synthetic_pairs.write_table(
        table,
        synthetic_pairs.texts_of_meld(data / "meld"),
        synthetic_pairs.recordings_of_ravdess(data / "ravdess"),
        seed=seed,
        incomplete=0.25,
    )
    corpus = open_corpus(table, data / "ravdess", seed)
    tutorial, tutorial_images = output / "tutorial" / "Model.h5", output / "tutorial" / "images"
    if not tutorial.exists():
        training = TrainingSettings(
            epochs=3,
            learning_rate=1e-3,
            seed=seed,
            image_cache=tutorial_images,
            vgg19_weights=weights,
            resume=True,
        )
        train(corpus, tutorial, training, console)
    tutorial_bundle = convert(tutorial)

    console.rule("evaluation of all of them on the same rows")
    evaluations = {
        name: evaluate_model(
            model, corpus, EvaluationSettings(word_errors=WORD_ERRORS, seed=seed, image_cache=image_cache), console
        )
        for name, model, image_cache in (
            ("bundle", held_out.target, images),
            ("network", partial.output, images),
            ("tutorial", tutorial_bundle.target, tutorial_images),
        )
    }
    cost = conversion_cost(evaluations["bundle"], evaluations["network"])
    measurements = [
        *measure_branches(result.text, result.text_with_word_errors, result.audio, result.audio_augmented, seed),
        *measure_fusion(evaluations["bundle"]),
        *measure_conversion(cost),
    ]
    values = json.dumps([asdict(each) for each in measurements], indent=2)
    write_text(output / "measurements.json", f"{values}\n")
    sizes = {"bundle": held_out.bytes_after, "tutorial": tutorial_bundle.bytes_after}
    page = write_model_card(output / "docs", SENTIMENT, measurements, result, bundle, evaluations, cost, sizes, command)
    console.print(f"{bundle.target}, to be shipped as device/models/Model.tflite\n{page}, to be shipped in docs/")


def _vgg19_weights(data: Path) -> Path:
    found = sorted((data / "vgg19").glob("*notop*.h5"))
    if not found:
        raise TrainingError(f"{data / 'vgg19'}: has no *notop*.h5", fix="put Keras's VGG19 weights without top there")
    return found[0]


if __name__ == "__main__":
    typer.run(main)
