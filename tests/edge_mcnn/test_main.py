"""The command line as a user meets it: a process, its lines and its exit status."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from device.bundle import DEFAULT_BUNDLE, pack, read_bundle
from device.outputs.json_lines import NO_WORDS
from tests.conftest import CLIPS

REFERENCES = {
    "austen-0870": "and mister john dashwood had then leisure to consider how much there might be "
    "prudently in his power to do for them",
    "austen-0880": "he was not an ill disposed young man",
    "austen-0890": "unless to be rather cold hearted and rather selfish is to be ill disposed",
    "austen-0920": "had he married a more amiable woman he might have been made still more respectable than he was",
    "austen-0930": "he might even have been made amiable himself",
    "espeak-ruined": "no i hate this you ruined everything leave me alone",
    "espeak-thank-you": "oh that is wonderful thank you so much i love it",
}


def edge_mcnn(*arguments: str | Path, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edge_mcnn", *arguments], capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "COLUMNS": "100", **(environment or {})},
    )  # fmt: skip


def one_line(done: subprocess.CompletedProcess[str], told: str, status: int = 1) -> None:
    assert done.returncode == status, done
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("edge-mcnn: ")


def word_errors(reference: str, heard: str) -> int:
    """Edit distance in words."""
    wanted, got = reference.split(), heard.split()
    row = list(range(len(got) + 1))
    for i, word in enumerate(wanted, 1):
        previous, row[0] = row[0], i
        for j, other in enumerate(got, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (word != other))
    return row[-1]


@pytest.fixture(scope="module")
def classified(speech_model: Path) -> dict[str, dict[str, object]]:
    done = edge_mcnn("classify", "--json", *sorted(CLIPS.glob("*.flac")))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    tables = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(tables) == len(REFERENCES), "one utterance per clip"
    return {Path(table["file"]).stem: table for table in tables}


def test_classify_understands_the_clips(classified: dict[str, dict[str, object]]) -> None:
    errors = sum(word_errors(words, str(classified[name]["text"])) for name, words in REFERENCES.items())
    assert errors / sum(len(words.split()) for words in REFERENCES.values()) < 0.15


def test_classify_gives_all_fields(classified: dict[str, dict[str, object]]) -> None:
    table = classified["austen-0930"]
    assert list(table) == [
        "file", "time", "label", "probabilities", "confident", "light", "text", "start_s", "seconds", "ending",
        "ms_speech_to_light", "ms_endpoint_to_light",
    ]  # fmt: skip
    assert table["ending"] == "silence"


def test_the_same_clip_gives_the_same_answer(classified: dict[str, dict[str, object]]) -> None:
    again = json.loads(edge_mcnn("classify", "--json", CLIPS / "austen-0930.flac").stdout)
    for field in ("label", "probabilities", "text", "start_s", "seconds"):
        assert again[field] == classified["austen-0930"][field]


def test_another_rate_and_more_channels_change_nothing_that_matters(
    classified: dict[str, dict[str, object]], tmp_path: Path
) -> None:
    samples, rate = soundfile.read(CLIPS / "austen-0930.flac")
    import soxr

    wide = soxr.resample(samples, rate, 48_000)
    soundfile.write(tmp_path / "wide.wav", np.stack([wide, wide], axis=1), 48_000, subtype="PCM_24")
    table = json.loads(edge_mcnn("classify", "--json", tmp_path / "wide.wav").stdout)
    assert table["text"] == classified["austen-0930"]["text"]
    for label, probability in table["probabilities"].items():
        expected = classified["austen-0930"]["probabilities"]
        assert isinstance(expected, dict)
        assert probability == pytest.approx(expected[label], abs=0.1)


def test_an_answer_below_the_confidence_is_unsure(classified: dict[str, dict[str, object]]) -> None:
    clip, environment = CLIPS / "austen-0930.flac", {"EDGE_MCNN_CLASSIFIER_CONFIDENCE": "1"}
    sure = classified["austen-0930"]
    assert (sure["confident"], sure["light"]) == (True, sure["label"])
    for unsure, shown in [("dark", None), ("neutral", "neutral")]:
        environment["EDGE_MCNN_CLASSIFIER_LOW_CONFIDENCE"] = unsure
        table = json.loads(edge_mcnn("classify", "--json", clip, environment=environment).stdout)
        assert (table["confident"], table["light"]) == (False, shown)
        for field in ("label", "probabilities", "text"):
            assert table[field] == sure[field], "what it would have been is told all the same"
    assert "unsure" in edge_mcnn("classify", clip, environment=environment).stdout


@pytest.fixture
def calm(tmp_path: Path) -> Path:
    """The network that ships, with another name for a class."""
    bundle = read_bundle(DEFAULT_BUNDLE)
    companions = replace(bundle.companions, labels=("negative", "calm", "positive"))
    path = tmp_path / "Calm.tflite"
    path.write_bytes(pack(bundle.model[: bundle.flatbuffer_size], companions))
    return path


def test_an_unsure_answer_cannot_be_neutral_without_such_a_class(calm: Path) -> None:
    environment = {"EDGE_MCNN_CLASSIFIER_CONFIDENCE": "0.5", "EDGE_MCNN_CLASSIFIER_LOW_CONFIDENCE": "neutral"}
    for command in (["classify", str(CLIPS / "austen-0930.flac")], ["listen", "--lights", "none"]):
        done = edge_mcnn(*command, "--model", calm, environment=environment)
        one_line(done, "the model has no such class (it has negative, calm, positive)")


def test_a_class_without_a_light_is_told_before_listening(calm: Path, speech_model: Path) -> None:
    arguments = ("listen", "--wait", "--lights", "gpio", "--model", calm)
    one_line(edge_mcnn(*arguments), "no pin for calm; write pins = { negative = 22, calm = 27, positive = 17 }")
    environment = {"EDGE_MCNN_LIGHTS_RGB": "{ red = 17, green = 27, blue = 22 }"}
    one_line(
        edge_mcnn(*arguments, environment=environment), 'no colour for calm; write colours = { calm = "orange" } under'
    )


def test_an_utterance_without_words_is_answered_by_its_sound(tmp_path: Path, speech_model: Path) -> None:
    samples, rate = soundfile.read(CLIPS / "espeak-ruined.flac")
    soundfile.write(tmp_path / "n.wav", samples[: rate * 2 // 5], rate)  # no whole word
    table = json.loads(edge_mcnn("classify", "--json", tmp_path / "n.wav").stdout)
    assert (table["text"], table["confident"]) == ("", True)
    assert table["light"] == table["label"]
    assert len(set(table["probabilities"].values())) > 1, "the sound says something"
    assert NO_WORDS in edge_mcnn("classify", tmp_path / "n.wav").stdout


def test_two_sentences_in_one_recording_are_two_answers(tmp_path: Path, speech_model: Path) -> None:
    samples, rate = soundfile.read(CLIPS / "austen-0930.flac")
    soundfile.write(tmp_path / "two.wav", np.concatenate([samples, np.zeros(rate), samples]), rate)
    done = edge_mcnn("classify", "--json", tmp_path / "two.wav")
    texts = [json.loads(line)["text"] for line in done.stdout.splitlines()]
    assert texts == ["he might even have been made amiable himself"] * 2


def test_bad_recordings_get_a_line_each_and_the_others_are_still_done(tmp_path: Path, speech_model: Path) -> None:
    rate = 16_000
    (tmp_path / "text.wav").write_text("hello")
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), rate)
    soundfile.write(tmp_path / "silent.wav", np.zeros(rate), rate)
    noise = 0.1 * np.random.default_rng(0).standard_normal(3 * rate)
    soundfile.write(tmp_path / "noise.wav", noise, rate)
    names = ["text.wav", "empty.wav", "silent.wav", "noise.wav", "missing.wav"]
    done = edge_mcnn("classify", "--json", *(tmp_path / name for name in names), CLIPS / "austen-0930.flac")
    assert done.returncode == 1
    assert [Path(json.loads(line)["file"]).name for line in done.stdout.splitlines()] == ["austen-0930.flac"]
    lines = done.stderr.splitlines()
    for line, name, told in zip(
        lines, names, ["not a readable recording", "holds no sound", "silent", "no speech", "no such file"], strict=True
    ):
        assert line.startswith(f"edge-mcnn: {tmp_path / name}: ")
        assert told in line


def test_the_lights_of_a_clip_are_drawn(speech_model: Path) -> None:
    done = edge_mcnn("classify", CLIPS / "austen-0930.flac")
    assert "\u25cf" in done.stdout
    assert "\u201che might even have been made amiable himself\u201d" in done.stdout


def test_a_terminal_without_unicode(speech_model: Path) -> None:
    done = edge_mcnn("classify", CLIPS / "austen-0930.flac", environment={"PYTHONIOENCODING": "latin-1"})
    assert done.returncode == 0, done.stderr


def test_help_teaches() -> None:
    done = edge_mcnn("--help")
    assert done.returncode == 0
    for command in (
        "listen", "classify", "doctor", "lights", "microphones", "fetch-speech-model", "convert", "inspect", "train",
    ):  # fmt: skip
        assert command in done.stdout
        assert edge_mcnn(command, "--help").returncode == 0


def test_wrong_options_are_usage_errors() -> None:
    for arguments in (["listen", "--nonsense"], ["classify"], ["listen", "--lights", "disco"], ["sing"]):
        done = edge_mcnn(*arguments)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr


def test_bad_model_and_bad_settings(tmp_path: Path) -> None:
    clip = CLIPS / "austen-0930.flac"
    (tmp_path / "bad.toml").write_text("[endpoint]\nhangover = 1")
    (tmp_path / "half.tflite").write_bytes(DEFAULT_BUNDLE.read_bytes()[:100_000])
    one_line(edge_mcnn("classify", "--config", tmp_path / "bad.toml", clip), "did you mean endpoint.hang_over_s?")
    one_line(edge_mcnn("classify", "--model", tmp_path / "none.tflite", clip), "cannot be read")
    one_line(edge_mcnn("classify", "--model", tmp_path / "half.tflite", clip), "without labels")
    one_line(edge_mcnn("convert", tmp_path / "none.h5"), "none.h5")
    one_line(edge_mcnn("train", tmp_path / "none.csv"), "none.csv")


def test_a_missing_speech_model_is_fetched_and_said_so(tmp_path: Path) -> None:
    clip = CLIPS / "austen-0930.flac"
    done = edge_mcnn("classify", "--json", clip, environment={"XDG_CACHE_HOME": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["text"] == REFERENCES["austen-0930"]
    assert "speech model" in done.stderr
    again = edge_mcnn("fetch-speech-model", environment={"XDG_CACHE_HOME": str(tmp_path)})
    assert again.returncode == 0
    assert str(tmp_path) in again.stderr


def test_a_speech_model_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(f'[transcriber]\nspeech_model = "{tmp_path}"')
    one_line(edge_mcnn("classify", "--config", tmp_path / "config.toml", CLIPS / "austen-0930.flac"), str(tmp_path))


def test_a_machine_without_a_microphone(tmp_path: Path, speech_model: Path) -> None:
    no_card = tmp_path / "alsa.conf"
    no_card.write_text("pcm.default { type hw card 31 }\n")
    environment = {"ALSA_CONFIG_PATH": str(no_card)}
    one_line(edge_mcnn("microphones", environment=environment), "no microphone found")
    one_line(edge_mcnn("listen", "--lights", "none", environment=environment), "no microphone found")


def test_a_reader_that_goes_away_is_no_traceback(speech_model: Path) -> None:
    clips = " ".join(str(path) for path in sorted(CLIPS.glob("*.flac")))
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m edge_mcnn classify --json {clips} | head -1"],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert len(done.stdout.splitlines()) == 1
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_settings_are_shown_as_a_file_that_can_be_used(tmp_path: Path) -> None:
    shown = edge_mcnn("settings", "--show", environment={"EDGE_MCNN_ENDPOINT_HANG_OVER_S": "0.8"})
    assert "hang_over_s = 0.8" in shown.stdout
    path = tmp_path / "my.toml"
    path.write_text(shown.stdout)
    assert edge_mcnn("settings", "--check", path).stdout == f"{path}: all right\n"


def test_mistakes_in_settings_are_all_told(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text("[endpoint]\nhangover_s = 1\nonset_s = 9\n")
    done = edge_mcnn("settings", "--check", path)
    assert done.returncode == 1
    assert [line.partition(": ")[0] for line in done.stdout.splitlines()] == [f"{path}:2", f"{path}:3"]
    one_line(edge_mcnn("settings", "--check", tmp_path / "none.toml"), "cannot be read")
    assert edge_mcnn("settings").returncode == 2


def test_a_variable_that_is_no_setting() -> None:
    one_line(
        edge_mcnn("classify", CLIPS / "austen-0880.flac", environment={"EDGE_MCNN_LIGHTS_KND": "gpio"}),
        "did you mean EDGE_MCNN_LIGHTS_KIND?",
    )


def test_status_of_no_daemon(tmp_path: Path) -> None:
    one_line(edge_mcnn("status", "--socket", tmp_path / "none"), "no daemon is running")
