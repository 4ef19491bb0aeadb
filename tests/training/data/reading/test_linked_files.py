"""Names in a table are linked to files, or refused with the first of them and their number."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from device.errors import TrainingError
from training.data.reading.linked_files import IMAGE_SUFFIXES, Link, LinkedFiles


def folder_of(root: Path, *files: str) -> Path:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(b"")
    return root


def find(folder: Path, *names: str) -> list[str]:
    files = LinkedFiles.inside(folder, IMAGE_SUFFIXES, "images", "correct the folder")
    links = [Link(name, f"table.csv, line {line}") for line, name in enumerate(names, 2)]
    return [linked.file.relative_to(folder).as_posix() for linked in files.find(links)]


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("a.png", "a.png"),
        ("a.png", "a"),
        ("a.JPG", "a.jpg"),
        ("a.JPG", "a"),
        ("a.png", "a.jpg"),  # converted since
        ("a.png", "./a.png"),
        ("a.png", "photos/a.png"),  # the name starts above the folder
        ("happy/a.png", "happy/a"),
        ("happy/a.png", "happy\\a.png"),
        ("happy/a.png", "photos/happy/a.png"),
        ("happy/a.png", "a"),
        ("v1.2.png", "v1.2"),
        ("dia0_utt1.png", "dia0_utt1"),
        ("u\u0308ber.png", "\u00fcber"),  # macOS writes an umlaut as two characters
        ("a b, c.png", "a b, c"),
    ],
)
def test_names_that_link(file: str, name: str, tmp_path: Path) -> None:
    assert find(folder_of(tmp_path, file, "other.png"), name) == [file]


@pytest.mark.parametrize(
    ("files", "names", "message"),
    [
        (["a.png"], ["a", "b"], "table.csv: 1 of 2 IDs name none of the images in .*: 'b' \\(line 3\\); correct the"),
        (["a.png"], list("bcdef"), "5 of 5 IDs .*'b' \\(line 2\\), 'c' \\(line 3\\), 'd' \\(line 4\\) and 2 more"),
        (["sad/a.png"], ["happy/a"], "'happy/a'"),  # not the image of another class
        (["v1.2.png"], ["v1"], "'v1'"),
        (["a.png", "a.jpg"], ["a"], "1 of 1 IDs name more than one of the images .*'a' .*may be a.jpg, a.png"),
        (["x/a.png", "y/a.png"], ["a"], "may be x/a.png, y/a.png; write the folder before the name"),
        (["a.png"], ["a", "a.png"], "1 of 2 IDs appear twice: 'a' \\(line 2\\), 'a.png' \\(line 3\\) name a.png"),
        (["a.png"], ["\x1b[2J"], r"'\\x1b\[2J'"),
        ([".a.png", "__MACOSX/a.png", "a.txt"], ["a"], "holds no images; correct the folder; files must end in"),
    ],
)
def test_names_that_are_refused(files: list[str], names: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=message):
        find(folder_of(tmp_path, *files), *names)


def test_exact_name_decides_between_endings(tmp_path: Path) -> None:
    assert find(folder_of(tmp_path, "a.png", "a.jpg"), "a.png", "a.jpg") == ["a.png", "a.jpg"]


def test_path_decides_before_the_name(tmp_path: Path) -> None:
    assert find(folder_of(tmp_path, "a.png", "old/a.png"), "a") == ["a.png"]


def test_linked_folders_are_followed_once(tmp_path: Path) -> None:
    folder_of(tmp_path, "elsewhere/a.png", "photos/b.png")
    (tmp_path / "photos/more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "photos/again").symlink_to(tmp_path / "photos")
    assert find(tmp_path / "photos", "a", "b") == ["more/a.png", "b.png"]


def test_preferred_file(tmp_path: Path) -> None:
    files = LinkedFiles.inside(folder_of(tmp_path, "x/a.png", "y/a.png"), IMAGE_SUFFIXES, "images", "")
    [found] = files.find([Link("a", "line 2", lambda path: path.parts[0] == "y")])
    assert found.file == tmp_path / "y/a.png"
    assert files.folder_names() == {"x", "y"}


def test_folder_that_cannot_be_read(tmp_path: Path) -> None:
    folder_of(tmp_path, "a.png", "closed/b.png")
    (tmp_path / "closed").chmod(0)
    tmp_path.chmod(0o755)
    code = (
        "import sys; from pathlib import Path; from training.data.reading.linked_files import LinkedFiles\n"
        "LinkedFiles.inside(Path(sys.argv[1]), {'.png'}, 'images', 'open it')"
    )
    # A copy of the modules is not needed: the error is raised from a process that may not read the folder.
    command = [sys.executable, "-c", code, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    if os.geteuid() == 0:
        for parent in tmp_path.parents[:3]:  # each process of pytest-xdist has a folder of its own
            parent.chmod(0o755)
        command = ["setpriv", "--reuid=65534", "--clear-groups", *command]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    (tmp_path / "closed").chmod(0o755)
    assert "closed: permission denied" in done.stderr
