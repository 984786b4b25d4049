"""The messages of gRPC, made at run time from `open_inference.desc`.

They live in a descriptor pool of their own: every client of the protocol registers a package of
the same name in protobuf's default pool, and a process may well be client and server. A
description, unlike generated code, also fits every version of protobuf.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_PACKAGE = "inference"

_pool = descriptor_pool.DescriptorPool()
for _file in descriptor_pb2.FileDescriptorSet.FromString(
    Path(__file__).with_name("open_inference.desc").read_bytes()
).file:
    _pool.Add(_file)

SERVICE = _pool.FindServiceByName(f"{_PACKAGE}.GRPCInferenceService")


def message(name: str) -> Any:
    """The class of a message: `message("ModelInferRequest")`."""
    return message_factory.GetMessageClass(_pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
