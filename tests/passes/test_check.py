"""The invariants: each broken once, by hand."""

import numpy as np
import pytest

from graphctx.errors import GraphctxError
from graphctx.graph import Node, Returns, Value
from graphctx.passes import check
from graphctx.spec import Dim
from graphctx.tree import LEAF
from tests.passes.graphs import graph_of


def chain():
    def function(g, x):
        with g.at("block/dense"):
            return g.op("Exp", g.op("Neg", x))

    return graph_of(function, ("batch", 4))


def test_a_graph_that_is_well_formed_comes_back():
    graph = chain()
    assert check(graph) is graph


def test_order():
    graph = chain()
    x, negated, exp = graph.nodes
    with pytest.raises(GraphctxError, match=r"op %2 Neg is an operand of op %1 Exp but does not"):
        check(graph.replace(nodes=(x, exp, negated)))


def test_missing_operand():
    graph = chain()
    with pytest.raises(GraphctxError, match=r"^the node input x is an operand of op %1 Neg"):
        check(graph.replace(nodes=graph.nodes[1:]))


def test_missing_output():
    graph = chain()
    with pytest.raises(GraphctxError, match=r"^block/dense: .*Exp is part of the outcome but"):
        check(graph.replace(nodes=graph.nodes[:-1]))


def test_a_node_twice():
    graph = chain()
    with pytest.raises(GraphctxError, match=r"Exp stands in the graph twice"):
        check(graph.replace(nodes=(*graph.nodes, graph.nodes[-1])))


@pytest.mark.parametrize(
    ("shape", "dtype", "text"),
    [
        ((Dim("batch"), 5), np.dtype("float32"), r"float32\[batch, 5\]"),
        ((Dim("time"), 4), np.dtype("float32"), r"float32\[time, 4\]"),
        ((Dim("batch"), 4), np.dtype("float64"), r"float64\[batch, 4\]"),
    ],
)
def test_shape_and_dtype_are_inferred_again(shape, dtype, text):
    graph = chain()
    output = graph.nodes[-1].output
    output.shape, output.dtype = shape, dtype
    with pytest.raises(
        GraphctxError,
        match=rf"Exp is recorded as {text}, but inference gives float32\[batch, 4\]",
    ):
        check(graph)


def test_known_elements_are_inferred_again():
    graph = graph_of(lambda g, x: g.op("Shape", x), ("batch", 4))
    graph.nodes[-1].output.dims = (Dim("batch"), 5)
    with pytest.raises(GraphctxError, match=r"has the elements .*5\), but inference gives .*4\)"):
        check(graph)


def test_inference_that_fails_names_the_node():
    graph = graph_of(lambda g, x, y: g.op("Add", x, y), ("batch", 4), ("batch", 4))
    y = graph.inputs[1]
    y.shape = (Dim("batch"), 5)
    with pytest.raises(GraphctxError, match=r"Add does not pass inference: Add\("):
        check(graph)


def test_arms_of_a_select():
    graph = graph_of(
        lambda g, x: g.select("training", {False: x, True: g.op("Neg", x)}), ("batch", 4)
    )
    check(graph)
    negated = next(node for node in graph.nodes if node.name == "Neg")
    negated.output.dtype = negated.op = None
    with pytest.raises(GraphctxError, match=r"Neg has no operator record"):
        check(graph)


def test_a_context_argument_that_is_not_open():
    graph = graph_of(
        lambda g, x: g.select("training", {False: x, True: g.op("Neg", x)}), ("batch", 4)
    )
    from graphctx.graph import Contexts

    with pytest.raises(GraphctxError, match=r"context context:training .* does not list"):
        check(graph.replace(contexts=Contexts({})))


def test_two_weights_of_one_name():
    graph = graph_of(
        lambda g, x: (g.weight("w", np.ones(2)), g.weight("w", np.zeros(2))), ("batch", 4)
    )
    with pytest.raises(GraphctxError, match=r"weight weight:w w has the id of another node"):
        check(graph)


def test_a_constant_that_can_be_written_to():
    array = np.ones(3, np.float32)
    node = Node("constant", "constant", data=array)
    node.outputs = (Value(node, 0, (3,), np.dtype("float32")),)
    graph = chain().replace(nodes=(node,), inputs=(), outcome=Returns(LEAF, (node.output,)))
    with pytest.raises(GraphctxError, match="can be written to"):
        check(graph)
    array.flags.writeable = False
    check(graph)
    node.output.shape = (4,)
    with pytest.raises(GraphctxError, match="another shape or dtype"):
        check(graph)


def test_an_input_that_nothing_takes_may_be_missing():
    graph = graph_of(lambda g, x, y: g.op("Neg", x), ("batch", 4), ())
    x, _, negated = graph.nodes
    check(graph.replace(nodes=(x, negated)))
    with pytest.raises(GraphctxError, match="is listed as an input"):
        check(graph.replace(inputs=(negated.output,)))
