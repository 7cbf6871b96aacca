"""One connection: what goes out in order is answered in order, or the connection is over."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import hiredis

from watchdog.signals.base import Refused, Reply
from watchdog.wire.batch import Batch

LARGEST_REPLY = 64 * 2**20
"""No answer to what we ask is nearly so large; one that is would fill our memory."""
PATIENCE = 3
"""A batch whose answers keep coming is waited for so many time-outs in all."""
AWAY = frozenset({"LOADING", "NOAUTH", "MASTERDOWN", "BUSY"})
"""Refusals that say nothing of the command: this server answers nobody at the moment."""
_NOTHING_YET = object()


class LinkError(Exception):
    """Say in a few words why a connection is over."""


@dataclass(slots=True, eq=False)
class _Asked:
    """A batch that is out, and what has come back of it."""

    missing: int
    answered: asyncio.Future[list[Reply]]
    replies: list[Reply] = field(default_factory=list)


class Link(asyncio.Protocol):
    """A connection, once made; `over` says why it is of no more use, or None."""

    def __init__(self, timeout: float) -> None:
        """Wait *timeout* seconds for a sign of an answer."""
        self.over: str | None = None
        self.heard = 0  # how often something came
        self.hung_up = False
        self._timeout = timeout
        self._transport: asyncio.Transport | None = None
        self._parser = hiredis.Reader(replyError=self._refused, notEnoughData=_NOTHING_YET)  # type: ignore[arg-type]  # any callable will do
        self._asked: deque[_Asked] = deque()
        self._unread = 0
        self.refusal: Refused | None = None
        """What this server said to say that it answers nobody at the moment."""

    async def ask(self, batch: Batch) -> list[Reply]:
        """Return the replies to *batch*; raise LinkError, and be over, if they do not come in time."""
        if self.over is not None or self._transport is None:
            raise LinkError(self.over or "is not connected")
        loop = asyncio.get_running_loop()
        asked = _Asked(len(batch), loop.create_future())
        self._asked.append(asked)
        self._transport.write(batch.packed)
        try:
            return await self._answer(asked, loop)
        except BaseException:  # cancelled as well: what comes late would be taken for the next one's
            self.end("was given up in the middle of an answer")
            raise

    async def _answer(self, asked: _Asked, loop: asyncio.AbstractEventLoop) -> list[Reply]:
        until = loop.time() + PATIENCE * self._timeout
        while True:
            heard = self.heard
            await asyncio.wait((asked.answered,), timeout=self._timeout)
            if asked.answered.done():
                break
            if heard == self.heard or loop.time() > until:
                raise LinkError("does not answer in time")
        return asked.answered.result()

    def end(self, why: str) -> None:
        """Close the connection at once; whoever waits for an answer is told *why*."""
        if self.over is None:
            self.over = why
        if self._transport is not None:
            self._transport.abort()
        while self._asked:
            answered = self._asked.popleft().answered
            if not answered.done():
                answered.set_exception(LinkError(why))
                answered.exception()  # whoever asked may have gone

    # ---- what asyncio calls ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the *transport* to write to."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Turn what came into replies; asyncio brings 256 KiB at most before others have their turn."""
        self.heard += 1
        self._unread += len(data)
        try:
            self._parser.feed(data)
            while self._asked and self._take(self._asked[0]):
                self._asked.popleft()
            if not self._asked and self._parser.has_data():
                self.end(_out_of_step(self._parser.gets()))
        except (hiredis.HiredisError, MemoryError) as exc:
            self.end(f"does not speak Redis' protocol ({exc})")
        if self._unread > LARGEST_REPLY:
            self.end(f"sends an answer of more than {LARGEST_REPLY >> 20} MiB")

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits; a server that is full says so before it hangs up."""
        said = self._asked[0].replies[-1:] if self._asked else []
        if said and isinstance(said[0], Refused):
            self.end(f"refuses: {said[0]}")
        else:
            self.hung_up = exc is None or isinstance(exc, ConnectionError)
            self.end("closes the connection" if self.hung_up else f"is cut off: {exc}")

    def _take(self, asked: _Asked) -> bool:
        """Take the replies that are there, and say whether none is missing; one turn of C for them all."""
        replies = asked.replies
        before = len(replies)
        replies.extend(islice(iter(self._parser.gets, _NOTHING_YET), asked.missing - before))
        if len(replies) > before:
            self._unread = 0
        if len(replies) < asked.missing:
            return False
        if not asked.answered.done():
            asked.answered.set_result(replies)
        return True

    def _refused(self, line: str) -> Refused:
        refused = Refused(line)
        if refused.code in AWAY:
            self.refusal = refused
        return refused


def _out_of_step(reply: Any) -> str:
    return f"refuses: {reply}" if isinstance(reply, Refused) else "answers what nobody asked"
