"""The Open Inference Protocol v2 without a transport: requests, responses, refusals.

REST and gRPC read an `InferRequest`, the service answers with an `InferResponse` or raises a
`RequestError`, whose status says it in the words of both transports.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

PLATFORM = "graphctx_onnx"
EXTENSIONS = ("binary_tensor_data", "parameters", "model_repository", "context_arguments")


class Status(enum.Enum):
    """Why a request is refused: the status of HTTP, and the name of that of gRPC."""

    INVALID = (400, "INVALID_ARGUMENT")
    UNAUTHENTICATED = (401, "UNAUTHENTICATED")
    UNKNOWN = (404, "NOT_FOUND")
    TOO_SLOW = (408, "DEADLINE_EXCEEDED")
    TOO_LARGE = (413, "RESOURCE_EXHAUSTED")
    UNSUPPORTED = (415, "INVALID_ARGUMENT")
    FAILED = (500, "INTERNAL")
    BUSY = (503, "UNAVAILABLE")
    LATE = (504, "DEADLINE_EXCEEDED")

    @property
    def http(self) -> int:
        """The status code of HTTP."""
        return self.value[0]

    @property
    def grpc(self) -> str:
        """The name in `grpc.StatusCode`."""
        return self.value[1]


class RequestError(Exception):
    """A request is refused; the message says what was expected, what came, and what to do.

    Attributes:
        status: why.
    """

    def __init__(self, message: str, status: Status = Status.INVALID) -> None:
        super().__init__(message)
        self.status = status


@dataclass(slots=True)
class InferRequest:
    """What is to be computed.

    Attributes:
        id: that the response repeats; empty for one that the server makes up.
        parameters: as they came: bools, integers, floats and strings.
        inputs: array by name; strings as an array of `str` objects.
        outputs: names of the outputs asked for; None for all.
    """

    id: str
    parameters: Mapping[str, Any]
    inputs: dict[str, np.ndarray[Any, Any]]
    outputs: tuple[str, ...] | None


@dataclass(slots=True)
class InferResponse:
    """What was computed.

    Attributes:
        id: of the request.
        outputs: array by name, in the order asked for.
        parameters: what the server chose: `seed`, where the request had none and one was drawn.
        binary: whether the request asks for raw bytes where nothing else is said of an output.
    """

    id: str
    outputs: dict[str, np.ndarray[Any, Any]]
    parameters: dict[str, Any] = field(default_factory=dict)
    binary: bool | None = None
