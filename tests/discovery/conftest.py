"""Two real servers, and a lookout on which a scout goes over the keys of one of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import pytest
import redis

from tests.drawn import T0
from tests.signals.conftest import SERVERS, binary_of
from watchdog.config import parse
from watchdog.demo.server import EmbeddedServer, start_server
from watchdog.scout import Ask, Discovered, Scout
from watchdog.signals.base import Command, Reply
from watchdog.wire import Batch, open_wire

T = TypeVar("T")


def names(found: Discovered) -> set[str]:
    """Return what was found, each with its service: ``orders: group g on s``."""
    return {f"{spec.key.service}: {named(spec.key)}" for spec in found.added}


def named(key: Any) -> str:
    """Return what a signal looks at."""
    labels = key.labels
    if key.kind == "consumes":
        return f"group {labels['group']} on {labels['stream']}"
    return str(labels["stream"] if key.kind == "stream" else labels["key"])


def lost(found: Discovered) -> set[str]:
    """Return what is no longer to be watched."""
    return {named(key) for key in found.gone}


@dataclass
class Lookout:
    """A server, a client of it, and what a scout asked of it."""

    url: str
    client: redis.Redis
    asked: list[Sequence[Command]] = field(default_factory=list)

    def scout(self, text: str) -> Scout:
        """Return the scout of the only item of `discover` in the file *text*."""
        config = parse(f"{text}\nredis: '{self.url}'\n")
        (plan,) = config.discover
        return Scout(plan, config)

    def with_wire(self, use: Callable[[Ask], Awaitable[T]]) -> T:
        """Let *use* ask the server."""

        async def run() -> T:
            wire = open_wire(self.url)

            async def ask(commands: Sequence[Command]) -> list[Reply]:
                self.asked.append(commands)
                return await wire.ask(Batch(commands))

            try:
                return await use(ask)
            finally:
                await wire.close()

        return asyncio.run(run())

    def go(self, scout: Scout, seconds: float = 0.0) -> Discovered:
        """Let *scout* go over all keys, *seconds* after the test began."""
        return self.with_wire(lambda ask: scout.whole_round(ask, T0 + timedelta(seconds=seconds)))


@pytest.fixture(scope="module", params=list(SERVERS))
def discovery_server(request: pytest.FixtureRequest) -> Iterator[EmbeddedServer]:
    """Each of the two servers, one a module."""
    with start_server(binary_of(str(request.param))) as started:
        yield started


@pytest.fixture
def lookout(discovery_server: EmbeddedServer) -> Iterator[Lookout]:
    """Return a lookout on an empty server."""
    with redis.Redis.from_url(discovery_server.url) as client:
        client.flushall()
        yield Lookout(discovery_server.url, client)
