"""Connections of HTTP: a client that sends or reads too slowly, or too much, loses its own.

uvicorn with httptools bounds none of it: heads without end, bodies that nobody reads any more,
answers that the client does not take.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEAD = 1 << 16
"""Bytes of a request line and its headers, about: they are counted by what one read brings."""

HEAD_SECONDS = 10.0
"""Time that they may take, from the connection or the first byte on."""

REST_SECONDS = 10.0
"""Time for the rest of a body whose request is answered already. To hang up at once would reset the
connection, and the client might never see why it was refused."""

STALL_SECONDS = 30.0
LEAST_READ = 1 << 16
"""Bytes of a waiting answer that a client has to take within `STALL_SECONDS`."""


class BoundedHttp(HttpToolsProtocol):
    """uvicorn's protocol, with these bounds."""

    _reading: asyncio.TimerHandle | None = None  # runs within a head, or the rest of a body
    _writing: asyncio.TimerHandle | None = None  # runs while the client does not take its answer
    _size = 0
    _in_head = True

    def connection_made(self, transport: Any) -> None:
        """See `asyncio.Protocol`."""
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._stop_reading()
        self._stop_writing()
        super().connection_lost(exc)

    # -- what comes in ------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        super().data_received(data)
        if not self._in_head:
            return
        self._size += len(data)
        if self._size > MOST_HEAD:
            self._refuse(b"431 Request Header Fields Too Large")
        elif self._reading is None:
            self._expect_head()

    def on_message_begin(self) -> None:
        """The first byte of a request came."""
        self._unset_keepalive_if_required()
        super().on_message_begin()
        self._in_head = True

    def on_headers_complete(self) -> None:
        """The head of a request is there."""
        self._in_head, self._size = False, 0
        self._stop_reading()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The body of a request is there."""
        if self._reading is not None:  # the rest of one that is answered; now the client may idle
            self._stop_reading()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """A request is answered, maybe before all of it came."""
        early = not self.pipeline and self.cycle.more_body
        super().on_response_complete()
        if early and not self.transport.is_closing():
            self._reading = self.loop.call_later(REST_SECONDS, self.transport.close)

    def _expect_head(self) -> None:
        self._reading = self.loop.call_later(HEAD_SECONDS, self._refuse, b"408 Request Timeout")

    def _refuse(self, status: bytes) -> None:
        self._stop_reading()
        if not self.transport.is_closing():
            self.transport.write(
                b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            )
            self.transport.close()

    def _stop_reading(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    # -- what goes out ------------------------------------------------------------------------

    def pause_writing(self) -> None:
        """More of an answer waits than the transport likes."""
        super().pause_writing()
        self._watch(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """Most of it is gone."""
        self._stop_writing()
        super().resume_writing()

    def _watch(self, waiting: int) -> None:
        self._writing = self.loop.call_later(STALL_SECONDS, self._look, waiting)

    def _look(self, before: int) -> None:
        waiting = self.transport.get_write_buffer_size()
        if before - waiting < LEAST_READ:
            self.transport.abort()
        else:
            self._watch(waiting)

    def _stop_writing(self) -> None:
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None
