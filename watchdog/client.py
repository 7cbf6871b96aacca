"""
A heartbeat for services, which beats only when work progressed.

::

    beat = Heartbeat(redis.Redis(), "quantum:svc:orders:heartbeat", ttl=30)
    while True:
        entries = read()
        if not entries:
            beat.idle()  # nothing to do, still looking
        for entry in entries:
            with beat.work():
                handle(entry)

With a client of `redis.asyncio` it is ``async with beat.work():`` and ``await beat.idle()``. The watchdog's
signal `heartbeat` understands what is written (docs/reference/heartbeats.md). Nothing but the standard
library is needed here: the client is yours.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Awaitable, Callable, Generator
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any

from watchdog.clock import utc_now

BEATS_A_LIFE = 6
"""If not told, the key is renewed so often within its life: one lost beat, or four, make no alarm."""
LOUD_AGAIN = timedelta(minutes=1)
log = logging.getLogger(__name__)


class Work:
    """One piece of work, around which it is a context manager; left without an exception it succeeded."""

    def __init__(self, beat: Heartbeat) -> None:
        """Tell *beat* how it ends."""
        self._beat = beat
        self._failed = False

    def failed(self) -> None:
        """Say that it failed although no exception will tell, as where one was caught and logged."""
        self._failed = True

    def __enter__(self) -> Work:
        if self._beat.is_async:
            raise TypeError("the client is one of redis.asyncio (write: async with beat.work())")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._counts(exc):
            self._beat.note(succeeded=self._succeeded(exc))

    async def __aenter__(self) -> Work:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._counts(exc):
            await self._beat.note(succeeded=self._succeeded(exc))

    def _counts(self, exc: BaseException | None) -> bool:
        """Say whether it came to an end: what was cancelled or interrupted neither succeeded nor failed."""
        return exc is None or isinstance(exc, Exception)

    def _succeeded(self, exc: BaseException | None) -> bool:
        return exc is None and not self._failed


class _Done:
    """What may be awaited, and need not be."""

    def __await__(self) -> Generator[None, None, None]:
        return
        yield


class Heartbeat:
    """
    Keeps one key alive while work succeeds, or while there is none, and tells in it how much was done.

    Work that fails is counted, but renews nothing: a service that only fails goes missing. Redis never
    breaks or holds up the service through it, but for the client's own time-outs: errors are counted in
    `errors`, logged at most once a minute, and the next beat tries again. Safe to use from many threads.
    """

    def __init__(
        self,
        client: Any,
        key: str,
        *,
        ttl: float = 30.0,
        every: float | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        """
        Beat at *key* through *client*, a Redis client, synchronous or asynchronous.

        The key lives for *ttl* seconds, which has to be longer than the longest piece of work; it is
        written at most once in *every* seconds.
        """
        if ttl <= 0 or (every is not None and not 0 < every < ttl):
            raise ValueError("a heartbeat lives for a while and is renewed within it (0 < every < ttl)")
        self.key = key
        self.done = 0
        self.failed = 0
        self.errors = 0
        self.last_success: datetime | None = None
        self.is_async = hasattr(client, "__aenter__")
        self._client = client
        self._ttl = timedelta(seconds=ttl)
        self._every = timedelta(seconds=ttl / BEATS_A_LIFE if every is None else every)
        self._clock = clock
        self._started = clock()
        self._progress: datetime | None = None  # the last success, or the last time there was nothing to do
        self._idle: datetime | None = None
        self._told: datetime | None = None  # the progress that the key was last renewed for
        self._renewed: datetime | None = None
        self._written: datetime | None = None
        self._complained: datetime | None = None
        self._writing = False
        self._lock = threading.Lock()

    def work(self) -> Work:
        """Return the context manager for one piece of work."""
        return Work(self)

    def idle(self) -> Awaitable[None]:
        """Say that somebody looked and there is nothing to do; await it if the client is asynchronous."""
        now = self._clock()
        with self._lock:
            self._idle = self._progress = now
        return self._beat(now)

    def note(self, *, succeeded: bool) -> Awaitable[None]:
        """Count a piece of work; await it if the client is asynchronous."""
        now = self._clock()
        with self._lock:
            if succeeded:
                self.done += 1
                self.last_success = self._progress = now
            else:
                self.failed += 1
        return self._beat(now)

    def _beat(self, now: datetime) -> Awaitable[None]:
        """Write if it is time to, and if nobody else is just doing it."""
        with self._lock:
            command = self._due(now)
            self._writing = self._writing or command is not None
        if command is None:
            return _Done()
        if self.is_async:
            return self._send_later(command, now)
        try:
            self._client.execute_command(*command)
        except Exception as exc:  # noqa: BLE001 - whatever the client raises, the service goes on
            self._complain(exc, now)
        finally:
            self._writing = False
        return _Done()

    async def _send_later(self, command: tuple[str | int, ...], now: datetime) -> None:
        try:
            await self._client.execute_command(*command)
        except Exception as exc:  # noqa: BLE001 - whatever the client raises, the service goes on
            self._complain(exc, now)
        finally:
            self._writing = False

    def _due(self, now: datetime) -> tuple[str | int, ...] | None:
        """Return the command to send now, or None; where nothing progressed the key's life stays as it is."""
        if self._writing or not _is_over(self._written, self._every, now):
            return None
        self._written = now
        if self._progress is not None and self._progress != self._told:
            self._told, self._renewed = self._progress, now
            return ("SET", self.key, self._value(), "PX", max(1, self._ttl // timedelta(milliseconds=1)))
        if self._renewed is None or _is_over(self._renewed, self._ttl, now):
            return None  # what stands there now, if anything does, is not ours
        return ("SET", self.key, self._value(), "XX", "KEEPTTL")

    def _value(self) -> str:
        """Return what stands in the key: when work last progressed, and how much there was."""
        moments = {
            "ts": self._told,
            "last_success": self.last_success,
            "idle": self._idle,
            "started": self._started,
        }
        times = {name: None if at is None else round(at.timestamp(), 3) for name, at in moments.items()}
        return json.dumps({**times, "done": self.done, "failed": self.failed})

    def _complain(self, exc: Exception, now: datetime) -> None:
        with self._lock:
            self.errors += 1
            self._told = None  # nobody was told: the next beat renews
            if not _is_over(self._complained, LOUD_AGAIN, now):
                return
            self._complained = now
        log.warning("heartbeat_failed: %s: %s (%s)", self.key, exc, type(exc).__name__)


def _is_over(since: datetime | None, span: timedelta, now: datetime) -> bool:
    """Say whether *span* is over since then; a clock that was set back ends it, too."""
    return since is None or not since <= now < since + span
