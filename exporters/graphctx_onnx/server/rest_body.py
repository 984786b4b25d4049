"""Bodies of REST: JSON, and binary tensors behind it (the extension `binary_tensor_data`)."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.types import Receive, Scope, Send

from graphctx_onnx.server.protocol import InferRequest, InferResponse, RequestError
from graphctx_onnx.server.service import Service
from graphctx_onnx.server.tensors import (
    DATATYPES,
    Array,
    Declared,
    from_bytes,
    from_json,
    to_bytes,
    to_json,
)

HEADER_LENGTH = b"inference-header-content-length"
"""Header with the number of bytes of JSON that stand before the binary tensors."""

_SIZE, _BINARY = "binary_data_size", "binary_data"

# Members of objects, in the order in which messages name them.
_TEXTS = ("id", "model_name", "model_version")
_REQUEST = dict.fromkeys(("id", "parameters", "inputs", "outputs", "model_name", "model_version"))
_INPUT = dict.fromkeys(("name", "shape", "datatype", "parameters", "data"))
_OUTPUT = dict.fromkeys(("name", "parameters"))
_INPUT_PARAMETERS = {_SIZE: None}
_OUTPUT_PARAMETERS = {_BINARY: None}


class ReadRequest:
    """A request, what it is for, and how its outputs are wanted.

    Attributes:
        request: what is to be computed.
        model: the name of the model, where the body has it, too.
        version: likewise.
        binary: output -> whether it comes as raw bytes, where the request says so.
    """

    __slots__ = ("binary", "model", "request", "version")

    def __init__(
        self, request: InferRequest, model: str | None, version: str | None, binary: dict[str, bool]
    ) -> None:
        self.request = request
        self.model = model
        self.version = version
        self.binary = binary


class Answer:
    """A response, ready to be sent."""

    __slots__ = ("body", "headers")

    def __init__(self, head: bytes, parts: Sequence[bytes | memoryview]) -> None:
        self.body = b"".join([head, *parts]) if parts else head
        self.headers = [(b"content-length", b"%d" % len(self.body))]
        if parts:
            self.headers += [
                (b"content-type", b"application/octet-stream"),
                (HEADER_LENGTH, b"%d" % len(head)),
            ]
        else:
            self.headers.append((b"content-type", b"application/json"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        await send({"type": "http.response.start", "status": 200, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body})


# -- requests -------------------------------------------------------------------------------------


def read_request(body: bytes, header_length: bytes | None, most: int) -> ReadRequest:
    """Read the body of a request.

    Args:
        body: of the request.
        header_length: the header of that name, if there is one.
        most: bytes that a tensor may have.

    Raises:
        RequestError: says what is wrong with it.
    """
    head, tail = _parts(body, header_length)
    data = _json(head)
    if type(data) is not dict:
        raise RequestError(f"the body is a JSON object, got {_kind(data)}")
    _check_members(data, _REQUEST, "the request")
    texts: dict[str, str | None] = {key: data.get(key) for key in _TEXTS}
    for key, text in texts.items():
        if text is not None and type(text) is not str:
            raise RequestError(f"the {key} of a request is a string, got {_kind(text)}")
    inputs = data.get("inputs")
    if type(inputs) is not list:
        raise RequestError(f"the inputs of a request are a list, got {_kind(inputs)}")
    arrays: dict[str, Array] = {}
    for index, entry in enumerate(inputs):
        tensor = _object(entry, f"input {index}")
        _check_members(tensor, _INPUT, f"input {index}")
        key = _name(tensor, f"input {index}")
        if key in arrays:
            raise RequestError(f"input {key!r:.80} is given twice")
        arrays[key], tail = _tensor(key, tensor, tail, header_length is not None, most)
    if len(tail):
        raise RequestError(f"{len(tail)} bytes come after the last binary tensor")
    outputs, binary = _outputs(data.get("outputs"))
    parameters = data.get("parameters")
    request = InferRequest(
        texts["id"] or "", {} if parameters is None else _object(parameters, "parameters"), arrays,
        outputs,
    )  # fmt: skip
    return ReadRequest(request, texts["model_name"], texts["model_version"], binary)


def _parts(body: bytes, header_length: bytes | None) -> tuple[bytes, memoryview]:
    """The JSON of a body, and what comes after it."""
    if header_length is None:
        return body, memoryview(b"")
    text = header_length.decode("latin-1")
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise RequestError(
            f"the header {HEADER_LENGTH.decode()} is a number of bytes, got {text!r:.40}"
        )
    length = int(text)
    if length > len(body):
        raise RequestError(
            f"the header {HEADER_LENGTH.decode()} is {length}, and the body has {len(body)} bytes"
        )
    return body[:length], memoryview(body)[length:]


def _json(text: bytes) -> Any:
    try:
        return _decode(text.decode())
    except UnicodeDecodeError as error:
        raise RequestError(
            f"the JSON of the body is no UTF-8: {error.reason} at byte {error.start}; if binary "
            f"tensors follow, say so in the header {HEADER_LENGTH.decode()}"
        ) from error
    except RecursionError as error:
        raise RequestError("the JSON of the body is nested too deep") from error
    except ValueError as error:
        raise RequestError(f"the body is no JSON: {error!s:.200}") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise RequestError(f"the member {twice!r:.80} stands twice in an object")
    return found


_decode = json.JSONDecoder(object_pairs_hook=_unique).decode


def _tensor(
    name: str, tensor: Mapping[str, Any], tail: memoryview, has_tail: bool, most: int
) -> tuple[Array, memoryview]:
    """An input, and the binary data that is left."""
    declared = Declared(name, tensor.get("datatype"), tensor.get("shape"), most)
    parameters = tensor.get("parameters")
    size = None
    if parameters is not None:
        where = f"the parameters of input {name!r:.80}"
        _check_members(_object(parameters, where), _INPUT_PARAMETERS, where)
        size = parameters.get(_SIZE)
    if size is None:
        if "data" not in tensor:
            raise RequestError(f"input {name!r:.80} has neither data nor a {_SIZE}")
        return from_json(declared, tensor["data"]), tail
    if type(size) is not int or size < 0:
        raise RequestError(
            f"input {name!r:.80}: its {_SIZE} is an integer from 0 on, got {size!r:.40}"
        )
    if "data" in tensor:
        raise RequestError(f"input {name!r:.80} has both data and a {_SIZE}")
    if not has_tail:
        raise RequestError(
            f"input {name!r:.80} is binary; the request needs the header {HEADER_LENGTH.decode()}"
        )
    if size > len(tail):
        raise RequestError(
            f"input {name!r:.80}: its {_SIZE} is {size}, and {len(tail)} bytes are left in the body"
        )
    return from_bytes(declared, tail[:size]), tail[size:]


def _outputs(entries: Any) -> tuple[tuple[str, ...] | None, dict[str, bool]]:
    """The names of the outputs asked for, and which are wanted as raw bytes or not."""
    if entries is None or entries == []:
        return None, {}
    if type(entries) is not list:
        raise RequestError(f"the outputs of a request are a list, got {_kind(entries)}")
    names: list[str] = []
    binary: dict[str, bool] = {}
    for index, entry in enumerate(entries):
        output = _object(entry, f"output {index}")
        _check_members(output, _OUTPUT, f"output {index}")
        name = _name(output, f"output {index}")
        names.append(name)
        parameters = output.get("parameters")
        if parameters is None:
            continue
        where = f"the parameters of output {name!r:.80}"
        _check_members(_object(parameters, where), _OUTPUT_PARAMETERS, where)
        if _BINARY in parameters:
            if type(parameters[_BINARY]) is not bool:
                raise RequestError(
                    f"{where}: {_BINARY} is a bool, got {_kind(parameters[_BINARY])}"
                )
            binary[name] = parameters[_BINARY]
    return tuple(names), binary


def _check_members(found: Mapping[str, Any], known: Mapping[str, None], where: str) -> None:
    if not found.keys() <= known.keys():
        name = next(name for name in found if name not in known)
        raise RequestError(f"{where}: unknown member {name!r:.80}; there are {', '.join(known)}")


def _object(value: Any, where: str) -> dict[str, Any]:
    if type(value) is not dict:
        raise RequestError(f"{where}: expected an object, got {_kind(value)}")
    return value


def _name(found: Mapping[str, Any], where: str) -> str:
    name = found.get("name")
    if type(name) is not str:
        raise RequestError(f"{where}: its name is a string, got {_kind(name)}")
    return name


def _kind(value: Any) -> str:
    kinds = {type(None): "nothing", bool: "a bool", int: "a number", float: "a number",
             str: "a string", list: "a list", dict: "an object"}  # fmt: skip
    return kinds[type(value)]


# -- answers --------------------------------------------------------------------------------------

_text = functools.lru_cache(1024)(json.encoder.encode_basestring_ascii)
_elements = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def write_answer(service: Service, read: ReadRequest, response: InferResponse) -> Answer:
    """The answer to a request: JSON, and the outputs that are wanted as raw bytes behind it."""
    # Put together by hand, as the encoder takes as long as the rest of this.
    outputs: list[str] = []
    parts: list[bytes | memoryview] = []
    for name, array in response.outputs.items():
        if read.binary.get(name, response.binary):
            data = to_bytes(array)
            content = f'"parameters":{{"{_SIZE}":{len(data)}}}'
            parts.append(data)
        else:
            content = f'"data":{_elements(to_json(array))}'
        outputs.append(
            f'{{"name":{_text(name)},"datatype":"{DATATYPES[array.dtype]}",'
            f'"shape":{list(array.shape)},{content}}}'
        )
    parameters = f'"parameters":{_elements(response.parameters)},' if response.parameters else ""
    head = (
        f'{{"model_name":{_text(service.name)},"model_version":{_text(service.version)},'
        f'"id":{json.encoder.encode_basestring_ascii(response.id)},{parameters}'
        f'"outputs":[{",".join(outputs)}]}}'
    )
    return Answer(head.encode(), parts)
