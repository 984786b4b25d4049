"""`trace`, `contexts`, `explain`, `summary`."""

import json

from .conftest import Run


def test_trace_prints_the_canonical_text(run: Run) -> None:
    lines = run("trace", "models.py").stdout.splitlines()
    assert lines[0] == (
        "graph net (x: float32[batch, 4])  contexts (training: bool = False, "
        "mode: half|same|double = same, gain: float = 1.0)"
    )
    assert any("select training" in line for line in lines)
    assert lines[-1].startswith("  return %")


def test_trace_specializes_for_what_is_given(run: Run) -> None:
    text = run("trace", "models.py", "-c", "training=true", "-c", "mode=double").stdout
    assert "contexts (gain: float = 1.0)" in text
    assert "select" not in text


def test_trace_shows_the_optimized_program(run: Run) -> None:
    text = run("trace", "models.py", "--optimize").stdout
    assert text == (
        "graph net (x: float32[batch, 4])\n"
        "  %1 = Gemm(x, @net/dense/kernel, @net/dense/bias)  # net/dense\n"
        "  return %1\n"
    )


def test_trace_counts(run: Run) -> None:
    text = run("trace", "models.py", "--stats").stdout
    assert "parameters" in text
    assert "Gemm" in text
    found = json.loads(run("trace", "models.py", "--stats", "--json").stdout)
    assert found["parameters"] == 15
    assert found["by operator"]["Gemm"] == 1
    assert found["context arguments"] == 3
    assert found["assignments"] is None  # a float has no end of them


def test_trace_as_json(run: Run) -> None:
    found = json.loads(run("trace", "models.py", "--json").stdout)
    assert found["inputs"] == [{"name": "x", "dtype": "float32", "shape": ["batch", 4]}]
    ids = {node["id"] for node in found["nodes"]}
    operands = [o["node"] for node in found["nodes"] for o in node["operands"] if o]
    assert set(operands) <= ids
    assert found["outcome"]["kind"] == "return"
    assert [call["path"] for call in found["calls"]] == ["net", "net/dense", "net/scale"]


def test_outcomes_of_every_kind_as_json(run: Run) -> None:
    arguments = ["trace", "models.py:named", "--json", "--domain", "style=loud"]
    assert json.loads(run(*arguments).stdout)["outcome"]["kind"] == "return"


def test_contexts_as_a_table(run: Run) -> None:
    lines = run("contexts", "models.py").stdout.splitlines()
    assert lines[0].strip() == "context of net"
    rows = {line.split()[0]: line for line in lines if "net/scale" in line}
    assert "False | True" in rows["training"]
    assert "half | same | double" in rows["mode"]
    assert "any" in rows["gain"]


def test_contexts_lists_the_classes(run: Run) -> None:
    lines = run("contexts", "models.py").stdout.splitlines()
    start = next(i for i, line in enumerate(lines) if "6 assignments -> 4 programs" in line)
    assert [line.split()[0] for line in lines[start:] if "training=" in line] == [
        "training=False", "training=True", "training=True", "training=True",
    ]  # fmt: skip


def test_contexts_as_json(run: Run) -> None:
    data = json.loads(run("contexts", "models.py", "--json").stdout)
    assert (data["assignments"], data["programs"]) == (6, 4)
    assert data["classes"][-1] == {
        "condition": "training=True & mode=double",
        "assignment": {"training": True, "mode": "double"},
        "assignments": 1,
        "dead": [],
    }
    found = {entry["name"]: entry for entry in data["arguments"]}
    assert found["mode"] == {
        "name": "mode",
        "type": "literal",
        "values": ["half", "same", "double"],
        "default": "same",
        "required": False,
        "consumers": [{"path": "net/scale", "default": "same"}],
    }


def test_a_model_without_context(run: Run) -> None:
    assert run("contexts", "models.py:noisy").stdout == "noisy reads no context arguments\n"
    assert json.loads(run("contexts", "models.py:noisy", "--json").stdout)["arguments"] == []


def test_explain(run: Run) -> None:
    text = run("explain", "models.py", "net/scale", "mode").stdout
    assert text.startswith("net/scale: mode=same, the default in the signature of Scale.call")
    text = run("explain", "models.py", "net/scale", "mode", "-c", "mode=half", "--json").stdout
    assert json.loads(text)["explanations"] == [
        "net/scale: mode=half, inherited from the call of net, to which you give it"
    ]


def test_explain_of_an_unknown_path(run: Run) -> None:
    result = run("explain", "models.py", "net/scal", "mode", code=1)
    assert "no layer call 'net/scal'; did you mean 'net/scale'?" in result.stderr
    assert result.stdout == ""


def test_summary(run: Run) -> None:
    text = run("summary", "models.py", "-c", "training=true").stdout
    assert "multiply-adds" in text
    found = json.loads(run("summary", "models.py", "--json").stdout)
    assert found["parameters"] == 15
    assert found["rows"][0]["op"] == "Gemm"
    assert found["rows"][0]["shape"] == ["batch", 3]
