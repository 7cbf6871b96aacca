"""
The watcher is watched: what makes the sidecar well, and who is told of it.

A *witness* hears of every finished tick, and makes sure that somebody notices when no more come: the
service manager (`watchdog.systemd`), a dead-man's switch outside (`Ping`), another watchdog
(`Beat`). All are told by ticks alone, so that whatever stops the ticks stops them too.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import httpx
import structlog

from watchdog.config import Config
from watchdog.errors import CollectError, SourceDownError
from watchdog.notifiers.base import trusting
from watchdog.outward import BeatModel, PingModel
from watchdog.units import rfc3339
from watchdog.writer import RedisWriter

PING, BEAT = "ping", "heartbeat"
SIGNS = ("sent", "failed", "withheld")
"""What becomes of a sign of life."""
Signs = Counter[tuple[str, str]]
"""How many signs of life there were, by witness and by what became of them."""
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Checkup:
    """
    How the sidecar is right after a tick, in words.

    *unwell* says why it does not do its work, *stuck* why nobody hears of it though it does; both
    are None if all is well. *headline* is how the services stand.
    """

    at: datetime
    unwell: str | None
    stuck: str | None
    headline: str


class Witness(Protocol):
    """Somebody who makes sure that it is noticed when no more ticks come."""

    def start(self) -> None:
        """Get ready, on the running loop."""

    def ticked(self, checkup: Checkup) -> None:
        """Hear of a finished tick; must not block."""

    async def stop(self) -> None:
        """Give up what `start` took."""


class _Sender:
    """Sends one sign of life at a time, beside the ticks."""

    def __init__(self, kind: str, signs: Signs) -> None:
        self.kind = kind
        self.signs = signs
        self.signs.update({(kind, outcome): 0 for outcome in SIGNS})
        self._sending: asyncio.Task[None] | None = None

    def busy(self) -> bool:
        """Say whether the last sign is still on its way."""
        return self._sending is not None and not self._sending.done()

    def send(self, work: Coroutine[Any, Any, None]) -> None:
        """Have *work* done beside the ticks; it counts what became of it."""
        self._sending = asyncio.create_task(work, name=self.kind)

    def note(self, outcome: str) -> None:
        """Count a sign."""
        self.signs[self.kind, outcome] += 1

    async def stop(self) -> None:
        """Wait no longer for the sign that is on its way."""
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)


class Ping(_Sender):
    """
    Asks an address outside while all is well, and leaves the alarm to whoever no longer hears.

    The outbox counts: when no receiver takes anything, that address is the only one left to tell.
    """

    def __init__(self, model: PingModel, signs: Signs) -> None:
        super().__init__(PING, signs)
        self._model = model
        self._client: httpx.AsyncClient | None = None
        self._due = 0.0  # monotonic

    def start(self) -> None:
        """Get a client of its own: no receiver's trouble is its."""
        self._client = httpx.AsyncClient(follow_redirects=False, verify=trusting())

    def ticked(self, checkup: Checkup) -> None:
        """Ask if it is time to."""
        now, every = asyncio.get_running_loop().time(), self._model.every.total_seconds()
        if now < self._due or self.busy():
            return
        self._due = max(self._due + every, now)  # ticks do not fall on it: what is late once stays in step
        if self._due == now:
            self._due += every
        if why := checkup.unwell or checkup.stuck:
            self.note("withheld")
            log.warning("ping_withheld", why=why)
        else:
            self.send(self._ask())

    async def _ask(self) -> None:
        assert self._client is not None
        seconds = self._model.timeout.total_seconds()
        try:
            async with asyncio.timeout(seconds):
                answer = await self._client.get(self._model.url.get_secret_value(), timeout=seconds)
        except (httpx.TimeoutException, TimeoutError):
            why = f"no answer within {seconds:g}s"
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as exc:
            why = f"cannot be reached ({type(exc).__name__})"  # its words may hold the URL
        else:
            why = "" if answer.is_success else f"answered {answer.status_code}"
        self.note("failed" if why else "sent")
        if why:
            log.warning("ping_failed", why=why)

    async def stop(self) -> None:
        """Wait no longer for an answer, and close."""
        await super().stop()
        if self._client is not None:
            await self._client.aclose()


class Beat(_Sender):
    """Writes the watchdog's own heartbeat, for another watchdog to watch, after every tick that went well."""

    def __init__(self, model: BeatModel, writer: RedisWriter, signs: Signs) -> None:
        super().__init__(BEAT, signs)
        self._model = model
        self._writer = writer
        self._refused = ""

    def start(self) -> None:
        """Do nothing: the writer connects when it has something to write."""

    def ticked(self, checkup: Checkup) -> None:
        """Beat, unless unwell or still at the last beat."""
        if checkup.unwell is not None:
            self.note("withheld")
        elif not self.busy():
            self.send(self._beat(rfc3339(checkup.at)))

    async def _beat(self, at: str) -> None:
        try:
            await self._writer.set(self._model.key, at, self._model.ttl)
        except SourceDownError:
            self.note("failed")  # and nothing more: RedisDown says it
        except CollectError as exc:
            self.note("failed")
            if self._refused != str(exc):
                self._refused = str(exc)
                log.warning("heartbeat_refused", why=str(exc))
        else:
            self.note("sent")
            self._refused = ""

    async def stop(self) -> None:
        """Wait no longer for Redis, and close; the key expires by itself."""
        await super().stop()
        await self._writer.close()


def exchange(
    witnesses: Iterable[Witness], before: Config, config: Config, signs: Signs
) -> tuple[list[Witness], list[Witness]]:
    """Return which of *witnesses* another file no longer asks for, and which it asks for that are new."""
    server = config.redis_url, config.redis_timeout
    other: dict[type[Witness], bool] = {
        Ping: config.ping != before.ping,
        Beat: (config.heartbeat, server) != (before.heartbeat, (before.redis_url, before.redis_timeout)),
    }
    leaving = [one for one in witnesses if other.get(type(one), False)]
    return leaving, [one for one in witnesses_of(config, signs) if other.get(type(one), False)]


def witnesses_of(config: Config, signs: Signs) -> list[Witness]:
    """Return those that rules.yaml asks for; what they do is counted in *signs*."""
    found: list[Witness] = []
    if config.ping is not None:
        found.append(Ping(config.ping, signs))
    if config.heartbeat is not None:
        writer = RedisWriter(config.redis_url, config.redis_timeout)
        found.append(Beat(config.heartbeat, writer, signs))
    return found
