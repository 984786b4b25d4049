"""From what the command line says of a model to its graph: find it, its inputs, its context."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import re
import sys
from collections.abc import Iterable, Sequence
from contextlib import nullcontext, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from numpy import ndarray

from graphctx.cli.failure import UsageError
from graphctx.context import seed
from graphctx.errors import ContextError, DTypeError, ShapeError, listing, suggest
from graphctx.graph import CallGraph
from graphctx.layer import Layer
from graphctx.load import is_file
from graphctx.load import load as load_file
from graphctx.program import Program, compile
from graphctx.spec import TensorSpec
from graphctx.trace import trace
from graphctx.tree import any_leaf, same_static

DEFAULT_NAME = "model"
INITIAL_SEED = 0
"""Seed of the weights that a model's file neither loads nor seeds: each command makes the same."""


@dataclass
class Traced:
    """A model as the command line asked for it.

    Attributes:
        model: the root layer; its weights are built. None of a file that another tool wrote.
        graph: for all contexts.
        context: the values given, as Python values.
    """

    model: Layer | None
    graph: CallGraph
    context: dict[str, Any]

    def program(self, runtime: Sequence[str] = ()) -> Program:
        """The program for the context given, with defaults for what is not left to run time."""
        return compile(self.graph, self.context, runtime=runtime)


def load(
    reference: str,
    *,
    inputs: Sequence[str] | None = None,
    context: Sequence[str] | None = None,
    domains: Sequence[str] | None = None,
    weights: Path | None = None,
    fallback: Sequence[TensorSpec] | None = None,
    open_names: Sequence[str] = (),
    quiet: bool = False,
) -> Traced:
    """Load and trace a model, or read one that another tool wrote.

    Args:
        reference: `file.py:name` or `module:name`; or a file such as `model.onnx`.
        inputs: texts of `--input`.
        context: texts of `--context`.
        domains: texts of `--domain`.
        weights: a safetensors file.
        fallback: the inputs, where neither `inputs` nor the model nor its file say what they are.
        open_names: context arguments that are neither given nor bound, of a file.
        quiet: what the model's code prints goes to stderr, so that stdout holds JSON only.

    Raises:
        UsageError: the command line is wrong.
        GraphctxError: the model cannot be traced.
    """
    texts = pairs(context, "--context", "training=true")
    if is_file(reference):
        if weights is not None:
            raise UsageError(f"--weights is for models in Python: {reference} has its own")
        kinds = _kinds(domains, [*texts, *open_names])
        specs = [parse_spec(text) for text in inputs or ()]
        if any(spec.name is None for spec in specs):
            raise UsageError(f"--input names an input of {reference}: 'x=float32[batch,64]'")
        graph = load_file(
            reference, contexts=kinds, inputs={str(spec.name): spec for spec in specs}
        )
        return Traced(None, graph, context_of(graph, texts))
    with seed(INITIAL_SEED), redirect_stdout(sys.stderr) if quiet else nullcontext():
        model, module = find_model(reference)
        args, kwargs = _inputs(model, module, inputs or (), fallback, reference)
        named: dict[str, list[Any]] = {}
        for name, text in _split(domains, "--domain", "size=3"):
            named.setdefault(name, []).append(_parse(_declared_domain(model, name), text))
        graph = _trace(model, args, kwargs, texts, named)
    if weights is not None:
        model.load_weights(weights)
    return Traced(model, graph, context_of(graph, texts))


def _kinds(domains: Sequence[str] | None, names: Iterable[str]) -> dict[str, Any]:
    """The types of a file's context arguments: those that `--domain` says, else the inputs' own."""
    found: dict[str, Any] = dict.fromkeys(names)
    values: dict[str, list[str]] = {}
    for name, text in _split(domains, "--domain", "use_cache=bool"):
        values.setdefault(name, []).append(text)
    for name, texts in values.items():
        if len(texts) == 1 and texts[0] in _TYPES:
            found[name] = _TYPES[texts[0]]
        elif all(re.fullmatch(r"-?\d+", text) for text in texts):
            found[name] = tuple(map(int, texts))
        else:
            found[name] = tuple(texts)
    return found


_TYPES = {"bool": bool, "int": int, "float": float}

# -- finding the model ----------------------------------------------------------------------------


def find_object(reference: str) -> tuple[Any, ModuleType, str]:
    """Import what a reference names; returns it, its module, and the reference in full."""
    source, name = _split_reference(reference)
    module = _import(source)
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            layers = [n for n, v in vars(module).items() if isinstance(v, Layer)]
            raise UsageError(
                f"{source} has no {name!r}{suggest(name, layers)} "
                f"(layers there: {listing(layers)}); name it as {source}:name"
            )
        found = getattr(found, part)
    return found, module, f"{source}:{name}"


