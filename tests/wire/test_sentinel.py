"""A real Sentinel: the master is found by its name, and found again when it is another one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from tests.wire.servers import Watched, until_asked, watched
from watchdog.demo.server import HOST, free_port, start_server
from watchdog.errors import SourceDownError
from watchdog.redisurl import parse_redis_url
from watchdog.wire import Batch, open_wire
from watchdog.wire.sentinel import SentinelWire

INFO = Batch([("INFO", "server")])


async def port_behind(url: str) -> int:
    """Return the port of the server that answers at *url*."""
    wire = open_wire(url, 3.0)
    try:
        return port_in(await wire.ask(INFO))
    finally:
        await wire.close()


def port_in(replies: list[bytes]) -> int:
    """Return the port that an INFO tells."""
    (told,) = [line for line in replies[0].decode().splitlines() if line.startswith("tcp_port:")]
    return int(told.partition(":")[2])


async def test_after_a_failover_the_new_master_is_read() -> None:
    """Killed and replaced between two ticks: the second reads the new one as if nothing had been."""
    with watched() as trio:
        wire = open_wire(trio.url(), 3.0)
        before = port_in(await wire.ask(INFO))
        await asyncio.to_thread(trio.failover)
        after = port_in(await wire.ask(INFO))
        await wire.close()
    assert (before, after) == (trio.master.port, trio.replica.port)


async def test_away_until_sentinel_has_decided() -> None:
    """Killed a moment ago, nobody is the master yet: down, and then the new one, by the same wire."""
    with watched() as trio:
        wire = open_wire(trio.url(), 1.0)
        await wire.ask(INFO)
        trio.master.process.kill()
        trio.master.process.wait()
        with pytest.raises(SourceDownError) as told:
            await wire.ask(INFO)
        assert str(told.value).startswith(f"Redis at {HOST}:{trio.master.port} ")
        assert await until_asked(wire, INFO, lambda found: port_in(found) == trio.replica.port)
        await wire.close()


@pytest.fixture(scope="module")
def guarded() -> Iterator[Watched]:
    """A trio in which Redis and Sentinel have a password each."""
    with watched("topsecret", "sentinelsecret") as trio:
        yield trio


SENTINEL_LOGIN = "?sentinel_password=sentinelsecret"


async def test_each_has_its_own_login(guarded: Watched) -> None:
    """The master is asked with the one before the hosts, Sentinel with the one behind `?`."""
    assert await port_behind(guarded.url(":topsecret@", options=SENTINEL_LOGIN)) == guarded.master.port


WRONG = {
    "no password for Sentinel": (":topsecret@", "mymaster", "", "Sentinel at {sentinel} refuses: NOAUTH"),
    "a wrong one": (
        ":topsecret@",
        "mymaster",
        "?sentinel_password=wrongsecret",
        "Sentinel at {sentinel} refuses the password or user: WRONGPASS",
    ),
    "no password for Redis": ("", "mymaster", SENTINEL_LOGIN, "Redis at {master} refuses: NOAUTH"),
    "a wrong one for Redis": (
        ":wrongsecret@",
        "mymaster",
        SENTINEL_LOGIN,
        "Redis at {master} refuses the password or user: WRONGPASS",
    ),
    "another name": (
        ":topsecret@",
        "nobody",
        SENTINEL_LOGIN,
        'Sentinel at {sentinel} knows no master "nobody"',
    ),
}


@pytest.mark.parametrize(("login", "name", "options", "why"), WRONG.values(), ids=WRONG)
async def test_what_is_wrong(guarded: Watched, login: str, name: str, options: str, why: str) -> None:
    """The sentence says who refuses what, and no secret."""
    with pytest.raises(SourceDownError) as told:
        await port_behind(guarded.url(login, name, options=options))
    places = {"sentinel": f"{HOST}:{guarded.sentinel}", "master": f"{HOST}:{guarded.master.port}"}
    assert str(told.value).startswith(why.format(**places))
    assert "secret" not in str(told.value)


async def test_one_of_several_sentinels_is_enough(guarded: Watched) -> None:
    """Those that are away are passed over; if all are, the first is named."""
    away = f"{HOST}:{free_port()}"
    both = f"redis+sentinel://:topsecret@{away},{HOST}:{guarded.sentinel}/mymaster{SENTINEL_LOGIN}"
    assert await port_behind(both) == guarded.master.port
    with pytest.raises(SourceDownError, match=f"^Sentinel at {away} cannot be reached: Connection refused$"):
        await port_behind(f"redis+sentinel://:topsecret@{away}/mymaster")


async def test_the_master_outlives_its_sentinel(guarded: Watched) -> None:
    """A connection that is well is asked on, whether or not Sentinel can be asked again."""
    server = parse_redis_url(guarded.url(":topsecret@", options=SENTINEL_LOGIN))
    wire = SentinelWire(server, 1.0, ask_again=0.0)
    before = port_in(await wire.ask(INFO))
    wire.sentinels = [replace(wire.sentinels[0], port=free_port())]
    assert port_in(await wire.ask(INFO)) == before == guarded.master.port
    await wire.close()


@asynccontextmanager
async def saying(*ports: int) -> AsyncIterator[SentinelWire]:
    """Run what answers as a Sentinel would, with another port each time; yield a wire that asks it before every batch."""
    left = [str(port).encode() for port in ports]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"PING\r\n")
        writer.write(b"+OK\r\n+PONG\r\n")
        await reader.readuntil(b"mymaster\r\n")
        port = left.pop(0)
        writer.write(b"*2\r\n$9\r\n127.0.0.1\r\n$%d\r\n%s\r\n" % (len(port), port))
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, HOST, 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        wire = SentinelWire(parse_redis_url(f"redis+sentinel://{HOST}:{port}/mymaster"), 3.0, ask_again=0.0)
        yield wire
        await wire.close()


async def test_a_master_that_was_replaced_unseen() -> None:
    """Cut off from its Sentinels it would answer for ever; Sentinel is asked again, and is believed."""
    with start_server() as one, start_server() as two:
        async with saying(one.port, one.port, two.port) as wire:
            assert [port_in(await wire.ask(INFO)) for _ in range(3)] == [one.port, one.port, two.port]


async def test_one_that_is_not_the_master_yet() -> None:
    """What Sentinel says may be ahead of what is: a replica is not read for a master."""
    with watched() as trio:
        async with saying(trio.replica.port, trio.master.port) as wire:
            with pytest.raises(
                SourceDownError, match=f"^Redis at {HOST}:{trio.replica.port} is not the master yet"
            ):
                await wire.ask(INFO)
            assert port_in(await wire.ask(INFO)) == trio.master.port
