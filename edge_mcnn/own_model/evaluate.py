"""`edge-mcnn evaluate`. From Python: `training.evaluation.evaluator.evaluate_model`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from device.bundle import SHIPPED_BUNDLES
from device.recognition.runtimes import RUNTIMES
from edge_mcnn.options import (
    AudioRoot,
    CorpusArgument,
    ImageCache,
    Json,
    Meld,
    MeldTarget,
    Target,
    TextOption,
    VoiceProfile,
    open_selected_corpus,
    prepare_tensorflow,
    require,
    typed_command,
)
from edge_mcnn.output import out
from edge_mcnn.paths import model_file, output_folder


class Split(StrEnum):
    """Values of `--split`."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


def _check_runtime(runtime: str) -> str:
    if runtime not in ("auto", *RUNTIMES):
        raise typer.BadParameter(f"{runtime!r} is not one of auto, {', '.join(RUNTIMES)}")
    return runtime


def evaluate_command(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL",
            parser=model_file(f"name a Model.h5, a Model.tflite, or a model that ships: {', '.join(SHIPPED_BUNDLES)}"),
            help="The Model.h5 or Model.tflite to evaluate, or a model that ships with edge-mcnn: sentiment, emotions.",
            show_default=False,
        ),
    ],
    corpus: CorpusArgument = None,
    meld: Meld = None,
    target: MeldTarget = Target.SENTIMENT,
    text: Annotated[
        TextOption,
        typer.Option(
            help="Which text to evaluate: that of the corpus (reference), the transcripts that `edge-mcnn transcribe` "
            "wrote (vosk), or both, side by side."
        ),
    ] = TextOption.REFERENCE,
    audio_root: AudioRoot = None,
    split: Annotated[Split, typer.Option(help="Which rows of the corpus to evaluate.")] = Split.VALIDATION,
    text_only: Annotated[
        bool, typer.Option("--text-only", help="Evaluate with text only; no recording is read.")
    ] = False,
    audio_only: Annotated[
        bool, typer.Option("--audio-only", help="Evaluate with audio only; no text is read.")
    ] = False,
    word_errors: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="Evaluate a second time with this share of the words corrupted, to simulate recognition errors.",
        ),
    ] = 0.0,
    context: Annotated[
        bool,
        typer.Option(
            "--context",
            help="Let earlier utterances of a dialogue influence the later ones, as `context_s` does on the device. "
            "Needs rows with a dialogue, in the order of speaking, and a model that was trained on dialogues.",
        ),
    ] = False,
    pictures: ImageCache = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FOLDER",
            parser=output_folder(),
            help="Write a report to this folder: report.html with plots and the worst errors, report.md, "
            "predictions.csv with a row per clip, and evaluation.json. It contains texts and speakers of the corpus.",
            show_default="no report",
        ),
    ] = None,
    worst: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            help="Show up to N errors in report.html, those with the highest probability of the wrong class.",
            show_default="50",
        ),
    ] = None,
    thresholds: Annotated[
        float | None,
        typer.Option(
            min=0.01,
            max=1,
            metavar="PRECISION",
            help="Recommend the lowest confidence of each class, and of all, at which this share of the predictions "
            "is right, such as 0.8, and print the settings to paste.",
            show_default="none",
        ),
    ] = None,
    profile: VoiceProfile = None,
    json: Json = False,
    runtime: Annotated[
        str,
        typer.Option(callback=_check_runtime, help=f"Runtime for a Model.tflite: auto, {', '.join(RUNTIMES)}."),
    ] = "auto",
    seed: Annotated[
        int,
        typer.Option(
            min=0,
            help="Random seed; the same seed draws the same samples. For a table without splits, use the seed of the "
            "training.",
        ),
    ] = 1,
) -> None:
    """Evaluate a model: audio + text, text only, and audio only.

    The result contains accuracy, F1, precision, recall, confusion and calibration error with 95 % confidence
    intervals, by a bootstrap over speakers or dialogues if the corpus names them. It also shows which modality
    wins where audio and text contradict each other.

    A Model.tflite is evaluated with the device's own code; evaluate the Model.h5 that it was converted from to see
    what the conversion costs. `--text both` shows what recognition errors cost: the same rows with the text of the
    corpus and with the transcripts of Vosk.

    `--thresholds 0.8` finds the confidence of each class, and of all together, to write into the settings so that
    80 % of the lights are right.

    Example: `edge-mcnn evaluate Model.tflite table.csv --output report`
    """
    if text_only and audio_only:
        raise typer.BadParameter("--text-only and --audio-only exclude each other: omit both to evaluate audio + text")
    if audio_only and word_errors:
        raise typer.BadParameter("--word-errors corrupts the text, which --audio-only does not read: omit one of them")
    if worst is not None and output is None:
        raise typer.BadParameter("--worst limits the errors in a report: add --output FOLDER")
    model = SHIPPED_BUNDLES.get(str(model), model)
    needed = ["librosa", *(["matplotlib"] if output is not None else [])]
    if model.suffix != ".tflite":  # an HDF5 file may have any name
        needed += ["tf_keras", "h5py"]
    require(*needed, purpose="evaluating")
    prepare_tensorflow()

    from training.evaluation.evaluator import EvaluationSettings, evaluate_model
    from training.evaluation.modalities import AUDIO_ONLY, MODALITIES, TEXT_ONLY
    from training.evaluation.report.files import PAGE, PREDICTIONS, check_folder, write_report
    from training.evaluation.report.findings import as_json
    from training.evaluation.report.terminal import print_tables, print_thresholds
    from training.evaluation.report.web_page import WORST
    from training.evaluation.thresholds import recommend

    if output is not None:
        check_folder(output)
    settings = EvaluationSettings(
        split=split.value,
        modalities=(TEXT_ONLY,) if text_only else (AUDIO_ONLY,) if audio_only else MODALITIES,
        text=text.value,
        word_errors=word_errors,
        context=context,
        audio_root=audio_root,
        image_cache=pictures,
        runtime=runtime,
        profile=profile,
        seed=seed,
    )
    command = typed_command()
    progress = out.progress_console()
    source = open_selected_corpus(
        corpus, meld, target, audio_root, seed, images=pictures, audio=settings.reads_audio, text=settings.reads_text
    )
    evaluation = evaluate_model(model, source, settings, progress)
    recommended = None if thresholds is None else recommend(evaluation, thresholds)
    if json:
        out.json(as_json(evaluation, command, recommended))
    else:
        print_tables(evaluation, out.console())
        if recommended is not None:
            print_thresholds(recommended, out.console())
    if output is not None:
        most = WORST if worst is None else worst
        report = write_report(evaluation, output, command, worst=most, thresholds=recommended)
        progress.print(f"wrote {report}, {PAGE} and {PREDICTIONS}", soft_wrap=True)