def find_model(reference: str) -> tuple[Layer, ModuleType]:
    """Import what a reference names; returns the model and the module it stands in."""
    found, module, where = find_object(reference)
    if callable(found) and not isinstance(found, (Layer, Program)):
        found = _make(found, where)
    if isinstance(found, (Program, CallGraph)):
        what = "compiled" if isinstance(found, Program) else "traced"
        raise UsageError(f"{where} is {what} already: name the layer that it was made from")
    if not isinstance(found, Layer):
        raise _no_model(where, found)
    return found, module


def _no_model(where: str, found: Any) -> UsageError:
    return UsageError(
        f"{where} is not a model: expected a Layer, or a function without arguments that makes "
        f"one, got {type(found).__name__}"
    )


def _make(factory: Any, reference: str) -> Any:
    """Call the function, or make the class, that a reference names."""
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):  # one of C's, which does not say
        raise _no_model(reference, factory) from None
    needed = [
        p.name
        for p in parameters
        if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    if needed:
        raise UsageError(
            f"{reference} needs the arguments {', '.join(needed)}; name a Layer, or a function "
            f"without arguments that makes one"
        )
    return factory()


def _split_reference(reference: str) -> tuple[str, str]:
    source, colon, name = reference.rpartition(":")
    if not colon or "/" in name or os.sep in name or name.endswith(".py"):
        return reference, DEFAULT_NAME
    if not source or not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", name):
        raise UsageError(f"a model is named file.py:name or module:name, got {reference!r}")
    return source, name


def _import(source: str) -> ModuleType:
    if Path(source, "manifest.json").is_file():
        raise UsageError(
            f"{source!r} is a bundle: look at it with `graphctx bundle ls`, run it with `graphctx "
            f"serve` or `graphctx score`"
        )
    if source.endswith(".py") or os.sep in source or "/" in source:
        return _import_file(Path(source))
    if not re.fullmatch(r"\w+(\.\w+)*", source):
        raise UsageError(f"a model is named file.py:name or module:name, got {source!r}")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        return importlib.import_module(source)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if source == missing or source.startswith(f"{missing}."):
            raise UsageError(f"no module {source!r} is installed or in this folder") from None
        raise


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        longer = path.with_name(f"{path.name}.py")
        hint = f"; did you mean {str(longer)!r}?" if longer.is_file() else ""
        raise UsageError(f"no file {str(path)!r}{hint}")
    name = f"{path.stem}@graphctx"  # never the name of another module
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} is not a Python file")
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)  # as `python file.py` does, so that it can import its neighbours
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        error.filename = error.filename or str(path)  # a zero byte has no line
        raise
    return module


# -- inputs ---------------------------------------------------------------------------------------


def parse_spec(text: str) -> TensorSpec:
    """Read `x=float32[batch,64]`; the name may be left out, and `:` stand for `=`.

    Raises:
        UsageError: it is written otherwise, or names no dtype.
    """
    found = re.fullmatch(r"\s*(?:([A-Za-z_]\w*)\s*[=:])?\s*([a-z]\w*)\s*(?:\[(.*)\])?\s*", text)
    if found is None:
        raise UsageError(f"an input is written 'x=float32[batch,64]', got {text!r}")
    name, dtype, dims = found.groups()
    shape = [dim.strip() for dim in dims.split(",")] if dims and dims.strip() else []
    try:
        return TensorSpec(
            [int(dim) if re.fullmatch(r"\d+", dim) else dim for dim in shape], dtype, name
        )
    except (ShapeError, DTypeError) as error:
        raise UsageError(f"input {text!r}: {error}") from None


def _inputs(
    model: Layer,
    module: ModuleType,
    texts: Sequence[str],
    fallback: Sequence[TensorSpec] | None,
    reference: str,
) -> tuple[list[Any], dict[str, Any]]:
    """The arguments to trace the model with, by position and by name.

    They come from `--input`; else from `model.input_specs`, which functional models have; else
    from `input_specs` in the model's module: one spec, or a tuple of one for each argument.
    """
    names = _data_parameters(model)
    if texts:
        specs = [parse_spec(text) for text in texts]
        for name in (spec.name for spec in specs if spec.name):
            if sum(spec.name == name for spec in specs) > 1:
                raise UsageError(f"--input gives {name!r} twice")
        placed = _placed(specs, names)
    elif (declared := _declared_specs(model, module)) is not None:
        placed = (list(declared) if isinstance(declared, tuple) else [declared]), {}
        if placed[0] and not any_leaf(
            declared, lambda leaf: isinstance(leaf, (TensorSpec, ndarray))
        ):
            raise UsageError(
                f"{reference}: input_specs is a TensorSpec, or a tuple of one for each argument of "
                f"call, got {declared!r}"
            )
    elif fallback is not None:
        placed = _placed(list(fallback), names)
    elif not names and not _takes_any(model):
        placed = [], {}
    else:
        takes = f" (its call takes {', '.join(names)})" if names else ""
        raise UsageError(
            f"the inputs of {reference} are not known{takes}: give each as --input "
            f"'{names[0] if names else 'x'}=float32[batch,64]', or define input_specs beside the "
            f"model"
        )
    _check_count(model, reference, *placed)
    return placed


