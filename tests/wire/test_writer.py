"""What the watchdog writes itself goes to the master, wherever that is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from tests.wire.servers import client_of, cluster, watched
from watchdog.demo.server import HOST, free_port, start_server
from watchdog.errors import CollectError, SourceDownError
from watchdog.lease import Lease
from watchdog.writer import RedisWriter

TTL = timedelta(seconds=30)


@asynccontextmanager
async def writing(url: str, timeout: float = 3.0) -> AsyncIterator[RedisWriter]:
    """Yield a writer to *url*."""
    writer = RedisWriter(url, timedelta(seconds=timeout))
    yield writer
    await writer.close()


async def test_a_cluster_takes_heartbeat_and_lease() -> None:
    """Each key goes to its node; those of a lease whose name has braces are together on one."""
    with cluster() as built:
        async with writing(built.url) as writer:
            for number in range(3):
                key = built.key(number, "beat")
                await writer.set(key, "now", TTL)
                with built.client(number) as client:
                    assert (client.get(key), 0 < client.pttl(key) <= 30_000) == ("now", True)
            turn = await Lease("{pair}", "me", TTL, writer).turn("0-0", well=True)
            assert turn.held
            with pytest.raises(CollectError, match="refuses what the watchdog writes: "):
                await Lease("pair", "me", TTL, writer).turn("0-0", well=True)


async def test_after_a_failover_the_new_master_is_written() -> None:
    """The next write after it."""
    with watched() as trio:
        async with writing(trio.url()) as writer:
            await writer.set("beat", "one", TTL)
            await asyncio.to_thread(trio.failover)
            await writer.set("beat", "two", TTL)
        with client_of(trio.replica) as client:
            assert client.get("beat") == "two"


async def test_refused_and_away() -> None:
    """One sentence with the place: no is no, and nobody there is nobody there."""
    with start_server(users=("user default on nopass ~* +@all -set",)) as server:
        async with writing(server.url) as writer:
            with pytest.raises(CollectError, match=f"^Redis at {HOST}:{server.port} refuses what .*: NOPERM"):
                await writer.set("beat", "one", TTL)
            assert await writer.run("return {ARGV[1], {1, false}}", ("k",), 7) == ["7", [1, None]]
    async with writing(f"redis://:secret@{HOST}:{free_port()}") as writer:
        with pytest.raises(SourceDownError, match=r"cannot be reached: Connection refused$"):
            await writer.set("beat", "one", TTL)
