"""`edge-mcnn classify` as a process: its lines and its exit status."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from device.bundle import DEFAULT_BUNDLE, Transitions, pack, read_bundle
from device.outputs.json_lines import NO_WORDS
from tests.conftest import CLIPS
from tests.edge_mcnn.command_line import assert_refused, edge_mcnn

pytestmark = pytest.mark.slow

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


def word_errors(reference: str, transcript: str) -> int:
    """Edit distance in words."""
    expected, got = reference.split(), transcript.split()
    row = list(range(len(got) + 1))
    for i, word in enumerate(expected, 1):
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


def test_transcripts_have_few_errors(classified: dict[str, dict[str, object]]) -> None:
    errors = sum(word_errors(words, str(classified[name]["text"])) for name, words in REFERENCES.items())
    assert errors / sum(len(words.split()) for words in REFERENCES.values()) < 0.15


def test_json_has_all_fields(classified: dict[str, dict[str, object]]) -> None:
    table = classified["austen-0930"]
    assert list(table) == [
        "file", "time", "label", "probabilities", "raw_probabilities", "audio_only", "text_only", "adapted",
        "confident", "light", "text", "start_s", "seconds", "ending", "ms_speech_to_light", "ms_endpoint_to_light",
    ]  # fmt: skip
    assert table["ending"] == "silence"


def test_each_prediction_contains_what_each_modality_alone_predicts(classified: dict[str, dict[str, object]]) -> None:
    table = classified["austen-0930"]
    modalities = [table["audio_only"], table["text_only"]]
    for modality in modalities:
        assert isinstance(modality, dict)
        assert max(modality["probabilities"], key=modality["probabilities"].get) == modality["label"]
        assert sum(modality["probabilities"].values()) == pytest.approx(1, abs=1e-3)
    assert modalities[0] != modalities[1]
    never = {"EDGE_MCNN_CLASSIFIER_EXPLAIN": "never"}
    again = json.loads(edge_mcnn("classify", "--json", CLIPS / "austen-0930.flac", environment=never).stdout)
    assert (again["audio_only"], again["text_only"]) == (None, None)
    assert again["probabilities"] == table["probabilities"]


def test_utterances_of_one_file_are_a_conversation(
    tmp_path: Path, classified: dict[str, dict[str, object]], without_transitions: Path
) -> None:
    bundle = read_bundle(DEFAULT_BUNDLE)
    sticky = Transitions(((0.98, 0.01, 0.01), (0.01, 0.98, 0.01), (0.01, 0.01, 0.98)), (1 / 3, 1 / 3, 1 / 3))
    model = tmp_path / "Model.tflite"
    model.write_bytes(pack(bundle.model[: bundle.flatbuffer_size], replace(bundle.companions, transitions=sticky)))
    samples, rate = soundfile.read(CLIPS / "austen-0930.flac")
    soundfile.write(tmp_path / "twice.wav", np.concatenate([samples, np.zeros(rate), samples]), rate)
    environment = {"EDGE_MCNN_CLASSIFIER_CONTEXT_S": "30"}
    files = (tmp_path / "twice.wav", CLIPS / "austen-0930.flac")
    lines = edge_mcnn("classify", "--json", "--model", model, *files, environment=environment).stdout.splitlines()
    first, second, alone = (json.loads(line) for line in lines)
    assert first["probabilities"] == first["raw_probabilities"]
    assert second["probabilities"] != second["raw_probabilities"]
    assert alone["probabilities"] == alone["raw_probabilities"] == classified["austen-0930"]["probabilities"]
    refused = edge_mcnn("classify", "--model", without_transitions, files[0], environment=environment)
    assert refused.returncode == 1
    assert "classifier.context_s is 30, and the model has no class transitions" in refused.stderr


def test_the_same_clip_gives_the_same_prediction(classified: dict[str, dict[str, object]]) -> None:
    again = json.loads(edge_mcnn("classify", "--json", CLIPS / "austen-0930.flac").stdout)
    for field in ("label", "probabilities", "text", "start_s", "seconds"):
        assert again[field] == classified["austen-0930"][field]


def test_sample_rate_and_channels_change_little(classified: dict[str, dict[str, object]], tmp_path: Path) -> None:
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


def test_a_prediction_below_the_threshold_has_low_confidence(classified: dict[str, dict[str, object]]) -> None:
    clip, environment = CLIPS / "austen-0930.flac", {"EDGE_MCNN_CLASSIFIER_CONFIDENCE": "1"}
    confident = classified["austen-0930"]
    assert (confident["confident"], confident["light"]) == (True, confident["label"])
    for setting, light in [("dark", None), ("neutral", "neutral")]:
        environment["EDGE_MCNN_CLASSIFIER_LOW_CONFIDENCE"] = setting
        table = json.loads(edge_mcnn("classify", "--json", clip, environment=environment).stdout)
        assert (table["confident"], table["light"]) == (False, light)
        for field in ("label", "probabilities", "text"):
            assert table[field] == confident[field], "label and probabilities are still reported"
    assert "low confidence" in edge_mcnn("classify", clip, environment=environment).stdout


@pytest.fixture
def calm(tmp_path: Path) -> Path:
    """The network that ships with edge-mcnn, with another name for a class."""
    bundle = read_bundle(DEFAULT_BUNDLE)
    companions = replace(bundle.companions, labels=("negative", "calm", "positive"))
    path = tmp_path / "Calm.tflite"
    path.write_bytes(pack(bundle.model[: bundle.flatbuffer_size], companions))
    return path


def test_low_confidence_cannot_be_neutral_without_such_a_class(calm: Path) -> None:
    environment = {"EDGE_MCNN_CLASSIFIER_CONFIDENCE": "0.5", "EDGE_MCNN_CLASSIFIER_LOW_CONFIDENCE": "neutral"}
    for command in (["classify", str(CLIPS / "austen-0930.flac")], ["listen", "--lights", "none"]):
        done = edge_mcnn(*command, "--model", calm, environment=environment)
        assert_refused(done, "the model has no such class (it has negative, calm, positive)")


def test_a_class_without_a_light_is_reported_before_listening(calm: Path, speech_model: Path) -> None:
    arguments = ("listen", "--wait", "--lights", "gpio", "--model", calm)
    assert_refused(edge_mcnn(*arguments), "no pin for calm", "write pins = { negative = 22, calm = 27, positive = 17 }")
    environment = {"EDGE_MCNN_LIGHTS_RGB": "{ red = 17, green = 27, blue = 22 }"}
    assert_refused(
        edge_mcnn(*arguments, environment=environment),
        "no colour for calm",
        'write colours = { calm = "orange" } under',
    )


def test_an_utterance_without_words_is_classified_by_its_audio(tmp_path: Path, speech_model: Path) -> None:
    samples, rate = soundfile.read(CLIPS / "espeak-ruined.flac")
    soundfile.write(tmp_path / "n.wav", samples[: rate * 2 // 5], rate)  # no complete word
    table = json.loads(edge_mcnn("classify", "--json", tmp_path / "n.wav").stdout)
    assert (table["text"], table["confident"]) == ("", True)
    assert table["light"] == table["label"]
    assert len(set(table["probabilities"].values())) > 1, "the audio has an influence"
    assert NO_WORDS in edge_mcnn("classify", tmp_path / "n.wav").stdout


def test_two_sentences_in_one_recording_are_two_predictions(tmp_path: Path, speech_model: Path) -> None:
    samples, rate = soundfile.read(CLIPS / "austen-0930.flac")
    soundfile.write(tmp_path / "two.wav", np.concatenate([samples, np.zeros(rate), samples]), rate)
    done = edge_mcnn("classify", "--json", tmp_path / "two.wav")
    texts = [json.loads(line)["text"] for line in done.stdout.splitlines()]
    assert texts == ["he might even have been made amiable himself"] * 2


def test_each_bad_recording_is_reported_and_the_others_are_classified(tmp_path: Path, speech_model: Path) -> None:
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
    lines = [line for line in done.stderr.splitlines() if not line.startswith("  fix: ")]
    for line, name, message in zip(
        lines,
        names,
        ["not a readable recording", "holds no audio", "silent", "no speech", "no such file or folder"],
        strict=True,
    ):
        assert line.startswith(f"edge-mcnn: {tmp_path / name}: ")
        assert message in line


def test_what_cannot_be_read_does_not_stop_the_others(tmp_path: Path, speech_model: Path) -> None:
    """A file and a folder without permission, a folder, a device, a name that is too long; in the middle, a file."""
    (tmp_path / "closed").mkdir()
    for name in ("unreadable.flac", "closed/a.flac", "b.flac"):
        shutil.copy(CLIPS / "austen-0930.flac", tmp_path / name)
    (tmp_path / "unreadable.flac").chmod(0)
    (tmp_path / "closed").chmod(0)
    refused = [tmp_path / "unreadable.flac", tmp_path / "closed/a.flac", tmp_path, Path("/dev/zero"), Path(300 * "n")]
    recordings = [*refused, tmp_path / "b.flac", tmp_path / "missing.flac"]
    done = edge_mcnn("classify", "--json", *recordings, without_privileges=True)
    (tmp_path / "closed").chmod(0o700)
    assert done.returncode == 1
    assert [Path(json.loads(line)["file"]).name for line in done.stdout.splitlines()] == ["b.flac"]
    lines = [line for line in done.stderr.splitlines() if not line.startswith("  fix: ")]
    expected = ["permission denied", f"the folder {tmp_path / 'closed'}", "is a folder", "is a device", "too long",
                "no such file"]  # fmt: skip
    for line, message in zip(lines, expected, strict=True):
        assert line.startswith("edge-mcnn: ")
        assert message in line


def test_a_name_that_is_not_utf8(tmp_path: Path, speech_model: Path) -> None:
    clip = os.fsencode(tmp_path) + b"/caf\xe9.flac"
    shutil.copy(os.fsencode(CLIPS / "austen-0930.flac"), clip)
    done = edge_mcnn("classify", "--json", os.fsdecode(clip))
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["file"] == os.fsdecode(clip)
    assert edge_mcnn("classify", os.fsdecode(clip)).stdout.startswith("caf\\xe9.flac  ")


def test_standard_input_is_read_once(tmp_path: Path, speech_model: Path) -> None:
    with (CLIPS / "austen-0930.flac").open("rb") as stream:
        done = subprocess.run(
            ["bash", "-c", 'cat | "$0" -m edge_mcnn classify --json - -', sys.executable], stdin=stream,
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert json.loads(done.stdout)["file"] == "-"
    assert "/dev/stdin: is empty: nothing was written into it, or it was read before" in done.stderr


def test_channels_that_cancel(tmp_path: Path, speech_model: Path) -> None:
    samples, rate = soundfile.read(CLIPS / "austen-0930.flac")
    soundfile.write(tmp_path / "inverted.wav", np.stack([samples, -samples], axis=1), rate)
    done = edge_mcnn("classify", "--json", tmp_path / "inverted.wav")
    assert json.loads(done.stdout)["text"] == REFERENCES["austen-0930"]


def test_lights_are_drawn(speech_model: Path) -> None:
    done = edge_mcnn("classify", CLIPS / "austen-0930.flac")
    assert "\u25cf" in done.stdout
    assert "\u201che might even have been made amiable himself\u201d" in done.stdout


def test_a_terminal_without_unicode(speech_model: Path) -> None:
    done = edge_mcnn("classify", CLIPS / "austen-0930.flac", environment={"PYTHONIOENCODING": "latin-1"})
    assert done.returncode == 0, done.stderr


def test_the_model_of_the_seven_emotions(speech_model: Path) -> None:
    named = edge_mcnn("classify", "--json", "--model", "emotions", CLIPS / "austen-0930.flac")
    assert named.returncode == 0, named.stderr
    found = json.loads(named.stdout)
    assert list(found["probabilities"]) == ["neutral", "joy", "sadness", "anger", "surprise", "fear", "disgust"]
    assert found["light"] in found["probabilities"]
    by_settings = edge_mcnn(
        "classify", "--json", CLIPS / "austen-0930.flac", environment={"EDGE_MCNN_CLASSIFIER_MODEL": "emotions"}
    )
    assert json.loads(by_settings.stdout)["probabilities"] == found["probabilities"]


def test_bad_model_and_bad_settings(tmp_path: Path) -> None:
    clip = CLIPS / "austen-0930.flac"
    (tmp_path / "bad.toml").write_text("[endpoint]\nhangover = 1")
    (tmp_path / "half.tflite").write_bytes(DEFAULT_BUNDLE.read_bytes()[:100_000])
    assert_refused(edge_mcnn("classify", "--config", tmp_path / "bad.toml", clip), "did you mean endpoint.hang_over_s?")
    assert_refused(edge_mcnn("classify", "--model", tmp_path / "none.tflite", clip), "no such file or folder")
    assert_refused(edge_mcnn("classify", "--model", "Emotions", clip), "a model that ships: sentiment, emotions")
    assert_refused(edge_mcnn("classify", "--model", tmp_path / "half.tflite", clip), "without labels")
    assert_refused(edge_mcnn("convert", tmp_path / "none.h5"), "none.h5")
    assert_refused(edge_mcnn("train", tmp_path / "none.csv"), "none.csv")


def test_a_missing_speech_model_is_downloaded_and_reported(tmp_path: Path) -> None:
    clip = CLIPS / "austen-0930.flac"
    done = edge_mcnn("classify", "--json", clip, environment={"XDG_CACHE_HOME": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["text"] == REFERENCES["austen-0930"]
    assert "speech model" in done.stderr
    again = edge_mcnn("fetch-speech-model", environment={"XDG_CACHE_HOME": str(tmp_path)})
    assert again.returncode == 0
    assert str(tmp_path) in again.stderr


def test_a_folder_that_is_no_speech_model(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(f'[transcriber]\nspeech_model = "{tmp_path}"')
    assert_refused(
        edge_mcnn("classify", "--config", tmp_path / "config.toml", CLIPS / "austen-0930.flac"), str(tmp_path)
    )


def test_a_closed_pipe_is_no_traceback(speech_model: Path) -> None:
    clips = " ".join(str(path) for path in sorted(CLIPS.glob("*.flac")))
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m edge_mcnn classify --json {clips} | head -1"],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert len(done.stdout.splitlines()) == 1
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_an_environment_variable_that_is_no_setting() -> None:
    assert_refused(
        edge_mcnn("classify", CLIPS / "austen-0880.flac", environment={"EDGE_MCNN_LIGHTS_KND": "gpio"}),
        "did you mean EDGE_MCNN_LIGHTS_KIND?",
    )


@pytest.mark.usefixtures("speech_model")
def test_pointers_and_cut_off_recordings_are_named(tmp_path: Path) -> None:
    (tmp_path / "pointer.wav").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:4\nsize 1\n")
    samples, rate = soundfile.read(CLIPS / "austen-0930.flac")
    soundfile.write(tmp_path / "copy.wav", samples, rate)
    content = (tmp_path / "copy.wav").read_bytes()
    (tmp_path / "copy.wav").write_bytes(content[: len(content) * 9 // 10])
    done = edge_mcnn("classify", "--json", tmp_path / "pointer.wav", tmp_path / "copy.wav")
    assert done.returncode == 1
    refused, fix, cut = done.stderr.splitlines()
    assert refused == f"edge-mcnn: {tmp_path / 'pointer.wav'}: holds a pointer of Git LFS instead of its content"
    assert fix.endswith("git lfs pull")
    assert cut.startswith(f"{tmp_path / 'copy.wav'}: cut off: its header states ")
    assert json.loads(done.stdout)["file"] == str(tmp_path / "copy.wav")
