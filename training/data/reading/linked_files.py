"""Links the rows of a table to files in a folder, by a column with the file's name.

A name may have the file's ending or not, and may begin with the folders inside the folder: `0001`, `0001.png` and
`happy/0001.png` link to `happy/0001.png`. A name that fits two files is refused, never resolved by chance.
"""

import os
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from device.errors import TrainingError
from device.system.display import displayable
from device.system.paths import cannot_use, require_folder

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp"})
"""File name endings of images."""
_SHOWN = 3
"""Number of names that an error message lists."""


def is_image(path: Path) -> bool:
    """Return whether a file has the ending of an image."""
    return path.suffix.lower() in IMAGE_SUFFIXES


@dataclass(frozen=True)
class Link:
    """A name in a table."""

    name: str
    """Name of a file, as the table writes it."""
    where: str
    """Row of the table, for messages."""
    preferred: Callable[[PurePosixPath], bool] | None = None
    """Decides between files of the same name, by their path inside the folder; None if nothing does."""


@dataclass(frozen=True)
class LinkedFile:
    """The file that a name links to."""

    file: Path
    """Path of the file."""
    inside: PurePosixPath
    """The path that links to it, inside the folder."""


class LinkedFiles:
    """Files of one kind that names may link to.

    Args:
        folder: path of the folder, for messages.
        files: pairs of a file and of the path that links to it, inside the folder; a file may have more than one.
        kind: what the files are, in the plural, such as "images"; for messages.
        fix: where the folder is named, in the imperative; the fix of each error.
        suffixes: lower-case endings that a name may have.

    Raises:
        TrainingError: there are no files.
    """

    def __init__(
        self, folder: Path, files: Iterable[tuple[str, Path]], kind: str, fix: str, suffixes: Collection[str]
    ) -> None:
        self.folder = folder
        self._kind = kind
        self._fix = fix
        self._suffixes = frozenset(suffixes) | IMAGE_SUFFIXES
        by_path: defaultdict[str, dict[Path, str]] = defaultdict(dict)
        by_end: defaultdict[str, dict[Path, str]] = defaultdict(dict)
        for inside, file in files:
            full = _normalised(inside)
            for path in (full, _stem(full)):
                by_path[path][file] = inside
                for end in _ends(path):
                    by_end[end][file] = inside
        if not by_path:
            raise TrainingError(
                f"{displayable(folder)}: holds no {kind}", fix=f"{fix}; files must end in {', '.join(sorted(suffixes))}"
            )
        self._by_path, self._by_end = dict(by_path), dict(by_end)

    @classmethod
    def inside(cls, folder: Path, suffixes: Collection[str], kind: str, fix: str) -> "LinkedFiles":
        """Return the files in a folder, and in the folders inside it, that have certain endings; not the hidden ones.

        Args:
            folder: path of the folder.
            suffixes: lower-case endings of the files.
            kind: see `LinkedFiles`.
            fix: see `LinkedFiles`.

        Raises:
            TrainingError: the folder or one inside it cannot be read, or there are no such files.
        """
        files = ((file.relative_to(folder).as_posix(), file) for file in _walk(folder, suffixes, fix))
        return cls(folder, files, kind, fix, suffixes)

    def folder_names(self) -> set[str]:
        """Return the names of all folders inside the folder that a path to a file leads through."""
        return {part for paths in self._by_path.values() for path in paths.values() for part in _folders(path)}

    def find(self, links: Sequence[Link], *, shared: bool = False) -> list[LinkedFile]:
        """Return the file of each link.

        Args:
            links: the names.
            shared: whether two names may link to one file.

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
            names = ", ".join(displayable(inside) for inside in list(files.values())[:_SHOWN])
            raise TrainingError(
                f"{_table_of(link)}{len(unclear)} of {len(links)} IDs name more than one of the {self._kind} in "
                f"{displayable(self.folder)}: {_listed([link])} may be {names}",
                fix="write the folder before the name, or the ending after it, or give a folder without the others",
            )
        linked = [LinkedFile(file, PurePosixPath(inside)) for [(file, inside)] in (each.items() for each in found)]
        if not shared:
            _refuse_duplicates(links, linked)
        return linked

    def _candidates(self, link: Link) -> dict[Path, str]:
        for files in self._matches(_normalised(link.name.replace("\\", "/").removeprefix("./"))):
            if len(files) > 1 and link.preferred is not None:
                return {file: path for file, path in files.items() if link.preferred(PurePosixPath(path))} or files
            if files:
                return files
        return {}

    def _matches(self, name: str) -> Iterator[dict[Path, str]]:
        """Yield the files that fit a name, from the strictest rule to the least strict one."""
        has_ending = PurePosixPath(name).suffix.lower() in self._suffixes
        # A file may have been converted since, and a table may name the image of a recording.
        names = (name, _stem(name)) if has_ending else (name,)
        for each in names:
            yield self._by_path.get(each, {})
            yield self._by_end.get(each, {})
            for end in _ends(each):  # the name may start above the folder
                yield self._by_path.get(end, {})


def _walk(folder: Path, suffixes: Collection[str], fix: str) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise cannot_use(Path(error.filename), error, TrainingError, fix=fix) from None

    require_folder(folder, TrainingError, fix=fix)
    seen: set[tuple[int, int]] = set()
    for root, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        found = Path(root).stat()
        if (found.st_dev, found.st_ino) in seen:  # a link to a folder around it
            folders.clear()
            continue
        seen.add((found.st_dev, found.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        for name in sorted(names):
            if not name.startswith(".") and PurePosixPath(name).suffix.lower() in suffixes:
                yield Path(root, name)


def _refuse_duplicates(links: Sequence[Link], files: Sequence[LinkedFile]) -> None:
    first: dict[Path, Link] = {}
    repeated = []
    for link, linked in zip(links, files, strict=True):
        if linked.file in first:
            repeated.append((first[linked.file], link, linked))
        else:
            first[linked.file] = link
    if repeated:
        before, link, linked = repeated[0]
        raise TrainingError(
            f"{_table_of(link)}{len(repeated)} of {len(links)} IDs appear twice: {_listed([before, link])} name "
            f"{displayable(linked.inside)}",
            fix="give each row its own ID, or delete the repeated rows",
        )


def _ends(path: str) -> Iterator[str]:
    """Yield a path without its first folders: `a/b/c`, `b/c`, `c`."""
    parts = path.split("/")
    for place in range(len(parts)):
        yield "/".join(parts[place:])


def _folders(path: str) -> tuple[str, ...]:
    return PurePosixPath(path).parts[:-1]


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
