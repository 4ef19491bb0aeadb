"""The voice profile: round trips, every kind of damage, who may read it, and what happens when it cannot be written."""

import contextlib
import errno
import fcntl
import json
import os
import re
import socket
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example as with_input
from hypothesis import given, settings
from hypothesis import strategies as st

from device.adaptation import profile as module
from device.adaptation.profile import (
    CORRECTION,
    MOST_EXAMPLES,
    RECORDING,
    SESSION,
    SOURCES,
    Example,
    Identity,
    Profile,
    change_profile,
    file_stamp,
    present_profile,
    read_profile,
    replace_profile,
    write_profile,
)
from device.adaptation.profile_path import SERVICE_PROFILE, default_profile_path
from device.adaptation.speaker_variation import MOST_FEATURES
from device.errors import ProfileError
from device.events import UtteranceFeatures
from tests.device.adaptation.voices import FEATURES, LABELS, example, identity, profile
from tests.full_disk import full_disk

TABLE = json.loads(profile().to_json())
KEYS = ["edge_mcnn_profile", "bundle_sha256", "features_sha256", "model", "labels", "features", "examples"]
KEYS_OF_AN_EXAMPLE = ["label", "source", "day", "features", "logits"]
REMOVE = "remove it: edge-mcnn learn --forget --all --output {}, then learn again"
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=150).filter(
    lambda name: name == name.strip()
)
NUMBERS = st.floats(-1e6, 1e6)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=10), children, max_size=4),
    max_leaves=20,
)


@st.composite
def profiles(draw: st.DrawFn) -> Profile:
    labels = tuple(draw(st.lists(NAMES, min_size=2, max_size=4, unique=True)))
    features = draw(st.integers(1, 5))
    digest = st.text("0123456789abcdef", min_size=64, max_size=64)
    own = Identity(draw(digest), draw(digest), "a model", labels, features)

    def numbers(count: int) -> st.SearchStrategy[Any]:
        return st.lists(NUMBERS, min_size=count, max_size=count).map(np.array)

    examples = st.builds(
        Example,
        st.sampled_from(labels),
        st.builds(UtteranceFeatures, numbers(features), numbers(len(labels))),
        st.sampled_from(SOURCES),
        st.dates().map(lambda day: day.isoformat()),
    )
    return Profile(own, tuple(draw(st.lists(examples, max_size=6))))


def assert_equal(one: Profile, other: Profile) -> None:
    assert one.identity == other.identity
    assert len(one.examples) == len(other.examples)
    assert all(first.equals(second) for first, second in zip(one.examples, other.examples, strict=True))


def content(folder: Path) -> dict[str, bytes]:
    """The files of a folder, without the file that processes lock."""
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"}


@contextlib.contextmanager
def umask(value: int) -> Iterator[None]:
    before = os.umask(value)
    try:
        yield
    finally:
        os.umask(before)


# Round trips.


@given(profiles())
def test_what_is_written_is_read(written: Profile) -> None:
    text = written.to_json()
    read = Profile.from_json(text)
    assert_equal(read, written)
    assert read.to_json() == text, "numbers that were rounded once are not rounded again"
    for found, expected in zip(read.arrays(), written.arrays(), strict=True):
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=0, atol=5.1e-5)


@settings(max_examples=20)
@given(profiles())
def test_files(tmp_path_factory: pytest.TempPathFactory, written: Profile) -> None:
    path = tmp_path_factory.mktemp("p") / "new" / "folder" / "profile.json"
    assert present_profile(path) is None
    write_profile(path, written)
    assert_equal(read_profile(path), written)
    assert_equal(change_profile(path, lambda present: present or profile()), written)


def test_the_largest_profile_is_read_back(tmp_path: Path) -> None:
    labels = tuple(f"{place:03}" + "\u00e4" * 48 for place in range(100))
    random = np.random.default_rng(0)
    written = Profile(
        identity(labels=labels, features=MOST_FEATURES),
        tuple(
            Example(
                labels[place % 100],
                UtteranceFeatures(-random.uniform(9e5, 1e6, MOST_FEATURES), -random.uniform(9e5, 1e6, 100)),
                CORRECTION,
                "2026-01-31",
            )
            for place in range(MOST_EXAMPLES)
        ),
    )
    write_profile(tmp_path / "p", written)
    assert_equal(read_profile(tmp_path / "p"), written)


