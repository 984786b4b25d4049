"""Docstrings that say once what the classes of a family share."""

from __future__ import annotations

import inspect


def continue_docstring(cls: type, **words: str) -> None:
    """Let the docstring of a class go on as that of its base does after the first line.

    Args:
        cls: whose docstring begins with its own.
        words: to fill in what stands in braces in that of the base.
    """
    family = inspect.getdoc(cls.__mro__[1])
    if cls.__doc__ and family:  # not so under python -OO
        rest = family.partition("\n\n")[2].format(**words)
        cls.__doc__ = f"{inspect.cleandoc(cls.__doc__)}\n\n{rest}"
