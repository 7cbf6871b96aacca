"""Real workers of real libraries on a real server, all on one clock that the tests move."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, cast

import pytest

from tests.clients.watching import Running, Watch
from tests.clients.workers import ROOT, Library, Place, Workers
from tests.moved import MovedClock
from tests.nursery import Nursery
from watchdog.config import load
from watchdog.demo.server import free_port, start_server
from watchdog.sidecar import Sidecar

pytest.register_assert_rewrite("tests.clients.stories")  # which the tests of each library import after this

SERVERS: Mapping[str, str | None] = {"Valkey 9": None, "Redis 7.0": "/usr/bin/redis-server"}
RULES = """
redis: {url: "%(redis)s"}
every: 1s
state: "%(state)s"
services:
  orders:
    consumes: {stream: "%(stream)s", group: "%(group)s"}
    stream: {key: "%(stream)s"}
    log: {path: "%(log)s"}
"""


def serve(library: Library, binary: str | None, directory: Path) -> Iterator[Place]:
    """Start a server and the library's producer on a clock of their own."""
    clock = MovedClock(directory)
    with start_server(binary, environment=clock.environment) as server:
        environment = {**os.environ, **clock.environment, "REDIS_URL": server.url, "PYTHONPATH": str(ROOT)}
        with (
            Nursery(library.loads, environment) as nursery,
            subprocess.Popen(
                [sys.executable, "-m", library.app],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=environment,
            ) as producer,
        ):
            try:
                assert cast("IO[str]", producer.stdout).readline() == "ready\n"
                yield Place(server, clock, directory, producer, nursery)
            finally:
                producer.kill()


@pytest.fixture(scope="module")
def library(request: pytest.FixtureRequest) -> Library:
    """Return the library that the module is about."""
    return cast("Library", request.module.LIBRARY)


def only_on(server: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let a test run on *server* only: what it is about does not depend on the server."""
    return pytest.mark.parametrize("place", [server], indirect=True)


@pytest.fixture(scope="module", params=list(SERVERS))
def place(
    request: pytest.FixtureRequest, library: Library, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    """A server and a producer; each test runs on either server unless it says otherwise."""
    yield from serve(library, SERVERS[request.param], tmp_path_factory.mktemp("place"))


@pytest.fixture
def workers(library: Library, place: Place, tmp_path: Path) -> Iterator[Workers]:
    """Workers yet to be started, on an empty server."""
    workers = Workers(library, place, tmp_path)
    workers.redis.flushall()
    place.clock.advance(-place.clock.offset)
    yield workers
    workers.kill()
    workers.redis.close()


@pytest.fixture
def more_rules() -> str:
    """What a test adds to the file."""
    return ""


@pytest.fixture
def rules(workers: Workers, tmp_path: Path, more_rules: str) -> Path:
    """A file with little but services: every built-in rule is in force."""
    places = {
        "redis": workers.place.server.url,
        "state": tmp_path / "watchdog.db",
        "log": workers.log,
        "stream": workers.library.stream,
        "group": workers.library.group,
    }
    written = tmp_path / "rules.yaml"
    written.write_text(RULES % places + more_rules)
    return written


@pytest.fixture
async def watch(workers: Workers, rules: Path) -> AsyncIterator[Watch]:
    """A watchdog within this process, told the moved time at each tick."""
    sidecar = Sidecar(load(rules), workers.place.clock.now)
    yield Watch(sidecar, workers, rules)
    await sidecar.stop()


@pytest.fixture
def running(workers: Workers, rules: Path) -> Iterator[Running]:
    """`watchdog run`."""
    address = f"127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "watchdog", "run", "--rules", str(rules), "--listen", address]
    with subprocess.Popen(
        command, env=workers.place.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield Running(f"http://{address}")
        finally:
            process.kill()
