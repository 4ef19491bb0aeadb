"""Links the rows of a table to files in a folder, by a column with the file's name.

A name may have the file's ending or not, and may begin with the folders inside the folder: `0001`, `0001.png` and
`happy/0001.png` link to `happy/0001.png`. A name that fits two files is refused, never resolved by chance.
"""

import os
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from device.errors import TrainingError
from device.system.display import displayable

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp"})
"""File name endings of images."""
_SHOWN = 3
"""Number of names that an error message lists."""


@dataclass(frozen=True)
class Link:
    """A name in a table."""

    name: str
    """Name of a file, as the table writes it."""
    where: str
    """Row of the table, for messages."""
    preferred: Callable[[Path], bool] | None = None
    """Decides between files of the same name, by their path inside the folder; None if nothing does."""


class LinkedFiles:
    """The files of one kind in a folder and in the folders inside it; hidden files are ignored.

    Args:
        folder: path of the folder.
        suffixes: lower-case endings of the files.
        kind: what the files are, in the plural, such as "images"; for messages.
        fix: where the folder is named, in the imperative; the fix of each error.

    Raises:
        TrainingError: the folder or one inside it cannot be read, or there are no such files.
    """

    def __init__(self, folder: Path, suffixes: Collection[str], kind: str, fix: str) -> None:
        self.folder = folder
        self._kind = kind
        self._fix = fix
        self._suffixes = frozenset(suffixes) | IMAGE_SUFFIXES
        self._by_path: defaultdict[str, list[Path]] = defaultdict(list)
        self._by_name: defaultdict[str, list[Path]] = defaultdict(list)
        for file in self._walk(suffixes):
            inside = _normalised(file.relative_to(folder).as_posix())
            for path in (inside, _stem(inside)):
                self._by_path[path].append(file)
                self._by_name[path.rpartition("/")[2]].append(file)
        if not self._by_path:
            raise TrainingError(
                f"{displayable(folder)}: holds no {kind}", fix=f"{fix}; files must end in {', '.join(sorted(suffixes))}"
            )

    def find(self, links: Sequence[Link]) -> list[Path]:
        """Return the file of each link.

        Raises:
            TrainingError: names fit no file or two, or two rows name the same file; the first of them are listed and
                all of them counted.
        """
        found = [self._candidates(link) for link in links]
        missing = [link for link, files in zip(links, found, strict=True) if not files]
        if missing:
            raise TrainingError(
                f"{_table_of(missing[0])}{len(missing)} of {len(links)} IDs name none of the {self._kind} in "
                f"{displayable(self.folder)}: {_listed(missing)}",
                fix=self._fix,
            )
        unclear = [(link, files) for link, files in zip(links, found, strict=True) if len(files) > 1]
        if unclear:
            link, files = unclear[0]
            names = ", ".join(displayable(file.relative_to(self.folder)) for file in files[:_SHOWN])
            raise TrainingError(
                f"{len(unclear)} of {len(links)} IDs name more than one of the {self._kind} in "
                f"{displayable(self.folder)}: {_listed([link])} may be {names}",
                fix="write the folder before the name, or the ending after it, or give a folder without the others",
            )
        files = [one for [one] in found]
        self._refuse_duplicates(links, files)
        return files

    def _refuse_duplicates(self, links: Sequence[Link], files: Sequence[Path]) -> None:
        first: dict[Path, Link] = {}
        repeated = []
        for link, file in zip(links, files, strict=True):
            if file in first:
                repeated.append((first[file], link, file))
            else:
                first[file] = link
        if repeated:
            before, link, file = repeated[0]
            raise TrainingError(
                f"{len(repeated)} of {len(links)} IDs are there twice: {_listed([before, link])} name "
                f"{displayable(file.relative_to(self.folder))}",
                fix="give each row its own ID, or delete the repeated rows",
            )

    def _candidates(self, link: Link) -> list[Path]:
        for files in self._matches(_normalised(link.name.replace("\\", "/").removeprefix("./"))):
            if len(files) > 1 and link.preferred is not None:
                return [file for file in files if link.preferred(file.relative_to(self.folder))] or files
            if files:
                return files
        return []

    def _matches(self, name: str) -> Iterator[list[Path]]:
        """Yield the files that fit a name, from the strictest rule to the least strict one."""
        has_ending = PurePosixPath(name).suffix.lower() in self._suffixes
        # A file may have been converted since, and a table may name the image of a recording.
        names = (name, _stem(name)) if has_ending else (name,)
        for each in names:
            if "/" not in each:
                yield self._by_name.get(each, [])
            while each:  # a path may start above the folder
                yield self._by_path.get(each, [])
                each = each.partition("/")[2]  # the path without its first folder

    def _walk(self, suffixes: Collection[str]) -> Iterator[Path]:
        def refuse(error: OSError) -> None:
            raise TrainingError(
                f"{displayable(error.filename)}: cannot be read ({error.strerror})", fix=self._fix
            ) from None

        if not os.path.isdir(self.folder):  # noqa: PTH112  # `Path.is_dir` raises for names that are too long
            raise TrainingError(f"{displayable(self.folder)}: is not a folder", fix=self._fix)
        for root, folders, names in os.walk(self.folder, onerror=refuse):
            folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
            for name in sorted(names):
                if not name.startswith(".") and PurePosixPath(name).suffix.lower() in suffixes:
                    yield Path(root, name)


def _stem(name: str) -> str:
    return name[: len(name) - len(PurePosixPath(name).suffix)]


def _normalised(name: str) -> str:
    """Return the name with composed characters: macOS writes an umlaut as two characters, and tables as one."""
    return unicodedata.normalize("NFC", name)


def _table_of(link: Link) -> str:
    table, comma, _ = link.where.rpartition(", ")
    return f"{table}: " if comma else ""


def _listed(links: Sequence[Link]) -> str:
    shown = ", ".join(f"'{displayable(link.name)}' ({link.where.rpartition(', ')[2]})" for link in links[:_SHOWN])
    return f"{shown} and {len(links) - _SHOWN} more" if len(links) > _SHOWN else shown
