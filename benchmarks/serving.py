"""Serving: requests a second and latency, beside a bare endpoint and KServe; a soak.

Servers are processes of their own on the loopback interface and take turns; one process with a
thread for each connection is their client. The bare endpoint is what one writes in ten lines: raw
bytes in, `session.run` in the event loop, raw bytes out; neither parsed nor checked, and nothing
else is answered meanwhile. KServe is a row if `GRAPHCTX_KSERVE_PYTHON`, or this Python, has it.

    python -m benchmarks serving
    python -m benchmarks.serving --soak 600   # only the soak, for ten minutes
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import graphctx_onnx
import numpy as np

FEATURES, UNITS = 784, 128
ROUNDS, SECONDS = 7, 1.0
SOAK_SECONDS = 20.0
MEBIBYTE = 1 << 20

# Requests of the soak; all have an answer that is known.
CONTEXTS: tuple[dict[str, Any], ...] = (
    {},
    {"noise_scale": 0.25},
    {"noise_scale": -0.5},
    {"training": False, "intensity": "aggressive"},
    {"training": True, "intensity": "off"},
    {"training": True, "intensity": "normal", "seed": 3},
    {"training": True, "intensity": "aggressive", "seed": 3, "noise_scale": 0.125},
)


def run() -> list[dict[str, Any]]:
    """Rows: throughput and latency of one and eight clients, over REST and gRPC; a short soak."""
    with tempfile.TemporaryDirectory() as folder:
        path = write_bundle(Path(folder) / "mlp.bundle")
        return [*_throughput(path), _soak_row(path, SOAK_SECONDS)]


def _row(what: str, ours: str, peer: str, ratio: float, target: float | None) -> dict[str, Any]:
    return {"what": what, "ours": ours, "peer": peer, "ratio": ratio, "target": target}


def write_bundle(path: Path) -> Path:
    """A bundle of a multi-layer perceptron whose training draws, and whose noise is turned."""
    import graphctx as gx
    from graphctx import Context, Layer, nn, ops

    class Mlp(Layer):
        def __init__(self) -> None:
            self.hidden, self.norm, self.out = nn.Dense(UNITS), nn.BatchNorm(), nn.Dense(10)

        def call(
            self,
            x: Any,
            *,
            training: Context[bool] = False,
            intensity: Context[Literal["off", "normal", "aggressive"]] = "normal",
            noise_scale: Context[float] = 0.0,
        ) -> Any:
            hidden = ops.relu(self.norm(self.hidden(x + noise_scale)))
            if training and intensity != "off":
                hidden = ops.dropout(hidden, {"normal": 0.25, "aggressive": 0.5}[intensity])
            return self.out(hidden)

    with gx.seed(0):
        graph = gx.trace(Mlp(), gx.TensorSpec(("batch", FEATURES), name="x"))
    gx.export(graph, path, contexts="all", runtime=["noise_scale"], verify=False)
    return path


# -- throughput -----------------------------------------------------------------------------------


def _throughput(path: Path) -> Iterator[dict[str, Any]]:
    x = np.random.default_rng(0).standard_normal((1, FEATURES)).astype(np.float32)
    kserve = _kserve_python()
    with contextlib.ExitStack() as stack:
        contenders: dict[str, Callable[[], Callable[[], None]]] = {}
        for name, python in (("bare", sys.executable), ("ours", sys.executable),
                             ("kserve", kserve)):  # fmt: skip
            if python is None:
                continue
            places = stack.enter_context(_process(name, path, python))
            request = _http("infer", x.tobytes()) if name == "bare" else _protocol(x)
            contenders[name] = lambda port=places["http"], data=request: _http_client(port, data)
            if name == "ours":
                contenders["grpc"] = lambda port=places["grpc"]: _grpc_client(port, x)
        found: dict[tuple[str, int], list[tuple[float, list[float]]]] = {}
        for _ in range(ROUNDS):
            for clients in (1, 8):
                for name, connect in contenders.items():
                    found.setdefault((name, clients), []).append(_load(connect, clients))
    rate = {key: statistics.median(rate for rate, _ in turns) for key, turns in found.items()}
    for clients in (1, 8):
        ours, bare = rate["ours", clients], rate["bare", clients]
        text = "1 client" if clients == 1 else f"{clients} clients"
        yield _row(
            f"serving, {text}: time a request", f"{ours:,.0f} requests/s",
            f"bare endpoint {bare:,.0f}", bare / ours, 2.5,
        )  # fmt: skip
        rpc = rate["grpc", clients]
        yield _row(
            f"serving over gRPC, {text}: time a request", f"{rpc:,.0f} requests/s",
            f"REST {ours:,.0f}", ours / rpc, None,
        )  # fmt: skip
        if "kserve" in contenders:
            theirs = rate["kserve", clients]
            yield _row(
                f"serving, {text}: time a request", f"{ours:,.0f} requests/s",
                f"kserve {theirs:,.0f}", theirs / ours, 0.25,
            )  # fmt: skip
    for name, text in (("ours", "serving"), ("bare", "bare endpoint")):
        # Of one turn, the median one: a disturbed turn says nothing of the server.
        tails = sorted(_tail(times) for _, times in found[name, 8])
        ratio, p50, p99 = tails[len(tails) // 2]
        yield _row(
            f"{text}, 8 clients: p99 of the latency", f"{p99 * 1e3:.2f} ms",
            f"p50 {p50 * 1e3:.2f} ms", ratio, 3.0 if name == "ours" else None,
        )  # fmt: skip


def _tail(times: list[float]) -> tuple[float, float, float]:
    """(p99 / p50, p50, p99) of the latencies of one turn."""
    found = sorted(times)
    p50, p99 = found[len(found) // 2], found[len(found) * 99 // 100]
    return p99 / p50, p50, p99


def _kserve_python() -> str | None:
    if importlib.util.find_spec("kserve"):
        return sys.executable
    return os.environ.get("GRAPHCTX_KSERVE_PYTHON")


@contextlib.contextmanager
def _process(
    name: str, path: Path, python: str = sys.executable, rows: int = 1
) -> Iterator[dict[str, int]]:
    """A server process that merges up to some rows, if it is ours; yields its ports, and `pid`."""
    command = [python, "-m", "benchmarks.serving_peers", name, str(path), str(rows)]
    # Another Python has no graphctx installed.
    paths = [str(Path(graphctx_onnx.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        while line and not line.startswith("{"):
            line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the server {name!r} did not start")
        places = {**json.loads(line), "pid": process.pid}
        end = time.monotonic() + 60
        while not _listens(places["http"]):
            if time.monotonic() > end:
                raise RuntimeError(f"the server {name!r} does not listen")
            time.sleep(0.05)
        yield places
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def _http(page: str, body: bytes, headers: str = "") -> bytes:
    return (
        f"POST /v2/models/mlp/{page} HTTP/1.1\r\nhost: localhost\r\n"
        f"content-type: application/octet-stream\r\n{headers}content-length: {len(body)}\r\n\r\n"
    ).encode() + body


def _protocol(x: np.ndarray[Any, Any]) -> bytes:
    """A request of the protocol, with binary tensors."""
    head = json.dumps(
        {
            "id": "1",
            "inputs": [{
                "name": "x", "shape": list(x.shape), "datatype": "FP32",
                "parameters": {"binary_data_size": x.nbytes},
            }],
            "parameters": {"binary_data_output": True},
        }
    ).encode()  # fmt: skip
    length = f"inference-header-content-length: {len(head)}\r\n"
    return _http("infer", head + x.tobytes(), length)


def _http_client(port: int, request: bytes) -> Callable[[], None]:
    """A connection that sends one and the same request."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask() -> None:
        connection.sendall(request)
        data = connection.recv(65536)
        while True:
            head, found, body = data.partition(b"\r\n\r\n")
            if found:
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                if len(body) >= length:
                    break
            data += connection.recv(65536)
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(data.decode(errors="replace"))

    return ask


