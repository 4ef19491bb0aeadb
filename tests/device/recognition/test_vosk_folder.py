import os
import struct
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from device.recognition.vosk_folder import model_folder

WORDS = ("<eps>", "he", "might")
PUBLISHED = "--min-active=200\n--max-active=3000\n--beam=10.0\n--lattice-beam=2.0\n"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "conf").mkdir(parents=True)
    (folder / "am").mkdir()
    (folder / "am" / "final.mdl").write_text("network")
    (folder / "conf" / "mfcc.conf").write_text("--num-ceps=40\n")
    (folder / "conf" / "model.conf").write_text(PUBLISHED)
    return folder


def test_quick(model: Path) -> None:
    with model_folder(model, "quick") as folder:
        options = (folder / "conf" / "model.conf").read_text()
        assert options == "--min-active=20\n--max-active=1000\n--beam=10.0\n--lattice-beam=2.0\n"
        assert (folder / "am" / "final.mdl").read_text() == "network"
        assert (folder / "conf" / "mfcc.conf").read_text() == "--num-ceps=40\n"
    assert not folder.exists()
    assert (model / "am" / "final.mdl").read_text() == "network"
    assert (model / "conf" / "model.conf").read_text() == PUBLISHED


def test_a_model_named_by_a_relative_path(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(model.parent)
    with model_folder(Path("model"), "quick") as folder:
        assert (folder / "am" / "final.mdl").read_text() == "network"


def test_thorough_is_the_model_itself(model: Path) -> None:
    with model_folder(model, "thorough") as folder:
        assert folder == model


def test_options_that_the_maker_did_not_set_are_not_added(model: Path) -> None:
    (model / "conf" / "model.conf").write_text("--beam=13.0\n")
    with model_folder(model, "quick") as folder:
        assert (folder / "conf" / "model.conf").read_text() == "--beam=13.0\n"


def test_a_model_with_another_layout_is_used_unchanged(model: Path) -> None:
    (model / "conf" / "model.conf").rename(model / "model.conf")
    with model_folder(model, "quick") as folder:
        assert folder == model


def test_without_a_temporary_folder_the_model_is_used_unchanged(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(model / "missing"))
    with model_folder(model, "quick") as folder:
        assert folder == model


def test_a_folder_that_a_killed_process_left_is_removed(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    left = tmp_path / f"edge-mcnn-{gone.pid}-abc"
    kept = [tmp_path / name for name in (f"edge-mcnn-{os.getppid()}-abc", "edge-mcnn-abc", "edge-mcnn-of-mine")]
    for folder in (left, *kept):
        (folder / "conf").mkdir(parents=True)
    with model_folder(model, "quick") as own:
        assert own.name.startswith(f"edge-mcnn-{os.getpid()}-")
        with model_folder(model, "quick"):
            assert own.exists(), "nor is that of a process that runs"
    assert not left.exists()
    assert [each.exists() for each in kept] == [True] * 3


def descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def text(value: str) -> bytes:
    return struct.pack("<i", len(value)) + value.encode()


def symbols(words: Sequence[str]) -> bytes:
    header = struct.pack("<i", 2125658996) + text("words.txt") + struct.pack("<qq", len(words), len(words))
    return header + b"".join(text(word) + struct.pack("<q", key) for key, word in enumerate(words))


def transducer(*tables: bytes, flags: int) -> bytes:
    """A file as OpenFst writes it; the states and arcs that follow are of no interest here."""
    header = struct.pack("<i", 2125659606) + text("ngram") + text("standard")
    return header + struct.pack("<iiQqqq", 4, flags, 0, 0, 2, 3) + b"".join(tables) + b"states and arcs" * 1000


@pytest.fixture
def grammar(model: Path) -> Path:
    (model / "graph" / "phones").mkdir(parents=True)
    (model / "graph" / "HCLr.fst").write_text("sounds to words")
    return model / "graph" / "Gr.fst"


@pytest.mark.parametrize("search", ["quick", "thorough"])
def test_the_grammar_comes_without_the_second_list_of_the_same_words(search: str, model: Path, grammar: Path) -> None:
    twice = transducer(symbols(WORDS), symbols(WORDS), flags=3)
    grammar.write_bytes(twice)
    before = descriptors()
    with model_folder(model, search) as folder:
        assert (folder / "graph" / "Gr.fst").read_bytes() == transducer(symbols(WORDS), flags=2)
        assert (folder / "graph" / "HCLr.fst").read_text() == "sounds to words"
        assert (folder / "graph" / "phones").is_dir()
        assert (
            (folder / "conf" / "model.conf")
            .read_text()
            .startswith("--min-active=20\n" if search == "quick" else PUBLISHED)
        )
    assert grammar.read_bytes() == twice
    assert descriptors() == before


@pytest.mark.parametrize(
    "content",
    [
        transducer(symbols(WORDS), symbols(WORDS[:2]), flags=3),
        transducer(symbols(WORDS), symbols((*WORDS[:2], "may")), flags=3),
        transducer(symbols(WORDS), flags=1),
        transducer(symbols(WORDS), flags=2),
        transducer(flags=0),
        transducer(flags=3),
        transducer(symbols(WORDS), symbols(WORDS), flags=3)[:120],
        transducer(symbols(WORDS), symbols(WORDS), flags=3)[:30],
        struct.pack("<ii", 2125659606, 1 << 30),
        struct.pack("<ii", 2125659606, -(1 << 30)),
        b"another format",
        b"",
    ],
    ids=lambda content: f"{len(content)} bytes",
)
def test_another_grammar_is_used_unchanged(content: bytes, model: Path, grammar: Path) -> None:
    grammar.write_bytes(content)
    with model_folder(model, "thorough") as folder:
        assert folder == model


def test_without_memory_for_another_grammar_the_model_is_used_unchanged(
    model: Path, grammar: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object) -> int:
        raise OSError(28, "No space left on device")

    grammar.write_bytes(transducer(symbols(WORDS), symbols(WORDS), flags=3))
    monkeypatch.setattr(os, "sendfile", full)
    before = descriptors()
    with model_folder(model, "quick") as folder:
        assert folder == model
    assert descriptors() == before


def test_the_grammar_of_the_english_model_has_its_words_once(speech_model: Path) -> None:
    with model_folder(speech_model, "thorough") as folder:
        saved = (speech_model / "graph" / "Gr.fst").stat().st_size - (folder / "graph" / "Gr.fst").stat().st_size
        assert saved > 2_000_000
