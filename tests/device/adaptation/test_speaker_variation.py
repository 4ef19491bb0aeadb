"""The speaker variation in a bundle: what is written is read, and whatever else is there is a BundleError."""

import base64
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import example as with_input
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from device.adaptation.speaker_variation import (
    LARGEST_FEATURE,
    MOST_FEATURES,
    SpeakerStatistics,
    SpeakerVariation,
    speaker_variation,
)
from device.bundle import Companions
from device.errors import BundleError
from device.front_end.parameters import FrontEnd
from tests.device.adaptation.voices import EMBEDDING, FEATURES, LABELS, variation

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=10), children, max_size=4),
    max_leaves=20,
)
TABLE = json.loads(variation().to_json())


def packed(values: Any, dtype: str = "<f4") -> str:
    return base64.b64encode(np.asarray(values, dtype).tobytes()).decode()


def assert_read_or_refused(text: str) -> None:
    """Only a usable variation or the documented error may result."""
    try:
        found = SpeakerVariation.from_json(text)
    except BundleError:
        return
    features = found.features(np.ones((2, len(found.centre))))
    assert features.shape == (2, found.statistics.means.shape[1])
    assert np.isfinite(features).all()


@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(1, 12), st.integers(2, 6))
def test_what_is_written_is_read(seed: int, embedding: int, features: int, kinds: int) -> None:
    random = np.random.default_rng(seed)
    written = SpeakerVariation(
        "a/b",
        random.normal(size=embedding) * 10,
        random.normal(size=(embedding, features)) * 10.0 ** random.integers(-3, 3, (embedding, 1)),
        SpeakerStatistics(
            random.normal(size=(kinds, features)),
            np.arange(kinds) // 2,
            random.uniform(0.02, 5, features),
            random.uniform(0.02, 5, features),
            0.3,
        ),
    )
    read = SpeakerVariation.from_json(written.to_json())
    assert read.layer == "a/b"
    np.testing.assert_allclose(read.centre, written.centre, rtol=1e-6)
    scales = np.abs(written.directions).max(axis=1, keepdims=True)
    np.testing.assert_allclose(read.directions / scales, written.directions / scales, atol=1e-3)
    own, found = written.statistics, read.statistics
    np.testing.assert_array_equal(found.classes, own.classes)
    for name in ("means", "between_speakers", "between_kinds"):
        np.testing.assert_allclose(getattr(found, name), getattr(own, name), atol=5.1e-5)
    assert found.strength == own.strength
    assert read.to_json() == SpeakerVariation.from_json(read.to_json()).to_json()


@given(st.text())
@with_input("[" * 100_000)
@with_input('{"layer": ' * 100_000)
@with_input("1" * 10_000)
@with_input("NaN")
@with_input("")
def test_arbitrary_text(text: str) -> None:
    with pytest.raises(BundleError):
        SpeakerVariation.from_json(text)


@given(JSON)
def test_other_json(value: Any) -> None:
    with pytest.raises(BundleError):
        SpeakerVariation.from_json(json.dumps(value))


@given(st.sampled_from(sorted(TABLE)), JSON)
def test_a_value_of_another_type(key: str, value: Any) -> None:
    assert_read_or_refused(json.dumps({**TABLE, key: value}))


@given(st.sampled_from(sorted(TABLE)))
def test_a_missing_key(key: str) -> None:
    with pytest.raises(BundleError, match="expected a JSON object with layer, directions and statistics"):
        SpeakerVariation.from_json(json.dumps({name: value for name, value in TABLE.items() if name != key}))


@given(st.sampled_from(["centre", "scales", "directions"]), st.binary(max_size=300))
def test_arbitrary_bytes_as_an_array(key: str, content: bytes) -> None:
    assert_read_or_refused(json.dumps({**TABLE, key: base64.b64encode(content).decode()}))


@given(st.data())
def test_damaged_text(data: st.DataObject) -> None:
    text = variation().to_json()
    start = data.draw(st.integers(0, len(text)))
    assert_read_or_refused(text[:start])
    assert_read_or_refused(text[:start] + data.draw(st.text(max_size=5)) + text[start + data.draw(st.integers(0, 9)) :])