def _grpc_client(port: int, x: np.ndarray[Any, Any]) -> Callable[[], None]:
    import grpc
    from graphctx_onnx.server.messages import SERVICE, message

    # Each client has a connection of its own; gRPC would share one.
    channel = grpc.insecure_channel(
        f"127.0.0.1:{port}", options=[("grpc.use_local_subchannel_pool", 1)]
    )
    call = channel.unary_unary(f"/{SERVICE.full_name}/ModelInfer")
    request = message("ModelInferRequest")(
        model_name="mlp", raw_input_contents=[x.tobytes()],
        inputs=[{"name": "x", "datatype": "FP32", "shape": x.shape}],
    ).SerializeToString()  # fmt: skip
    return lambda: call(request)


def _load(connect: Callable[[], Callable[[], None]], clients: int) -> tuple[float, list[float]]:
    """(requests a second, seconds of each) of some clients that ask as fast as they can."""
    times: list[float] = []
    start = threading.Barrier(clients + 1)

    def client() -> None:
        try:
            ask = connect()
            for _ in range(20):
                ask()
        except BaseException:
            start.abort()
            raise
        start.wait()
        end = time.perf_counter() + SECONDS
        own = []
        begun = time.perf_counter()
        while begun < end:
            ask()
            done = time.perf_counter()
            own.append(done - begun)
            begun = done
        times.extend(own)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    start.wait()
    begun = time.perf_counter()
    for thread in threads:
        thread.join()
    return len(times) / (time.perf_counter() - begun), times