def test_labels_that_bundles_of_earlier_versions_have(tmp_path: Path) -> None:
    labels = ("x" * 300, "\u202eright to left", "\x1b[31mred")
    written = Profile(identity(labels=labels), (example(labels[1]), example(labels[2])))
    write_profile(tmp_path / "p", written)
    assert_equal(read_profile(tmp_path / "p"), written)


def test_an_example_of_today_has_the_numbers_that_are_stored() -> None:
    made = Example.now("glad", UtteranceFeatures(np.full(FEATURES, 1 / 3), np.full(3, -2 / 3)), SESSION)
    assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", made.day)
    assert made.source == SESSION
    assert made.utterance.features.tolist() == [0.3333] * FEATURES
    (read,) = Profile.from_json(Profile(identity(), (made,)).to_json()).examples
    np.testing.assert_array_equal(read.utterance.features, made.utterance.features)
    np.testing.assert_array_equal(read.utterance.logits, made.utterance.logits)


def test_the_arrays_of_no_example_have_their_shapes() -> None:
    features, logits, classes = Profile(identity()).arrays()
    assert (features.shape, logits.shape, classes.shape) == ((0, FEATURES), (0, 3), (0,))
    features, logits, classes = profile(5).arrays()
    assert (features.shape, logits.shape, classes.tolist()) == ((5, FEATURES), (5, 3), [0, 1, 2, 0, 1])


# What is in the file.


def test_the_file_has_the_documented_keys_and_few_numbers() -> None:
    table = json.loads(profile(MOST_EXAMPLES).to_json())
    assert list(table) == KEYS
    assert module.__doc__ is not None
    documented = re.findall(r"^    (?:    )?(\w+)   ", module.__doc__, re.MULTILINE)
    assert documented == KEYS + KEYS_OF_AN_EXAMPLE
    for each in table["examples"]:
        assert list(each) == KEYS_OF_AN_EXAMPLE
        assert len(each["features"]) == FEATURES
        assert len(each["logits"]) == len(LABELS)
        assert all(type(number) is float for number in each["features"] + each["logits"])
        assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", each["day"]), "a day and no time"


# Which examples remain.


def test_beyond_the_limit_the_oldest_example_of_the_commonest_class_goes() -> None:
    many = Profile(identity()).with_examples(
        [example("calm", 0), *(example("glad", place) for place in range(1, MOST_EXAMPLES))]
    )
    assert len(many.examples) == MOST_EXAMPLES
    more = many.with_examples([example("angry", 1000), example("angry", 1001)])
    assert len(more.examples) == MOST_EXAMPLES
    assert more.counts() == {"glad": MOST_EXAMPLES - 3, "calm": 1, "angry": 2}
    assert more.examples[0].label == "calm"
    assert more.examples[1].equals(example("glad", 3))
    assert more.examples[-1].equals(example("angry", 1001))


def test_of_two_commonest_classes_the_oldest_example_goes() -> None:
    half = MOST_EXAMPLES // 2
    both = [example(("calm", "glad")[place % 2], place) for place in range(2 * half)]
    more = Profile(identity(), tuple(both)).with_examples([example("angry", 9999)])
    assert more.counts() == {"calm": half - 1, "glad": half, "angry": 1}
    assert more.examples[0].equals(both[1])


@settings(max_examples=20)
@given(st.lists(st.sampled_from(LABELS), min_size=MOST_EXAMPLES, max_size=MOST_EXAMPLES + 30))
def test_with_many_examples_the_result_is_that_of_removing_one_after_another(labels: list[str]) -> None:
    same = example().utterance
    added = [Example(label, same, CORRECTION, f"2026-01-31-{place}") for place, label in enumerate(labels)]
    expected = list(added)
    while len(expected) > MOST_EXAMPLES:
        commonest = Counter(each.label for each in expected).most_common(1)[0][0]
        del expected[next(place for place, each in enumerate(expected) if each.label == commonest)]
    assert list(Profile(identity()).with_examples(added).examples) == expected


