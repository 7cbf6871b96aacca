"""A real server for each test module, emptied before each test."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from watchdog.demo.server import EmbeddedServer, start_server
from watchdog.pipeline.health import Vitals
from watchdog.pipeline.runtime import Context, Loop, Service, connect
from watchdog.pipeline.settings import Env

DEADLINE_SECONDS = 20.0


async def eventually(holds: Callable[[], object], what: str) -> None:
    """Return as soon as *holds* does; fail with *what* if it does not within the deadline."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"not within {DEADLINE_SECONDS:g} s: {what}"
        await asyncio.sleep(0.05)


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedServer]:
    """An embedded server."""
    with start_server() as started:
        yield started


@pytest.fixture
def redis(server: EmbeddedServer) -> Any:
    """A client of the server, which holds nothing."""
    client = connect(server.url)
    client.flushall()
    return client


@pytest.fixture
def context(redis: Any) -> Callable[[str, Mapping[str, str]], Context]:
    """A function that returns what a service with the given settings is built from."""

    def build(service: str, env: Mapping[str, str]) -> Context:
        return Context(redis, Env(env), logging.getLogger(service), Vitals(service))

    return build


@pytest.fixture
def loop_of(context: Callable[[str, Mapping[str, str]], Context]) -> Callable[..., Loop]:
    """A function that returns a loop around a service."""

    def build(name: str, service: Callable[[Context], Service], **env: str) -> Loop:
        built = context(name, env)
        return Loop(name, service(built), built)

    return build


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory for the demo's files."""
    return tmp_path / "demo"
