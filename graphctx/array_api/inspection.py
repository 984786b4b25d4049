"""What the namespace can do, in the standard's words."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphctx.array_api.signatures import require_cpu

_DTYPES = {
    "bool": ("bool",),
    "signed integer": ("int8", "int16", "int32", "int64"),
    "unsigned integer": ("uint8", "uint16", "uint32", "uint64"),
    "real floating": ("float32", "float64"),
    "complex floating": (),
}  # complex numbers have no operators in ONNX
_DTYPES["integral"] = _DTYPES["signed integer"] + _DTYPES["unsigned integer"]
_DTYPES["numeric"] = _DTYPES["integral"] + _DTYPES["real floating"]


class Information:
    """Devices, dtypes and capabilities of the namespace."""

    def capabilities(self) -> dict[str, Any]:
        """Whether sizes may depend on data, and how many axes there may be."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}

    def default_device(self) -> str:
        """The only one."""
        return "cpu"

    def default_dtypes(self, *, device: Any = None) -> dict[str, Any]:
        """The dtypes of creation functions that are given none."""
        require_cpu(device)
        return {
            "real floating": np.dtype(np.float64),
            "complex floating": np.dtype(np.complex128),
            "integral": np.dtype(np.int64),
            "indexing": np.dtype(np.int64),
        }

    def devices(self) -> list[str]:
        """All devices."""
        return ["cpu"]

    def dtypes(self, *, device: Any = None, kind: Any = None) -> dict[str, Any]:
        """The dtypes of a kind, of several kinds, or all.

        Raises:
            ValueError: there is no such kind.
        """
        require_cpu(device)
        kinds = ("bool", "numeric") if kind is None else (kind,) if isinstance(kind, str) else kind
        unknown = [name for name in kinds if name not in _DTYPES]
        if unknown:
            raise ValueError(f"unknown kind {unknown[0]!r}; there are {', '.join(_DTYPES)}")
        return {name: np.dtype(name) for kind in kinds for name in _DTYPES[kind]}


def __array_namespace_info__() -> Information:
    """What the namespace can do."""
    return Information()