def test_without() -> None:
    full = profile(7)  # glad, calm, angry, glad, calm, angry, glad
    assert [each.label for each in full.without(last=2).examples] == ["glad", "calm", "angry", "glad", "calm"]
    assert full.without(last=0).examples == full.examples
    assert full.without(last=8).examples == ()
    assert full.without(label="glad").counts() == {"glad": 0, "calm": 2, "angry": 2}
    assert full.without(label="angry", last=1).counts() == {"glad": 2, "calm": 2, "angry": 0}
    assert full.without().examples == full.examples
    with pytest.raises(ProfileError, match=r"^sad is not a class of the model; use one of glad, calm, angry$"):
        full.without(label="sad")


def test_without_an_example_removes_the_last_that_is_stored_as_the_same() -> None:
    twice = Profile(identity(), (example(seed=1), example("calm", 2), example(seed=1), example(seed=3)))
    nearly = example(seed=1)
    nearly = replace(nearly, utterance=replace(nearly.utterance, features=nearly.utterance.features + 1e-6))
    assert twice.without_example(nearly).examples == (*twice.examples[:2], twice.examples[3])
    for other in (
        example("calm", 1),
        example(seed=1, source=RECORDING),
        example(seed=1, day="2026-02-01"),
        example(seed=4),
        example(seed=1, features=FEATURES + 1),
    ):
        assert twice.without_example(other) is twice


# Damage.


