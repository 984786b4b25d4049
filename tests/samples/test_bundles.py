"""The samples about bundles: what they show is so."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from graphctx_onnx import Bundle

import graphctx as gx
from tests.samples.test_scenarios import PIXELS, SAMPLES, load


@pytest.fixture
def shown(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> tuple[Any, str, Path]:
    """A page that has run: the module, what it printed, and the folder it ran in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(SAMPLES)  # pages share models, as they do when one is run
    monkeypatch.setenv("COLUMNS", "120")
    for name in ("dropout_intensity", "distillation"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    module = load(request.param)
    module.main()
    return module, capsys.readouterr().out, tmp_path


def page(name: str) -> Any:
    return pytest.mark.parametrize("shown", [name], indirect=True)


@page("dropout_bundle")
def test_one_bundle_has_every_kind_of_dropout(shown: tuple[Any, str, Path]) -> None:
    sample, text, folder = shown
    import dropout_intensity

    bundle = Bundle.load(folder / "dropout.bundle")
    assert "12 assignments -> 3 programs; 1." in text
    assert len(bundle.classes) == 3
    programs = {what: bundle.resolve(context)[0] for what, context in sample.CONTEXTS.items()}
    assert programs["Monte Carlo dropout"] == programs["training"]
    assert len(set(programs.values())) == 3
    for context in sample.CONTEXTS.values():
        graph = gx.trace(dropout_intensity.model, dropout_intensity.input_specs)
        expected = gx.compile(graph, context)(PIXELS, seed=3)
        [found] = bundle.run({"pixels": PIXELS}, context=context, seed=3).values()
        np.testing.assert_allclose(found, expected, atol=1e-4)
    single = (folder / "inference.onnx").stat().st_size
    weights = sum(w.numpy().nbytes for w in dropout_intensity.model.weights.values())
    whole = sum(file.stat().st_size for file in folder.glob("dropout.bundle/**/*.*"))
    assert whole - single < 0.4 * weights  # three programs, and not three copies of the weights
    assert "context argument 'monte_carlo' got 'yes'; allowed: False, True" in text


@page("distillation_bundle")
def test_teacher_and_student_share_the_encoder(shown: tuple[Any, str, Path]) -> None:
    _, text, folder = shown
    import distillation

    separate, stored = map(int, re.findall(r"(\d+) KiB(?: of weights|: the encoder once)", text))
    weights = distillation.model.weights.items()
    encoder = sum(weight.numpy().nbytes for path, weight in weights if "embedding" in path)
    assert separate - stored == pytest.approx(encoder / 1024, abs=1)
    [data] = folder.glob("distillation.bundle/**/*.bin")
    assert data.stat().st_size < 1024 * stored * 1.02
    assert "'knowledge_distillation_role' has no default; give it a value" in text
