"""Writes docs/array-api.md from the array namespace: `python docs/make_array_api_table.py`."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from graphctx import array_api
from graphctx.array_api.signatures import REFUSED

PAGE = Path(__file__).with_name("array-api.md")

SIZE = "how many there are is an unknown dimension"
NOTES = {
    "asarray": "of numbers, tensors, and sequences of them",
    "conj": "not of complex numbers", "empty": "has zeros", "empty_like": "has zeros",
    "imag": "not of complex numbers", "real": "not of complex numbers",
    "linalg.matrix_norm": "`fro`, 1, -1, inf and -inf; the others need singular values",
    "linalg.matrix_power": "of 0 and positive powers; negative ones invert a matrix",
    "nonzero": SIZE, "unique_all": SIZE, "unique_counts": SIZE, "unique_inverse": SIZE,
    "unique_values": f"{SIZE}; in order, which NumPy's need not be",
    "repeat": "by a tensor, too: then the size is an unknown dimension",
    "searchsorted": "compares each element with all of the sorted ones",
    "unstack": "along an axis of known size",
}  # fmt: skip

HEAD = f"""\
# The array API standard

<!-- Written by docs/make_array_api_table.py: do not edit. -->

Model code that asks its arrays for their namespace runs on any array library that follows the
[array API standard](https://data-apis.org/array-api/{array_api.__array_api_version__}/), and
graphctx traces it as it is:

```python
from graphctx import Layer


class Scores(Layer):
    def call(self, x):
        xp = x.__array_namespace__()  # or array_api_compat.array_namespace(x)
        centered = x - xp.mean(x, axis=0, keepdims=True)
        return centered / xp.linalg.vector_norm(centered, axis=-1, keepdims=True)
```

In an eager call `x` is a NumPy array and `xp` is NumPy. In a trace `x` is a symbolic tensor and
`xp` is `graphctx.array_api`, version {array_api.__array_api_version__} of the standard with its
signatures, and with NumPy's defaults and dtypes: `xp.zeros(3)` is float64 in both. That is the
namespace of a variable, too, also in an eager call; it computes on arrays as well. So ask an input
or a variable for its namespace, not both: `array_api_compat.array_namespace(x, self.scale)` finds
two of them in an eager call. (`graphctx.ops` has these functions with signatures of its own, with
float32 as the default, and [many more](ops.md).)

Dtypes are promoted as NumPy does, which is the standard's promotion and more: integers and floats
mix. `float16`, which the standard does not have, goes wherever ONNX has it. Complex numbers do not:
ONNX has no operators for them.

What a tensor cannot do while it is traced it refuses, with the place and what to write instead: the
Python value of data (`bool(x)`, `int(x)`, `if x:`), `x[i] = y`, operators in place, DLPack, and the
functions that the tables show with a reason. All functions compute on arrays.
"""


def functions() -> Iterator[tuple[str, str, Any]]:
    """Family, name and function of all functions."""
    for prefix, namespace in (("", array_api), ("linalg.", array_api.linalg),
                              ("fft.", array_api.fft)):  # fmt: skip
        for name in namespace.__all__:
            function = getattr(namespace, name)
            if inspect.isfunction(function):
                yield prefix.rstrip(".") or family(name), prefix + name, function


def family(name: str) -> str:
    """The module of the namespace that a function is declared in."""
    modules = ("creation", "dtypes", "elementwise", "inspection", "manipulation", "reductions")
    for module in modules:
        found = getattr(sys.modules[f"graphctx.array_api.{module}"], name, None)
        if found is getattr(array_api, name):
            return module
    return "linalg"


def page() -> str:
    """The whole page."""
    families: dict[str, list[tuple[str, Any]]] = {}
    for module, name, function in functions():
        families.setdefault(module, []).append((name, function))
    parts = [HEAD]
    for module, members in sorted(families.items()):
        about = inspect.getdoc(sys.modules[f"graphctx.array_api.{module}"]) or ""
        parts.append(
            f"\n## {module}\n\n{first_sentence(about)}\n\n"
            "| Function | Symbolic | Note | Computes |\n|---|---|---|---|\n"
        )
        for name, function in sorted(members):
            symbolic = "no" if name in REFUSED else "yes"
            note = REFUSED.get(name) or NOTES.get(name, "")
            does = first_sentence(inspect.getdoc(function) or "").replace("|", r"\|")
            parts.append(f"| `{name}` | {symbolic} | {note} | {does} |\n")
    return "".join(parts)


def first_sentence(text: str) -> str:
    """The first paragraph of a docstring, in one line."""
    return " ".join(text.split("\n\n")[0].split())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