# -- soak -----------------------------------------------------------------------------------------


def _soak_row(path: Path, seconds: float) -> dict[str, Any]:
    found = soak(path, seconds)
    if found["wrong"]:
        raise RuntimeError(f"{found['wrong']} of {found['requests']} answers are wrong")
    return _row(
        f"soak, {seconds:.0f} s, 8 clients with mixed contexts, {found['requests']:,} requests, "
        f"all answers right: memory at the end",
        f"{found['after'] / MEBIBYTE:.1f} MiB", f"after a fifth {found['before'] / MEBIBYTE:.1f}",
        found["after"] / found["before"], 1.05,
    )  # fmt: skip


def soak(path: Path, seconds: float) -> dict[str, int]:
    """Eight clients mix contexts over REST and gRPC against a server that merges requests.

    Returns:
        `requests`, `wrong` among them, and the server's memory (bytes, resident) `before`, after a
        fifth of the time, and `after`.
    """
    from graphctx_onnx import Bundle

    bundle = Bundle.load(path, threads=1)
    generator = np.random.default_rng(0)
    cases = []
    for rows in (1, 2, 5):
        for context in CONTEXTS:
            x = generator.standard_normal((rows, FEATURES)).astype(np.float32)
            chosen = {name: value for name, value in context.items() if name != "seed"}
            expected = bundle.run({"x": x}, seed=context.get("seed"), context=chosen)["output"]
            cases.append((context, x, expected))
    counts = {"requests": 0, "wrong": 0}
    lock = threading.Lock()
    end = time.perf_counter() + seconds
    with _process("ours", path, rows=32) as places:
        threads = [
            threading.Thread(target=_soaking, args=(number, places, cases, end, counts, lock))
            for number in range(8)
        ]
        for thread in threads:
            thread.start()
        time.sleep(seconds / 5)
        before = _memory(places["pid"])
        for thread in threads:
            thread.join()
        after = _memory(places["pid"])
    return {**counts, "before": before, "after": after}


def _soaking(
    number: int,
    places: Mapping[str, int],
    cases: Any,
    end: float,
    counts: dict[str, int],
    lock: Any,
) -> None:
    """One client of the soak, every other one over gRPC."""
    import tritonclient.grpc
    import tritonclient.http

    over_grpc = bool(number % 2)
    module = tritonclient.grpc if over_grpc else tritonclient.http
    client = module.InferenceServerClient(f"127.0.0.1:{places['grpc' if over_grpc else 'http']}")
    generator = np.random.default_rng(number)
    requests = wrong = 0
    while time.perf_counter() < end:
        context, x, expected = cases[generator.integers(len(cases))]
        tensor = module.InferInput("x", list(x.shape), "FP32")
        tensor.set_data_from_numpy(x)
        answer = client.infer("mlp", [tensor], parameters=context or None)
        requests += 1
        wrong += not np.allclose(answer.as_numpy("output"), expected, rtol=1e-4, atol=1e-5)
    client.close()
    with lock:
        counts["requests"] += requests
        counts["wrong"] += wrong


def _memory(pid: int) -> int:
    """Bytes of a process that are in memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--soak", type=float, default=SOAK_SECONDS, metavar="SECONDS")
    with tempfile.TemporaryDirectory() as name:
        print(json.dumps(_soak_row(write_bundle(Path(name) / "mlp.bundle"),
                                   parser.parse_args().soak), indent=1))  # fmt: skip
