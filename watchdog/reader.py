"""
The edge to Redis: puts the questions of all signals into pipelines and hands out the answers.

Signals are generators (see `watchdog.signals.base`); all of them advance in step, so one look at a
thousand signals costs a handful of round trips. Replies stay raw: what they mean is the signals'
business, and redis-py's own decoding would cost more than the looking (docs/benchmarks.md).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import redis.asyncio
import redis.exceptions
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from watchdog.errors import CollectError, SourceDownError
from watchdog.model import Reading
from watchdog.signals.base import LATENCY, Command, Look, RedisSignal, Refused, Reply
from watchdog.signals.redis import RedisServer, away

BATCH = 250
"""Commands a pipeline; 200–500 is where more stops helping."""
SOURCE = "redis"


@dataclass(slots=True)
class _Asking:
    """One signal in the middle of its look."""

    signal: RedisSignal[Any]
    look: Look
    wants: Sequence[Command]


class RedisReader:
    """One connection to one Redis, opened when needed and opened anew after a failure."""

    def __init__(self, url: str, timeout: float = 3.0) -> None:
        """Read from *url*; any answer that takes longer than *timeout* seconds counts as none."""
        self.place = place_of(url)
        self._timeout = timeout
        self._pool = redis.asyncio.ConnectionPool.from_url(
            url,
            protocol=2,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            health_check_interval=0,
            client_name="pipeline-watchdog",
            retry=Retry(NoBackoff(), 0),  # the next tick is the retry
        )
        self._connection: AbstractConnection | None = None

    async def look(self, signals: Sequence[RedisSignal[Any]], now: datetime) -> list[Reading]:
        """
        Look at all *signals* and return a reading for each.

        A server that is away makes one reading of `redis.up == 0`; all others say it is down.
        """
        readings: list[Reading] = []
        asking = list(self._begin(signals, now, readings))
        try:
            latency = await self._ping()
            while asking:
                asking = await self._round(asking, latency, now, readings)
        except SourceDownError as exc:
            await self.close()
            done = {reading.signal for reading in readings}
            readings += [_down(s, now, str(exc)) for s in signals if s.key not in done]
        return readings

    async def close(self) -> None:
        """Drop the connection; the next look opens a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)
            await self._pool.release(connection)

    def _begin(
        self, signals: Sequence[RedisSignal[Any]], now: datetime, readings: list[Reading]
    ) -> Iterator[_Asking]:
        for signal in signals:
            look = signal.look(now)
            asking = _advance(signal, look, None, now, readings)
            if asking is not None:
                yield asking

    async def _round(
        self, asking: list[_Asking], latency: float, now: datetime, readings: list[Reading]
    ) -> list[_Asking]:
        """Ask what every signal wants to know next, and let each go on with its answers."""
        commands = [c for one in asking for c in one.wants if c is not LATENCY]
        replies = iter(await self._ask(commands))
        onward: list[_Asking] = []
        for one in asking:
            mine = [latency if c is LATENCY else next(replies) for c in one.wants]
            advanced = _advance(one.signal, one.look, mine, now, readings)
            if advanced is not None:
                onward.append(advanced)
            await asyncio.sleep(0)  # a thousand signals must not hold up the loop
        return onward

    async def _ping(self) -> float:
        began = time.perf_counter()
        (reply,) = await self._ask([("PING",)])
        if isinstance(reply, Refused) and reply.code != "NOPERM":
            raise SourceDownError(f"Redis at {self.place} refuses: {reply}")
        return time.perf_counter() - began

    async def _ask(self, commands: Sequence[Command]) -> list[Reply]:
        try:
            async with asyncio.timeout(self._timeout * 3):
                connection = await self._connected()
                replies: list[Reply] = []
                for start in range(0, len(commands), BATCH):
                    batch = commands[start : start + BATCH]
                    await connection.send_packed_command(connection.pack_commands(batch))
                    for _ in batch:
                        replies.append(await _read(connection))
                return replies
        except redis.exceptions.AuthenticationError as exc:
            raise SourceDownError(f"Redis at {self.place} refuses the password or user: {exc}") from exc
        except (redis.exceptions.TimeoutError, TimeoutError) as exc:
            raise SourceDownError(f"Redis at {self.place} does not answer in time") from exc
        except redis.exceptions.ConnectionError as exc:
            raise SourceDownError(f"Redis at {self.place} cannot be reached: {_plain(exc)}") from exc
        except (redis.exceptions.RedisError, OSError) as exc:
            raise SourceDownError(f"Redis at {self.place}: {_plain(exc)}") from exc

    async def _connected(self) -> AbstractConnection:
        if self._connection is None:
            self._connection = await self._pool.get_connection()  # type: ignore[no-untyped-call]
        return self._connection


async def _read(connection: AbstractConnection) -> Reply:
    try:
        return await connection.read_response(disable_decoding=True)
    except redis.exceptions.AuthenticationError:
        raise
    except redis.exceptions.NoPermissionError as exc:
        return Refused(f"NOPERM {exc}")  # redis-py takes the code off
    except redis.exceptions.ResponseError as exc:
        return Refused(str(exc))


def _advance(
    signal: RedisSignal[Any],
    look: Look,
    replies: Sequence[Reply] | None,
    now: datetime,
    readings: list[Reading],
) -> _Asking | None:
    """Let *look* go on with *replies*; put its reading away when it is done."""
    try:
        wants = next(look) if replies is None else look.send(replies)
    except StopIteration as done:
        readings.append(done.value)
    except CollectError as exc:
        readings.append(Reading(signal.key, now, trouble=str(exc)))
    except (ValueError, LookupError, TypeError, OverflowError, RecursionError) as exc:
        readings.append(
            Reading(signal.key, now, trouble=f"an answer makes no sense ({type(exc).__name__}: {exc})")
        )
    else:
        return _Asking(signal, look, wants)
    return None


def _down(signal: RedisSignal[Any], now: datetime, why: str) -> Reading:
    if isinstance(signal, RedisServer):
        return away(signal.key, now, why)
    return Reading(signal.key, now, trouble=why, down=SOURCE)


def place_of(url: str) -> str:
    """Return host and port, or the socket's path, of *url*, without user and password."""
    parts = urlsplit(url)
    return f"{parts.hostname or 'localhost'}:{parts.port or 6379}" if parts.scheme != "unix" else parts.path


def _plain(exc: BaseException) -> str:
    """Return the error's own words without redis-py's numbering."""
    return str(exc).rstrip(".").partition("connecting to ")[2] or str(exc)
