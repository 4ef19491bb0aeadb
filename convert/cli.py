"""The command `edge-mcnn convert`; everything it does can be called as `convert.converter.convert`."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from convert.recipes import DEFAULT_MODE, RECIPES
from device.errors import ConversionError


def _known(mode: str) -> str:
    if mode not in RECIPES:
        raise typer.BadParameter(f"{mode!r} is not one of {', '.join(RECIPES)}")
    return mode


def convert_command(
    model: Annotated[
        Path,
        typer.Argument(metavar="MODEL", help="The Model.h5 that `edge-mcnn train` wrote.", show_default=False),
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
) -> None:
    """Turn a trained Model.h5 into the Model.tflite that a Raspberry Pi runs.

    The labels, the vocabulary and the front end travel inside the new file, so that nothing can be mismatched. Before
    it is written, the model is run in every TFLite runtime installed here and its answers are compared with Keras's;
    when anything is wrong, nothing is written and an existing file stays as it was. Needs tensorflow: do this on the
    laptop, then copy the one file to the Pi.

    Example: edge-mcnn convert Model.h5
    """
    from rich.console import Console
    from rich.markup import escape

    try:
        from convert.converter import convert
    except ModuleNotFoundError as error:
        raise ConversionError(
            f'converting needs {error.name}, which is not installed: pip install "edge-mcnn[train]"'
        ) from None

    with Console(stderr=True).status("reading the model") as status:
        report = convert(model, output, mode=mode, progress=lambda stage: status.update(escape(stage)))
    typer.echo(
        f"{report.target}: {_megabytes(report.bytes_before)} -> {_megabytes(report.bytes_after)} ({report.mode}) "
        f"in {report.seconds:.0f} s"
    )
    typer.echo(
        f"ran in {' and '.join(report.runtimes)}; "
        f"{report.same_class} of {report.samples} made-up samples get Keras's answer, "
        f"probabilities are {report.mean_difference:.4f} off on average, {report.largest_difference:.4f} at most"
    )
    typer.echo(f"next: edge-mcnn classify --model {shlex.quote(str(report.target))} clip.wav")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
