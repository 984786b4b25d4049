"""The protocol over gRPC, on `grpc.aio`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from graphctx_onnx.server.logs import log_failure
from graphctx_onnx.server.messages import SERVICE, message
from graphctx_onnx.server.protocol import InferRequest, InferResponse, RequestError, Status
from graphctx_onnx.server.security import Token
from graphctx_onnx.server.service import RETRY_SECONDS, Service
from graphctx_onnx.server.tensors import (
    DATATYPES,
    LARGE,
    Array,
    Declared,
    fill_contents,
    from_bytes,
    from_contents,
    to_bytes,
)

OPEN = ("ServerLive", "ServerReady")
"""Methods that need no token."""

OVERHEAD = 1 << 16
"""Bytes of a message beside its tensors."""

_Response = message("ModelInferResponse")
_Metadata = message("ModelMetadataResponse")
_Index = message("RepositoryIndexResponse")

Handler = Callable[[Any, Any], Awaitable[Any]]


def make_server(service: Service, token: Token | None = None) -> grpc.aio.Server:
    """A server without a port, not yet started.

    Args:
        service: to serve.
        token: that calls must have as metadata `authorization: Bearer ...`; health is open.
    """
    limits = service.limits
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", limits.body + OVERHEAD),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 0),  # a second server on this port is a mistake
            ("grpc.keepalive_time_ms", 60_000),  # clients that are gone without a word
        ],
        maximum_concurrent_rpcs=limits.requests + 64,  # beyond it not even health is answered
    )
    servicer = _Servicer(service, token)
    handlers = {}
    for method in SERVICE.methods:
        # Requests are parsed in the handler: gRPC itself has INTERNAL for one that is malformed.
        handlers[method.name] = grpc.unary_unary_rpc_method_handler(
            servicer.handler(method.name, message(method.input_type.name)),
            response_serializer=message(method.output_type.name).SerializeToString,
        )
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(SERVICE.full_name, handlers),)
    )
    return server


class _Servicer:
    """The methods of the service, by their names in the protocol."""

    def __init__(self, service: Service, token: Token | None) -> None:
        self.service = service
        self.token = token

    def handler(self, name: str, kind: Any) -> Handler:
        """The handler of a method: lets in who has the token, turns errors into a status.

        Args:
            name: of the method.
            kind: class of its request.
        """
        method: Handler = getattr(self, name)
        token = None if name in OPEN else self.token

        async def handle(data: bytes, context: Any) -> Any:
            try:
                if token is not None:
                    _check_token(token, context)
                return await method(_parsed(kind, data), context)
            except RequestError as error:
                await _abort(context, error)
            except Exception as error:
                log_failure(error)
                text = "the server failed; see its log"
                await _abort(context, RequestError(text, Status.FAILED))

        return handle

    # -- health and metadata ------------------------------------------------------------------

    async def ServerLive(self, _: Any, __: Any) -> Any:
        return message("ServerLiveResponse")(live=True)

    async def ServerReady(self, _: Any, __: Any) -> Any:
        return message("ServerReadyResponse")(ready=self.service.ready)

    async def ServerMetadata(self, _: Any, __: Any) -> Any:
        return message("ServerMetadataResponse")(**self.service.server_metadata())

    async def ModelReady(self, request: Any, _: Any) -> Any:
        self.service.check_model(request.name, request.version)
        return message("ModelReadyResponse")(ready=self.service.ready)

    async def ModelMetadata(self, request: Any, _: Any) -> Any:
        self.service.check_model(request.name, request.version)
        found = self.service.model_metadata()
        context = json.dumps(found.pop("context"))
        return _Metadata(**found, parameters={"context": {"string_param": context}})

    async def RepositoryIndex(self, request: Any, _: Any) -> Any:
        models = self.service.index()
        return _Index(models=[m for m in models if not request.ready or m["state"] == "READY"])

    # -- inference ----------------------------------------------------------------------------

    async def ModelInfer(self, request: Any, context: Any) -> Any:
        service = self.service
        call = service.begin("grpc")
        call.id = request.id
        status = Status.FAILED.name.lower()
        try:
            service.check_model(request.model_name, request.model_version)
            most = service.limits.body
            if request.ByteSize() > LARGE:
                read = await asyncio.to_thread(read_request, request, most)
            else:
                read = read_request(request, most)
            response = await service.infer(read, call, context.time_remaining())
            raw = bool(request.raw_input_contents)
            if sum(array.size for array in response.outputs.values()) > LARGE:
                answer = await asyncio.to_thread(write_answer, service, response, raw)
            else:
                answer = write_answer(service, response, raw)
            status = "ok"
            return answer
        except RequestError as error:
            status = error.status.name.lower()
            raise
        except asyncio.CancelledError:
            status = "client_gone"
            raise
        finally:
            call.finish(status)


def _parsed(kind: Any, data: bytes) -> Any:
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise RequestError(f"the request is no {kind.DESCRIPTOR.full_name}: {error}") from error


def _check_token(token: Token, context: Any) -> None:
    given = [value for key, value in context.invocation_metadata() if key == "authorization"]
    if len(given) != 1 or not token.accepts(given[0]):
        raise RequestError(
            "this server wants a bearer token, as metadata: authorization: Bearer ...",
            Status.UNAUTHENTICATED,
        )


async def _abort(context: Any, error: RequestError) -> None:
    busy = error.status is Status.BUSY
    # gRPC's clients that retry wait as long as this says.
    trailers = (("grpc-retry-pushback-ms", str(RETRY_SECONDS * 1000)),) if busy else ()
    await context.abort(getattr(grpc.StatusCode, error.status.grpc), str(error), trailers)


# -- messages -------------------------------------------------------------------------------------


def read_request(request: Any, most: int) -> InferRequest:
    """Read a `ModelInferRequest`.

    Args:
        request: the message.
        most: bytes that a tensor may have.

    Raises:
        RequestError: says what is wrong with it.
    """
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        raise RequestError(
            f"there are {len(raw)} raw_input_contents for {len(request.inputs)} inputs; give one "
            f"for each, or none"
        )
    arrays: dict[str, Array] = {}
    for index, tensor in enumerate(request.inputs):
        name = tensor.name
        if name in arrays:
            raise RequestError(f"input {name!r:.80} is given twice")
        _no_parameters(tensor.parameters, f"input {name!r:.80}")
        declared = Declared(name, tensor.datatype, tuple(tensor.shape), most)
        if not raw:
            arrays[name] = from_contents(declared, tensor.contents)
            continue
        if tensor.HasField("contents"):
            raise RequestError(f"input {name!r:.80} has both contents and raw_input_contents")
        arrays[name] = from_bytes(declared, raw[index])
    for output in request.outputs:
        _no_parameters(output.parameters, f"output {output.name!r:.80}")
    outputs = tuple(output.name for output in request.outputs) or None
    return InferRequest(request.id, _parameters(request.parameters), arrays, outputs)


def _parameters(found: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as Python values; None for one whose value this protocol does not know."""
    values = {}
    for name in sorted(found):  # a map has no order, and an error names the first
        choice = found[name].WhichOneof("parameter_choice")
        values[name] = None if choice is None else getattr(found[name], choice)
    return values


def _no_parameters(found: Mapping[str, Any], where: str) -> None:
    for name in found:
        raise RequestError(f"{where}: unknown parameter {name!r:.80}; there are none over gRPC")


def write_answer(service: Service, response: InferResponse, raw: bool) -> Any:
    """A `ModelInferResponse`: raw where the request was, or says so, or nothing else can be."""
    arrays = response.outputs.values()
    raw = raw if response.binary is None else response.binary
    raw = raw or any(array.dtype == "float16" for array in arrays)
    answer = _Response(model_name=service.name, model_version=service.version, id=response.id)
    for name, value in response.parameters.items():
        answer.parameters[name].int64_param = value
    for name, array in response.outputs.items():
        output = answer.outputs.add(name=name, datatype=DATATYPES[array.dtype], shape=array.shape)
        if raw:
            answer.raw_output_contents.append(bytes(to_bytes(array)))
        else:
            fill_contents(array, output.contents)
    return answer
