"""The command `edge-mcnn convert`; everything it does can be called as `convert.convert.convert`."""

import shlex
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convert.recipes import DEFAULT_MODE, RECIPES
from device.errors import ConversionError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from convert.convert import ConversionReport
    from convert.verify.agreement import Agreement, ClassAgreement

_SHOWN_WORDS = 5


class Runtime(StrEnum):
    """Values of `--requires`."""

    LITERT = "ai-edge-litert"


def _known(mode: str) -> str:
    if mode not in RECIPES:
        raise typer.BadParameter(f"{mode!r} is not one of {', '.join(RECIPES)}")
    return mode


def convert_command(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL",
            help="What Keras saved: a Model.h5, a Model.keras, or the folder of a SavedModel; Keras 2 or 3.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="File or folder to write to; by default beside MODEL, ending in .tflite.",
            show_default=False,
        ),
    ] = None,
    mode: Annotated[
        str,
        typer.Option(
            callback=_known,
            help="How the weights are stored. " + " ".join(f"{name}: {r.summary}." for name, r in RECIPES.items()),
        ),
    ] = DEFAULT_MODE,
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,C",
            help="Names of the classes in the order of the softmax, for a model that `edge-mcnn train` did not write.",
            show_default=False,
        ),
    ] = None,
    vocabulary: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Its words: one per line, the first being id 1, or the JSON of Keras's tokenizer.to_json() or "
            "tokenizer.word_index.",
            show_default=False,
        ),
    ] = None,
    front_end: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Settings of its pictures and ids: a JSON object as `edge-mcnn inspect --json` shows it; what it "
            "leaves out is as in the tutorial, and {} takes all of that.",
            show_default=False,
        ),
    ] = None,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            metavar="TABLE.csv|FOLDER",
            help="Recordings and texts like those that the device will hear, as `edge-mcnn train` takes them: 8 bits "
            "are fitted to some and the agreement is measured on others. Without it both is done on made-up ones.",
            show_default=False,
        ),
    ] = None,
    audio_root: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="With --calibrate: folder that audio paths in the table start from.",
            show_default="the table's",
        ),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(
            metavar="DIFFERENCE",
            help="How far any probability of any sample may be from Keras's; the mean of the samples may be a tenth of "
            "it. Beyond that nothing is written.",
            show_default=", ".join(f"{name} {r.tolerance:g}" for name, r in RECIPES.items()),
        ),
    ] = None,
    requires: Annotated[
        Runtime | None,
        typer.Option(
            help="Allow a model that only this runtime can run, and that says so to a device without it. It may be a "
            "little closer to Keras.",
            show_default="runs in every runtime",
        ),
    ] = None,
) -> None:
    """Turn a trained Keras model into the Model.tflite that a Raspberry Pi runs.

    The labels, the vocabulary and the front end travel inside the new file, so that nothing can be mismatched. Before
    it is written, the model is run in every TFLite runtime installed here and its answers are compared with Keras's;
    when anything is wrong, nothing is written and an existing file stays as it was. Needs tensorflow: do this on the
    laptop, then copy the one file to the Pi.

    Examples:
    edge-mcnn convert Model.h5

    edge-mcnn convert Model.h5 --mode int8 --calibrate clips.csv

    edge-mcnn convert other.keras --labels positive,neutral,negative --vocabulary words.txt --front-end picture.json
    """
    from rich.console import Console

    try:
        from convert.companions.companions import Given
        from convert.convert import convert
        from convert.options import Choices
    except ModuleNotFoundError as error:
        raise ConversionError(
            f'converting needs {error.name}, which is not installed: pip install "edge-mcnn[train]"'
        ) from None

    errors = Console(stderr=True)
    choices = Choices(
        mode=mode,
        given=Given(labels, vocabulary, front_end),
        calibrate=calibrate,
        audio_root=audio_root,
        tolerance=tolerance,
        requires=None if requires is None else requires.value,
    )
    with _Shown(errors) as shown:
        report = convert(model, output, choices=choices, progress=shown.progress, console=errors)
    _tell(report, given=labels is not None or vocabulary is not None or front_end is not None)


class _Shown:
    """A bar for the stage that is going on; it appears with the first one, until then the console is free."""

    def __init__(self, console: "Console") -> None:
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
        self._bar = Progress(*columns, console=console, transient=True)
        self._task = self._bar.add_task("")

    def __enter__(self) -> "_Shown":
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar.live.is_started:  # it would leave an empty line behind otherwise
            self._bar.stop()

    def progress(self, stage: str, done: int = 0, total: int = 0) -> None:
        """See `convert.subprocess_job.Progress`."""
        self._bar.start()
        self._bar.update(self._task, description=stage, completed=done, total=total or None)


def _tell(report: "ConversionReport", *, given: bool) -> None:
    from rich.console import Console

    console = Console(highlight=False)

    def say(line: str, style: str = "") -> None:
        console.print(line, style=style, markup=False, soft_wrap=True)

    say(
        f"{report.target}: {_megabytes(report.bytes_before)} -> {_megabytes(report.bytes_after)} ({report.mode}) "
        f"in {report.seconds:.0f} s"
    )
    say(f"compared with {report.keras} on {report.asked}:")
    console.print(_table(report))
    if report.requires:
        say(f"runs in {report.requires} only; a device without it will say so", "yellow")
    front_end = report.companions.front_end
    edges = "no edges cut off" if front_end.trim_db is None else f"edges below -{front_end.trim_db:g} dB cut off"
    if given:
        say(
            f"front end: {front_end.sample_rate} Hz, {front_end.n_fft}-sample windows every {front_end.hop_length}, "
            f"{front_end.n_mels} mel bands up to {front_end.f_max:g} Hz, {edges}; "
            f"{front_end.sequence_length} ids, zeros {'in front' if front_end.padding == 'pre' else 'behind'}; "
            "if the network was trained otherwise, its answers mean nothing: say so with --front-end"
        )
    if report.never_heard:
        words = ", ".join(repr(word) for word in report.never_heard[:_SHOWN_WORDS])
        say(
            f"{len(report.never_heard)} words of the vocabulary can never be heard, such as {words}: the device writes "
            "words in lower case and without marks",
            "yellow",
        )
    say(f"next: edge-mcnn classify --model {shlex.quote(str(report.target))} clip.wav")


def _table(report: "ConversionReport") -> "Table":
    from rich.table import Table

    table = Table("", "same answer", "of", "largest difference", "mean", box=None, pad_edge=False)
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
