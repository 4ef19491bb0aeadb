"""The graph of layers, including those of nested models."""

import json
from typing import Any

import pytest
from tf_keras import Model, Sequential, layers

from convert.source.keras_loading import strip_module_names
from convert.source.layer_graph import LayerGraph
from tests.convert import tutorial_models

pytestmark = pytest.mark.filterwarnings(tutorial_models.IGNORE_SEEDING_WARNING)


def graph_of(model: Any) -> LayerGraph:
    return LayerGraph(strip_module_names(json.loads(model.to_json())))


def trunk(name: str = "trunk") -> Any:
    images = layers.Input((16, 16, 3), name="inner")
    x = layers.Conv2D(4, 3, name="first")(images)
    return Model(images, layers.MaxPooling2D(name="pool")(layers.Conv2D(4, 3, name="second")(x)), name=name)


def test_through_a_nested_model() -> None:
    images = layers.Input((16, 16, 3), name="images")
    pooled = layers.GlobalAveragePooling2D(name="means")(trunk()(images))
    graph = graph_of(Model(images, layers.Dense(3, name="last")(pooled)))
    assert graph.followers(("images",)) == [("trunk", "inner")]
    assert graph.followers(("trunk", "inner")) == [("trunk", "first")]
    assert graph.followers(("trunk", "pool")) == [("means",)]
    assert graph.followers(("means",)) == [("last",)]
    assert graph.followers(("last",)) == []
    assert graph.layers["trunk", "second"]["class_name"] == "Conv2D"


def test_sequential_models_nested_and_outermost() -> None:
    inner = Sequential([layers.Conv2D(4, 3, input_shape=(16, 16, 3), name="first"), layers.Flatten(name="flat")], "s")
    graph = graph_of(Sequential([inner, layers.Dense(2, name="last")]))
    following = graph.followers(("s", "flat"))
    assert following == [("last",)]
    assert graph.followers(("s", "first")) == [("s", "flat")]


def test_branches_and_shared_layers() -> None:
    images = layers.Input((16, 16, 3), name="images")
    shared = layers.Conv2D(4, 3, padding="same", name="shared")
    once = shared(images)
    joined = layers.Add(name="sum")([once, layers.Conv2D(4, 1, name="other")(once)])
    graph = graph_of(Model(images, joined))
    assert sorted(graph.followers(("shared",))) == [("other",), ("sum",)]
    assert graph.uses(("shared",)) == 1
    twice = layers.Add()([shared(images), shared(layers.ReLU(name="relu")(images))])
    assert graph_of(Model(images, twice)).uses(("shared",)) == 2


def test_nested_model_with_two_inputs() -> None:
    a, b = layers.Input((4,), name="a"), layers.Input((4,), name="b")
    inner = Model([a, b], layers.Add(name="sum")([layers.Dense(4, name="of_a")(a), b]), name="inner")
    x, y = layers.Input((4,), name="x"), layers.Input((4,), name="y")
    graph = graph_of(Model([x, y], inner([y, x])))
    assert graph.followers(("y",)) == [("inner", "a")]
    assert graph.followers(("x",)) == [("inner", "b")]
