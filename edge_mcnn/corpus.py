"""`edge-mcnn pictures` and `edge-mcnn transcribe`: what can be computed once, before any training."""

from pathlib import Path
from typing import Annotated

import typer

from device.errors import TrainingError
from edge_mcnn.corpus_options import AudioRoot, CorpusArgument, Meld, MeldTarget, Target, opened, require


def pictures_command(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="Where the pictures go.", show_default=False)
    ],
    corpus: CorpusArgument = None,
    meld: Meld = None,
    audio_root: AudioRoot = None,
) -> None:
    """Compute the picture of every clip's sound, once, as the device would.

    A PNG per recording, and index.json that says which is whose. What is there already is kept, so the command can be
    interrupted with Ctrl-C and run again; what is out of date, because the recording or the front end has changed,
    is computed anew. `edge-mcnn train --pictures FOLDER` takes the pictures from there.
    """
    require("librosa", "PIL")
    source = opened(corpus, meld, Target.SENTIMENT, audio_root)
    from rich.console import Console

    from device.front_end.parameters import FrontEnd
    from training.data.clips import report_skipped
    from training.images.image_cache import ImageCache

    console = Console()
    recordings = [clip.audio for clip in source.clips if clip.audio is not None]
    if not recordings:
        raise TrainingError(
            f"{source.name}: no clip has a recording, so there is nothing to draw; fill the column audio"
        )
    try:
        filled = ImageCache(output, FrontEnd()).fill(recordings, console)
    except KeyboardInterrupt:
        console.print("stopped; run it again to go on from here")
        raise
    report_skipped((*source.skipped, *filled.skipped), len(set(recordings)) + len(source.skipped), console)
    console.print(
        f"{output}: {filled.computed} pictures computed, {filled.kept} kept, {filled.removed} out of date removed",
        markup=False,
        soft_wrap=True,
    )


def transcribe_command(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="TABLE.csv", help="The table to write.", show_default=False)
    ],
    corpus: CorpusArgument = None,
    meld: Meld = None,
    target: MeldTarget = Target.SENTIMENT,
    audio_root: AudioRoot = None,
) -> None:
    """Write down what Vosk hears in every clip, with the very model and settings of the device.

    The table has the corpus's clips with one column more, text_vosk; `edge-mcnn train TABLE.csv --text vosk` trains on
    what the device will really read. Ctrl-C keeps what was heard so far, and running it again goes on from there.
    """
    require("librosa")
    source = opened(corpus, meld, target, audio_root)
    from rich.console import Console

    from training.data.transcription import transcribe

    console = Console()
    source.report(console)
    try:
        transcribe(source, output, console)
    except KeyboardInterrupt:
        console.print("stopped; run it again to go on from here")
        raise
