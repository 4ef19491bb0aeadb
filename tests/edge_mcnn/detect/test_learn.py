"""`edge-mcnn learn` from recordings and with a voice profile; `tests.system` runs it with a microphone."""

import contextlib
import json
import os
import pty
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from device.adaptation.profile import read_profile
from device.adaptation.profile_path import SERVICE_PROFILE
from device.learning import learner
from device.learning.gain import Count, Gain
from device.service import install
from edge_mcnn.detect.learn import _hint_at_service, _settings_and_profile, gain_table, verdict
from tests.conftest import CLIPS
from tests.edge_mcnn.command_line import assert_refused, edge_mcnn
from tests.waiting import LIMIT_S

pytestmark = pytest.mark.slow

CLASSES = {
    "austen-0880": "neutral",
    "austen-0890": "neutral",
    "austen-0930": "positive",
    "espeak-ruined": "negative",
    "espeak-thank-you": "positive",
}
COUNTS = {"negative": 1, "neutral": 2, "positive": 2}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "clips.csv"
    rows = [f"{CLIPS / name}.flac,,{label},Ann" for name, label in CLASSES.items()]
    path.write_text("\n".join(["audio,text,label,speaker", *rows]) + "\n")
    return path


@pytest.fixture
def environment(tmp_path: Path, speech_model: Path) -> dict[str, str]:
    """A user without a voice profile."""
    return {"XDG_DATA_HOME": str(tmp_path / "data"), "STATE_DIRECTORY": ""}


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    return tmp_path / "voice.json"


