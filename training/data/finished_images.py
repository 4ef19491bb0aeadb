"""Finished images that the rows of a table name by ID: those of `edge-mcnn pictures`, or those of another program.

A folder that `edge-mcnn pictures` wrote contains `index.json`, which names the recording of each image and the settings
that the images were computed with. Any other folder of images is one of another program: nothing is known about how
these images were computed.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from device.errors import TrainingError
from device.front_end.parameters import FrontEnd
from device.system.display import displayable
from training.data.reading.linked_files import IMAGE_SUFFIXES, LinkedFiles

INDEX = "index.json"
"""Name of the file that lists each recording with its image."""
IMAGE_TABLE = "index.csv"
"""Name of the table of the clips, whose column ID names the image of each."""
INDEX_FORMAT = 1
"""Value of `format` in the index."""
_FILE_KEYS = ("image", "picture")
"""Key of a file name in the index, and its former name."""
_FIX = "correct the column ID, or name the folder of the images with --pictures"


@dataclass(frozen=True)
class FinishedImages:
    """A folder of finished images."""

    folder: Path
    """Path of the folder."""
    settings: Mapping[str, Any] | None
    """Settings that `edge-mcnn pictures` computed the images with; None if another program computed them."""

    def remark(self) -> str:
        """Return what the user should know about images of another program; empty for those of edge-mcnn."""
        if self.settings is not None:
            return ""
        return (
            f"the images in {displayable(self.folder)} were not computed by edge-mcnn, so their front end is unknown: "
            "the device computes its own images and predicts well only if they look the same; describe how yours were "
            "computed with `edge-mcnn convert --front-end`, or train on the recordings"
        )

    def check(self, front_end: FrontEnd) -> None:
        """Check that images of `edge-mcnn pictures` have the settings of a network.

        Raises:
            TrainingError: they have other ones.
        """
        if self.settings is None:
            return
        if any(self.settings.get(name) != value for name, value in front_end.image_settings().items()):
            raise TrainingError(
                f"{displayable(self.folder)}: its images were computed with other settings than the network's",
                fix="compute them again with `edge-mcnn pictures`, or use the recordings with --audio-root",
            )


def open_finished_images(folder: Path) -> tuple[LinkedFiles, FinishedImages]:
    """Open a folder of images that names may link to.

    An image of `edge-mcnn pictures` has the name of its recording, and its own one.

    Raises:
        TrainingError: the folder cannot be read, or holds no images.
    """
    index = read_index(folder)
    if index is None:
        return LinkedFiles.inside(folder, IMAGE_SUFFIXES, "images", _FIX), FinishedImages(folder, None)
    settings = index.get("front_end")
    finished = FinishedImages(folder, settings if isinstance(settings, dict) else {})
    return LinkedFiles(folder, _links(folder, index), "images", _FIX, IMAGE_SUFFIXES), finished


def read_index(folder: Path) -> dict[str, Any] | None:
    """Return the index of a folder that `edge-mcnn pictures` wrote; None if it is missing or in another format."""
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        if index["format"] == INDEX_FORMAT and all(isinstance(each, dict) for each in index["recordings"].values()):
            return dict(index)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        pass
    return None


def file_of(entry: Mapping[str, Any]) -> str:
    """Return the file name in an entry of the index; empty for a skipped recording."""
    return str(next((entry[key] for key in _FILE_KEYS if key in entry), ""))


def _links(folder: Path, index: Mapping[str, Any]) -> Iterator[tuple[str, Path]]:
    for recording, entry in index["recordings"].items():
        name = Path(file_of(entry)).name
        if name:
            while recording.startswith("../"):  # the path of the recording, from where it leaves the folder
                recording = recording.removeprefix("../")  # see above
            yield recording, folder / name
            yield name, folder / name
