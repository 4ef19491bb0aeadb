"""Reads a folder of class folders: `happy/0001.wav` is a clip with the label `happy`.

Recordings may lie in further folders inside. Splits may be folders around the classes, `train/happy/0001.wav`, or
inside them, `happy/train/0001.wav`, under any of the names that `training.data.split_names` knows. A layout that can be
read in two ways is refused. Everything that is left out is named or counted.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from device.bundle import label_problem
from device.errors import TrainingError
from device.system.display import shortened
from training.data.clips import TRAIN, Clip, ReadClips, Skipped, label_key, refuse_pointers
from training.data.folder_tree import Folder, scan
from training.data.reading.linked_files import IMAGE_SUFFIXES
from training.data.split_names import USUAL, ambiguous_names, is_split_name, read_splits
from training.data.splits import complete_splits

_NAMED = 5
"""How many names one line lists."""
_WRAPPERS = frozenset({
    "archive", "audio", "audios", "clips", "corpus", "data", "dataset", "datasets", "files", "raw", "recordings",
    "sounds", "speech", "wav", "wavs",
})  # fmt: skip
"""Names of folders that hold a data set, and are not a class."""
_STRAY = frozenset({
    "__macosx", "annotations", "code", "demo", "doc", "docs", "documentation", "examples", "images", "labels",
    "metadata", "scripts", "src", "transcripts",
})  # fmt: skip
"""Names of folders that are neither a split nor a class, where they are beside splits."""
_LAYOUT = "put the recordings into a folder per class, as in train/happy and validation/happy"
_TABLE = "or list them in a CSV table with the columns audio, text, label, split"


@dataclass
class _Layout:
    """Which recordings belong to which class and split."""

    parts: list[tuple[str, str, Folder]]
    """Split (empty if there are none), label and folder of each class."""
    remarks: list[str]
    left_out: list[tuple[str, list[Path]]]
    """Reasons, and the recordings that are left out for each."""


def read_class_folders(folder: Path, seed: int = 1) -> ReadClips:
    """Read a folder of class folders; its clips have audio and no text.

    Args:
        folder: path of a folder that holds one folder per class, perhaps inside or around folders for the splits.
        seed: seed of the splits, used where the folders do not define any, or define no validation split.

    Raises:
        TrainingError: there are no folders in it, no recordings in these, it is not clear which folders are classes,
            or the name of a class is not a plain name.
    """
    tree = scan(folder)
    layout = _layout(tree)
    skipped = list(tree.skipped)
    clips = []
    for split, label, part in layout.parts:
        _check_label(label, part.path)
        for recording in sorted(part.recordings()):
            if _is_utf8(recording):
                name = recording.relative_to(folder).as_posix()
                clips.append(Clip(recording, "", label, split, id=name))
            else:
                skipped.append(Skipped(recording, "its name is not UTF-8, so no table can hold it", "rename it"))
    if not clips:
        raise _no_recordings(tree, skipped)
    used = {clip.audio for clip in clips} | {path for _, paths in layout.left_out for path in paths}
    used |= {each.recording for each in skipped}
    _leave_out(layout, "outside of the folders above", tree, (path for path in tree.recordings() if path not in used))
    completed, note = complete_splits(clips, seed)
    remarks = (*layout.remarks, *_left_out(layout, tree), *_merged(layout.parts))
    return ReadClips(completed, note, remarks, tuple(skipped))


def _layout(tree: Folder) -> _Layout:
    """Decide what the folders mean.

    Raises:
        TrainingError: there are no recordings in folders, or the folders can be read in two ways.
    """
    if not tree.folders:
        raise TrainingError(
            f"{tree.path}: no folders in it", fix="make a folder for each class and put its recordings there"
        )
    outer, tree = tree, _inside_wrappers(tree)
    inside = tree.filled()
    if not inside:
        raise _no_recordings(outer, outer.skipped)
    remarks = [f"the data set is read from {tree.path}"] if tree is not outer else []
    splits = read_splits(folder.name for folder in inside)
    layout = _around(tree, inside, splits) if splits else _within(tree, inside)
    layout.remarks[:0] = remarks
    _leave_out(layout, "directly in {}, not in the folder of a class", tree, tree.direct)
    unused = [(folder.name, folder) for folder in tree.folders if folder not in inside]
    if any(split for split, _, _ in layout.parts):
        # Also those inside, such as the empty folder of a class in a split.
        for folder in inside:
            filled = folder.filled()
            unused += [(f"{folder.name}/{sub.name}", sub) for sub in folder.folders if sub not in filled]
    for reason, names in (
        ("there are no recordings in it", [name for name, folder in unused if not folder.skipped]),
        ("no recording in it can be read", [name for name, folder in unused if folder.skipped]),
    ):
        if names:
            layout.remarks.append(f"left out, because {reason}: {_listed(names)}")
    return layout


def _around(tree: Folder, inside: Sequence[Folder], splits: dict[str, str]) -> _Layout:
    """The layout of `train/happy/0001.wav`, or a refusal."""
    named = [folder for folder in inside if folder.name in splits]
    rest = [folder for folder in inside if folder.name not in splits]
    with_classes = [folder for folder in named if folder.filled()]
    found = {splits[folder.name] for folder in with_classes}
    flat = [folder.name for folder in named if folder not in with_classes]
    if flat and TRAIN not in found:
        raise TrainingError(
            f"{tree.path}: {_listed(flat)}: named like a split, but with recordings and no class folders in it",
            fix=f"{_LAYOUT}, {_TABLE}; rename it if it is a class",
        )
    rivals = [folder.name for folder in rest if folder.name.casefold() not in _STRAY]
    if rivals and (TRAIN not in found or len(found) == 1):
        raise TrainingError(
            f"{tree.path}: {_listed([folder.name for folder in named])}: named like a split, but beside "
            f"{_listed(rivals)}, so it may be a class as well",
            fix="move the other folders away if it is a split, rename it if it is a class",
        )
    layout = _Layout([], _about_names(splits), [])
    inner = [_inside_wrappers(folder) for folder in with_classes]
    if any(part is folder for part, folder in zip(inner, with_classes, strict=True)):
        inner = with_classes  # `test/speech` beside `train/music` is a class
    for folder, part in zip(with_classes, inner, strict=True):
        for classes in part.filled():
            if is_split_name(classes.name):
                raise TrainingError(
                    f"{classes.path}: a split in a split, or a class with the name of one",
                    fix="give the path of the folder that holds the splits, or rename it if it is a class",
                )
            layout.parts.append((splits[folder.name], classes.name.strip(), classes))
    for folder in named:
        _leave_out(layout, "directly in {}, not in the folder of a class", folder, folder.direct)
    for folder in rest:
        _leave_out(layout, "in {}, which is no split", folder, folder.recordings())
    return layout


def _within(tree: Folder, inside: Sequence[Folder]) -> _Layout:
    """The layout of `happy/0001.wav` or of `happy/train/0001.wav`, or a refusal."""
    splits = read_splits(sub.name for folder in inside for sub in folder.filled())
    of_class = {folder.path: {splits[sub.name] for sub in folder.filled() if sub.name in splits} for folder in inside}
    only_splits = all(not folder.direct and all(sub.name in splits for sub in folder.filled()) for folder in inside)
    divided = [folder for folder in inside if len(of_class[folder.path]) > 1 and TRAIN in of_class[folder.path]]
    if not only_splits and not divided:
        remarks = []
        if len(inside) == 1 and not inside[0].direct and len(inside[0].filled()) > 1:
            remarks = [f"all recordings are of one class, {inside[0].name}; if it holds the classes, give its path"]
        return _Layout([("", folder.name.strip(), folder) for folder in inside], remarks, [])
    undivided = [folder.name for folder in inside if not of_class[folder.path]]
    if undivided:
        raise TrainingError(
            f"{tree.path}: {divided[0].name} holds folders for splits "
            f"({_listed(sub.name for sub in divided[0].filled())}), and {_listed(undivided)} none",
            fix="divide every class, or none",
        )
    layout = _Layout([], _about_names(splits), [])
    for folder in inside:
        _leave_out(layout, "directly in {}, not in the folder of a split", folder, folder.direct)
        for sub in folder.filled():
            if sub.name in splits:
                layout.parts.append((splits[sub.name], folder.name.strip(), sub))
            else:
                _leave_out(layout, "in {}, which is no split", sub, sub.recordings())
    layout.parts.sort(key=lambda part: part[0] != TRAIN)
    return layout


def _inside_wrappers(tree: Folder) -> Folder:
    """Return the folder that holds the data set: `data/data/train` is a usual result of unpacking an archive."""
    while True:
        inside = [folder for folder in tree.filled() if folder.name.casefold() not in _STRAY]
        if len(inside) != 1 or inside[0].direct:
            return tree
        only = inside[0]
        splits = read_splits(folder.name for folder in only.filled())
        holds_splits = len(set(splits.values())) > 1 and TRAIN in splits.values()
        is_wrapper = only.name.casefold() in _WRAPPERS or label_key(only.name) == label_key(tree.name)
        if not holds_splits and (tree.direct or is_split_name(only.name) or not is_wrapper):
            return tree
        tree = only


def _about_names(splits: dict[str, str]) -> list[str]:
    """Return remarks on names of splits that could be read in another way."""
    remarks = [f"{name} is read as the {splits[name]} split" for name in ambiguous_names(splits)]
    for split in USUAL:
        names = [name for name in splits if splits[name] == split]
        if len(names) > 1:
            remarks.append(f"{_listed(names)} are read as one split, {split}")
    return remarks


def _leave_out(layout: _Layout, reason: str, folder: Folder, recordings: Iterable[Path]) -> None:
    found = list(recordings)
    if found:
        layout.left_out.append((reason.format(folder.path), found))


def _left_out(layout: _Layout, tree: Folder) -> list[str]:
    lines = [
        f"left out {len(recordings)} recordings {reason}, first {recordings[0].name}"
        for reason, recordings in layout.left_out
    ]
    if tree.others:
        counts = [f"{count} {ending or 'without an ending'}" for ending, count in tree.others.most_common()]
        lines.append(f"left out, because they are no recordings: {_listed(counts)}")
    return lines


def _merged(parts: Sequence[tuple[str, str, Folder]]) -> list[str]:
    """Return remarks on folders whose names differ only in spaces around them, which are one class."""
    names: dict[str, Counter[str]] = {}
    for _, label, folder in parts:
        own = folder.name if folder.name.strip() == label else folder.path.parent.name
        names.setdefault(label, Counter())[own] += sum(1 for _ in folder.recordings())
    return [
        f"warning: {' and '.join(f'{name!r} ({count} clips)' for name, count in sorted(found.items()))} are read as "
        f"one class, {label!r}: spaces around a name do not count"
        for label, found in names.items()
        if len(found) > 1
    ]


def _check_label(label: str, folder: Path) -> None:
    if problem := label_problem(label):
        raise TrainingError(f"{folder}: label {shortened(label)} {problem}", fix="rename the folder")


def _is_utf8(text: object) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in str(text))


def _no_recordings(tree: Folder, skipped: Sequence[Skipped]) -> TrainingError:
    refuse_pointers(str(tree.path), skipped)
    fix = "add recordings, such as WAV, FLAC, MP3 or MP4 files"
    if skipped:
        first = skipped[0]
        return TrainingError(
            f"{tree.path}: no recordings in its folders can be read; {len(skipped)} are skipped, the first is "
            f"{first.recording} ({first.reason})",
            fix=first.fix or fix,
        )
    counts = [f"{count} {ending or 'without an ending'}" for ending, count in tree.others.most_common()]
    found = f" (found: {_listed(counts)})" if counts else ""
    if tree.others.keys() & IMAGE_SUFFIXES:
        fix = (
            "a network needs the words as well as the images: write a table with the columns ID, text and label, and "
            "give it with --pictures FOLDER"
        )
    return TrainingError(f"{tree.path}: no recordings in its folders{found}", fix=fix)


def _listed(names: Iterable[str]) -> str:
    every = list(names)
    more = len(every) - _NAMED
    return ", ".join(every[:_NAMED]) + (f" and {more} more" if more > 0 else "")
