"""Connections with deadlines: uvicorn's protocol, which by itself waits for a request for ever.

1. Each step of a connection has a deadline: to send a request's head, its body, and to take a part of an answer. Who
   misses one is cut off. Only the site itself may take its time, while it makes an answer.
2. Where an address, or everybody, has too many connections, the new one takes the place of the oldest that still waits
   for its request. So half a request never keeps a whole one out. The trusted proxy has no limit of its own.
3. Where all of them are busy, requests are answered 503. Health checks are answered all the same.
"""

import asyncio
import time
from collections import Counter
from contextlib import suppress
from typing import Any, Final

from h11 import LocalProtocolError
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from matterlog.report.web.identity.rate_limits import network_of

MAX_CONNECTIONS: Final = 256
MAX_CONNECTIONS_OF_ONE: Final = 64
# For a request's head, also on a connection that is kept open; for its body; and for 256 KB of an answer.
DEADLINES_SECONDS: Final = {"head": 15.0, "body": 30.0, "answer": 30.0}
PART_BYTES: Final = 256 * 1024
_LOOK_SECONDS: Final = 1.0
_BUSY: Final = "Too many requests at once. Try again in a moment.\n"


class GuardedProtocol(H11Protocol):
    """A connection that ends when its client lets a deadline pass. ``proxy`` is the trusted proxy's address, if any."""

    proxy: str | None = None

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.network = ""
        self._site, self.app = self.app, self._admit
        self._step: tuple[object, ...] = ()
        self._since = self.opened = time.monotonic()
        self._drained = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Take the connection, if need be in the place of one that waits."""
        super().connection_made(transport)
        address = self.client[0] if self.client else ""
        self.network = "" if address == self.proxy else network_of(address)
        if self._is_crowded:
            self._make_room()
        self._look()

    def _open(self) -> "list[GuardedProtocol]":
        found = (each for each in self.connections if isinstance(each, GuardedProtocol))
        return [each for each in found if not each.transport.is_closing()]

    @property
    def _has_too_many(self) -> bool:
        of_one = sum(each.network == self.network for each in self._open())
        return self.network != "" and of_one > MAX_CONNECTIONS_OF_ONE

    @property
    def _is_crowded(self) -> bool:
        return self._has_too_many or len(self._open()) > MAX_CONNECTIONS

    def _make_room(self) -> None:
        """End the oldest connection that waits, of this address or of the one with the most that do."""
        waiting = [each for each in self._open() if each.step in {"head", "body"} and each is not self]
        counts = Counter(each.network for each in waiting)
        crowd = self.network if self._has_too_many else max(counts, key=lambda each: counts[each], default="")
        if found := [each for each in waiting if each.network == crowd]:
            min(found, key=lambda each: each.opened).transport.abort()

    @property
    def step(self) -> str | None:
        """What the client has to do next; None while the site works."""
        if self.transport.get_write_buffer_size():
            return "answer"
        if self.cycle is None or self.cycle.response_complete:
            return "head"
        return "body" if self.cycle.more_body else None

    def _look(self) -> None:
        """Cut the client off if it does not get on; look again in a second."""
        if self.transport.is_closing() and not self.transport.get_write_buffer_size():
            return
        step, parts = self.step, self.transport.get_write_buffer_size() // PART_BYTES
        state, now = (step, self.cycle, self._drained, parts), time.monotonic()
        if state != self._step:
            self._step, self._since = state, now
        elif step is not None and now - self._since > DEADLINES_SECONDS[step]:
            self.transport.abort()
            return
        self.loop.call_later(_LOOK_SECONDS, self._look)

    def resume_writing(self) -> None:
        """Note that the client took a part of the answer."""
        self._drained += 1
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, in the middle of a request too: then the answer that is being made goes nowhere."""
        with suppress(LocalProtocolError):  # that answer has begun
            super().send_400_response(msg)
        self.transport.close()
        if self.cycle is not None:
            self.cycle.disconnected = True

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._is_crowded and not scope["path"].startswith("/health/"):
            busy = PlainTextResponse(_BUSY, 503, {"Connection": "close", "Retry-After": "5"})
            await busy(scope, receive, send)
        else:
            await self._site(scope, receive, send)
