"""`python -m training.default_model.generalisation DATA`: measures the audio branch on corpora that it never met.

Images, statistics and settings are those of the default model.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from device.errors import EdgeMcnnError, TrainingError
from device.front_end.parameters import FrontEnd
from device.system.atomic_write import write_text
from device.system.streams.console import SafeConsole

if TYPE_CHECKING:
    from training.default_model.audio_branch.eight_emotions import EightEmotions
    from training.default_model.audio_branch.unseen_corpora import Generalisation

PAGE, EMOTIONS_PAGE = "generalisation.md", "eight-emotions.md"
"""Names of the pages in the output folder."""


def main(
    data: Annotated[
        Path, typer.Argument(help="Folder with the corpora ravdess/, nemo/ and emodb/ (labels.csv and flac/ in each).")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the page and the cache, as that of the default model.")
    ] = Path("build/default-model"),
    seeds: Annotated[int, typer.Option(min=1, help="Number of trainings that each value is the mean of.")] = 3,
    emotions: Annotated[
        bool, typer.Option("--emotions", help="Measure RAVDESS's eight emotions instead, as publications do.")
    ] = False,
) -> None:
    """Measure how well the audio branch does on speakers, and on corpora, that it was not trained on.

    It prints a page in Markdown and writes it to generalisation.md, or with --emotions to eight-emotions.md. Images
    are cached below the output folder, where the build of the default model finds them, too. Each takes a quarter of an
    hour on two cores.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # hides TensorFlow's start-up messages
    console = SafeConsole(stderr=True)
    try:
        measure = _measure_emotions if emotions else _measure
        page = measure(data, output, range(1, seeds + 1), console)
    except EdgeMcnnError as error:
        console.print(f"generalisation: {error.message}", style="red", soft_wrap=True)
        if error.fix:
            console.print(f"  fix: {error.fix}", soft_wrap=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        console.print("stopped; the same command continues from the steps that are done")
        raise typer.Exit(130) from None
    SafeConsole(highlight=False).print(page, soft_wrap=True)


def _measure(data: Path, output: Path, seeds: Sequence[int], console: Console) -> str:
    command = f"python -m training.default_model.generalisation DATA --seeds {len(seeds)}"
    return _write(unseen_corpora(data, output / "cache", seeds, console).page(command), output, PAGE)


def _measure_emotions(data: Path, output: Path, seeds: Sequence[int], console: Console) -> str:
    command = f"python -m training.default_model.generalisation DATA --emotions --seeds {len(seeds)}"
    return _write(eight_emotions(data, output / "cache", seeds, console).page(command), output, EMOTIONS_PAGE)


def unseen_corpora(data: Path, cache: Path, seeds: Sequence[int], console: Console) -> "Generalisation":
    """Measure the audio branch, as the default model trains it, on speakers and corpora that it did not meet.

    Args:
        data: folder with the corpora.
        cache: folder for images, statistics and weights; what an earlier run left there is used.
        seeds: random seeds; the values are means over them.
        console: where progress is shown.

    Raises:
        TrainingError: a corpus or `cache` cannot be used.
    """
    from training.default_model.audio_branch.audio_training import AudioTrainingSettings
    from training.default_model.audio_branch.augmented_images import CopySettings, corpus_images
    from training.default_model.audio_branch.unseen_corpora import CORPORA, measure_generalisation
    from training.default_model.class_sets import SENTIMENT

    images = {
        corpus: corpus_images(
            data, corpus, cache, classes=SENTIMENT, front_end=FrontEnd(), copies=CopySettings(), console=console
        )
        for corpus in CORPORA
    }
    return measure_generalisation(images, cache, console, seeds=seeds, settings=AudioTrainingSettings())


def eight_emotions(data: Path, cache: Path, seeds: Sequence[int], console: Console) -> "EightEmotions":
    """Measure how well the audio branch recognises RAVDESS's eight emotions; arguments as for `unseen_corpora`."""
    from training.default_model.audio_branch.acted_speech import RAVDESS
    from training.default_model.audio_branch.audio_training import AudioTrainingSettings
    from training.default_model.audio_branch.augmented_images import CopySettings, corpus_images
    from training.default_model.audio_branch.eight_emotions import RAVDESS_EMOTIONS, measure_eight_emotions

    images = corpus_images(
        data,
        RAVDESS,
        cache,
        classes=RAVDESS_EMOTIONS,
        front_end=FrontEnd(),
        copies=CopySettings(),
        console=console,
    )
    return measure_eight_emotions(images, cache, console, seeds=seeds, settings=AudioTrainingSettings())


def _write(page: str, output: Path, name: str) -> str:
    try:
        output.mkdir(parents=True, exist_ok=True)
        write_text(output / name, page)
    except OSError as error:
        raise TrainingError(f"{output}: cannot be written to ({error.strerror})", fix="free some space") from None
    return page


if __name__ == "__main__":
    typer.run(main)
