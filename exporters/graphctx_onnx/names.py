"""Names in an exported graph: the user's own, and readable unique ones for the rest.

| what | name |
|---|---|
| input, output, seed | as the user named it |
| output that has the name of an input | `<name>_out` |
| output whose name is empty | `output` |
| weight | its path, `block/dense/kernel` |
| state: the new value of a weight | `<path>:new` |
| node | layer path and operator, `block/drop/Relu`, then `block/drop/Relu_1` |
| value inside the graph | node and formal output, `block/drop/Relu:Y` |
| constant | layer path of its first user, `block/drop/constant` |

Whoever comes first in this list keeps the name; a later one that clashes gets a number.
"""

from __future__ import annotations

from graphctx.errors import ExportError

NEW_STATE = ":new"


class Names:
    """Hands out names; each only once."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._next: dict[str, int] = {}

    def claim(self, name: str, separator: str = "_") -> str:
        """The name itself the first time, then `name_1`, `name_2` and so on."""
        found = name
        if found in self._taken:
            number = self._next.get(name, 1)
            while (found := f"{name}{separator}{number}") in self._taken:
                number += 1
            self._next[name] = number + 1
        self._taken.add(found)
        return found

    def __contains__(self, name: str) -> bool:
        return name in self._taken


def usable(name: str, empty: str) -> str:
    """A name as a file can have it: `empty` stands for the empty one, which onnx refuses.

    Raises:
        ExportError: a runtime could not read it: half a character, or a zero in the middle.
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        problem = "it is no valid Unicode"
    else:
        problem = "it holds a zero character" if "\0" in name else ""
    if problem:
        raise ExportError(f"{empty} {name!r}: ONNX cannot have this name, {problem}; rename it")
    return name or empty


def join(path: str, name: str) -> str:
    """`path/name`, or the name alone at the root."""
    return f"{path}/{name}" if path else name


def sentence(where: str, source: str) -> str:
    """`where (model.py:12)`."""
    return f"{where} ({source})" if source else where