@given(st.binary(max_size=200))
@with_input(b"\xff\xfe{\0}\0")
@with_input(b"\xef\xbb\xbf{}")
@with_input(b"[" * 200_000)
@with_input(b'{"edge_mcnn_profile": 1, "examples": ' + b"[" * 900 + b"]" * 900 + b"}")
@with_input(b'{"edge_mcnn_profile": ' + b"[" * 900 + b"]" * 900 + b"}")
@with_input(b'{"edge_mcnn_profile": ' + b"1" * 5000 + b"}")
@with_input(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n")
def test_arbitrary_bytes(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "arbitrary"
    path.write_bytes(content)
    with pytest.raises(ProfileError) as error:
        read_profile(path)
    assert error.value.message.startswith(str(path))
    assert error.value.fix
    assert len(str(error.value)) < 300


@given(JSON)
def test_other_json(value: Any) -> None:
    with pytest.raises(ProfileError):
        Profile.from_json(json.dumps(value))


def read_or_refused(text: str) -> None:
    """Only a profile that can be used and written, or the documented error, may result."""
    try:
        found = Profile.from_json(text)
    except ProfileError:
        return
    features, logits, _ = found.arrays()
    assert np.isfinite(features).all()
    assert np.isfinite(logits).all()
    assert_equal(Profile.from_json(found.to_json()), found)


@given(st.sampled_from(KEYS), JSON)
def test_a_value_of_another_type(key: str, value: Any) -> None:
    read_or_refused(json.dumps({**TABLE, key: value}))


@given(st.sampled_from(KEYS_OF_AN_EXAMPLE), JSON)
def test_a_value_of_another_type_in_an_example(key: str, value: Any) -> None:
    first, *others = TABLE["examples"]
    read_or_refused(json.dumps({**TABLE, "examples": [{**first, key: value}, *others]}))


@given(st.data())
def test_damaged_text(data: st.DataObject) -> None:
    text = profile().to_json()
    start = data.draw(st.integers(0, len(text)))
    read_or_refused(text[:start])
    read_or_refused(text[:start] + data.draw(st.text(max_size=5)) + text[start + data.draw(st.integers(0, 9)) :])


@pytest.mark.parametrize("key", KEYS)
def test_a_missing_key(key: str) -> None:
    with pytest.raises(ProfileError, match="voice profile"):
        Profile.from_json(json.dumps({name: value for name, value in TABLE.items() if name != key}))


@pytest.mark.parametrize("key", KEYS_OF_AN_EXAMPLE)
def test_a_missing_key_in_an_example(key: str) -> None:
    damaged = json.loads(json.dumps(TABLE))
    del damaged["examples"][1][key]
    with pytest.raises(ProfileError, match=r"^a damaged voice profile$"):
        Profile.from_json(json.dumps(damaged))


@pytest.mark.parametrize(
    ("version", "message", "fix"),
    [
        (2, "a voice profile of version 2, which this edge-mcnn does not support", "update edge-mcnn"),
        (10**400, "a voice profile of an unknown version, which this edge-mcnn does not support", "update edge-mcnn"),
        (0, "a damaged voice profile: its version is not a number above 0", REMOVE),
        ("1", "a damaged voice profile: its version is not a number above 0", REMOVE),
        (True, "a damaged voice profile: its version is not a number above 0", REMOVE),
        (1.0, "a damaged voice profile: its version is not a number above 0", REMOVE),
    ],
)
def test_other_versions(version: Any, message: str, fix: str, tmp_path: Path) -> None:
    path = tmp_path / "p"
    path.write_text(json.dumps({**TABLE, "edge_mcnn_profile": version}))
    with pytest.raises(ProfileError) as error:
        read_profile(path)
    assert (error.value.message, error.value.fix) == (f"{path}: {message}", fix.format(path))


def changed_example(**changes: Any) -> dict[str, Any]:
    return {**TABLE, "examples": [{**TABLE["examples"][0], **changes}]}


@pytest.mark.parametrize(
    "table",
    [
        {**TABLE, "bundle_sha256": "A" * 64},
        {**TABLE, "features_sha256": "a" * 63},
        {**TABLE, "labels": ["glad"]},
        {**TABLE, "labels": ["glad", "glad", "calm"]},
        {**TABLE, "labels": ["glad", "", "angry"]},
        {**TABLE, "labels": ["glad", " calm", "angry"]},
        {**TABLE, "features": 0},
        {**TABLE, "features": MOST_FEATURES + 1},
        {**TABLE, "features": 6.0},
        {**TABLE, "features": True},
        changed_example(label="sad"),
        changed_example(source="microphone"),
        changed_example(day="2026-02-30"),
        changed_example(day="2026-01-31T12:00"),
        changed_example(features=[0.5] * (FEATURES + 1)),
        changed_example(features=[True] * FEATURES),
        changed_example(features=["0.5"] * FEATURES),
        changed_example(features=[1e7] * FEATURES),
        changed_example(features=[10**400] * FEATURES),
        changed_example(logits=[0.5] * 2),
        changed_example(logits=[-1e300] * 3),
    ],
    ids=str,
)
def test_damage(table: dict[str, Any]) -> None:
    with pytest.raises(ProfileError, match=r"^a damaged voice profile$"):
        Profile.from_json(json.dumps(table))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_none(number: str) -> None:
    text = profile().to_json()
    first = str(TABLE["examples"][0]["features"][0])
    with pytest.raises(ProfileError, match="damaged"):
        Profile.from_json(text.replace(first, number, 1))


def test_a_repeated_key() -> None:
    text = profile().to_json()
    with pytest.raises(ProfileError, match="not a voice profile, or damaged"):
        Profile.from_json(text.replace('"model": ', '"labels": ["a", "b"], "model": ', 1))


def test_more_examples_than_the_limit_are_reduced_as_when_learning() -> None:
    examples = [{**TABLE["examples"][place % 3], "day": f"{1000 + place}-01-01"} for place in range(MOST_EXAMPLES + 2)]
    read = Profile.from_json(json.dumps({**TABLE, "examples": examples}))
    assert len(read.examples) == MOST_EXAMPLES
    assert [read.examples[0].day, read.examples[-1].day] == ["1002-01-01", f"{1000 + MOST_EXAMPLES + 1}-01-01"]


def test_keys_of_a_later_version_are_ignored() -> None:
    assert_equal(Profile.from_json(json.dumps({**TABLE, "note": "x"})), profile())


def three_megabytes(path: Path) -> None:
    path.write_text(profile().to_json() + " " * (3 << 20))


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


def a_pointer(path: Path) -> None:
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (three_megabytes, "p: larger than 2 MB; give a file that `edge-mcnn learn` wrote"),
        (os.mkfifo, "p: is a pipe that no program writes to; give a file that"),
        (Path.mkdir, "p: is a folder, not a file; give a file that"),
        (a_socket, "p: is a socket or a device without content, not a file"),
        (a_pointer, "p: holds a pointer of Git LFS instead of its content; install git-lfs"),
        (lambda path: path.symlink_to("/nowhere/at/all"), "p: is a symbolic link to /nowhere/at/all, which does not"),
        (lambda path: path.symlink_to(path), "p: is a symbolic link that leads back to itself"),
        (lambda path: path.symlink_to("/dev/zero"), "p: larger than 2 MB"),
        (lambda path: path.symlink_to("/dev/null"), "p: not a voice profile, or damaged"),
        (
            lambda path: path.touch(),
            "p: not a voice profile, or damaged; remove it: edge-mcnn learn --forget",
        ),
        (
            lambda path: path.write_bytes(b"{\xff"),
            "p, line 1: the byte 0xff is not UTF-8 text; if it was a voice profile, remove it by hand, then",
        ),
        (lambda path: None, "p: no such file or folder; give a file that `edge-mcnn learn` wrote"),
    ],
    ids=[
        "large",
        "pipe",
        "folder",
        "socket",
        "pointer",
        "dangling",
        "loop",
        "endless",
        "device",
        "empty",
        "byte",
        "none",
    ],
)
def test_what_is_no_profile(make: Callable[[Path], object], message: str, tmp_path: Path) -> None:
    path = tmp_path / "p"
    make(path)
    with pytest.raises(ProfileError) as error:
        read_profile(path)
    assert message in str(error.value)
    if message.startswith("p: no such"):
        return
    # Learning does not replace it.
    before = path.lstat().st_mode
    with pytest.raises(ProfileError):
        change_profile(path, lambda _: pytest.fail("there is no profile to change"))
    assert path.lstat().st_mode == before


