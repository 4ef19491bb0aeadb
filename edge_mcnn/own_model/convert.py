"""`edge-mcnn convert`. From Python: `convert.convert.convert`."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convert.recipes import DEFAULT_MODE, RECIPES, find_recipe
from device.errors import ConversionError
from device.recognition.runtimes import LITERT
from device.system.display import displayable, shell_quoted
from device.system.signals import interrupted_by_signals
from edge_mcnn.output import out
from edge_mcnn.paths import input_file, input_folder, input_path, output_path

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from convert.convert import ConversionReport
    from convert.verify.agreement import Agreement, ClassAgreement
    from convert.verify.representative_data import SampleSource

_SHOWN_WORDS = 5


class Runtime(StrEnum):
    """Values of `--requires`."""

    LITERT = LITERT


def _canonical_mode(mode: str) -> str:
    try:
        return find_recipe(mode).name
    except ConversionError as error:
        raise typer.BadParameter(f"{error.message}: {error.fix}") from None


def _mode_names(name: str) -> str:
    alias = RECIPES[name].alias
    return f"{name} ({alias})" if alias else name


def convert_command(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL",
            parser=input_path("give the path of a Model.h5, a Model.keras or the folder of a SavedModel"),
            help="A model saved by Keras 2 or 3: a Model.h5, a Model.keras, or the folder of a SavedModel.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            parser=output_path(),
            help="File or folder to write to. Default: beside MODEL, with the suffix .tflite.",
            show_default=False,
        ),
    ] = None,
    mode: Annotated[
        str,
        typer.Option(
            metavar="MODE",
            callback=_canonical_mode,
            help="How the weights are stored. "
            + " ".join(f"{_mode_names(name)}: {recipe.summary}." for name, recipe in RECIPES.items()),
        ),
    ] = DEFAULT_MODE,
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,C|FILE",
            help="Names of the classes in the order of the softmax, or a file with one name per line, such as "
            "labels.txt; only for a model that `edge-mcnn train` did not write.",
            show_default=False,
        ),
    ] = None,
    vocabulary: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            parser=input_file("name a text file with one word per line, or the JSON of Keras's tokenizer", pipes=True),
            help="Vocabulary of such a model: one word per line, the first has id 1; or the JSON of Keras's "
            "tokenizer.to_json() or tokenizer.word_index.",
            show_default=False,
        ),
    ] = None,
    front_end: Annotated[
        str | None,
        typer.Option(
            metavar="tutorial|FILE",
            help="Settings for the spectrogram images and word ids of such a model. tutorial: those of the tutorial. "
            "FILE: a JSON object with the settings that differ from it, as `edge-mcnn inspect --json` prints them; a "
            "file that is named tutorial is given as ./tutorial.",
            show_default=False,
        ),
    ] = None,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            metavar="TABLE.csv|FOLDER",
            parser=input_path("give a CSV table, or a folder with a folder of recordings per class", pipes=True),
            help="Recordings and transcripts that resemble those on the device, in the format of `edge-mcnn train`. "
            "8-bit values are calibrated on some of them, and the agreement is measured on others. Required for int8. "
            "Default: synthetic samples.",
            show_default=False,
        ),
    ] = None,
    audio_root: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            parser=input_folder("give the folder that the audio paths in the table start from"),
            help="With --calibrate: folder that relative audio paths in the table start from.",
            show_default="the table's folder",
        ),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(
            metavar="DIFFERENCE",
            help="Largest accepted difference from Keras in any probability of any sample; the mean over the samples "
            "may be a tenth of it. If a difference is larger, no file is written.",
            show_default=", ".join(f"{name} {r.tolerance:g}" for name, r in RECIPES.items()),
        ),
    ] = None,
    requires: Annotated[
        Runtime | None,
        typer.Option(
            help="Allow a model that only this runtime can run; it may agree slightly better with Keras. A device "
            "without the runtime reports what is missing.",
            show_default="runs in every runtime",
        ),
    ] = None,
) -> None:
    """Convert a trained Keras model to the Model.tflite that the device runs.

    Labels, vocabulary and front end are stored inside the new file, so that they can never be mismatched. Before the
    file is written, the model is run in every installed TFLite runtime and its predictions are compared with those of
    Keras. If anything is wrong, nothing is written and an existing file is not changed.

    The conversion needs tensorflow: run it on a laptop, then copy the one file to the device.

    For example:

        edge-mcnn convert Model.h5
        edge-mcnn convert Model.h5 --mode int8 --calibrate clips.csv
        edge-mcnn convert other.keras --labels labels.txt --vocabulary tokenizer.json --front-end tutorial
    """
    try:
        from convert.companions.companions import MissingCompanionsError, UserCompanions
        from convert.convert import convert
        from convert.options import ConversionOptions
    except ModuleNotFoundError as error:
        raise ConversionError(
            f"converting needs {error.name}, which is not installed", fix='run: pip install "edge-mcnn[train]"'
        ) from None

    progress_console = out.progress_console()
    samples = None if calibrate is None else _recorded_samples(calibrate, audio_root, progress_console)
    options = ConversionOptions(
        mode=mode,
        companions=UserCompanions(labels, vocabulary, front_end),
        tolerance=tolerance,
        requires=None if requires is None else requires.value,
    )
    try:
        with interrupted_by_signals(), _StageBar(progress_console) as bar:
            report = convert(model, output, options=options, samples=samples, progress=bar.show)
    except MissingCompanionsError as error:
        raise error.for_command(
            _command_line(
                model,
                {
                    "--output": output,
                    "--mode": None if mode == DEFAULT_MODE else mode,
                    "--labels": labels,
                    "--vocabulary": vocabulary,
                    "--front-end": front_end,
                    "--calibrate": calibrate,
                    "--audio-root": audio_root,
                    "--tolerance": tolerance,
                    "--requires": requires,
                },
            )
        ) from None
    _print_report(report, user_supplied=labels is not None or vocabulary is not None or front_end is not None)


def _command_line(model: Path, options: Mapping[str, object]) -> str:
    """The command that the user typed, ready for a shell; options whose value is None are left out."""
    words = ["edge-mcnn", "convert", _as_argument(model)]
    words += [word for name, value in options.items() if value is not None for word in (name, _as_argument(value))]
    return " ".join(map(shell_quoted, words))


def _as_argument(value: object) -> str:
    # A path is stored without its leading "./", and would be read as an option if it began with a hyphen.
    return f"./{value}" if isinstance(value, Path) and str(value).startswith("-") else str(value)


def _recorded_samples(corpus: Path, audio_root: Path | None, console: "Console") -> "SampleSource":
    from training.images.conversion_samples import corpus_samples

    return lambda companions: corpus_samples(corpus, audio_root, companions, console)


class _StageBar:
    """A progress bar for the current stage; it appears with the first stage and leaves the console alone before."""

    def __init__(self, console: "Console") -> None:
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
        self._bar = Progress(*columns, console=console, transient=True)
        self._task = self._bar.add_task("")

    def __enter__(self) -> "_StageBar":
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar.live.is_started:  # stopping a bar that was never shown prints an empty line
            self._bar.stop()

    def show(self, stage: str, done: int = 0, total: int = 0) -> None:
        """Show a stage and how much of it is done, as `convert.subprocess_job.Progress` defines."""
        self._bar.start()
        self._bar.update(self._task, description=stage, completed=done, total=total or None)


def _print_report(report: "ConversionReport", *, user_supplied: bool) -> None:
    """Print sizes, agreement with Keras, warnings, and the next command.

    Args:
        report: result of the conversion.
        user_supplied: whether labels, vocabulary or front end come from the command line instead of the model file.
    """
    console = out.console(highlight=False)

    def line(text: str, style: str = "") -> None:
        console.print(text, style=style, soft_wrap=True)

    line(
        f"{displayable(report.target)}: {_megabytes(report.bytes_before)} -> {_megabytes(report.bytes_after)} "
        f"({report.mode}) in {report.seconds:.0f} s"
    )
    line(f"compared with {report.keras} on {report.samples_origin}:")
    console.print(_table(report))
    if report.requires:
        line(f"this model requires {report.requires}; a device without it reports an error", "yellow")
    if user_supplied:
        line(_front_end_line(report))
    if report.unreachable_words:
        words = ", ".join(repr(word) for word in report.unreachable_words[:_SHOWN_WORDS])
        line(
            f"{len(report.unreachable_words)} words of the vocabulary can never occur on the device, such as {words}: "
            "speech recognition writes lower case without punctuation",
            "yellow",
        )
    line(f"next: edge-mcnn classify --model {shell_quoted(report.target)} clip.wav")


def _front_end_line(report: "ConversionReport") -> str:
    front_end = report.companions.front_end
    trim = "no trimming" if front_end.trim_db is None else f"silence below -{front_end.trim_db:g} dB trimmed"
    return (
        f"front end: {front_end.sample_rate} Hz, {front_end.n_fft}-sample windows every {front_end.hop_length} samples"
        f", {front_end.n_mels} mel bands up to {front_end.f_max:g} Hz, {trim}; {front_end.sequence_length} word ids, "
        f"padded with zeros {'in front' if front_end.padding == 'pre' else 'at the end'}. If the network was trained "
        "with other values, its predictions are meaningless; set the values with --front-end"
    )


def _table(report: "ConversionReport") -> "Table":
    from rich.table import Table

    table = Table("", "same prediction", "of", "largest difference", "mean", box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    for runtime, agreement in report.agreements.items():
        rows: list[tuple[str, Agreement | ClassAgreement]] = [(runtime, agreement)]
        rows += [(f"  {label}", each) for label, each in agreement.classes.items()]
        for name, each in rows:
            table.add_row(
                name,
                str(each.same_class),
                str(each.samples),
                f"{each.largest_difference:.4f}",
                f"{each.mean_difference:.4f}",
                style="bold" if each is agreement else "",
            )
    return table


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
