"""`edge-mcnn classify`. From Python: `device.loading.classify`."""

from pathlib import Path
from typing import Annotated

import typer

from device.errors import AudioError
from edge_mcnn.options import (
    Config,
    Json,
    Model,
    VoiceProfile,
    limit_arithmetic_threads,
    load_settings,
    require_memory_for_speech,
)
from edge_mcnn.output import out

_STANDARD_INPUT = "-"


def classify_command(
    recordings: Annotated[
        list[str],  # not Path, of which typer would check the permissions, and refuse all files because of one
        typer.Argument(
            metavar="FILE",
            help="WAV or FLAC files with any sample rate and any number of channels, or any other format that "
            "libsndfile reads. - is standard input. A pipe is read to its end first, up to 256 MB.",
        ),
    ],
    profile: VoiceProfile = None,
    json: Json = False,
    model: Model = None,
    config: Config = None,
) -> None:
    r"""Detect the emotion in recordings.

    A recording is processed exactly as if it were spoken into the microphone: it is cut into utterances, and each
    utterance gets a prediction. With --json each prediction is one line; in the name of a file, a byte that is not
    UTF-8 is written as an escape such as \\udce9, which Python reads back.

    A pipe is refused if no program writes into it within 5 s, or if it delivers nothing for 30 s.

    Exit status: 0 if every recording got a prediction, 1 if one could not be read or contains no speech; the other
    recordings are still classified.

    For example:

        edge-mcnn classify clip.wav
        edge-mcnn classify --json *.flac
        edge-mcnn classify --profile voice.json clip.wav
        arecord -f S16_LE -r 16000 -d 5 | edge-mcnn classify -
    """
    limit_arithmetic_threads()
    require_memory_for_speech()
    import time

    from rich.text import Text

    from device.audio.decoding import STANDARD_INPUT
    from device.audio.wav_header import length_note
    from device.loading import LoadedModels, classify
    from device.outputs.json_lines import as_table
    from device.outputs.terminal.prediction_rows import PredictionView
    from device.system.display import displayable

    settings = load_settings(config, model=model)
    models = LoadedModels.load(settings, out.announce, profile=profile, require_profile=True)
    console = out.console()
    failed = 0
    for name in recordings:
        path = STANDARD_INPUT if name == _STANDARD_INPUT else Path(name)
        if note := length_note(path):
            out.announce(note)
        try:
            for prediction in classify(models, path):
                table = as_table(prediction, time.monotonic())
                if json:
                    out.json({"file": name, **table})
                    continue
                span = f"{table['start_s']:.1f} s to {table['start_s'] + table['seconds']:.1f} s"
                console.print(Text.assemble((displayable(Path(name).name), "bold"), "  ", (span, "dim")))
                console.print(PredictionView(models.classifier.labels, prediction))
                console.print()
        except AudioError as error:
            failed += 1
            out.error(error)
    if failed:
        raise typer.Exit(1)
