import re

from hypothesis import given
from hypothesis import strategies as st

from device.outputs.mqtt.topics import class_slugs


def test_slugs_of_the_usual_classes_are_the_classes() -> None:
    assert class_slugs(("negative", "neutral")) == {"negative": "negative", "neutral": "neutral"}


def test_other_classes_have_slugs_too() -> None:
    assert class_slugs(("So Sad", "so-sad", "Ärger", "喜び", "💡", "a/+#")) == {
        "So Sad": "so-sad", "so-sad": "so-sad-2", "Ärger": "arger", "喜び": "class", "💡": "class-2", "a/+#": "a",
    }  # fmt: skip


@given(st.lists(st.text(max_size=100), unique=True, max_size=30))
def test_slugs_are_unique_and_fit_into_topics(labels: list[str]) -> None:
    slugs = class_slugs(labels)
    assert list(slugs) == labels
    assert len(set(slugs.values())) == len(labels)
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", slug) for slug in slugs.values())