def test_a_name_that_no_file_can_have(tmp_path: Path) -> None:
    for path in (Path("a\0b"), tmp_path / ("x" * 300), tmp_path / ("x" * 250), tmp_path / "a\0b" / "p"):
        with pytest.raises(ProfileError, match=r"NUL|too long"):
            write_profile(path, profile())
        with pytest.raises(ProfileError, match=r"NUL|too long|no such"):
            read_profile(path)


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ProfileError, match="nothing was changed"):
        write_profile(tmp_path / "file" / "profile.json", profile())
    assert content(tmp_path) == {"file": b"x"}


# What would not be readable is never written.


@pytest.mark.parametrize(
    "unusable",
    [
        Example("glad", UtteranceFeatures(np.full(FEATURES, np.nan), np.zeros(3)), CORRECTION, "2026-01-31"),
        Example("glad", UtteranceFeatures(np.full(FEATURES, 1e7), np.zeros(3)), CORRECTION, "2026-01-31"),
        Example("glad", UtteranceFeatures(np.zeros(FEATURES), np.full(3, -np.inf)), CORRECTION, "2026-01-31"),
        Example("sad", UtteranceFeatures(np.zeros(FEATURES), np.zeros(3)), CORRECTION, "2026-01-31"),
        Example("glad", UtteranceFeatures(np.zeros(FEATURES + 1), np.zeros(3)), CORRECTION, "2026-01-31"),
        Example("glad", UtteranceFeatures(np.zeros(FEATURES), np.zeros(3)), "microphone", "2026-01-31"),
    ],
    ids=["nan", "large", "infinite", "class", "features", "source"],
)
def test_an_example_that_could_not_be_read_is_not_written(unusable: Example, tmp_path: Path) -> None:
    path = tmp_path / "p"
    write_profile(path, profile())
    before = content(tmp_path)
    with pytest.raises(ProfileError, match="an example has numbers or a class that a profile cannot contain") as error:
        change_profile(path, lambda _: Profile(identity(), (unusable,)))
    assert error.value.message.startswith(str(path))
    assert content(tmp_path) == before


def test_a_profile_that_is_too_large_is_not_written(tmp_path: Path) -> None:
    labels = ("x" * 9000, "y", "z")
    written = Profile(identity(labels=labels), (example("x" * 9000),) * 200)
    write_profile(tmp_path / "p", written)
    before = content(tmp_path)
    with pytest.raises(ProfileError, match="p: would be larger than 2 MB; nothing was changed"):
        change_profile(tmp_path / "p", lambda _: written.with_examples(written.examples[:50]))
    assert content(tmp_path) == before


# Owner and permissions.


