"""
The edge to Redis for what the watchdog writes there: its own heartbeat and the lease of a pair.

The sidecar writes nothing else, and neither unless rules.yaml asks for it; `watchdog heartbeat` writes
what a person tells it to. A connection of its own, so that a look under way delays no lease and a slow
write no look.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from watchdog.errors import CollectError, SourceDownError
from watchdog.signals.base import Command, Refused, Reply
from watchdog.signals.replies import text
from watchdog.wire import Batch, open_wire


class RedisWriter:
    """A wire of its own to one Redis; it connects when needed, and anew after a failure."""

    def __init__(self, url: str, timeout: timedelta) -> None:
        """Write to *url*; an answer that takes longer than *timeout* counts as none."""
        self.timeout = timeout.total_seconds()
        self._wire = open_wire(url, self.timeout)
        self.place = self._wire.place

    async def set(self, key: str, value: str, ttl: timedelta) -> None:
        """Set *key* to *value* until *ttl* is over."""
        await self._ask(("SET", key, value, "PX", max(1, ttl // timedelta(milliseconds=1))))

    async def run(self, script: str, keys: tuple[str, ...], *arguments: str | int) -> Any:
        """Run the Lua *script* and return its answer."""
        return await self._ask(("EVAL", script, len(keys), *keys, *map(str, arguments)))

    async def close(self) -> None:
        """Drop the connection."""
        await self._wire.close()

    async def _ask(self, command: Command) -> Any:
        """Return the reply to *command*; raise SourceDownError without one, CollectError if Redis says no."""
        try:
            async with asyncio.timeout(self.timeout):
                (reply,) = await self._wire.ask(Batch([command]))
        except TimeoutError as exc:
            raise SourceDownError(f"Redis at {self.place} does not answer in time") from exc
        if isinstance(reply, Refused):
            raise CollectError(f"Redis at {self.place} refuses what the watchdog writes: {reply}")
        return _decoded(reply)


def _decoded(reply: Reply) -> Any:
    """Return *reply* with texts instead of bytes."""
    if isinstance(reply, list):
        return [_decoded(one) for one in reply]
    return text(reply) if isinstance(reply, bytes) else reply
