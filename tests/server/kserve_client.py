"""Asks a server with KServe's client: `python -m tests.server.kserve_client URL MODEL < x.json`.

Prints the outputs of a request in JSON, and of the same in raw bytes.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig


async def ask(url: str, model: str, x: np.ndarray[Any, Any]) -> list[dict[str, Any]]:
    """The outputs of both requests, by name."""
    client = InferenceRESTClient(RESTConfig(protocol="v2", timeout=20))
    assert await client.is_server_live(url)
    assert await client.is_server_ready(url)
    assert await client.is_model_ready(url, model)
    found = []
    for binary in (False, True):
        tensor = InferInput("x", list(x.shape), "FP32")
        tensor.set_data_from_numpy(x, binary_data=binary)
        request = InferRequest(
            model_name=model, infer_inputs=[tensor],
            parameters={"steps": 2, "noise_scale": 0.5, "mc": False, "binary_data_output": binary},
        )  # fmt: skip
        response = await client.infer(url, request, model_name=model)
        found.append({output.name: output.as_numpy().tolist() for output in response.outputs})
    await client.close()
    return found


if __name__ == "__main__":
    rows = np.array(json.load(sys.stdin), np.float32)
    print(json.dumps(asyncio.run(ask(sys.argv[1], sys.argv[2], rows))))
