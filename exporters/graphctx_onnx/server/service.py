"""The service: one model, its line of requests, and what is counted. Both transports feed it."""

from __future__ import annotations

import asyncio
import importlib.metadata
import itertools
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np

from graphctx_onnx.runtime import (
    ContextClass,
    ContextError,
    InputError,
    ModelError,
    SessionError,
    Signature,
    TensorType,
)
from graphctx_onnx.server import rows
from graphctx_onnx.server.batching import Batcher, ClosedError, Job, QueueFullError
from graphctx_onnx.server.limits import Limits
from graphctx_onnx.server.logs import log, log_failure
from graphctx_onnx.server.metrics import NO_CLASS, Metrics
from graphctx_onnx.server.pace import Pace
from graphctx_onnx.server.parameters import PREFIX, Argument, Parameters
from graphctx_onnx.server.protocol import (
    EXTENSIONS,
    PLATFORM,
    InferRequest,
    InferResponse,
    RequestError,
    Status,
)
from graphctx_onnx.server.tensors import DATATYPES
from graphctx_onnx.server.waiting import Mailbox, Wait, too_late

Arrays = dict[str, np.ndarray[Any, Any]]

SERVER = "graphctx"
RETRY_SECONDS = 1
"""When a client that was turned away may come again."""

_ID = secrets.token_hex(4)  # of this process, first in the ids that it makes up
_count = itertools.count(1)
_MOST_SEED_BITS = 53  # what a number of JSON holds in every language


class ServedProgram(Protocol):
    """What is asked of a program; see `graphctx_onnx.runtime.Program`."""

    @property
    def id(self) -> str:
        """Of its class."""

    @property
    def condition(self) -> str:
        """Of its class."""

    @property
    def signature(self) -> Signature:
        """Its inputs and outputs."""

    def session(self) -> Any:
        """Load it."""

    def run(
        self, inputs: Mapping[str, Any], feeds: Mapping[str, Any], seed: int | None = None
    ) -> Arrays:
        """Run it; outputs by name."""


class ServedBundle(Protocol):
    """What is asked of a bundle; see `graphctx_onnx.runtime.Bundle`."""

    @property
    def arguments(self) -> Mapping[str, Argument]:
        """Its context arguments."""

    @property
    def classes(self) -> Sequence[ContextClass]:
        """The classes of their assignments."""

    def resolve(self, context: Mapping[str, Any], /) -> tuple[str, dict[str, Any]]:
        """The class of an assignment, and what to feed for arguments left to run time."""

    def program(self, id: str, /) -> Any:
        """The program of a class, a `ServedProgram`."""


@dataclass(slots=True)
class _Class:
    """A class of the context, as it is served."""

    program: ServedProgram
    outputs: dict[str, None]
    trial: rows.Trial
    pace: Pace