@pytest.mark.parametrize("mask", [0, 0o022, 0o277, 0o777])
def test_only_the_owner_can_read_it_whatever_the_umask(mask: int, tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    with umask(mask):
        write_profile(path, profile())
        write_profile(path, profile(3))
    assert {each.name: stat.S_IMODE(each.stat().st_mode) for each in tmp_path.iterdir()} == {
        "profile.json": 0o600,
        ".profile.json.lock": 0o600,
    }
    path.chmod(0o644)
    change_profile(path, lambda present: present or profile())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_folder_that_is_made_is_closed_to_others(tmp_path: Path) -> None:
    write_profile(tmp_path / "edge-mcnn" / "profile.json", profile())
    assert stat.S_IMODE((tmp_path / "edge-mcnn").stat().st_mode) == 0o700


def test_what_root_writes_belongs_to_the_owner_of_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given_to: list[tuple[str, int, int]] = []

    def fchown(descriptor: int, user: int, group: int) -> None:
        name = Path(f"/proc/self/fd/{descriptor}").readlink().name
        given_to.append((re.sub(r"\d+", "PID", name), user, group))

    monkeypatch.setattr(os, "fchown", fchown)
    own = tmp_path.stat()
    monkeypatch.setattr(os, "geteuid", lambda: own.st_uid + 1)
    write_profile(tmp_path / "profile.json", profile())
    assert given_to == []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    write_profile(tmp_path / "profile.json", profile())
    expected = (".profile.json.PID.part", own.st_uid, own.st_gid)
    assert expected in given_to


def test_the_file_belongs_to_the_owner_of_the_folder(tmp_path: Path) -> None:
    owner = (65534, 65533) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
    os.chown(tmp_path, *owner)
    write_profile(tmp_path / "profile.json", profile())
    assert {(each.stat().st_uid, each.stat().st_gid) for each in tmp_path.iterdir()} == {owner}


def lock_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.lock")


@pytest.mark.parametrize(
    "make",
    [
        lambda lock, other: lock.symlink_to(other),
        lambda lock, other: lock.hardlink_to(other),
        lambda lock, other: os.mkfifo(lock),
        lambda lock, other: lock.mkdir(),
    ],
    ids=["symbolic link", "hard link", "pipe", "folder"],
)
def test_what_is_in_the_place_of_the_lock_is_not_changed(make: Callable[[Path, Path], None], tmp_path: Path) -> None:
    """Otherwise the owner of a folder in which root learns could give away files of root."""
    path, other = tmp_path / "profile.json", tmp_path / "other"
    other.write_text("of root")
    other.chmod(0o640)
    make(lock_of(path), other)
    before = other.stat()
    with pytest.raises(ProfileError, match="is not a regular file, so the profile cannot be changed") as error:
        write_profile(path, profile())
    assert error.value.message.startswith(str(lock_of(path)))
    assert error.value.fix == f"remove it: rm {lock_of(path)}"
    after = other.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert not path.exists()


def test_a_link_in_the_place_of_the_temporary_file_is_not_followed(tmp_path: Path) -> None:
    path, other = tmp_path / "profile.json", tmp_path / "other"
    other.write_text("of root")
    (tmp_path / f".profile.json.{os.getpid()}.part").symlink_to(other)
    write_profile(path, profile())
    assert other.read_text() == "of root"
    assert_equal(read_profile(path), profile())


# What cannot be written.


def failing(number: int) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("present", [True, False])
@pytest.mark.parametrize(
    ("number", "message", "fix"),
    [
        (errno.ENOSPC, "the disk is full", "free some space, and try again"),
        (errno.EDQUOT, "the disk is full", "free some space, and try again"),
        (errno.EROFS, "the file system is read-only", "choose another place"),
        (errno.EIO, "input/output error", "choose another place for the profile"),
    ],
)
def test_errors_of_the_disk(
    number: int, message: str, fix: str, present: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "profile.json"
    if present:
        write_profile(path, profile())
    before = content(tmp_path)
    monkeypatch.setattr(os, "fsync", failing(number))
    with pytest.raises(ProfileError) as error:
        change_profile(path, lambda found: (found or profile()).with_examples([example()]))
    assert (error.value.message, error.value.fix) == (f"{path}: {message}; nothing was changed", fix)
    assert content(tmp_path) == before


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "flock", failing(errno.ENOLCK))
    with pytest.raises(ProfileError, match="no locks available; nothing was changed; choose another place"):
        write_profile(tmp_path / "p", profile())
    assert content(tmp_path) == {}


def test_a_file_system_without_owners(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fchmod", failing(errno.EPERM))
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(ProfileError, match="nothing was changed"):
        write_profile(tmp_path / "p", profile())
    assert content(tmp_path) == {}
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors, "a file was left open"


@pytest.mark.parametrize("largest", [0, 100])
def test_a_full_disk(largest: int, tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    write_profile(path, profile())
    before = content(tmp_path)
    with full_disk(largest), pytest.raises(ProfileError, match="file too large; nothing was changed"):
        change_profile(path, lambda found: (found or profile()).with_examples([example()]))
    assert content(tmp_path) == before
    change_profile(path, lambda found: (found or profile()).with_examples([example()]))
    assert len(read_profile(path).examples) == 7


def test_partial_files_of_killed_processes_are_removed_and_no_others(tmp_path: Path) -> None:
    path = tmp_path / "a[1]*.json"
    for name in (".a[1]*.json.99.part", ".a1x.json.99.part", ".a[1]*.json.b.99.part", "a[1]*.json.99.part"):
        (tmp_path / name).touch()
    write_profile(path, profile())
    assert sorted(content(tmp_path)) == sorted(
        [path.name, ".a1x.json.99.part", ".a[1]*.json.b.99.part", "a[1]*.json.99.part"]
    )


def test_replacing_needs_no_lock_file_of_its_own(tmp_path: Path) -> None:
    replace_profile(tmp_path / "p", profile())
    assert list(tmp_path.iterdir()) == [tmp_path / "p"]


# Changes of the file.


def test_the_stamp_changes_with_each_replacement_and_when_the_file_becomes_readable(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "p"
    stamps: list[object] = [file_stamp(path)]
    assert stamps == [None]
    for _ in range(3):
        write_profile(path, profile())
        stamps.append(file_stamp(path))
    path.chmod(0)
    stamps.append(file_stamp(path))
    path.unlink()
    path.symlink_to("nothing")
    stamps.append(file_stamp(path))
    path.unlink()
    path.symlink_to(path)
    stamps.append(file_stamp(path))
    assert len(set(stamps)) == len(stamps)
    assert file_stamp(path) == stamps[-1]
    assert isinstance(file_stamp(Path("a\0b")), str)


def test_a_profile_that_is_removed_while_it_is_read_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "p"
    write_profile(path, profile())

    def remove_and_read(path: Path) -> Profile:
        path.unlink()
        return read_profile(path)

    monkeypatch.setattr(module, "read_profile", remove_and_read)
    assert present_profile(path) is None


# Where it is.


def test_the_default_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    for value in (None, "", "relative"):
        if value is None:
            monkeypatch.delenv("XDG_DATA_HOME", raising=False)
        else:
            monkeypatch.setenv("XDG_DATA_HOME", value)
        assert default_profile_path() == Path("/home/someone/.local/share/edge-mcnn/profile.json")
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert default_profile_path() == Path("/data/edge-mcnn/profile.json")
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/edge-mcnn-profile:/var/lib/other")
    assert default_profile_path() == SERVICE_PROFILE


def test_a_user_without_a_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)

    def no_home(_: str) -> str:
        return "~"

    monkeypatch.setattr(os.path, "expanduser", no_home)
    with pytest.raises(ProfileError, match="this user has no home folder; set the environment variable HOME"):
        default_profile_path()


@pytest.mark.parametrize(
    ("name", "content", "removable"),
    [
        ("profile.json", b"{\n", True),
        ("profile.json", b"\xff", True),
        ("me.json", b"", True),
        ("me.json", b'{"edge', True),
        ("me.json", b'{"edge_mcnn_profile": 1, "labels"', True),
        ("me.json", b"{\n", False),
        ("notes.txt", b"to do", False),
    ],
)
def test_the_fix_removes_only_what_may_have_been_a_profile(
    name: str, content: bytes, removable: bool, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ProfileError) as error:
        read_profile(path)
    by_hand = "if it was a voice profile, remove it by hand, then learn again"
    assert error.value.fix == (REMOVE.format(path) if removable else by_hand)
