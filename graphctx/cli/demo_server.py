"""The last step of the demo: a bundle, a server of it, and a client that asks in every class."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAME = "digits"


@contextmanager
def serving(bundle: Path, log: Path) -> Iterator[str]:
    """`graphctx serve` in a process of its own, for a `with` block; gives its address for REST.

    Raises:
        ExportError: it does not start; says what it printed.
    """
    from graphctx.errors import ExportError

    command = [
        sys.executable, "-m", "graphctx", "serve", str(bundle), "--name", NAME,
        "--http-port", "0", "--grpc-port", "0",
    ]  # fmt: skip
    with (
        log.open("w") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as server,
    ):
        assert server.stdout is not None
        try:
            line = server.stdout.readline()  # printed once it listens
            if "http://" not in line:
                raise ExportError(f"the server did not start: {log.read_text().strip()}")
            yield line.partition("http://")[2].partition("/")[0]
        finally:
            server.terminate()  # it answers what it has taken


class Client:
    """Triton's client, as any machine that sends requests would use it.

    Args:
        address: of the server.
    """

    def __init__(self, address: str) -> None:
        import tritonclient.http

        self._triton = tritonclient.http
        self._client = tritonclient.http.InferenceServerClient(address)

    def scores(self, images: Any, context: Mapping[str, Any], seed: int) -> Any:
        """The scores of images under a context; [batch, 8, 8, 1] -> [batch, 10]."""
        tensor = self._triton.InferInput("images", images.shape, "FP32")
        tensor.set_data_from_numpy(images)
        parameters = {**context, "seed": seed}
        return self._client.infer(NAME, [tensor], parameters=parameters).as_numpy("output")

    def refusal(self, images: Any, context: Mapping[str, Any]) -> str:
        """What the server says to a request that it refuses."""
        try:
            self.scores(images, context, 0)
        except self._triton.InferenceServerException as error:
            return f"{error.status()}: {error.message()}"
        return "nothing: it was answered"

    def close(self) -> None:
        """Close the connection."""
        self._client.close()
