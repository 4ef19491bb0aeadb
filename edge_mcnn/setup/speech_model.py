"""`edge-mcnn fetch-speech-model`. From Python: `device.recognition.speech_model.fetch.fetch_speech_model`."""

from pathlib import Path
from typing import Annotated

import typer

from edge_mcnn.output import out
from edge_mcnn.paths import input_path


def fetch_speech_model_command(
    source: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="FOLDER|ZIP",
            parser=input_path("give a folder or a zip file"),
            help="Copy the model from this folder or zip file instead of downloading it, for a machine without network "
            "access.",
        ),
    ] = None,
) -> None:
    """Download and verify the Vosk model for speech recognition.

    The model (68 MB) is stored in your cache folder, after every file has been compared with its pinned SHA-256
    checksum. Commands that transcribe speech also download it when it is missing.

    Example: `edge-mcnn fetch-speech-model --from vosk-model-small-en-us-0.15.zip`
    """
    from device.recognition.speech_model.fetch import fetch_speech_model

    out.announce(f"speech model: {fetch_speech_model(source, announce=out.announce)}")
