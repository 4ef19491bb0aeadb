import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.errors import BundleError
from device.front_end.parameters import FrontEnd


def test_json_round_trip() -> None:
    front_end = FrontEnd(trim_db=None, sequence_length=32, num_words=100)
    assert FrontEnd.from_json(front_end.to_json()) == front_end


def test_stored_names_stay_those_of_earlier_versions() -> None:
    front_end = FrontEnd(image_height=48, image_width=96)
    table = json.loads(front_end.to_json())
    assert (table["picture_height"], table["picture_width"]) == (48, 96)
    assert tuple(table) == FrontEnd.stored_names()
    assert not {"image_height", "image_width"} & set(table)
    assert FrontEnd.from_table({"picture_height": 48, "picture_width": 96}) == front_end


@pytest.mark.parametrize("padding", ["pre", "post"])
@pytest.mark.parametrize("out_of_vocabulary", ["drop", "first"])
def test_both_paddings_and_both_treatments_of_unknown_words_are_supported(padding: str, out_of_vocabulary: str) -> None:
    front_end = FrontEnd(padding=padding, out_of_vocabulary=out_of_vocabulary)
    assert front_end.version == 1
    assert FrontEnd.from_json(front_end.to_json()) == front_end


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "version is 2"),
        ({"colour_map": "viridis"}, "colour_map is 'viridis'"),
        ({"pad_mode": "reflect"}, "pad_mode"),
        ({"sample_rate": 44_100}, "sample_rate is 44100"),
        ({"padding": "both"}, "padding is 'both', this version of edge-mcnn supports 'pre' or 'post' only; update"),
        ({"padding": ["pre", "post"]}, "padding is"),
        ({"out_of_vocabulary": 1}, "supports 'drop' or 'first' only; update edge-mcnn or convert the model again"),
        ({"colour_map": None}, "colour_map is None, this version of edge-mcnn supports 'magma' only; update"),
        ({"n_fft": 0}, "n_fft is 0"),
        ({"n_fft": 10**400}, "n_fft is 1000"),
        ({"trim_db": float("inf")}, "trim_db is inf, expected a number"),
        ({"n_fft": 2047}, "even"),
        ({"n_mels": 12.5}, "expected a whole number"),
        ({"n_mels": "128"}, "expected a number"),
        ({"n_mels": True}, "expected a number"),
        ({"f_max": 9000}, "f_max"),
        ({"f_min": 5000, "f_max": 4000}, "must rise"),
        ({"hop_length": 4096}, "hop_length"),
        ({"sequence_length": 10**9}, "sequence_length"),
        ({"colour": "magma"}, "unknown colour"),
        ({"picture_height": 4}, "picture_height is 4, expected 8 to 512"),
        ({"image_height": 64}, "unknown image_height"),
    ],
)
def test_values_that_this_device_cannot_honour_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(BundleError, match=message):
        FrontEnd.from_json(json.dumps(FrontEnd().to_table() | change))


def test_missing_settings_are_named() -> None:
    with pytest.raises(BundleError, match="missing sample_rate"):
        FrontEnd.from_json('{"version": 1}')


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_any_other_json_is_a_bundle_error(value: Any) -> None:
    with pytest.raises(BundleError):
        FrontEnd.from_json(json.dumps(value))


@given(
    st.sampled_from(sorted(FrontEnd().to_table())), st.none() | st.booleans() | st.integers() | st.floats() | st.text()
)
def test_any_value_is_accepted_or_refused(name: str, value: Any) -> None:
    try:
        front_end = FrontEnd.from_json(json.dumps(FrontEnd().to_table() | {name: value}))
    except BundleError:
        return
    assert FrontEnd.from_json(front_end.to_json()) == front_end
