"""Connections of HTTP: what comes before the body of a request is bounded in size and time.

uvicorn leaves both open with httptools: a client could send headers without end, or none.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEAD = 1 << 16
"""Bytes of a request line and its headers, about: they are counted by what one read brings."""

HEAD_SECONDS = 10.0
"""Time that they may take, from the connection or the first byte on."""


class BoundedHttp(HttpToolsProtocol):
    """uvicorn's protocol; a request head that is too long or too slow ends the connection."""

    _timer: asyncio.TimerHandle | None = None
    _size = 0
    _in_head = True

    def connection_made(self, transport: Any) -> None:
        """See `asyncio.Protocol`."""
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        super().data_received(data)
        if not self._in_head:
            return
        self._size += len(data)
        if self._size > MOST_HEAD:
            self._refuse(b"431 Request Header Fields Too Large")
        elif self._timer is None:
            self._start_timer()

    def on_message_begin(self) -> None:
        """The first byte of a request came."""
        super().on_message_begin()
        self._in_head = True

    def on_headers_complete(self) -> None:
        """The head of a request is there."""
        self._in_head, self._size = False, 0
        self._stop_timer()
        super().on_headers_complete()

    def _start_timer(self) -> None:
        self._timer = self.loop.call_later(HEAD_SECONDS, self._refuse, b"408 Request Timeout")

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, status: bytes) -> None:
        self._stop_timer()
        if not self.transport.is_closing():
            self.transport.write(
                b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            )
            self.transport.close()
