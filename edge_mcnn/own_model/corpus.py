"""`edge-mcnn pictures` and `edge-mcnn transcribe`: results that are computed once, before any training.

From Python: `training.images.image_cache.ImageCache` and `training.data.transcripts.transcription.transcribe`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from device.errors import TrainingError
from edge_mcnn.options import AudioRoot, CorpusArgument, Meld, MeldTarget, Target, open_selected_corpus, require
from edge_mcnn.output import out
from edge_mcnn.paths import output_file, output_folder

if TYPE_CHECKING:  # imported only when the option is used
    from training.dask_cluster import DaskCluster


DaskAddress = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Compute on the Dask cluster whose scheduler has this address, such as tcp://pc1:8786. The recordings are "
        "sent to its workers; all of them need this version of edge-mcnn, with the extra `cluster`. Results are "
        "written here.",
        show_default="this machine",
    ),
]


def pictures_command(
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="FOLDER",
            parser=output_folder(),
            help="Folder to write the images to, or to update.",
            show_default=False,
        ),
    ],
    corpus: CorpusArgument = None,
    meld: Meld = None,
    target: MeldTarget = Target.SENTIMENT,
    audio_root: AudioRoot = None,
    dask: DaskAddress = None,
) -> None:
    """Compute the spectrogram images of a corpus once.

    The folder receives one PNG per recording, computed exactly as the device computes it, and index.json, which
    assigns images to recordings. `edge-mcnn train --pictures FOLDER` reads the images from there. It also receives
    index.csv, a table of the clips whose column ID names the image of each: `edge-mcnn train FOLDER/index.csv
    --pictures FOLDER` needs no recordings.

    You can stop the command with Ctrl-C and run it again: existing images are not computed again, unless their
    recording or the front end has changed.

    Example: `edge-mcnn pictures clips.csv --output images`
    """
    require("librosa", "PIL")
    _require_dask(dask)
    source = open_selected_corpus(corpus, meld, target, audio_root)

    from device.front_end.parameters import FrontEnd
    from training.data.clip_table import write_image_table
    from training.data.clips import report_skipped, require_readable
    from training.data.finished_images import IMAGE_TABLE
    from training.images.image_cache import ImageCache

    console = out.console()
    recordings = [clip.audio for clip in source.clips if clip.audio is not None]
    if not recordings:
        raise TrainingError(
            f"{source.name}: no clip has a recording, so there are no images to compute", fix="fill the column audio"
        )
    source.report(console, skipped=False)
    try:
        cache = ImageCache(output, FrontEnd())
        with _connected(dask) as cluster:
            filled = cache.fill(recordings, console, cluster)
        report_skipped((*source.skipped, *filled.skipped), source.recordings, console)
        require_readable(filled.skipped, len(set(recordings)))
        write_image_table(output / IMAGE_TABLE, source.clips, filled.files)
    except KeyboardInterrupt:
        console.print(_STOPPED)
        raise
    console.print(
        f"{output}: {filled.computed} images computed, {filled.reused} reused, {filled.removed} outdated removed",
        soft_wrap=True,
    )


def transcribe_command(
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="TABLE.csv", parser=output_file(), help="Table to write.", show_default=False
        ),
    ],
    corpus: CorpusArgument = None,
    meld: Meld = None,
    target: MeldTarget = Target.SENTIMENT,
    audio_root: AudioRoot = None,
    dask: DaskAddress = None,
) -> None:
    """Transcribe the recordings of a corpus with Vosk.

    The device uses the same speech model with the same settings, so a network that is trained on these transcripts
    (`edge-mcnn train TABLE.csv --text vosk`) learns from the same errors that it will meet there. The table contains
    the clips of the corpus with one more column, text_vosk.

    You can stop the command with Ctrl-C and run it again: it continues after the last finished clip.

    Example: `edge-mcnn transcribe recordings/ --output transcripts.csv`
    """
    require("librosa")
    _require_dask(dask)
    source = open_selected_corpus(corpus, meld, target, audio_root)

    from training.data.transcripts.transcription import transcribe

    console = out.console()
    source.report(console)
    try:
        with _connected(dask) as cluster:
            transcribe(source, output, console, cluster)
    except KeyboardInterrupt:
        console.print(_STOPPED)
        raise


def _require_dask(address: str | None) -> None:
    if address is not None:
        require("distributed", purpose="--dask", extra="cluster")


@contextmanager
def _connected(address: str | None) -> "Iterator[DaskCluster | None]":
    if address is None:
        yield None
        return
    from training.dask_cluster import connected

    with connected(address) as cluster:
        yield cluster


_STOPPED = "stopped; run the same command again to continue"