@dataclass(slots=True)
class _Run:
    """What a job needs to run."""

    served: _Class
    inputs: Arrays
    feeds: dict[str, Any]
    seed: int | None
    rows: int

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Of the inputs."""
        return tuple([array.shape for array in self.inputs.values()])


class Call:
    """A request from its first byte to its answer; a transport makes it and finishes it.

    Attributes:
        transport: `http` or `grpc`.
        id: of the request, once it is known.
        label: of the context class, once it is known.
        rows: first size of its inputs, once it is known.
    """

    __slots__ = ("_service", "id", "label", "rows", "started", "transport")

    def __init__(self, service: Service, transport: str) -> None:
        self._service = service
        self.transport = transport
        self.started = time.perf_counter()
        self.id = ""
        self.label = NO_CLASS
        self.rows = 0

    def finish(self, status: str) -> None:
        """Count it, and log it if requests are logged."""
        service = self._service
        service.calls -= 1
        seconds = time.perf_counter() - self.started
        service.metrics.finished(self.label, self.transport, status, seconds)
        if service.log_requests:
            log(
                logging.INFO, "request", transport=self.transport, model=service.name,
                id=self.id[:128], context_class=self.label, rows=self.rows, status=status,
                milliseconds=round(seconds * 1e3, 3),
            )  # fmt: skip


class Service:
    """Serves one model.

    Args:
        bundle: of the model.
        name: that clients know it by.
        version: that they may ask for.
        limits: what is taken at most.
        log_requests: whether each request gets a line in the log.

    Raises:
        ValueError: the name or the version would not fit into a path.

    Attributes:
        parameters: reads those of requests.
        metrics: what is counted.
        ready: whether requests are taken.
        calls: requests in progress.
    """

    def __init__(
        self,
        bundle: ServedBundle,
        *,
        name: str,
        version: str = "1",
        limits: Limits | None = None,
        log_requests: bool = False,
    ) -> None:
        for what, text in (("name", name), ("version", version)):
            if not re.fullmatch(r"\w[\w.-]*", text, re.ASCII):
                raise ValueError(
                    f"the {what} of a model is part of a path: letters, digits, '.', '_' and '-'; "
                    f"give another one than {text!r}"
                )
        self.bundle = bundle
        self.name = name
        self.version = version
        self.limits = limits or Limits()
        self.log_requests = log_requests
        self.parameters = Parameters(bundle.arguments)
        self.ready = True
        self.calls = 0
        self._classes: dict[str, _Class] = {}
        self._mail: Mailbox | None = None
        limits = self.limits
        self._batcher = Batcher(
            self._run_jobs, workers=limits.workers, queue=limits.queue, rows=limits.batch,
            delay=limits.delay,
        )  # fmt: skip
        self.metrics = Metrics(
            name,
            {found.id: found.condition for found in bundle.classes},
            lambda: self.waiting,
            lambda: self._batcher.running,
        )

    @property
    def waiting(self) -> int:
        """Requests that wait for a thread."""
        return self._batcher.waiting

    def preload(self) -> None:
        """Load the programs of all classes.

        Raises:
            BundleError: one cannot be loaded.
        """
        for found in self.bundle.classes:
            if found.program is not None:
                self.bundle.program(found.id).session()

    def drain(self) -> None:
        """Be ready no more, and let no request wait for others; all are still answered."""
        self.ready = False
        self._batcher.hasten()

    def close(self, timeout: float | None = None) -> None:
        """Take no more requests, and run those that wait; blocks until they are done."""
        self.ready = False
        self._batcher.close(timeout)

    # -- requests -----------------------------------------------------------------------------

    def begin(self, transport: str) -> Call:
        """A request comes in; its call has to be finished.

        Raises:
            RequestError: there are too many in progress.
        """
        call = Call(self, transport)
        self.calls += 1
        if self.calls > self.limits.requests:
            call.finish(Status.BUSY.name.lower())
            raise RequestError(
                f"{self.limits.requests} requests are in progress; try again later", Status.BUSY
            )
        return call

    def check_model(self, name: str, version: str | None) -> None:
        """Check that a request is for this model.

        Raises:
            RequestError: it is for another one, or another version.
        """
        if name != self.name:
            raise RequestError(
                f"there is no model {name!r:.80}; this server has {self.name!r}", Status.UNKNOWN
            )
        if version and version != self.version:
            raise RequestError(
                f"model {self.name!r} has no version {version!r:.80}; it has {self.version!r}",
                Status.UNKNOWN,
            )

    async def infer(
        self,
        request: InferRequest,
        call: Call,
        timeout: float | None = None,
        gone: Callable[[], Awaitable[None]] | None = None,
    ) -> InferResponse:
        """Answer a request.

        Args:
            request: what is to be computed.
            call: that it belongs to.
            timeout: seconds that are left for it.
            gone: returns when the client hangs up; asked where the answer takes a while.

        Raises:
            RequestError: it is refused.
            ClientGoneError: the client hung up.
        """
        call.id = request.id or f"{_ID}-{next(_count):x}"
        given = self.parameters.read(request.parameters)
        served, feeds = self._resolve(given.context)
        call.label = served.program.id
        names = self._asked(served, request.outputs)
        call.rows = self._count(request.inputs)
        seed, response = given.seed, InferResponse(call.id, {}, binary=given.binary)
        if seed is None and served.program.signature.seed is not None:
            seed = secrets.randbits(_MOST_SEED_BITS)
            response.parameters["seed"] = seed
        seconds = min(
            found for found in (self.limits.timeout, timeout, given.timeout) if found is not None
        )
        left = seconds - (time.perf_counter() - call.started)
        if left <= 0:
            raise too_late(seconds)
        run = _Run(served, request.inputs, feeds, seed, call.rows)
        key = self._key(run)
        if key is None and self.ready and served.pace.is_quick(run.shapes):
            [outputs] = self._run_batch([run])
            if isinstance(outputs, Exception):
                raise outputs
        else:
            outputs = await self._answer(run, key, left, gone)
        response.outputs = {name: outputs[name] for name in names}
        return response

    def _resolve(self, context: Mapping[str, Any]) -> tuple[_Class, dict[str, Any]]:
        try:
            key, feeds = self.bundle.resolve(context)
        except ContextError as error:
            raise RequestError(f"{error}; {self.parameters.advice()}") from error
        except ModelError as error:
            raise RequestError(str(error)) from error
        served = self._classes.get(key)
        return served or self._class(key), feeds

    def _class(self, key: str) -> _Class:
        program: ServedProgram = self.bundle.program(key)
        signature = program.signature
        found = _Class(
            program,
            dict.fromkeys(port.name for port in signature.outputs),
            rows.Trial(rows.obstacle(signature)),
            Pace(self.limits.quick),
        )
        return self._classes.setdefault(key, found)

    def _asked(self, served: _Class, names: tuple[str, ...] | None) -> Sequence[str]:
        if names is None:
            return tuple(served.outputs)
        for name in names:
            if name not in served.outputs:
                raise RequestError(
                    f"there is no output {name!r:.80} for {served.program.condition}; there are "
                    f"{', '.join(map(repr, served.outputs))}"
                )
        if len(set(names)) < len(names):
            raise RequestError(f"an output is asked for twice: {', '.join(map(repr, names))}")
        return names

    def _count(self, inputs: Arrays) -> int:
        """The largest first size of the inputs."""
        count = max((array.shape[0] for array in inputs.values() if array.ndim), default=0)
        if count > self.limits.rows:
            raise RequestError(
                f"an input has {count:,} rows; {self.limits.rows:,} are allowed in a request: "
                f"send several",
                Status.TOO_LARGE,
            )
        return count

    async def _answer(
        self,
        run: _Run,
        key: Hashable,
        seconds: float,
        gone: Callable[[], Awaitable[None]] | None,
    ) -> Arrays:
        """Put a job in line, and wait for what it gives."""
        loop = asyncio.get_running_loop()
        mail = self._mail
        if mail is None or mail.loop is not loop:
            mail = self._mail = Mailbox(loop)
        future: asyncio.Future[Arrays] = loop.create_future()
        job = Job(run, partial(mail.put, future), key, run.rows)
        try:
            self._batcher.submit(job)
        except QueueFullError as error:
            raise RequestError(f"{error}; try again later", Status.BUSY) from error
        except ClosedError as error:
            raise RequestError(str(error), Status.BUSY) from error
        wait = Wait(future, seconds, gone)
        try:
            return await future
        finally:
            wait.end()
            self._batcher.withdraw(job)

    def _key(self, run: _Run) -> Hashable:
        """What a request has in common with those that it may run with; None: it runs alone."""
        served = run.served
        if self.limits.batch == 1 or served.trial.reason:
            return None
        if not rows.fit(served.program.signature, run.inputs, run.rows):
            return None
        feeds = tuple(
            (name, array.item() if array.dtype == object else array.tobytes())
            for name, array in run.feeds.items()
        )
        shapes = tuple(
            (name, array.dtype.str, array.shape[1:]) for name, array in sorted(run.inputs.items())
        )
        return served.program.id, feeds, shapes

    # -- on the threads, but for what is quick ------------------------------------------------

    def _run_jobs(self, jobs: Sequence[Job]) -> Sequence[Any]:
        return self._run_batch([job.payload for job in jobs])

    def _run_batch(self, runs: Sequence[_Run]) -> Sequence[Any]:
        first = runs[0]
        started = time.perf_counter()
        several = len(runs) > 1
        found: Sequence[Any] = self._run_several(runs) if several else [self._run_one(first)]
        seconds = time.perf_counter() - started
        count = sum(run.rows for run in runs) if several else first.rows
        self.metrics.ran(first.served.program.id, len(runs), count, seconds)
        if not several:
            first.served.pace.ran(first.shapes, seconds)
        return found

    def _run_several(self, runs: Sequence[_Run]) -> Sequence[Any]:
        served = runs[0].served
        trial = served.trial
        if trial.reason:  # found out while these waited
            return [self._run_one(run) for run in runs]
        requests = [run.inputs for run in runs]
        together = self._run_merged(runs)
        if trial.passed and together is not None:
            return together
        alone = [self._run_one(run) for run in runs]
        # Where one of them is refused by itself, the batch was, too: that says nothing.
        if not any(isinstance(result, Exception) for result in alone):
            difference = trial.judge(requests, alone, together)
            if difference:
                log(
                    logging.WARNING, "requests are not merged", model=self.name,
                    context_class=served.program.id, condition=served.program.condition,
                    reason=difference,
                )  # fmt: skip
        return alone

    def _run_merged(self, runs: Sequence[_Run]) -> Sequence[Arrays] | None:
        """What requests give as one batch; None if that fails."""
        first, counts = runs[0], [run.rows for run in runs]
        inputs = rows.merged([run.inputs for run in runs])
        found = self._run_one(_Run(first.served, inputs, first.feeds, first.seed, sum(counts)))
        return None if isinstance(found, Exception) else rows.split(found, counts)

    def _run_one(self, run: _Run) -> Any:
        """What a program gives, or the error that the client sees."""
        program = run.served.program
        try:
            program.session()
        except Exception as error:
            return self._failure(error)
        try:
            return program.run(run.inputs, run.feeds, run.seed)
        except InputError as error:
            return RequestError(str(error))
        except SessionError as error:
            if _is_out_of_memory(error):
                return self._failure(error)
            # It loaded, and was verified when it was exported: these inputs are what it refuses.
            return RequestError(str(error))
        except Exception as error:
            return self._failure(error)

    def _failure(self, error: Exception) -> RequestError:
        log_failure(error)
        return RequestError("the server failed to run the program; see its log", Status.FAILED)

    # -- what it says of itself ---------------------------------------------------------------

    def server_metadata(self) -> dict[str, Any]:
        """As `GET /v2` has it."""
        return {"name": SERVER, "version": _version(), "extensions": list(EXTENSIONS)}

    def index(self) -> list[dict[str, str]]:
        """The models, as `POST /v2/repository/index` has them."""
        state = "READY" if self.ready else "UNAVAILABLE"
        reason = "" if self.ready else "the server is shutting down"
        return [{"name": self.name, "version": self.version, "state": state, "reason": reason}]

    def model_metadata(self) -> dict[str, Any]:
        """As `GET /v2/models/{name}` has it; `context` is this server's own.

        Inputs and outputs are those of the default context, or of the first class where an
        argument is required.
        """
        return {
            "name": self.name,
            "versions": [self.version],
            "platform": PLATFORM,
            **_ports(self._default_signature()),
            "context": {
                "prefix": PREFIX,
                "arguments": [self._argument(a) for a in self.bundle.arguments.values()],
                "classes": [self._describe(found) for found in self.bundle.classes],
            },
        }

    def _default_signature(self) -> Signature:
        try:
            return self._resolve({})[0].program.signature
        except RequestError:
            return next(c.program for c in self.bundle.classes if c.program is not None).signature

    def _argument(self, argument: Argument) -> dict[str, Any]:
        found: dict[str, Any] = {
            "name": argument.name,
            "parameter": self.parameters.parameter(argument.name),
            "type": argument.type,
            "required": argument.required,
            "binding": argument.binding,
        }
        if argument.values:
            found["values"] = [_plain(value) for value in argument.values]
        if not argument.required:
            found["default"] = _plain(argument.default)
        return found

    def _describe(self, found: ContextClass) -> dict[str, Any]:
        text: dict[str, Any] = {"id": found.id, "condition": found.condition}
        if found.program is None:
            assert found.error is not None
            return {**text, "error": f"{found.error.type}: {found.error.message}"}
        served = self._classes.get(found.id) or self._class(found.id)
        reason = "the server does not merge" if self.limits.batch == 1 else served.trial.reason
        return {
            **text,
            **_ports(found.program.signature),
            "draws_random_numbers": found.program.signature.seed is not None,
            "merged": not reason,
            **({"not_merged_because": reason} if reason else {}),
        }


def _is_out_of_memory(error: SessionError) -> bool:
    text = str(error).lower()
    return isinstance(error.__cause__, MemoryError) or "alloc" in text


def _ports(signature: Signature) -> dict[str, Any]:
    return {
        "inputs": [_port(port) for port in signature.inputs],
        "outputs": [_port(port) for port in signature.outputs],
    }


def _port(port: TensorType) -> dict[str, Any]:
    dtype = np.dtype(object if port.dtype == "string" else port.dtype)
    shape = [size if isinstance(size, int) else -1 for size in port.shape]
    return {"name": port.name, "datatype": DATATYPES[dtype], "shape": shape}


def _plain(value: Any) -> Any:
    """A value as JSON has it: infinities are text."""
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def _version() -> str:
    try:
        return importlib.metadata.version("graphctx")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
