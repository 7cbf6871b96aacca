"""
The edge to Redis for what the watchdog writes there: its own heartbeat and the lease of a pair.

Nothing else is ever written, and neither unless rules.yaml asks for it. A connection of its own,
so that a look under way delays no lease and a slow write no look.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any

import redis.asyncio
import redis.exceptions
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from watchdog.errors import CollectError, SourceDownError
from watchdog.reader import place_of


class RedisWriter:
    """One client of one Redis; it connects when needed, and anew after a failure."""

    def __init__(self, url: str, timeout: timedelta) -> None:
        """Write to *url*; an answer that takes longer than *timeout* counts as none."""
        self.place = place_of(url)
        self.timeout = timeout.total_seconds()
        self._client = redis.asyncio.Redis.from_url(
            url,
            protocol=2,
            decode_responses=True,
            socket_timeout=self.timeout,
            socket_connect_timeout=self.timeout,
            client_name="pipeline-watchdog",
            retry=Retry(NoBackoff(), 0),  # whoever asks knows when to ask again
        )

    async def set(self, key: str, value: str, ttl: timedelta) -> None:
        """Set *key* to *value* until *ttl* is over."""
        await self._ask(self._client.set(key, value, px=max(1, ttl // timedelta(milliseconds=1))))

    async def run(self, script: str, keys: tuple[str, ...], *arguments: str | int) -> Any:
        """Run the Lua *script* and return its answer."""
        return await self._ask(self._client.eval(script, len(keys), *keys, *map(str, arguments)))

    async def close(self) -> None:
        """Drop the connection."""
        with contextlib.suppress(redis.exceptions.RedisError, OSError, TimeoutError):
            await asyncio.wait_for(self._client.aclose(), self.timeout)

    async def _ask(self, answer: Awaitable[Any]) -> Any:
        """Return *answer*; raise SourceDownError without one, CollectError if Redis says no."""
        try:
            async with asyncio.timeout(self.timeout):
                return await answer
        except (redis.exceptions.TimeoutError, TimeoutError) as exc:
            raise SourceDownError(f"Redis at {self.place} does not answer in time") from exc
        except (redis.exceptions.ConnectionError, OSError) as exc:
            raise SourceDownError(f"Redis at {self.place} cannot be reached") from exc
        except redis.exceptions.RedisError as exc:
            raise CollectError(f"Redis at {self.place} refuses what the watchdog writes: {exc}") from exc
