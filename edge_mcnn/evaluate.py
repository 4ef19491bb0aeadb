"""`edge-mcnn evaluate`: everything it does can be called from Python (`training.evaluation.evaluator`)."""

import json as json_text
import os
import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from device.recognition.runtimes import RUNTIMES
from edge_mcnn.corpus_options import AudioRoot, CorpusArgument, Meld, MeldTarget, Target, TextOption, opened, require


class Split(StrEnum):
    """Values of `--split`."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


def _known(runtime: str) -> str:
    if runtime not in ("auto", *RUNTIMES):
        raise typer.BadParameter(f"{runtime!r} is not one of auto, {', '.join(RUNTIMES)}")
    return runtime


def evaluate_command(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A Model.h5 or a Model.tflite.", show_default=False)],
    corpus: CorpusArgument = None,
    meld: Meld = None,
    target: MeldTarget = Target.SENTIMENT,
    text: Annotated[
        TextOption,
        typer.Option(
            help="The words to ask by: the corpus's own, those that `transcribe` wrote down, or both, side by side."
        ),
    ] = TextOption.REFERENCE,
    audio_root: AudioRoot = None,
    split: Annotated[Split, typer.Option(help="The rows to ask.")] = Split.VALIDATION,
    words_only: Annotated[bool, typer.Option("--words-only", help="Ask by words alone; no recording is read.")] = False,
    sound_only: Annotated[bool, typer.Option("--sound-only", help="Ask by sound alone; no text is read.")] = False,
    word_errors: Annotated[
        float,
        typer.Option(min=0, max=1, help="Ask once more with this share of the words garbled, as by a recogniser."),
    ] = 0.0,
    pictures: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Take the pictures of the sound from there, as `edge-mcnn pictures` keeps them; add those missing.",
            show_default="computed anew",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FOLDER", help="Write report.md with pictures there.", show_default="no report"
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
    runtime: Annotated[
        str, typer.Option(callback=_known, help=f"What runs a Model.tflite: auto, {', '.join(RUNTIMES)}.")
    ] = "auto",
    seed: Annotated[
        int,
        typer.Option(
            min=0, help="The same seed draws the same samples; where the table has no splits, take the training's."
        ),
    ] = 1,
) -> None:
    """Tell how well a model answers: with sound and words, by words alone, and by sound alone.

    Accuracy, F1, precision, recall, confusion and calibration error, with 95 % intervals: over speakers or dialogues
    where the corpus tells them. A Model.tflite is asked as the device will ask it; evaluate the Model.h5 that it was
    converted from to see what the conversion cost. Where sound and words contradict each other it also tells whom the
    model follows. `--text both` shows what recognition errors cost: the same rows as written and as heard.

    Example: edge-mcnn evaluate Model.tflite table.csv --output report
    """
    if words_only and sound_only:
        raise typer.BadParameter("--words-only and --sound-only exclude each other; leave both out to ask by both")
    if sound_only and word_errors:
        raise typer.BadParameter("--word-errors is about words, and --sound-only reads none; leave one of them out")
    needed = ["librosa", *(["matplotlib"] if output is not None else [])]
    if model.suffix != ".tflite":  # an HDF5 file may have any name
        needed += ["tf_keras", "h5py"]
    require(*needed, by="evaluating")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's start-up remarks say nothing to a maker

    from rich.console import Console

    from training.evaluation.evaluator import EvaluationSettings, evaluate_model
    from training.evaluation.modalities import AUDIO_ONLY, MODALITIES, TEXT_ONLY
    from training.evaluation.report import as_table, check_folder, show, write_report

    if output is not None:
        check_folder(output)
    settings = EvaluationSettings(
        split=split.value,
        asked=(TEXT_ONLY,) if words_only else (AUDIO_ONLY,) if sound_only else MODALITIES,
        text=text.value,
        word_errors=word_errors,
        audio_root=audio_root,
        image_cache=pictures,
        runtime=runtime,
        seed=seed,
    )
    command = shlex.join(["edge-mcnn", *sys.argv[1:]])
    progress = Console(stderr=True)
    sound, words = settings.reads_sound, settings.reads_words
    clips = opened(corpus, meld, target, audio_root, seed, audio=sound, text=words)
    evaluation = evaluate_model(model, clips, settings, progress)
    if json:
        print(json_text.dumps(as_table(evaluation, command), ensure_ascii=False))
    else:
        show(evaluation, Console())
    if output is not None:
        progress.print(f"wrote {write_report(evaluation, output, command)}", markup=False, soft_wrap=True)
