"""One look at real servers, and the file it makes."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.clients.conftest import serve
from tests.clients.workers import Library, Workers
from watchdog.commands.init import first_file, look
from watchdog.config import Config, parse
from watchdog.demo.server import EmbeddedServer, start_server
from watchdog.firstlook.here import with_this_machine
from watchdog.sidecar import Sidecar


@pytest.fixture(params=["taskiq", "faststream"])
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Workers]]:
    """One library's producer and workers yet to be started, on a server whose clock is moved."""
    library: Library = request.module.LIBRARIES[request.param]
    for place in serve(library, None, tmp_path):
        workers = Workers(library, place, tmp_path)
        yield request.param, workers
        workers.kill()
        workers.redis.close()


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedServer]:
    """An embedded Valkey 9."""
    with start_server() as started:
        yield started


@pytest.fixture
def client(server: EmbeddedServer) -> Iterator[redis.Redis]:
    """A client on the emptied server."""
    with redis.Redis(port=server.port) as connected:
        connected.flushall()
        yield connected


def some_work(client: Any) -> None:
    """Leave what a worker in good health leaves: a stream, its group, a heartbeat."""
    client.set("svc:billing:heartbeat", int(time.time()), ex=30)
    for number in range(3):
        client.xadd("orders", {"number": number})
    client.xgroup_create("orders", "billing", "0")
    for _, entries in client.xreadgroup("billing", "worker-1", {"orders": ">"}):
        client.xack("orders", "billing", *[entry for entry, _ in entries])


async def written(url: str, now: datetime, state: Path) -> tuple[str, Config]:
    """Return the file that one look at *url* makes, unedited, and what it means; *state* is a place to keep it."""
    seen = with_this_machine(await look(url), (), (), frozenset({socket.gethostname()}))
    text, _ = first_file(seen, url, now)
    return text, parse(f"{text}\nstate: {state}\n", "rules.yaml", {})


@dataclass
class Ticking:
    """A sidecar that looks when it is told to, and what fires."""

    sidecar: Sidecar

    async def look(self, now: datetime) -> Mapping[tuple[str, str], str]:
        """Tick at *now*, wait for whoever was late, and return the alerts by name and service."""
        await self.sidecar.tick(now)
        while late := [task for task in asyncio.all_tasks() if task.get_name().startswith("look ")]:
            await asyncio.wait(late, timeout=10)
            await self.sidecar.tick(now)
        return {(a.name, a.service): str(a.state) for a in self.sidecar.alerts.values()}