_NAN = [[float("nan")] * FEATURES] * 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"centre": packed([np.inf] * EMBEDDING)}, "expected a JSON object"),
        ({"centre": packed([np.nan] * EMBEDDING)}, "expected a JSON object"),
        ({"centre": base64.b64encode(b"\1\0\x80\x7f" * EMBEDDING).decode()}, "expected a JSON object"),  # signals
        ({"centre": packed([1e7] * EMBEDDING)}, "expected a JSON object"),
        ({"centre": packed([0.0])}, "expected a JSON object"),
        ({"centre": ""}, "expected a JSON object"),
        ({"scales": packed([1.0])}, "expected a JSON object"),
        ({"scales": packed([1.0] * (EMBEDDING + 1))}, "expected a JSON object"),
        # One row of directions for each of several scales, and an embedding of one number.
        ({"centre": packed([0.0]), "directions": packed([0.1] * FEATURES, "<f2")}, "expected a JSON object"),
        ({"directions": packed([65504] * EMBEDDING * FEATURES, "<f2")[:-4]}, "expected a JSON object"),
        ({"layer": ""}, "expected a JSON object"),
        ({"layer": 3}, "expected a JSON object"),
        ({"means": _NAN}, "expected a JSON object"),
        ({"means": [[1, 2], [3]]}, "expected a JSON object"),
        ({"means": [[True] * FEATURES] * 4}, "expected a JSON object"),
        ({"means": [["1"] * FEATURES] * 4}, "expected a JSON object"),
        ({"means": []}, "expected a JSON object"),
        ({"means": [[1] * (MOST_FEATURES + 1)] * 4}, "expected a JSON object"),
        ({"means": [[10**400] * FEATURES] * 4}, "expected a JSON object"),
        ({"classes": [0, 1, 2]}, "not a class for each kind"),
        ({"classes": [0.0, 1.0, 2.0, 2.0]}, "not a class for each kind"),
        ({"classes": [0, 1, 2, 2**64]}, "not a class for each kind"),
        ({"classes": [[0, 1, 2, 2]]}, "not a class for each kind"),
        ({"classes": [0, 1, 3, 3]}, "a class has no kind"),
        ({"classes": [0, 1, 2, -1]}, "a class has no kind"),
        ({"classes": [0, 1, 2, 2**40]}, "a class has no kind"),
        ({"classes": [0, 1, 2, 2**63 - 1]}, "a class has no kind"),
        ({"between_speakers": [1] * (FEATURES - 1)}, "not a variance above 0 for each feature"),
        ({"between_speakers": [1] * (FEATURES - 1) + [0]}, "not a variance above 0 for each feature"),
        ({"between_kinds": [1] * (FEATURES - 1) + [-1]}, "not a variance above 0 for each feature"),
        ({"between_kinds": [1] * (FEATURES - 1) + [5e-324]}, "not a variance above 0 for each feature"),
        ({"strength": 0}, "the strength is not above 0 and at most 1"),
        ({"strength": 1.5}, "the strength is not above 0 and at most 1"),
        ({"strength": True}, "expected a JSON object"),
        ({"strength": float("nan")}, "expected a JSON object"),
    ],
)
def test_damage(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BundleError, match=message) as error:
        SpeakerVariation.from_json(json.dumps({**TABLE, **changes}))
    assert error.value.message.startswith("speaker_variation.json: ")
    assert error.value.fix == "copy the model again, or convert it again"


def test_a_bundle_has_none_or_one_of_its_classes() -> None:
    companions = Companions(LABELS, ("word",), FrontEnd())
    assert speaker_variation(companions) is None
    own = variation()
    read = speaker_variation(Companions(LABELS, ("word",), FrontEnd(), speaker_variation=own.to_json()))
    assert read is not None
    assert read.to_json() == own.to_json()
    with pytest.raises(BundleError, match="of another number of classes"):
        speaker_variation(Companions(LABELS[:2], ("word",), FrontEnd(), speaker_variation=own.to_json()))


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 3e38, -3e38, 1e12, 0.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_features_are_finite_for_any_output_of_a_network(value: float, dtype: Any) -> None:
    embedding: NDArray[Any] = np.zeros((3, EMBEDDING), dtype)
    embedding[0] = value
    embedding[1, 2] = value
    found = variation().features(embedding)
    assert found.shape == (3, FEATURES)
    assert (np.abs(found) <= LARGEST_FEATURE).all()
    np.testing.assert_allclose(found[2], variation().features(np.zeros((1, EMBEDDING)))[0], atol=1e-12)


def test_features_within_the_limit_are_the_projection() -> None:
    own = variation()
    embedding = np.random.default_rng(5).normal(size=(4, EMBEDDING)) * 5
    np.testing.assert_allclose(own.features(embedding), (embedding - own.centre) @ own.directions, rtol=0, atol=1e-12)
