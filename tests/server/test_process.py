"""A server process: how it starts, what it says, how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import tritonclient.grpc
import tritonclient.http
from graphctx_onnx import Bundle
from graphctx_onnx.server import Address, Options, StartError
from graphctx_onnx.server.process import serve_until
from graphctx_onnx.server.service import Service
from typer.testing import CliRunner

from graphctx.cli import app
from tests.server.common import MODEL, infer, serving, tensor
from tests.server.models import inputs
from tests.server.standin import contextual

TOKEN = "0123456789abcdef"


# The command, where neither the exporter's libraries nor networkx are installed.
MAIN = """
import sys
sys.modules.update(onnx=None, networkx=None)
from graphctx.cli import main
main()
"""


class Process:
    """`graphctx serve`, with free ports.

    Attributes:
        line: what it printed when it listened.
        http: where REST is.
        grpc: port of gRPC.
    """

    def __init__(self, *arguments: str, **environment: str) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, "-c", MAIN, "serve", *arguments, "--http-port", "0",
             "--grpc-port", "0"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
        )  # fmt: skip
        assert self.popen.stdout is not None
        self.line = self.popen.stdout.readline()
        found = re.search(r"(http://[\d.]+:\d+)/v2/models/\w+ and grpc://[\d.]+:(\d+)", self.line)
        if found is None:
            self.popen.kill()
            pytest.fail(f"{self.line}{self.popen.communicate()[1]}")
        self.http, self.grpc = found[1], int(found[2])

    def ask(self, path: str, body: Any = None, token: str | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        request = urllib.request.Request(self.http + path, data, headers)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)

    def end(self, number: int = signal.SIGTERM) -> tuple[int, list[dict[str, Any]]]:
        """(exit code, the log)."""
        self.popen.send_signal(number)
        _, log = self.popen.communicate(timeout=30)
        return self.popen.returncode, [json.loads(line) for line in log.splitlines()]


REQUEST = {"id": "secret-free", "inputs": [tensor("x", [1, 8], inputs(1).tolist())]}


def test_what_was_taken_is_answered_after_sigterm(bundle_path: Path) -> None:
    server = Process(str(bundle_path), "--batch", "64", "--batch-delay", "20000", "--log-requests")
    assert server.line.endswith("; Ctrl-C stops\n")
    assert server.line.startswith("digits: http://127.0.0.1:")
    answers: list[Any] = []

    def rest() -> None:
        answers.append(server.ask("/v2/models/digits/infer", REQUEST)["id"])

    def rpc() -> None:
        client = tritonclient.grpc.InferenceServerClient(f"127.0.0.1:{server.grpc}")
        x = tritonclient.grpc.InferInput("x", [1, 8], "FP32")
        x.set_data_from_numpy(inputs(1))
        answers.append(client.infer("digits", [x], request_id="rpc").get_response().id)

    threads = [threading.Thread(target=rest) for _ in range(3)]
    threads += [threading.Thread(target=rpc) for _ in range(2)]
    for thread in threads:
        thread.start()
    waiting = 'graphctx_queue_requests{model="digits"} 5.0'
    for _ in range(2000):
        with urllib.request.urlopen(f"{server.http}/metrics", timeout=20) as found:
            if waiting in found.read().decode():
                break
    assert not answers  # they wait for others to be merged with
    code, log = server.end()
    for thread in threads:
        thread.join()
    assert code == 0
    assert sorted(answers) == ["rpc", "rpc", "secret-free", "secret-free", "secret-free"]
    events = [line["event"] for line in log]
    assert events[:2] == ["listening", "stopping"]
    assert events[-1] == "stopped"
    assert events.count("request") == 5
    assert [line["requests"] for line in log if line["event"] == "stopping"] == [5]
    with pytest.raises(urllib.error.URLError):
        server.ask("/v2/health/live")


def test_a_process_with_a_token_ends_with_ctrl_c(bundle_path: Path) -> None:
    server = Process(str(bundle_path), "--name", "other", GRAPHCTX_TOKEN=TOKEN)
    assert server.ask("/v2/health/ready") == {"live": True, "ready": True}
    with pytest.raises(urllib.error.HTTPError, match="401") as caught:
        server.ask("/v2/models/other")
    caught.value.close()
    assert server.ask("/v2/models/other", token=TOKEN)["name"] == "other"
    code, log = server.end(signal.SIGINT)
    assert code == 0
    assert [line["event"] for line in log] == ["listening", "stopping", "stopped"]
    assert TOKEN not in json.dumps(log)


# -- what cannot start ----------------------------------------------------------------------------


def serve(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["serve", *arguments])
    return result.exit_code, " ".join(result.output.split())


def test_commands_that_cannot_start(bundle_path: Path, tmp_path: Path) -> None:
    bundle = str(bundle_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for arguments, text in (
            ([str(tmp_path)], "not a bundle: it has no manifest.json"),
            ([bundle, "--http-port", port], f"cannot listen on 127.0.0.1:{port}: Address already"),
            ([bundle, "--http-port", "-1", "--grpc-port", "-1"], "there is nothing to serve"),
            ([bundle, "--http-port", "-1", "--grpc-port", port], "gRPC cannot bind it"),
            ([bundle, "--http-port", "99999"], "a port is a number from 0 to 65535, got 99999"),
            ([bundle, "--host", "example.org"], "the host is an IP address such as 127.0.0.1"),
            ([bundle, "--tls-cert", "a.pem"], "TLS needs both, a certificate and its private key"),
            ([bundle, "--tls-cert", "a.pem", "--tls-key", "b.pem"], "a.pem and its key b.pem cann"),
            ([bundle, "--batch", "0"], "batch is an integer from 1 on, got 0"),
            ([bundle, "--sharing", "some"], "sharing is one of 'auto', 'shared', 'prepacked'"),
            ([bundle, "--log-level", "loud"], "the log level is one of debug, info, warning"),
            ([bundle, "--name", "a/b"], "the name of a model is part of a path"),
            ([bundle, "--name", ""], "the name of a model is part of a path"),
        ):
            code, output = serve(*arguments)
            assert (code, text in output) == (1, True), output
    code, output = serve(bundle, "--token-file", str(tmp_path / "none"))
    assert code == 2
    assert "--token-file" in output


def test_an_empty_token_is_not_no_token(
    bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("\n")
    code, output = serve(str(bundle_path), "--token-file", str(tmp_path / "token"))
    assert code == 2
    assert "token is empty; a token has 16 characters or more" in output
    monkeypatch.setenv("GRAPHCTX_TOKEN", "")
    code, output = serve(str(bundle_path))
    assert code == 2
    assert "the variable GRAPHCTX_TOKEN is empty; a token has 16 characters or more" in output


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"http_port": None, "grpc_port": None}, "there is nothing to serve"),
        ({"grace": -1.0}, "grace 0 seconds or more"),
        ({"connections": 0}, "connections are 1 or more"),
        ({"token": "short"}, "16 characters or more"),
    ],
)
def test_options_that_make_no_sense(options: Any, text: str) -> None:
    with pytest.raises(StartError, match=text):
        Options(**options)


def test_a_token_is_not_printed() -> None:
    assert TOKEN not in repr(Options(token=TOKEN))


def test_addresses() -> None:
    assert str(Address("http", "::1", 80)) == "http://[::1]:80"
    assert Options().host == "127.0.0.1"


# -- in this process ------------------------------------------------------------------------------


@contextlib.contextmanager
def one_transport(**options: Any) -> Iterator[tuple[Address, ...]]:
    """A server for one event loop, without signals."""
    places: list[tuple[Address, ...]] = []
    begun = threading.Event()
    holder: list[Any] = []

    async def main() -> None:
        stop = asyncio.Event()
        holder.extend([asyncio.get_running_loop(), stop])
        service = Service(contextual(), name=MODEL)

        def listening(_: str, addresses: tuple[Address, ...]) -> None:
            places.append(addresses)
            begun.set()

        await serve_until(stop, service, Options(**options), listening)

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    assert begun.wait(20)
    yield places[0]
    holder[0].call_soon_threadsafe(holder[1].set)
    thread.join(20)


def test_one_transport_is_enough() -> None:
    with one_transport(http_port=0, grpc_port=None) as addresses:
        assert [address.scheme for address in addresses] == ["http"]
    with one_transport(http_port=None, grpc_port=0) as addresses:
        assert [address.scheme for address in addresses] == ["grpc"]


def test_listening_beyond_this_machine_without_a_token_is_warned_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with one_transport(host="0.0.0.0", http_port=0, grpc_port=None):
        pass
    assert "anybody who reaches this machine may use the server: no token" in caplog.text


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("NOT TESTED: TLS, as there is no openssl to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
         "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost",
         "-keyout", "key.pem", "-out", "cert.pem"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    return folder / "cert.pem", folder / "key.pem"


def test_tls_on_both_transports(certificate: tuple[Path, Path], bundle: Bundle) -> None:
    cert, key = certificate
    with serving(bundle, certificate=cert, key=key, token=TOKEN) as (_, http, rpc):
        assert (http.scheme, rpc.scheme) == ("https", "grpcs")
        context = ssl.create_default_context(cafile=str(cert))
        request = urllib.request.Request(
            f"{http}/v2/models/{MODEL}", headers={"Authorization": f"Bearer {TOKEN}"}
        )
        with urllib.request.urlopen(request, context=context, timeout=20) as answer:
            assert json.load(answer)["name"] == MODEL
        client = tritonclient.grpc.InferenceServerClient(
            f"127.0.0.1:{rpc.port}", ssl=True, root_certificates=str(cert)
        )
        assert client.is_server_live()
        x = tritonclient.grpc.InferInput("x", [1, 8], "FP32")
        x.set_data_from_numpy(inputs(1))
        found = client.infer(MODEL, [x], headers={"authorization": f"Bearer {TOKEN}"})
        assert found.as_numpy("scores").shape == (1, 4)
        client.close()
        plain = urllib.request.Request(f"http://127.0.0.1:{http.port}/v2/health/live")
        with pytest.raises(OSError):  # noqa: PT011 - it hangs up, in one way or another
            urllib.request.urlopen(plain, timeout=20)
        with (
            grpc.insecure_channel(f"127.0.0.1:{rpc.port}") as channel,
            pytest.raises(grpc.RpcError),
        ):
            channel.unary_unary("/inference.GRPCInferenceService/ServerLive")(b"", timeout=5)


def test_requests_that_outlast_the_grace_are_cut_off() -> None:
    hold = threading.Event()
    bundle = contextual(hold)
    failed: list[tuple[int, str]] = []
    with serving(bundle, grace=0.3) as (_, http, _):

        def ask() -> None:
            request = urllib.request.Request(
                f"{http}/v2/models/{MODEL}/infer", json.dumps(infer()).encode()
            )
            try:
                urllib.request.urlopen(request, timeout=20)
            except urllib.error.HTTPError as error:
                with error:
                    failed.append((error.code, json.load(error)["error"]))

        thread = threading.Thread(target=ask)
        thread.start()
        while not bundle.runs:
            time.sleep(0.001)
    thread.join(20)
    hold.set()
    assert failed == [(503, "the server shuts down")]
