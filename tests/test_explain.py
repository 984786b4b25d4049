"""`explain`: where a value came from, in words."""

from __future__ import annotations

from typing import Any, Literal

import pytest

import graphctx as gx
from graphctx import Context, Layer

SPEC = gx.TensorSpec(("batch", 3))


class Reader(Layer):
    def call(self, x: Any, mode: Context[Literal["a", "b"]] = "a", training: bool = False) -> Any:
        return x + 1 if mode == "b" else x


class Model(Layer):
    def __init__(self) -> None:
        self.plain, self.given, self.block = Reader(), Reader(), Reader()
        self.deep = Middle()

    def call(self, x: Any) -> Any:
        x = self.plain(x)
        x = self.given(x, mode="b")
        with gx.context(mode="b"):
            x = self.block(x)
        return self.deep(x, mode="b")


class Middle(Layer):
    def __init__(self) -> None:
        self.reader = Reader()

    def call(self, x: Any) -> Any:
        return self.reader(x)


GRAPH = gx.trace(Model(), SPEC)


@pytest.mark.parametrize(
    ("path", "context", "pattern"),
    [
        ("plain", {}, "mode=a, the default in the signature of Reader.call; no enclosing call or"),
        ("plain", {"mode": "b"}, "mode=b, inherited from the call of model, to which you give it"),
        ("given", {"mode": "a"}, r"mode=b, given here, in this call \(tests/test_explain.py:27\)"),
        ("block", {}, r"mode=b, from the `with gx.context\(...\)` block at tests/test_expl.*py:28"),
        (
            "deep/reader", {"mode": "a"},
            r"mode=b, inherited from the call of model/deep, which was given it at .*explain.py:30",
        ),
    ],
)  # fmt: skip
def test_where_a_value_came_from(path: str, context: dict[str, Any], pattern: str) -> None:
    text = gx.explain(GRAPH, f"model/{path}", "mode", **context)
    assert text.startswith(f"model/{path}: ")
    assert "\n" not in text
    with pytest.raises(AssertionError, match=pattern):
        raise AssertionError(text)


def test_given_to_the_root_itself() -> None:
    graph = gx.trace(Reader(), SPEC)
    assert gx.explain(graph, "reader", "mode", mode="b") == (
        "reader: mode=b, given here, to the model"
    )


def test_of_a_specialized_graph() -> None:
    graph = gx.specialize(GRAPH, mode="b")
    text = gx.explain(graph, "model/plain", "mode")
    assert text == "model/plain: mode=b, which the graph was specialized for"


def test_a_layer_that_is_called_under_some_contexts_only() -> None:
    class Sometimes(Layer):
        def __init__(self) -> None:
            self.reader = Reader()

        def call(self, x: Any, training: bool = False) -> Any:
            return self.reader(x, mode="b") if training else x

    graph = gx.trace(Sometimes(), SPEC)
    assert gx.explain(graph, "sometimes/reader", "mode") == (
        "sometimes/reader: not called here; it is called when training=True"
    )
    assert "mode=b, given here" in gx.explain(graph, "sometimes/reader", "mode", training=True)


def test_every_call_of_a_shared_layer() -> None:
    class Twice(Layer):
        def __init__(self) -> None:
            self.reader = Reader()

        def call(self, x: Any) -> Any:
            return self.reader(self.reader(x, mode="b"))

    graph = gx.trace(Twice(), SPEC)
    lines = gx.explain(graph, "twice/reader", "mode").split("\n")
    assert [line.split(":")[0] for line in lines] == ["twice/reader", "twice/reader#2"]
    assert "given here" in lines[0]
    assert "default" in lines[1]
    assert gx.explain(graph, "twice/reader#2", "mode") == lines[1]


def test_what_it_does_not_know() -> None:
    with pytest.raises(
        gx.ContextError, match="no layer call 'model/plane'; did you mean 'model/pl"
    ):
        gx.explain(GRAPH, "model/plane", "mode")
    with pytest.raises(
        gx.ContextError, match="model/plain: the layer does not read 'moda'; did yo"
    ):
        gx.explain(GRAPH, "model/plain", "moda")
    with pytest.raises(gx.ContextError, match="model/deep: the layer does not read 'mode'"):
        gx.explain(GRAPH, "model/deep", "mode")
    with pytest.raises(gx.ContextError, match="'mode' got 'z'"):
        gx.explain(GRAPH, "model/plain", "mode", mode="z")
