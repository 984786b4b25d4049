"""The event loop's side of a job on a thread: how its result comes back, and when waiting ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from graphctx_onnx.server.batching import ClosedError
from graphctx_onnx.server.protocol import RequestError, Status

WATCH_AFTER = 0.1
"""Seconds of waiting after which somebody looks whether the client is still there."""


class ClientGoneError(Exception):
    """Nobody waits for the answer any more."""


class Mailbox:
    """Brings results from threads to an event loop; many at a time wake it once.

    Args:
        loop: whose futures get the results.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._lock = threading.Lock()
        self._letters: list[tuple[asyncio.Future[Any], Any]] = []

    def put(self, future: asyncio.Future[Any], result: Any) -> None:
        """Settle a future with a result, or an exception; called on any thread."""
        with self._lock:
            self._letters.append((future, result))
            if len(self._letters) > 1:
                return  # the loop has been told
        try:
            self.loop.call_soon_threadsafe(self._empty)
        except RuntimeError:  # the loop is closed: nobody waits any more
            self._letters.clear()

    def _empty(self) -> None:
        with self._lock:
            letters, self._letters = self._letters, []
        for future, result in letters:
            settle(future, result)


class Wait:
    """Ends the wait for a future when its time is over, or the client is gone.

    Args:
        future: gets a `RequestError` (LATE) or a `ClientGoneError` then.
        seconds: until then.
        gone: returns when the client hangs up. Most answers are there before it is asked.
    """

    __slots__ = ("_future", "_gone", "_seconds", "_task", "_timer")

    def __init__(
        self,
        future: asyncio.Future[Any],
        seconds: float,
        gone: Callable[[], Awaitable[None]] | None,
    ) -> None:
        self._future = future
        self._seconds = seconds
        self._gone = gone
        self._task: asyncio.Task[None] | None = None
        loop = future.get_loop()
        if gone is not None and seconds > WATCH_AFTER:
            self._timer = loop.call_later(WATCH_AFTER, self._look)
        else:
            self._timer = loop.call_later(seconds, self._expire)

    def end(self) -> None:
        """Stop watching."""
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    def _look(self) -> None:
        loop = self._future.get_loop()
        self._timer = loop.call_later(self._seconds - WATCH_AFTER, self._expire)
        self._task = loop.create_task(self._watch())

    async def _watch(self) -> None:
        assert self._gone is not None
        await self._gone()
        settle(self._future, ClientGoneError())

    def _expire(self) -> None:
        settle(self._future, too_late(self._seconds))


def too_late(seconds: float) -> RequestError:
    """The error of a request that took longer than it may."""
    return RequestError(f"there was no answer within {seconds:.3g} seconds", Status.LATE)


def settle(future: asyncio.Future[Any], result: Any) -> None:
    """Give a future its result or exception, unless it has one."""
    if future.done():
        return
    if isinstance(result, ClosedError):
        result = RequestError(str(result), Status.BUSY)
    if isinstance(result, BaseException):
        future.set_exception(result)
    else:
        future.set_result(result)
