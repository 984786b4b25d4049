"""Finding the model, its inputs and its context."""

import json
from pathlib import Path

import numpy as np
import pytest

from graphctx.cli.failure import UsageError
from graphctx.cli.models import find_model, load, parse_spec
from graphctx.spec import TensorSpec

from .conftest import Run


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("x=float32[batch,64]", TensorSpec(("batch", 64), "float32", "x")),
        ("x: float32[batch, 64]", TensorSpec(("batch", 64), "float32", "x")),
        ("int64[n]", TensorSpec(("n",), "int64")),
        ("float64", TensorSpec((), "float64")),
        ("flag=bool[]", TensorSpec((), "bool", "flag")),
        ("words=str[3]", TensorSpec((3,), "str", "words")),
    ],
)
def test_input_specs_are_read(text: str, spec: TensorSpec) -> None:
    assert parse_spec(text) == spec


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x=float32[batch", r"an input is written 'x=float32\[batch,64\]'"),
        ("x=", "an input is written"),
        ("x=floot32[2]", "'floot32' is not a dtype"),
        ("x=float32[a-b]", "named like a Python identifier, got 'a-b'"),
    ],
)
def test_bad_input_specs(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_spec(text)


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("models.py", "net"),
        ("models.py:model", "net"),
        ("./models.py:Net", "net"),
        ("models:model", "net"),
        ("models:holder.inner", "net"),
        ("models:functional", "model"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_models_are_found(reference: str, name: str) -> None:
    model, _ = find_model(reference)
    assert model.name == name


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("nope.py", "no file 'nope.py'"),
        ("nope.module:model", "no module 'nope.module' is installed or in this folder"),
        ("models.py:modle", "models.py has no 'modle'; did you mean 'model'"),
        ("models.py:ops", "models.py:ops is not a model: .* got module"),
        ("models.py:needs_arguments", "models.py:needs_arguments needs the arguments units"),
        ("models.py:not a name", "named file.py:name or module:name"),
        ("..models:model", "named file.py:name or module:name"),
        ("no-module", "named file.py:name or module:name"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_models_that_are_not_there(reference: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        find_model(reference)


def test_a_bundle_is_no_model(folder: Path) -> None:
    (folder / "net.bundle").mkdir()
    (folder / "net.bundle" / "manifest.json").write_text("{}")
    with pytest.raises(UsageError, match=r"'net.bundle' is a bundle: look at it with `graphctx b"):
        find_model("net.bundle")


def test_a_forgotten_suffix_is_pointed_out(folder: Path) -> None:
    (folder / "deep").mkdir()
    (folder / "deep" / "page.py").write_text("")
    with pytest.raises(UsageError, match=r"no file 'deep/page'; did you mean 'deep/page.py'\?"):
        find_model("deep/page:model")


def test_a_file_can_import_its_neighbours(folder: Path) -> None:
    (folder / "deep").mkdir()
    (folder / "deep" / "neighbour.py").write_text("from graphctx import nn\nlayer = nn.Dense(2)\n")
    (folder / "deep" / "main.py").write_text("from neighbour import layer as model\n")
    assert find_model("deep/main.py")[0].name == "dense"


@pytest.mark.usefixtures("folder")
def test_inputs_come_from_the_option_the_model_or_its_file() -> None:
    assert load("models.py").graph.inputs[0].node.name == "x"
    assert load("models.py:functional").graph.inputs[0].node.name == "features"
    given = load("models.py", inputs=["rows=float64[7,4]"]).graph.inputs[0]
    assert given.node.name == "rows"
    assert str(given.spec) == "float64[7, 4]"


@pytest.mark.usefixtures("folder")
def test_inputs_go_to_the_parameters_they_name() -> None:
    graph = load("models.py:pair", inputs=["right=float32[2]", "float32[2]"]).graph
    assert [value.node.name for value in graph.inputs] == ["left", "right"]


@pytest.mark.parametrize(
    ("model", "inputs", "message"),
    [
        ("pair", None, "call takes left, right, and 1 inputs are given; say what right is"),
        ("model", ["float32[4]", "float32[4]"], "call takes x, and 2 inputs are given"),
        ("pair", ["left=float32[2]", "left=float32[2]"], "--input gives 'left' twice"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_wrong_number_of_inputs(model: str, inputs: list[str] | None, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load(f"models.py:{model}", inputs=inputs)


def test_inputs_that_nobody_states(folder: Path, run: Run) -> None:
    (folder / "bare.py").write_text("from graphctx import nn\nmodel = nn.Dense(2)\n")
    result = run("trace", "bare.py", code=2)
    assert "the inputs of bare.py are not known (its call takes x)" in result.stderr
    assert "--input 'x=float32[batch,64]'" in result.stderr


@pytest.mark.usefixtures("folder")
def test_context_is_read_with_the_domain_of_the_argument() -> None:
    traced = load("models.py", context=["training=true", "mode=double", "gain=2"])
    assert traced.context == {"training": True, "mode": "double", "gain": 2.0}
    assert type(traced.context["gain"]) is float


@pytest.mark.usefixtures("folder")
def test_a_value_of_an_opaque_argument_is_traced() -> None:
    x = np.ones((1, 4), "float32")
    loud = load("models.py:named", context=["style=loud"]).program()
    plain = load("models.py:named", context=["style=plain"], domains=["style=loud"]).program()
    assert loud(x)[0, 0] == 2
    assert plain(x)[0, 0] == 1


def test_opaque_arguments_can_be_named(run: Run) -> None:
    result = run("trace", "models.py:named", code=1)
    assert "context argument 'style' is opaque" in result.stderr
    assert "note: here the values are named with --domain name=value" in result.stderr
    found = json.loads(
        run(
            "contexts", "models.py:named", "--json", "--domain", "style=loud",
            "--domain", "style=plain",
        ).stdout
    )  # fmt: skip
    assert found["arguments"][0]["values"] == ["loud", "plain"]
    assert found["arguments"][0]["required"]


@pytest.mark.usefixtures("folder")
def test_initial_weights_are_the_same_in_every_command() -> None:
    first, second = (load("models.py").model.weights for _ in range(2))
    for path, variable in first.items():
        np.testing.assert_array_equal(variable.numpy(), second[path].numpy())
