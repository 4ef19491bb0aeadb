"""`python -m training.default_model DATA`: everything that ships and is said of it, from corpora to the model card.

It joins the steps and tells how they go; each can be called by itself from Python.
"""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from device.errors import EdgeMcnnError, TrainingError

_WITHOUT_ACTORS = (17, 18, 19, 20)
"""The actors that `training.default_model.pairing` keeps for validation."""


def main(
    data: Annotated[
        Path,
        typer.Argument(
            help="Folder with the corpora: meld/ (train_sent_emo.csv, dev_sent_emo.csv), text/goemotions-group/, "
            "ravdess/ (labels.csv, flac/) and vgg19/ (Keras's notop weights, for the tutorial's network)."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for all that is made.")] = Path(
        "build/default-model"
    ),
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same model on the same machine.")] = 1,
) -> None:
    """Make the model that ships, and measure it beside the tutorial's network.

    Word vectors, the teacher's answers, pictures and features are kept below the output folder, so that a run that was
    stopped goes on where it was. It takes a quarter of an hour to an hour on two cores, half of it the teacher's.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's start-up remarks say nothing to anybody
    console = Console()
    command = f"python -m training.default_model DATA --seed {seed}"  # and no path of this machine
    try:
        _make(data, output, seed, command, console)
    except EdgeMcnnError as error:
        Console(stderr=True).print(f"default model: {error}", style="red", markup=False, soft_wrap=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        Console(stderr=True).print("stopped; the same command goes on from what is done")
        raise typer.Exit(130) from None


def _make(data: Path, output: Path, seed: int, command: str, console: Console) -> None:
    from convert.convert import convert
    from training.data.corpus import open_corpus
    from training.default_model import pairing
    from training.default_model.acceptance import of_answers, of_branches, of_difference
    from training.default_model.comparison import ask, difference
    from training.default_model.model_card import CARD, write_model_card
    from training.default_model.recipe import WORD_ERRORS, Settings, make
    from training.fit.trainer import TrainingSettings, train

    cache, pictures = output / "cache", output / "pictures"
    weights = _vgg19_weights(data)
    card = {**CARD, "command": command}

    console.rule("the model that ships")
    made = make(data, output / "Model.h5", cache, Settings(seed), card, console)
    bundle = convert(made.output)
    console.rule(f"the same without actors {_WITHOUT_ACTORS[0]} to {_WITHOUT_ACTORS[-1]}, to ask it by these")
    folder = output / "held-out"
    partly = make(data, folder / "Model.h5", cache, Settings(seed, _WITHOUT_ACTORS), card, console)
    held_out = convert(partly.output)

    console.rule("the tutorial's network on the same data")
    table = output / "table.csv"
    pairing.write_table(
        table,
        pairing.texts_of_meld(data / "meld"),
        pairing.recordings_of_ravdess(data / "ravdess"),
        seed=seed,
        incomplete=0.25,
    )
    corpus = open_corpus(table, data / "ravdess", seed)
    tutorial, tutorial_pictures = output / "tutorial" / "Model.h5", output / "tutorial" / "pictures"
    if not tutorial.exists():
        settings = TrainingSettings(
            epochs=3,
            learning_rate=1e-3,
            seed=seed,
            image_cache=tutorial_pictures,
            vgg19_weights=weights,
            resume=True,
        )
        train(corpus, tutorial, settings, console)
    peer = convert(tutorial)

    console.rule("asking all of them the same")
    asked = {
        name: ask(model, corpus, errors=WORD_ERRORS, seed=seed, pictures=kept, console=console)
        for name, model, kept in (
            ("bundle", held_out.target, pictures),
            ("network", partly.output, pictures),
            ("tutorial", peer.target, tutorial_pictures),
        )
    }
    branches = of_branches(made.words, made.words_with_errors, made.sound, made.sound_altered, seed)
    changed = difference(asked["bundle"], asked["network"])
    figures = [*branches, *of_answers(asked["bundle"]), *of_difference(changed)]
    (output / "figures.json").write_text(json.dumps([asdict(each) for each in figures], indent=2) + "\n", "utf-8")
    sizes = {"bundle": held_out.bytes_after, "tutorial": peer.bytes_after}
    written = write_model_card(output / "docs", figures, made, bundle, asked, changed, sizes, command)
    console.print(f"{bundle.target}, to be shipped as device/models/Model.tflite\n{written}, to be shipped in docs/")


def _vgg19_weights(data: Path) -> Path:
    found = sorted((data / "vgg19").glob("*notop*.h5"))
    if not found:
        raise TrainingError(f"{data / 'vgg19'}: no *notop*.h5 in it; Keras's VGG19 weights without top are expected")
    return found[0]


if __name__ == "__main__":
    typer.run(main)
