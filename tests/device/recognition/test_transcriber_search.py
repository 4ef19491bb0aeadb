import tempfile
from pathlib import Path

import pytest

from device.recognition.transcriber import model_folder

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
