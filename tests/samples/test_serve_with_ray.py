"""The server as a deployment of Ray Serve answers as it does alone. Needs `ray[serve]`."""

from __future__ import annotations

import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from graphctx_onnx import Bundle

import graphctx as gx
from tests.samples.test_scenarios import SAMPLES, load

SECONDS = 120


def require(*names: str) -> None:
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError as error:
            pytest.skip(f"NOT TESTED: {error}; pip install 'graphctx[serve]' 'ray[serve]'")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def ask(url: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(url, data, timeout=10) as answer:
        return json.loads(answer.read())


@pytest.mark.filterwarnings("ignore")
def test_answers_are_those_of_the_bundle(tmp_path: Path) -> None:
    require("starlette", "graphctx_onnx.server", "ray", "ray.serve")
    model = load("first_model")
    with gx.seed(0):
        graph = gx.trace(model.model, model.input_specs)
    gx.export(graph, tmp_path / "first.bundle", verify=False)
    port = free_port()
    log = (tmp_path / "log").open("w+")
    process = subprocess.Popen(
        [sys.executable, SAMPLES / "serve_with_ray.py", "first.bundle", f"--port={port}"],
        cwd=tmp_path, stdout=log, stderr=log,
        env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0"},
    )  # fmt: skip
    try:
        url = f"http://127.0.0.1:{port}/v2"
        ends = time.monotonic() + SECONDS
        while True:
            try:
                ask(f"{url}/health/ready")
                break
            except (OSError, urllib.error.URLError):
                assert process.poll() is None, (log.seek(0), log.read())[1]
                assert time.monotonic() < ends, "the server was not ready in time"
                time.sleep(0.5)
        x = np.random.default_rng(0).standard_normal((2, 64)).astype(np.float32)
        context = {"training": True, "intensity": "aggressive"}
        tensor = {"name": "x", "shape": [2, 64], "datatype": "FP32", "data": x.ravel().tolist()}
        answer = ask(
            f"{url}/models/first/infer", {"inputs": [tensor], "parameters": {**context, "seed": 3}}
        )
        [output] = answer["outputs"]
        expected = Bundle.load(tmp_path / "first.bundle").run({"x": x}, seed=3, **context)
        np.testing.assert_allclose(
            np.reshape(output["data"], output["shape"]), expected["output"], rtol=1e-5, atol=1e-6
        )
        with pytest.raises(urllib.error.HTTPError) as refused:
            ask(
                f"{url}/models/first/infer",
                {"inputs": [tensor], "parameters": {"intensity": "loud"}},
            )
        assert refused.value.code == 400
        assert b"intensity" in refused.value.read()
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.close()