def _declared_specs(model: Layer, module: ModuleType) -> Any:
    declared = getattr(model, "input_specs", None)
    return getattr(module, "input_specs", None) if declared is None else declared


def _check_count(model: Layer, reference: str, args: list[Any], kwargs: dict[str, Any]) -> None:
    """Refuse fewer inputs than `call` needs, or more than it takes."""
    names = _data_parameters(model)
    parameters = model._signature.parameters
    needed = [n for n in names[len(args) :] if parameters[n].default is inspect.Parameter.empty]
    missing = [name for name in needed if name not in kwargs]
    if missing or (len(args) > len(names) and not _takes_any(model)):
        raise UsageError(
            f"{reference}: call takes {', '.join(names) or 'no inputs'}, and "
            f"{len(args) + len(kwargs)} inputs are given"
            + (f"; say what {', '.join(missing)} is with --input" if missing else "")
        )


def _data_parameters(model: Layer) -> list[str]:
    """Names of the positional parameters of `call` that are no context arguments."""
    signature = model._signature
    return [name for name in signature.positional if name not in signature.context]


def _takes_any(model: Layer) -> bool:
    parameters = model._signature.parameters.values()
    return any(p.kind is p.VAR_POSITIONAL for p in parameters)


def _placed(specs: list[TensorSpec], names: list[str]) -> tuple[list[Any], dict[str, Any]]:
    """Specs whose names are parameters go there, the others to the free places in order."""
    at = {spec.name: spec for spec in specs if spec.name in names}
    others = iter([spec for spec in specs if spec.name not in at])
    args: list[Any] = []
    for name in names:
        spec = at.pop(name, None) or next(others, None)
        if spec is None:
            break
        args.append(spec)
    return [*args, *others], {str(name): spec for name, spec in at.items()}


# -- context --------------------------------------------------------------------------------------


def pairs(texts: Iterable[str] | None, option: str, example: str) -> dict[str, str]:
    """Read `name=value` texts.

    Raises:
        UsageError: a text is written otherwise, or a name is given twice.
    """
    found: dict[str, str] = {}
    for name, value in _split(texts, option, example):
        if name in found:
            raise UsageError(f"{option} gives {name!r} twice")
        found[name] = value
    return found


def _split(texts: Iterable[str] | None, option: str, example: str) -> Iterable[tuple[str, str]]:
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"{option} is written name=value ({example}), got {text!r}")
        yield name.strip(), value.strip()


def context_of(graph: CallGraph, texts: dict[str, str]) -> dict[str, Any]:
    """The values given; what no domain accepts stays text, for the graph to refuse in words."""
    return {
        name: _parse(graph.contexts[name].domain, text) if name in graph.contexts else text
        for name, text in texts.items()
    }


def _parse(domain: Any, text: str) -> Any:
    try:
        return text if domain is None else domain.parse(text)
    except ValueError:
        return text


def _declared_domain(model: Layer, name: str) -> Any:
    """The domain of a context argument as some layer of the model declares it; None for none."""
    for _, _, item in model._walk():
        if isinstance(item, Layer):
            item._signature.resolve_pending()
            if name in item._signature.context:
                return item._signature.context[name].domain
    return None


def _trace(
    model: Layer,
    args: list[Any],
    kwargs: dict[str, Any],
    texts: dict[str, str],
    domains: dict[str, list[Any]],
) -> CallGraph:
    """Trace the model, with the values given of opaque arguments among those traced."""
    asked = {name: list(values) for name, values in domains.items()}
    for name, text in texts.items():
        domain = _declared_domain(model, name)
        if domain is not None and not domain.is_finite:
            value = _parse(domain, text)
            if not any(same_static(value, known) for known in asked.get(name, ())):
                asked.setdefault(name, []).append(value)
    try:
        try:
            return trace(model, *args, domains=asked, **kwargs)
        except ContextError:
            if asked == domains:
                raise
            # A value given may be of no use there; the graph says why when it is bound.
            return trace(model, *args, domains=domains, **kwargs)
    except ContextError as error:
        if "domains=" in str(error):
            error.add_note("here the values are named with --domain name=value, once for each")
        raise