def learn(*arguments: str | Path, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return edge_mcnn("learn", *arguments, environment=environment)


def as_json(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_table_is_learnt_and_used_without_a_question(
    table: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    done = learn(table, environment=environment)
    assert done.returncode == 0, done.stderr
    path = tmp_path / "data" / "edge-mcnn" / "profile.json"
    rows = [line.split() for line in done.stdout.splitlines()]
    assert [row[:2] for row in rows[1:5]] == [["negative", "1"], ["neutral", "2"], ["positive", "2"], ["all", "5"]]
    assert all(int(number) <= int(row[1]) for row in rows[1:5] for number in row[2:])
    assert f"wrote {path}: 5 examples, " in done.stdout
    assert read_profile(path).counts() == COUNTS
    assert {example.source for example in read_profile(path).examples} == {"recording"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    status = as_json(learn("--status", "--json", environment=environment))
    assert status["profile"] == str(path)
    assert (status["model"], status["examples"], status["classes"]) == ("sentiment", 5, COUNTS)
    assert status["sources"] == {"recording": 5}
    assert status["first_day"] == status["last_day"]
    assert status["used"] == status["gain"]["helps"]
    assert ("predictions are adapted" in done.stdout) == status["used"]
    assert status["gain"]["total"]["right"] == int(rows[4][2])
    assert status["gain"]["total"]["right_adapted"] == int(rows[4][3])


def test_folders_of_classes_and_a_folder_with_a_table(table: Path, profile: Path, tmp_path: Path) -> None:
    for name, label in CLASSES.items():
        (tmp_path / "voice" / label).mkdir(parents=True, exist_ok=True)
        (tmp_path / "voice" / label / f"{name}.flac").symlink_to(CLIPS / f"{name}.flac")
    first = as_json(learn(tmp_path / "voice", "--output", profile, "--json"))
    assert (first["added"], first["recordings"], first["skipped"]) == (5, 5, 0)
    assert first["classes"] == COUNTS
    again = learn(table.parent, "--output", profile)
    assert "5 of 5 examples had been learnt before; each counts once" in again.stdout
    assert read_profile(profile).counts() == COUNTS


def test_utterances_of_a_recording_are_examples_and_bad_recordings_are_skipped(
    profile: Path, tmp_path: Path, speech_model: Path
) -> None:
    samples, rate = soundfile.read(CLIPS / "austen-0930.flac")
    soundfile.write(tmp_path / "two.wav", np.concatenate([samples, np.zeros(rate), samples]), rate)
    soundfile.write(tmp_path / "silent.wav", np.zeros(rate), rate)
    (tmp_path / "text.wav").write_text("hello")
    table = tmp_path / "t.csv"
    table.write_text("audio,label\ntwo.wav,positive\nsilent.wav,neutral\ntext.wav,neutral\nnone.wav,negative\n")
    done = learn(table, "--output", profile, "--json")
    assert as_json(done)["classes"] == {"negative": 0, "neutral": 0, "positive": 2}
    assert as_json(done)["skipped"] == 3
    skipped = [line for line in done.stderr.splitlines() if line.startswith("skipped: ")]
    for line, name, reason in zip(
        skipped,
        ("silent", "text", "none"),
        ("silent (never above", "not a readable recording", "no such file"),
        strict=True,
    ):
        assert line.startswith(f"skipped: {tmp_path / name}.wav: ")
        assert reason in line
    before = profile.read_bytes()
    table.write_text("audio,label\nsilent.wav,neutral\n")
    done = learn(table, "--output", profile)
    assert done.returncode == 1
    assert "none of its 1 recordings can be learnt from" in done.stderr
    assert profile.read_bytes() == before


def test_without_the_packages_for_training(table: Path, profile: Path, tmp_path: Path, speech_model: Path) -> None:
    for package in ("tensorflow", "tf_keras", "keras", "h5py", "librosa", "matplotlib", "scipy", "PIL", "av"):
        (tmp_path / "blocked").mkdir(exist_ok=True)
        (tmp_path / "blocked" / f"{package}.py").write_text("raise AssertionError('a Raspberry Pi does not have it')\n")
    path = os.pathsep.join([str(tmp_path / "blocked"), str(Path(__file__).parents[3])])
    as_json(learn(table, "--output", profile, "--json", environment={"PYTHONPATH": path}))


@pytest.mark.parametrize("model", ["emotions", "sentiment"])
def test_classes_that_the_model_does_not_have(model: str, profile: Path, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("audio,label\n1.wav,happy\n2.wav,calm\n")
    done = learn(table, "--output", profile, "--model", model)
    assert_refused(
        done, "happy, calm are no classes of the model, which has ", "negative" if model == "sentiment" else "joy"
    )
    assert not profile.exists()


def test_a_profile_of_another_model_is_refused_and_shown(table: Path, profile: Path, tmp_path: Path) -> None:
    as_json(learn(table, "--output", profile, "--json"))
    before = profile.read_bytes()
    (tmp_path / "t.csv").write_text(f"audio,label\n{CLIPS / 'austen-0930.flac'},joy\n")
    done = learn(tmp_path / "t.csv", "--output", profile, "--model", "emotions")
    assert_refused(done, "was learnt with another model, ", "sentiment", "--forget --all")
    status = as_json(learn("--status", "--output", profile, "--model", "emotions", "--json"))
    assert (status["used"], status["gain"], status["examples"]) == (False, None, 5)
    assert "another model" in status["problem"]["message"]
    shown = learn("--status", "--output", profile, "--model", "emotions")
    assert shown.returncode == 0
    assert "no: " in shown.stdout
    imported = learn("--import", profile, "--output", tmp_path / "new.json", "--model", "emotions")
    assert imported.returncode == 1
    assert "fix: choose the model that it was learnt with: --model" in imported.stderr
    assert profile.read_bytes() == before
    assert not (tmp_path / "new.json").exists()


def test_status_in_words(table: Path, profile: Path) -> None:
    missing = learn("--status", "--output", profile)
    assert (missing.returncode, missing.stderr) == (0, "")
    assert f"no voice profile: {profile} does not exist; to learn one, run: edge-mcnn learn" in missing.stdout
    assert as_json(learn("--status", "--output", profile, "--json"))["examples"] == 0
    as_json(learn(table, "--output", profile, "--json"))
    shown = learn("--status", "--output", profile)
    assert (shown.returncode, shown.stderr) == (0, "")
    for text in ("sentiment", "5 (1 negative, 2 neutral, 2 positive)", "5 recording", "right without adaptation"):
        assert text in shown.stdout


def test_forgetting(table: Path, profile: Path) -> None:
    as_json(learn(table, "--output", profile, "--json"))
    done = learn("--forget", "--last", "1", "--output", profile)
    assert done.stdout.splitlines() == [
        "removed 1 example", f"left in {profile}: 4 (1 negative, 2 neutral, 1 positive)",
    ]  # fmt: skip
    found = as_json(learn("--forget", "--class", "neutral", "--output", profile, "--json"))
    assert found["classes"] == {"negative": 1, "neutral": 0, "positive": 1}
    assert_refused(
        learn("--forget", "--class", "joy", "--output", profile), "joy is not a class", "use one of negative"
    )
    done = learn("--forget", "--all", "--output", profile)
    assert done.stdout.splitlines() == [f"nothing is left: {profile} was removed"]
    assert not profile.exists()
    done = learn("--forget", "--all", "--output", profile)
    assert done.returncode == 0
    assert "there is no voice profile" in done.stderr


def test_a_damaged_profile_can_be_forgotten(profile: Path, table: Path) -> None:
    profile.write_text("{")
    assert_refused(learn(table, "--output", profile), "not a voice profile", "--forget --all --output")
    assert_refused(learn("--forget", "--last", "1", "--output", profile), "not a voice profile")
    assert_refused(learn("--status", "--output", profile), "not a voice profile")
    assert learn("--forget", "--all", "--output", profile).returncode == 0
    assert not profile.exists()


def test_export_and_import(table: Path, profile: Path, tmp_path: Path) -> None:
    as_json(learn(table, "--output", profile, "--json"))
    copy, other = tmp_path / "new" / "copy.json", tmp_path / "other.json"
    done = learn("--export", copy, "--output", profile)
    assert done.stdout.splitlines() == [f"wrote {copy}: 5 examples of {profile}"]
    assert copy.read_bytes() == profile.read_bytes()
    done = learn("--import", copy, "--output", other)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == f"added 5 examples to {other}"
    again = learn("--import", copy, "--output", other)
    assert again.stdout.splitlines()[0] == f"added 0 examples to {other}, which had 5 of them before"
    assert read_profile(other).counts() == COUNTS
    assert_refused(learn("--export", copy, "--output", tmp_path / "none.json"), "none.json: no such file")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--forget"], "it is not clear what to forget"),
        (["--forget", "--last", "1", "--all"], "--last N and --all exclude each other"),
        (["--forget", "--class", "neutral", "--all"], "--class NAME and --all exclude each other"),
        (["--forget", "--last", "0"], "--last needs a positive number of examples with --forget, not '0'"),
        (["--forget", "--last", "positive"], "not 'positive'"),
        (["--forget", "--last", "-1"], "not '-1'"),
        (["--forget", "--last", "\u0663"], "--last needs a positive number"),
        (["--class", "neutral"], "--class NAME is for --forget: add it"),
        (["--all"], "--all is for --forget: add it"),
        (["--status", "--forget", "--all"], "--status and --forget exclude each other"),
        (["--status", "--export", "x.json"], "--status and --export exclude each other"),
        ([str(CLIPS), "--status"], "the recordings and --status exclude each other"),
        (["--status", "--clips", "3"], "--clips is for a session with the microphone, not for --status"),
        ([str(CLIPS), "--microphone", "usb"], "--microphone is for a session with the microphone"),
        (["--clips", "0"], "--clips"),
    ],
)
def test_options_that_exclude_each_other(arguments: list[str], message: str) -> None:
    done = edge_mcnn("learn", *arguments, environment={"COLUMNS": "300"})
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("Error") == 1


def test_help_teaches() -> None:
    done = learn("--help")
    assert done.returncode == 0
    assert "never written to the disk" in done.stdout
    for example in ("learn my-voice/clips.csv", "learn --forget --last 1", "sudo edge-mcnn learn --import"):
        assert example in done.stdout


def test_no_microphone(tmp_path: Path, environment: dict[str, str]) -> None:
    (tmp_path / "alsa.conf").write_text("pcm.default { type hw card 31 }\n")
    done = learn(environment={**environment, "ALSA_CONFIG_PATH": str(tmp_path / "alsa.conf")})
    assert done.returncode == 1
    assert "edge-mcnn: no microphone found" in done.stderr
    assert "never written to disk" in done.stdout
    assert not (tmp_path / "data").exists()


class Questioned:
    """`edge-mcnn learn` with a terminal for its questions, which it prints to standard error."""

    def __init__(self, *arguments: str | Path) -> None:
        self._ours, child = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "edge_mcnn", "learn", *arguments], stdin=child, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, env={**os.environ, "COLUMNS": "100"},
        )  # fmt: skip
        os.close(child)

    def wait_for(self, text: str) -> None:
        assert self.process.stderr is not None
        shown = ""
        while text not in shown:
            letter = self.process.stderr.read(1)
            assert letter, shown
            shown += letter

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
        with contextlib.suppress(OSError):
            os.close(self._ours)


@pytest.fixture
def questioned(table: Path, profile: Path, speech_model: Path) -> Iterator[Questioned]:
    started = Questioned(table, "--output", profile)
    yield started
    started.close()


@pytest.mark.parametrize(
    ("reply", "is_learnt"), [("\n", True), ("Y\n", True), ("n\n", False), ("No\n", False), ("\x04", False)]
)
def test_the_question(reply: str, is_learnt: bool, questioned: Questioned, profile: Path) -> None:
    questioned.wait_for(" [Y/n] ")
    assert not profile.exists()
    questioned.type("what\n")
    questioned.wait_for(" [Y/n] ")
    questioned.type(reply)
    output, errors = questioned.process.communicate(timeout=LIMIT_S)
    assert questioned.process.returncode == 0, errors
    assert profile.exists() == is_learnt
    assert (f"wrote {profile}" in output) == is_learnt
    assert (f"discarded; {profile} is unchanged" in errors) != is_learnt


def test_keys_that_were_pressed_before_the_question_are_no_reply(questioned: Questioned, profile: Path) -> None:
    questioned.type("n\n")
    questioned.wait_for(" [Y/n] ")
    questioned.type("y\n")
    output, _ = questioned.process.communicate(timeout=LIMIT_S)
    assert f"wrote {profile}" in output


def test_ctrl_c_at_the_question_means_no(questioned: Questioned, profile: Path) -> None:
    questioned.wait_for(" [Y/n] ")
    questioned.process.send_signal(signal.SIGINT)
    _, errors = questioned.process.communicate(timeout=LIMIT_S)
    assert questioned.process.returncode == 0
    assert "discarded" in errors
    assert "Traceback" not in errors
    assert not profile.exists()


def test_the_profile_of_the_service_is_learnt_with_its_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config, own = tmp_path / "config.toml", tmp_path / "own.json"
    config.write_text('[classifier]\nmodel = "emotions"\n')
    monkeypatch.setattr(install, "CONFIG", config)
    monkeypatch.setattr(learner, "UNIT_FILE", tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    settings, path = _settings_and_profile(None, None, None, "usb")
    assert (settings.classifier.model, path) == ("emotions", SERVICE_PROFILE)
    assert f"for the service, with its settings {config}" in capsys.readouterr().err
    settings, path = _settings_and_profile(None, None, Path("sentiment"), None)
    assert (settings.classifier.model, path) == ("sentiment", SERVICE_PROFILE)
    settings, path = _settings_and_profile(own, None, None, None)
    assert (settings.classifier.model, path) == ("", own)
    monkeypatch.setattr(install, "CONFIG", tmp_path / "none")
    settings, path = _settings_and_profile(None, None, None, None)
    assert (settings.classifier.model, path) == ("", SERVICE_PROFILE)


@pytest.mark.parametrize(
    ("user", "installed", "is_printed"), [(1000, True, True), (1000, False, False), (0, True, False)]
)
def test_the_service_needs_the_profile_of_a_user_to_be_imported(
    user: int,
    installed: bool,
    is_printed: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(learner, "UNIT_FILE", tmp_path if installed else tmp_path / "none")
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my voice.json").touch()
    _hint_at_service(Path("my voice.json"))
    expected = f"sudo edge-mcnn learn --import '{tmp_path}/my voice.json'"
    assert (expected in capsys.readouterr().err) == is_printed
    _hint_at_service(Path("removed.json"))
    assert capsys.readouterr().err == ""


def test_the_verdict() -> None:
    found = Gain({"a": Count(2, 1, 2)}, Count(2, 1, 2), 0.4, 0.6, helps=True)
    assert verdict(found) == (
        "the examples help: 2 of 2 are predicted right with adaptation, 1 without it; the right class has a "
        "probability of 60% instead of 40% (geometric mean)"
    )
    assert verdict(Gain({}, Count(2, 1, 1), 0.4, 0.3, helps=False)).startswith("the examples do not help, so")
    assert "fewer than two" in verdict(None)


def test_a_class_that_is_named_all_has_its_own_row() -> None:
    table = gain_table(Gain({"all": Count(1, 0, 1), "b": Count(2, 1, 1)}, Count(3, 1, 2), 0.4, 0.6, helps=True))
    assert [list(column.cells) for column in table.columns][:2] == [["all", "b", "all"], ["1", "2", "3"]]
