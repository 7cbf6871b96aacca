"""Two real servers, and a bench on which one signal looks at one of them."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

import pytest
import redis

from watchdog.demo.server import EmbeddedServer, start_server
from watchdog.model import Reading, SignalKey
from watchdog.reader import RedisReader, Round
from watchdog.signals import SIGNALS
from watchdog.signals.base import RedisSignal
from watchdog.units import EPOCH
from watchdog.wire import open_wire

KEEP = timedelta(hours=1)
SERVERS: Mapping[str, str | None] = {"Valkey 9": None, "Redis 7.0": "/usr/bin/redis-server"}


def signal_of(kind: str, **keys: Any) -> RedisSignal[Any]:
    """Return the signal that rules.yaml would make of *keys*."""
    signal = SIGNALS[kind]
    config = signal.Config.model_validate(keys)
    built = signal(SignalKey("service", kind, config.labels()), config, KEEP)
    assert isinstance(built, RedisSignal)
    return built


def look_at(
    url: str,
    *signals: RedisSignal[Any],
    now: datetime,
    timeout: float = 3.0,
    before: Mapping[SignalKey, Reading] = MappingProxyType({}),
) -> list[Reading]:
    """
    Let *signals* look once through a reader of their own; the readings come in their order.

    Of one that finds nothing changed the reading of *before* holds.
    """

    async def once() -> list[Reading]:
        reader = RedisReader(open_wire(url, timeout))
        try:
            brought = {reading.signal: reading for reading in await reader.look([Round(signals)], now)}
            found = {**before, **brought}
            return [found[signal.key] for signal in signals]
        finally:
            await reader.close()

    return asyncio.run(once())


def steps(reading: Reading, name: str, variant: str = "") -> float:
    """Return by how much a counter gained in this look."""
    return sum(by for _, by in reading.counts[name, variant].steps)


@dataclass
class Bench:
    """A server, a client of it, and the moment at which the test began by the server's own clock."""

    name: str
    url: str
    client: redis.Redis
    began: datetime = field(default=EPOCH)
    seen: dict[SignalKey, Reading] = field(default_factory=dict)

    @property
    def inactive_told(self) -> bool:
        """Say whether the server tells `inactive` beside `idle` (from 7.2 on)."""
        return self.name == "Valkey 9"

    def after(self, seconds: float) -> datetime:
        """Return the moment *seconds* after the test began."""
        return self.began + timedelta(seconds=seconds)

    def id(self, seconds: float, sequence: int = 0) -> str:
        """Return the ID of an entry of *seconds* after the test began."""
        return f"{int((self.after(seconds) - EPOCH).total_seconds() * 1000)}-{sequence}"

    def add(self, stream: str, *at: float, fields: Mapping[str, Any] | None = None, **more: Any) -> None:
        """Add an entry for each of *at*, in seconds after the test began."""
        for seconds in at:
            self.client.xadd(stream, dict(fields or {"n": "1"}) | more, id=self.id(seconds))

    def look(self, signal: RedisSignal[Any], seconds: float = 0.0) -> Reading:
        """Let *signal* look, *seconds* after the test began."""
        (reading,) = look_at(self.url, signal, now=self.after(seconds), before=self.seen)
        self.seen[signal.key] = reading
        return reading

    def looks(self, signal: RedisSignal[Any], *seconds: float) -> Sequence[Reading]:
        """Let *signal* look at each of *seconds*."""
        return [self.look(signal, at) for at in seconds]


def binary_of(name: str) -> str | None:
    """Return the binary of the server called *name*; a missing one fails, it never skips."""
    program = SERVERS[name]
    if program is not None and shutil.which(program) is None:
        pytest.fail(
            f"{name} is missing: install Debian's package redis-server (apt-get install redis-server)"
        )
    return program


@pytest.fixture(scope="module", params=list(SERVERS))
def redis_server(request: pytest.FixtureRequest) -> Iterator[tuple[str, EmbeddedServer]]:
    """Each of the two servers, one a module."""
    name = str(request.param)
    with start_server(binary_of(name)) as started:
        yield name, started


@pytest.fixture
def bench(redis_server: tuple[str, EmbeddedServer]) -> Iterator[Bench]:
    """Return a bench on an empty server."""
    name, server = redis_server
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
        seconds, micros = client.time()
        began = datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=micros // 1000 * 1000)
        yield Bench(name, server.url, client, began)
