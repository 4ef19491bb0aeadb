import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from convert import convert as converter
from convert.companions.companions import MissingCompanionsError
from convert.options import ConversionOptions
from device.bundle import read_bundle
from device.errors import ConversionError, PathError
from device.front_end.parameters import FrontEnd
from edge_mcnn.own_model.convert import convert_command
from tests.convert import tutorial_models
from tests.convert.conftest import INSTALLED
from tests.full_disk import edge_mcnn_on_full_disk
from tests.waiting import LIMIT_S, wait_until, wait_until_gone

COMMAND = (sys.executable, "-m", "edge_mcnn", "convert")
app = typer.Typer()
app.command()(convert_command)


@pytest.mark.usefixtures("in_this_process")
def test_converts_and_prints_the_next_command(small_model: Path, tmp_path: Path) -> None:
    source = Path(shutil.copy(small_model, tmp_path / "My Model.h5"))
    result = CliRunner().invoke(app, [str(source)], catch_exceptions=False)
    assert result.exit_code == 0
    sizes, compared, *table, following = result.stdout.splitlines()
    assert sizes.startswith(f"{tmp_path / 'My Model.tflite'}: 0.4 MB -> 0.")
    assert re.fullmatch(r"compared with tf_keras 2\.\S+ on 32 synthetic samples:", compared)
    rows = [line.split() for line in table]
    names = [word for name in INSTALLED.values() for word in (name, *tutorial_models.LABELS)]
    assert [row[0] for row in rows[1:]] == names
    for name, same, of, largest, mean in rows[1:]:
        assert int(same) <= int(of) <= 32, name
        assert float(mean) <= float(largest)
    assert following == f"next: edge-mcnn classify --model '{tmp_path}/My Model.tflite' clip.wav"
    assert (tmp_path / "My Model.tflite").read_bytes()[4:8] == b"TFL3"


def test_errors_reach_the_caller(tmp_path: Path) -> None:
    with pytest.raises(PathError, match="no such file"):
        CliRunner().invoke(app, [str(tmp_path / "Model.h5")], catch_exceptions=False)


