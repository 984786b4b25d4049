"""Request parameters: sorted, checked, and never dropped."""

from __future__ import annotations

import math
from typing import Any

import pytest
from graphctx_onnx.server.parameters import Parameters, Read
from graphctx_onnx.server.protocol import RequestError, Status

from tests.server.standin import argument

ARGUMENTS = [
    argument("training", "bool", default=False),
    argument("mode", "string", ("off", "low"), "off"),
    argument("scale", "float", default=0.0, binding="runtime"),
    argument("level", "int", (1, 2, 4), required=True),
    argument("any", "mixed", (1, "1", True), 1),
    argument("timeout", "int", default=1, binding="runtime"),
]
PARAMETERS = Parameters({a.name: a for a in ARGUMENTS})


def test_values_of_each_type() -> None:
    given = {"training": True, "mode": "low", "scale": 0.5, "level": 2, "any": "1"}
    assert PARAMETERS.read(given) == Read(given)
    assert PARAMETERS.read({"scale": 2}).context == {"scale": 2}  # JSON has one kind of number
    assert math.isnan(PARAMETERS.read({"scale": math.nan}).context["scale"])  # the bundle refuses


def test_the_prefix_is_for_names_that_a_client_or_the_protocol_keeps() -> None:
    found = PARAMETERS.read({"context.timeout": 3, "timeout": 1_500_000, "context.mode": "low"})
    assert found == Read({"timeout": 3, "mode": "low"}, timeout=1.5)
    assert PARAMETERS.parameter("timeout") == "context.timeout"
    assert PARAMETERS.parameter("mode") == "mode"


def test_what_every_model_has() -> None:
    found = PARAMETERS.read({"seed": 2**63 - 1, "binary_data_output": False, "timeout": 0})
    assert found == Read({}, seed=2**63 - 1, binary=False, timeout=None)


def test_names_that_are_no_arguments_are_for_the_bundle_to_judge() -> None:
    assert PARAMETERS.read({"other": 1, "context.more": "x"}).context == {"other": 1, "more": "x"}


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"training": None}, "the parameter 'training' has no value; expected a bool"),
        ({"other": None}, "the parameter 'other' has no value; expected a bool, a number or"),
        ({"seed": None}, "the parameter 'seed' has no value; expected an integer in"),
        ({"training": 1}, r"'training' is an integer \(1\); expected a bool"),
        ({"training": "true"}, r"'training' is a string \('true'\); expected a bool"),
        ({"mode": 1}, r"'mode' is an integer \(1\); expected one of 'off', 'low'"),
        ({"mode": ["off"]}, r"'mode' is a list \(\['off'\]\); expected one of 'off', 'low'"),
        ({"mode": {"a": 1}}, r"'mode' is an object"),
        ({"scale": "0.5"}, r"'scale' is a string \('0.5'\); expected a number"),
        ({"scale": True}, r"'scale' is a bool \(True\); expected a number"),
        ({"level": 2.0}, r"'level' is a float \(2.0\); expected one of 1, 2, 4, required"),
        ({"level": True}, r"'level' is a bool \(True\)"),
        ({"any": None}, "'any' has no value"),
        ({"other": [1]}, r"'other' is a list \(\[1\]\); expected a bool, a number or a string"),
        ({"seed": -1}, r"'seed' is an integer \(-1\); expected an integer in \[0, 2\*\*63\)"),
        ({"seed": 1 << 63}, "expected an integer in"),
        ({"seed": 1.0}, "'seed' is a float"),
        ({"seed": True}, "'seed' is a bool"),
        ({"timeout": 0.5}, "'timeout' is a float .*expected an integer: microseconds"),
        ({"binary_data_output": 1}, "'binary_data_output' is an integer .*expected a bool"),
        ({"mode": "off", "context.mode": "off"}, "'mode' is given twice: as 'mode' and as 'con"),
    ],
)
def test_what_is_refused(given: dict[str, Any], text: str) -> None:
    with pytest.raises(RequestError, match=text) as caught:
        PARAMETERS.read(given)
    assert caught.value.status is Status.INVALID


def test_advice_names_all() -> None:
    assert PARAMETERS.advice() == (
        "parameters: training (a bool), mode (one of 'off', 'low'), scale (a number), "
        "level (one of 1, 2, 4, required), any (one of 1, '1', True), "
        "context.timeout (an integer), seed, timeout, binary_data_output"
    )
