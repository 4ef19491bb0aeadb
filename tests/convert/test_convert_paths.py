"""Sources and outputs that cannot be used: one line with a fix, before anything slow begins, and nothing is written."""

import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from convert import convert as converter
from convert import subprocess_job, worker
from convert.companions.companions import UserCompanions
from convert.convert import convert
from convert.options import ConversionOptions
from convert.source.keras_source import KerasSource
from device.errors import ConversionError
from tests.convert import tutorial_models
from tests.convert.tutorial_models import companions, save, tutorial_model


@pytest.fixture(autouse=True)
def _nothing_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess_job, "started", lambda *_: pytest.fail("tensorflow was loaded"))


def refusal(source: Path, target: Path | None = None) -> str:
    with pytest.raises(ConversionError) as caught:
        convert(source, target)
    assert caught.value.fix
    message = str(caught.value)
    assert message.isprintable()
    return message


def torch_file() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("model/data.pkl", b"\x80\x02")
    return content.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "Model.tflite",
            b"\x1c\0\0\0TFL3" + bytes(100),
            "is a TFLite model already; convert the Model.h5 or Model.",
        ),
        ("Model.h5", b"\x1c\0\0\0TFL3" + bytes(100), "is a TFLite model already; convert the Model.h5 or Model."),
        ("Model.pt", torch_file(), "is a model of PyTorch, not of Keras; edge-mcnn converts"),
        (
            "Model.pkl",
            b"\x80\x04\x95",
            "is a pickle, which can carry code, not a model saved by Keras; save the",
        ),
        (
            "Model.json",
            json.dumps({"class_name": "Functional"}).encode(),
            "is JSON, so at most the layers without",
        ),
        ("Model.h5", b"version https://git-lfs.github.com/spec/v1\n", "holds a pointer of Git LFS instead of its"),
        ("Model.h5", b"<!DOCTYPE html><html>", "is a web page, not a model saved by Keras; download the model itself"),
        ("Model.h5", b"", "is empty; save or copy the model again"),
        ("Model.onnx", b"\x08\x07\x12\x07pytorch", "is a model of ONNX or a graph of TensorFlow, not a model saved by"),
        ("model.tar.gz", b"\x1f\x8b\x08", "is compressed with gzip, not a model saved by Keras; unpack it first"),
        ("classes.npy", b"\x93NUMPY\x01", "is a file of numpy, not a model saved by Keras"),
        (
            "saved_model.pb",
            b"\x12\x07",
            "is a graph of TensorFlow, not a model saved by Keras; name the folder",
        ),
        ("Model.h5", b"once upon a time", "not an HDF5 file, a .keras file or a SavedModel folder; name a Model.h5 or"),
    ],
)
def test_other_files(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    assert f"{tmp_path / name}: {message}" in refusal(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_folders(tmp_path: Path) -> None:
    assert "a folder without saved_model.pb, so not a SavedModel; name a Model.h5" in refusal(tmp_path)
    (tmp_path / "My Model.h5").write_bytes(b"")
    assert f"so not a SavedModel; name the model in it: edge-mcnn convert '{tmp_path}/My Model.h5'" in refusal(tmp_path)
    for name in ("config.json", "model.weights.h5"):
        (tmp_path / name).write_text("{}")
    assert "is an unpacked Model.keras; pack it again inside the folder: zip Model.keras" in refusal(tmp_path)


@pytest.mark.parametrize("pointer", ["saved_model.pb", "variables/variables.data-00000-of-00001"])
def test_a_saved_model_of_pointers_of_git_lfs(pointer: str, tmp_path: Path) -> None:
    (tmp_path / "variables").mkdir()
    (tmp_path / "saved_model.pb").write_bytes(b"\x12\x07")
    (tmp_path / pointer).write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    assert f"{pointer}: holds a pointer of Git LFS instead of its content; install git-lfs" in refusal(tmp_path)


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "Model.h5")
    assert "Model.h5: is not a regular file, but a pipe or a device" in refusal(tmp_path / "Model.h5")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a" * 300, "the name is too long"),
        ("missing/Model.h5", "no such file or folder: there is no folder"),
        ("file/Model.h5", "file is a file, not a folder"),
        ("caf\udce9\x1b[2J.h5", r"caf\xe9\x1b[2J.h5: no such file or folder"),
        ("nul\0.h5", "the name contains a NUL character"),
    ],
)
def test_names_of_sources(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert message in refusal(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a" * 300 + ".tflite", "cannot be written (the name is too long"),
        ("missing/Model.tflite", "missing); choose another file or folder with --output"),
        ("file/Model.tflite", "file is a file, not a folder"),
        ("Model.bin", "is neither an existing folder nor a name that ends in .tflite; write to "),
        ("missing", "is neither an existing folder nor a name that ends in .tflite; write to "),
        ("pipe.tflite", "pipe.tflite: cannot be written (is not a regular file)"),
        ("folder.tflite", "Model.tflite: cannot be written (is a folder, not a file)"),
    ],
)
def test_names_of_outputs(name: str, message: str, small_model: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.tflite" / "Model.tflite").mkdir(parents=True)
    os.mkfifo(tmp_path / "pipe.tflite")
    before = sorted(tmp_path.rglob("*"))
    assert message in refusal(small_model, tmp_path / name)
    assert sorted(tmp_path.rglob("*")) == before


def test_output_would_replace_the_source(small_model: Path, tmp_path: Path) -> None:
    source = Path(shutil.copy(small_model, tmp_path / "Model.tflite"))
    assert "the output would replace the model to convert; choose another file with --output" in refusal(source)


@pytest.mark.parametrize("part", ["source", "output"])
def test_closed_folders(part: str, small_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir()
    source = Path(shutil.copy(small_model, (folder if part == "source" else tmp_path) / "Model.h5"))
    target = (folder if part == "output" else tmp_path) / "out.tflite"
    for path in (tmp_path, *tmp_path.parents):
        if path.stat().st_uid == os.getuid() and len(path.parts) > 2:
            path.chmod(0o755)
    tmp_path.chmod(0o777)
    folder.chmod(0)
    code = (
        "import sys\nfrom pathlib import Path\nfrom convert.convert import convert\n"
        "from device.errors import ConversionError\n"
        "try:\n    convert(Path(sys.argv[1]), Path(sys.argv[2]))\n"
        "except ConversionError as error:\n    print(error)\n"
    )
    drop = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    try:
        done = subprocess.run(
            [*drop, sys.executable, "-c", code, str(source), str(target)], capture_output=True, text=True, check=False
        )
    finally:
        folder.chmod(0o755)
    assert "permission denied" in done.stdout, done.stderr
    assert str(folder) in done.stdout
    assert len(done.stdout.splitlines()) == 1


def test_any_name_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = save(tutorial_model(), tmp_path / "Model.h5", companions()).rename(tmp_path / "caf\udce9 [x].h5")
    cards = []

    def reached(source: KerasSource, job: worker.Job, *_: object) -> None:
        cards.append(converter._card(source, "dynamic", worker.Result([], "2", "tf_keras 2"), None))
        worker.Job.from_json(job.to_json())
        raise ConversionError("reached the worker")

    monkeypatch.setattr(converter, "_convert_and_verify", reached)
    with pytest.raises(ConversionError, match="reached the worker"):
        convert(source)
    assert cards[0]["conversion"]["source"] == r"caf\xe9 [x].h5"
    json.dumps(cards, ensure_ascii=False).encode()


@pytest.mark.parametrize("option", ["labels", "vocabulary", "front_end"])
def test_companions_that_cannot_be_read(option: str, small_model: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, message in (("pipe", "is empty"), ("", "is a folder, not a file"), ("a" * 300, "the name is too long")):
        options = ConversionOptions(companions=UserCompanions(**{option: tmp_path / name}))
        with pytest.raises(ConversionError, match=message) as caught:
            convert(small_model, tmp_path / "out.tflite", options=options)
        assert caught.value.fix
        assert len(str(caught.value)) < 700
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


pytestmark = pytest.mark.filterwarnings(tutorial_models.IGNORE_SEEDING_WARNING)