def test_a_conversion_leaves_its_model_and_nothing_else(small_model: Path, tmp_path: Path) -> None:
    temporary, output = tmp_path / "tmp", tmp_path / "out"
    temporary.mkdir()
    output.mkdir()
    environment = {**os.environ, "TMPDIR": str(temporary)}
    done = subprocess.run(
        [*COMMAND, small_model, "-o", output / "m.tflite"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert [path.name for path in output.iterdir()] == ["m.tflite"]
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_conversion_that_is_ended_leaves_nothing(small_model: Path, tmp_path: Path, number: signal.Signals) -> None:
    temporary, output = tmp_path / "tmp", tmp_path / "out"
    temporary.mkdir()
    output.mkdir()
    original = signal.signal(number, signal.SIG_DFL)  # with `nohup` it is ignored, and a child inherits that
    try:
        process = subprocess.Popen(
            [*COMMAND, small_model, "-o", output / "m.tflite"],
            env={**os.environ, "TMPDIR": str(temporary)},
            stdout=subprocess.DEVNULL,
        )
    finally:
        signal.signal(number, original)
    with process:
        wait_until(lambda: list(temporary.glob("edge-mcnn-convert-*/job.json")), message="no conversion has begun")
        [child] = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.send_signal(number)
        assert process.wait(LIMIT_S) == 130
    wait_until_gone(int(child))
    assert list(output.iterdir()) == []
    assert list(temporary.iterdir()) == []


def test_a_disk_that_becomes_full_is_reported_with_a_fix(small_model: Path, tmp_path: Path) -> None:
    done = edge_mcnn_on_full_disk("convert", small_model, "-o", tmp_path / "m.tflite", largest=300_000)
    assert done.returncode == 1
    assert "temporary files cannot be written (" in done.stderr
    assert "set the environment variable TMPDIR to another folder" in " ".join(done.stderr.split())
    assert not (tmp_path / "m.tflite").exists()


@pytest.mark.filterwarnings(tutorial_models.IGNORE_SEEDING_WARNING)
def test_the_complete_command_to_type(tmp_path: Path) -> None:
    source = tutorial_models.save(tutorial_models.tutorial_model(), tmp_path / "My Model.h5")
    (tmp_path / "labels.txt").write_text("no\nyes\n")
    arguments = [
        str(source),
        "-o",
        str(tmp_path),
        "--mode",
        "float16",
        "--front-end",
        "./tutorial",
        "--tolerance",
        "0.1",
    ]
    with pytest.raises(MissingCompanionsError) as caught:
        CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert "carries no labels and no vocabulary" in caught.value.message
    folder = str(tmp_path)
    assert caught.value.fix.startswith(
        f"run: edge-mcnn convert '{source}' --output {folder} --mode float16 --front-end ./tutorial --tolerance 0.1 "
        f"--labels {folder}/labels.txt --vocabulary tokenizer.json ({folder}/labels.txt: one label per line"
    )


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.filterwarnings(tutorial_models.IGNORE_SEEDING_WARNING)
def test_a_file_of_the_tutorial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tutorial_models.save(tutorial_models.tutorial_model(), Path("Model.h5"))
    Path("labels.txt").write_text("positive\nneutral\nnegative\n")
    Path("words.txt").write_text("\n".join(f"word{index}" for index in range(tutorial_models.WORDS)))
    result = CliRunner().invoke(app, ["Model.h5"])
    assert isinstance(result.exception, MissingCompanionsError)
    command = result.exception.fix.removeprefix("run: edge-mcnn convert ").partition(" (")[0]
    assert command == "Model.h5 --labels labels.txt --vocabulary words.txt --front-end tutorial"
    result = CliRunner().invoke(app, command.split(), catch_exceptions=False)
    assert result.exit_code == 0
    found = read_bundle(Path("Model.tflite")).companions
    assert found.front_end == FrontEnd(num_words=tutorial_models.WORDS + 1)
    assert found.labels == ("positive", "neutral", "negative")


def test_a_path_like_an_option_is_repeated_as_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def convert(*_: object, **__: object) -> None:
        raise MissingCompanionsError("nothing in it", ("--labels", "labels.txt"), "notes", "other")

    monkeypatch.setattr(converter, "convert", convert)
    monkeypatch.chdir(tmp_path)
    for name in ("-Model.h5", "-words"):
        (tmp_path / name).write_text("words")
    with pytest.raises(MissingCompanionsError) as caught:
        CliRunner().invoke(app, ["./-Model.h5", "--vocabulary", "./-words"], catch_exceptions=False)
    assert caught.value.fix == ("run: edge-mcnn convert ./-Model.h5 --vocabulary ./-words --labels labels.txt (notes)")


def test_unknown_mode_is_a_usage_error() -> None:
    result = CliRunner().invoke(app, ["Model.h5", "--mode", "int3"])
    assert result.exit_code == 2
    assert "float32, float16, dynamic, int8" in " ".join(result.stderr.replace("│", " ").split())


def test_help_shows_examples_and_modes() -> None:
    text = CliRunner().invoke(app, ["--help"]).stdout
    assert "edge-mcnn convert Model.h5" in text
    assert "--output" in text
    assert "tutorial|FILE" in text
    words = " ".join(text.replace("│", " ").split())
    assert "dynamic (dynamic_wi8_afp32): weights in 8 bits" in words
    assert "int8 (static_wi8_ai8): weights and activations" in words


@pytest.mark.parametrize(
    ("name", "canonical"), [("dynamic_wi8_afp32", "dynamic"), ("static_wi8_ai8", "int8"), ("float16", "float16")]
)
def test_mode_is_passed_on_by_its_canonical_name(
    name: str, canonical: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[str] = []

    def convert(*_: object, options: ConversionOptions, **__: object) -> None:
        modes.append(options.mode)
        raise ConversionError("not converted")

    monkeypatch.setattr(converter, "convert", convert)
    (tmp_path / "Model.h5").touch()
    with pytest.raises(ConversionError, match="not converted"):
        CliRunner().invoke(app, [str(tmp_path / "Model.h5"), "--mode", name], catch_exceptions=False)
    assert modes == [canonical]


def test_too_few_recordings(small_model: Path, tmp_path: Path) -> None:
    table = tmp_path / "clips.csv"
    table.write_text("audio,text,label\n,word1 word2,positive\n,word3,negative\n")
    arguments = [str(small_model), "-o", str(tmp_path / "Model.tflite"), "--mode", "int8", "--calibrate", str(table)]
    with pytest.raises(ConversionError, match=r"--calibrate: .*clips\.csv has 2 rows that can be used") as caught:
        CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert caught.value.fix == "give at least 20"
    assert list(tmp_path.iterdir()) == [table]


def test_recordings_that_are_missing(small_model: Path, tmp_path: Path) -> None:
    arguments = [str(small_model), "-o", str(tmp_path / "Model.tflite"), "--calibrate", str(tmp_path / "missing.csv")]
    with pytest.raises(PathError, match=r"missing\.csv: no such file") as caught:
        CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_without_h5py() -> None:
    code = (
        "import sys; sys.modules['h5py'] = None; from edge_mcnn.own_model import convert as c; "
        "c.convert_command('Model.h5')"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (
        'ConversionError: converting needs h5py, which is not installed; run: pip install "edge-mcnn[train]"'
        in result.stderr
    )


def test_imports_nothing_heavy() -> None:
    # What a Pi without tensorflow imports to show `edge-mcnn --help`.
    code = "import edge_mcnn.own_model.convert, sys; print(*{m.split('.')[0] for m in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"tensorflow", "tf_keras", "h5py", "numpy", "training"} & set(loaded)
    code = "import convert.convert, convert.worker, convert.verify.runner, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"tensorflow", "tf_keras", "training"} & set(loaded)
