"""
The edge to Redis: puts the questions of all signals into pipelines and hands out the answers.

Signals are generators (see `watchdog.signals.base`); all of them advance in step, so one look at a
thousand signals costs a handful of round trips. Replies stay raw: what they mean is the signals'
business, and redis-py's own decoding would cost more than the looking (docs/benchmarks.md).
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import hiredis
import redis.asyncio
import redis.exceptions
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from watchdog.errors import CollectError, SourceDownError
from watchdog.model import Reading
from watchdog.signals.base import LATENCY, Command, Look, RedisSignal, Refused, Reply, Signal
from watchdog.signals.redis import RedisServer, away

BATCH = 250
"""Commands a pipeline; 200–500 is where more stops helping."""
LONGEST_HOLD = 0.005
"""How many seconds of work on replies go by before others on the loop get their turn."""
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
            latency = min(await self._ping(), await self._ping())  # the first may wait for a busy loop
            while asking:
                asking = await self._round(asking, latency, now, readings)
        except SourceDownError as exc:
            await self.close()
            server = {s.key for s in signals if isinstance(s, RedisServer)}  # it is away, though INFO came
            done = {reading.signal for reading in readings} - server
            readings = [reading for reading in readings if reading.signal in done]
            readings += [down(s, now, str(exc)) for s in signals if s.key not in done]
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
        onward: list[_Asking] = []
        breath = time.perf_counter()
        for some, commands in _batches(asking):
            replies = dict(zip(commands, await self._ask(commands), strict=True))
            replies[LATENCY] = latency
            for one in some:
                advanced = _advance(one.signal, one.look, [replies[c] for c in one.wants], now, readings)
                if advanced is not None:
                    onward.append(advanced)
                if time.perf_counter() - breath > LONGEST_HOLD:  # others want the loop as well
                    await asyncio.sleep(0)
                    breath = time.perf_counter()
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
                packed = map(hiredis.pack_command, commands)  # type: ignore[arg-type]  # its stub is off
                await connection.send_packed_command(b"".join(packed))
                return [await _read(connection) for _ in commands]
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


def _batches(asking: Iterable[_Asking]) -> Iterator[tuple[list[_Asking], list[Command]]]:
    """
    Yield who asks together, and what: about BATCH commands, none twice.

    A few at a time, so that the replies of a thousand signals need not be held at once.
    """
    some: list[_Asking] = []
    commands: dict[Command, None] = {}
    for one in asking:
        some.append(one)
        commands.update((command, None) for command in one.wants if command is not LATENCY)
        if len(commands) >= BATCH:
            yield some, list(commands)
            some, commands = [], {}
    if some:
        yield some, list(commands)


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


def down(signal: Signal[Any], now: datetime, why: str) -> Reading:
    """Return the reading of *signal* while the server is away."""
    if isinstance(signal, RedisServer):
        return away(signal.key, now, why)
    return Reading(signal.key, now, trouble=why, down=SOURCE)


def place_of(url: str) -> str:
    """Return host and port, or the socket's path, of *url*, without user and password."""
    parts = urlsplit(url)
    return f"{parts.hostname or 'localhost'}:{parts.port or 6379}" if parts.scheme != "unix" else parts.path


def _plain(exc: BaseException) -> str:
    """Return what the system says of the failure, or else redis-py's own words without its numbering."""
    cause = exc.__cause__ or exc.__context__
    if isinstance(cause, OSError) and cause.errno and cause.errno > 0:
        return os.strerror(cause.errno)
    words = str(exc).rstrip(".").partition("connecting to ")[2] or str(exc)
    return " ".join(words.split())
