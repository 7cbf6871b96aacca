"""The edge to Redis: one question in a pipeline, one answer for each, one sentence when there is none."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
import redis

from tests.signals.conftest import Bench, binary_of, look_at, signal_of
from watchdog.demo.server import HOST, free_port, start_server
from watchdog.model import Reading
from watchdog.reader import RedisReader, Round
from watchdog.redisurl import place_of
from watchdog.signals.base import Look, RedisSignal
from watchdog.wire import open_wire

NOW = datetime(2026, 2, 19, 1, 50, 25, tzinfo=UTC)
OTHERS: list[dict[str, Any]] = [
    {"kind": "heartbeat", "key": "k"},
    {"kind": "stream", "key": "s"},
    {"kind": "consumes", "stream": "s", "group": "g"},
    {"kind": "executions", "stream": "s", "success": {"executed": True}},
    {"kind": "flag", "key": "f"},
]


def signals() -> list[RedisSignal[Any]]:
    """Return the server's signal and one of each other kind."""
    return [signal_of("redis"), *(signal_of(**keys) for keys in OTHERS)]


def all_down(readings: list[Reading]) -> str:
    """Check that the server is down and everything else unknown for one reason; return it."""
    server, *others = readings
    assert (server.values, server.trouble, server.down) == ({"up": 0.0}, None, None)
    (why,) = {str(server.evidence["error"]), *(str(reading.trouble) for reading in others)}
    assert [(r.down, r.values, r.counts, r.known) for r in others] == [("redis", {}, {}, None)] * len(OTHERS)
    return why


# ---- a server that is away ---------------------------------------------------------------------


def test_nobody_listens() -> None:
    """One sentence, the same for all."""
    port = free_port()
    why = all_down(look_at(f"redis://{HOST}:{port}/0", *signals(), now=NOW))
    assert why == f"Redis at {HOST}:{port} cannot be reached: Connection refused"


def test_no_such_host() -> None:
    """The name is told, user and password are not."""
    why = all_down(look_at("redis://ann:secret@nowhere.invalid:6379/0", *signals(), now=NOW))
    assert why.startswith("Redis at nowhere.invalid:6379 cannot be reached: ")
    assert "secret" not in why


def test_no_such_socket() -> None:
    """A socket is named by its path."""
    why = all_down(look_at("unix:///nowhere/redis.sock", *signals(), now=NOW))
    assert why == "Redis at /nowhere/redis.sock cannot be reached: No such file or directory"


@pytest.fixture
def silent() -> Iterator[str]:
    """A port that accepts and never answers."""
    with socket.create_server((HOST, 0)) as listening:
        yield f"redis://{HOST}:{listening.getsockname()[1]}/0"


def test_accepts_and_never_answers(silent: str) -> None:
    """Within the timeout."""
    began = time.monotonic()
    why = all_down(look_at(silent, *signals(), now=NOW, timeout=0.2))
    assert why == f"Redis at {place_of(silent)} does not answer in time"
    assert time.monotonic() - began < 1.0


@asynccontextmanager
async def answering(*replies: bytes) -> AsyncIterator[str]:
    """Serve the given bytes, one for each piece that comes in, and silence thereafter."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for reply in replies:
            if not await reader.read(65536):
                break
            writer.write(reply)
        while await reader.read(65536):
            pass
        writer.close()

    server = await asyncio.start_server(serve, HOST, 0)
    async with server:
        yield f"redis://{HOST}:{server.sockets[0].getsockname()[1]}/0"


STRANGERS = {
    "a web server": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "noise": b"\x00\xff\xfe\r\n",
    "loading": b"-LOADING Redis is loading the dataset in memory\r\n" * 9,
    "a server that is full": b"-ERR max number of clients reached\r\n" * 9,
}


@pytest.mark.parametrize("reply", STRANGERS.values(), ids=STRANGERS)
async def test_not_a_redis_one_can_use(reply: bytes) -> None:
    """Whatever answers there, everything is unknown and it is told in one line."""
    async with answering(reply, reply, reply, reply) as url:
        reader = RedisReader(open_wire(url, 0.3))
        why = all_down(await reader.look([Round(signals())], NOW))
        await reader.close()
    assert why.startswith(f"Redis at {place_of(url)}")
    assert "\n" not in why


async def test_silent_in_the_middle_of_a_look() -> None:
    """PING is answered, the questions are not: down all the same."""
    async with answering(b"+OK\r\n+PONG\r\n", b"+PONG\r\n", b"+PONG\r\n") as url:
        reader = RedisReader(open_wire(url, 0.2))
        readings = await reader.look([Round(signals())], NOW)
        await reader.close()
    assert all_down(readings) == f"Redis at {place_of(url)} does not answer in time"


# ---- a server that refuses ---------------------------------------------------------------------

BOTH = ["Valkey 9", "Redis 7.0"]
USERS = (
    "user default on >topsecret ~* +@all",
    "user narrow on >narrow ~* +@all -xinfo|consumers -xpending -pttl",
    "user blind on >blind ~* +ping +info +client +get +pttl",
    "user deaf on >deaf ~* +info +client +get +pttl",
    "user gone off >gone ~* +@all",
)


@pytest.fixture(scope="module", params=BOTH)
def guarded(request: pytest.FixtureRequest) -> Iterator[str]:
    """A server that wants a password; returns its host and port."""
    with start_server(binary_of(str(request.param)), users=USERS) as server:
        with redis.Redis.from_url(server.url, password="topsecret") as client:
            client.set("k", "1771359991", ex=30)
            client.xgroup_create("s", "g", "0", mkstream=True)
            client.xadd("s", {"executed": "1"}, id="1000-0")
            client.xreadgroup("g", "host_1", {"s": ">"})
        yield f"{HOST}:{server.port}"


LOGINS = {
    "no password": "",
    "wrong password": ":wrongsecret@",
    "wrong user": "ann:wrongsecret@",
    "disabled user": "gone:gone@",
}


@pytest.mark.parametrize("login", LOGINS.values(), ids=LOGINS)
def test_refused_login(guarded: str, login: str) -> None:
    """One sentence without the password."""
    why = all_down(look_at(f"redis://{login}{guarded}/0", *signals(), now=NOW))
    assert why.startswith(f"Redis at {guarded} refuses")
    assert "secret" not in why
    assert "\n" not in why


def test_the_right_password(guarded: str) -> None:
    """Everything is read."""
    readings = look_at(f"redis://:topsecret@{guarded}/0", *signals(), now=NOW)
    assert [reading.trouble for reading in readings] == [None] * 6


def test_one_command_refused_blinds_only_what_needs_it(guarded: str) -> None:
    """Unknown, not 0 consumers and not "never expires"; all else is read."""
    found = look_at(f"redis://narrow:narrow@{guarded}/0", *signals(), now=NOW)
    assert [reading.known for reading in found] == [True, True, True, False, True, False]
    values = found[3].values
    unknown = {name for name, value in values.items() if value is None}
    assert unknown == {"ghosts", "oldest_pending", "deliveries", "bodies_gone"}
    assert (values["pending"], values["lag"], values["verdict"]) == (1, 0, "unknown")
    assert "xinfo|consumers" in str(found[3].evidence["refused"])
    assert "ttl" not in found[1].values


def test_a_declared_expiry_that_may_not_be_asked_for(guarded: str) -> None:
    """Unknown: nobody may say that it never expires."""
    heartbeat = signal_of("heartbeat", key="k", ttl="30s")
    (found,) = look_at(f"redis://narrow:narrow@{guarded}/0", heartbeat, now=NOW)
    assert (found.values["ttl"], found.known) == (None, False)


def test_all_streams_refused(guarded: str) -> None:
    """Three signals say in words what this user may not do; the others are read."""
    found = look_at(f"redis://blind:blind@{guarded}/0", *signals(), now=NOW)
    assert [reading.known for reading in found] == [True, True, False, False, False, True]
    told = 'stream "s" may not be read by this Redis user: NOPERM'
    assert [str(found[i].trouble).startswith(told) for i in (2, 3, 4)] == [True] * 3
    assert [reading.down for reading in found] == [None] * 6


def test_even_ping_refused(guarded: str) -> None:
    """A user without PING is a user, and the server is up."""
    found = look_at(f"redis://deaf:deaf@{guarded}/0", *signals(), now=NOW)
    assert (found[0].values["up"], found[1].known) == (1.0, True)


# ---- coming back -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BOTH)
async def test_recovery_on_the_same_port(name: str) -> None:
    """Down while it is away, up with the first look after it is back, by the same reader."""
    binary = binary_of(name)
    first = start_server(binary)
    reader = RedisReader(open_wire(first.url, 1.0))
    ups = []
    try:
        for server in (first, None, None, "again"):
            if server is None:
                first.stop()
            again = start_server(binary, port=first.port) if server == "again" else None
            found = {
                reading.signal.kind: reading.values for reading in await reader.look([Round(signals())], NOW)
            }
            ups.append((found["redis"]["up"], found["heartbeat"].get("present")))
            if again is not None:
                again.stop()
    finally:
        first.stop()
        await reader.close()
    assert ups == [(1.0, 0.0), (0.0, None), (0.0, None), (1.0, 0.0)]


# ---- many signals ------------------------------------------------------------------------------


async def test_many_signals_in_a_handful_of_reads(bench: Bench) -> None:
    """300 heartbeats and 20 groups: over 600 commands, and each answer finds its own signal."""
    pipe = bench.client.pipeline(transaction=False)
    for i in range(300):
        pipe.set(f"beat:{i}", f"{bench.after(-i).timestamp():.3f}")
    for i in range(20):
        pipe.xgroup_create(f"stream:{i}", "g", "0", mkstream=True)
        for n in range(i):
            pipe.xadd(f"stream:{i}", {"n": "1"}, id=f"{n + 1}-0")
    pipe.execute()
    asked: list[RedisSignal[Any]] = []
    for i in range(300):
        asked.append(signal_of("heartbeat", key=f"beat:{i}"))
        if i % 15 == 0:
            asked.append(signal_of("consumes", stream=f"stream:{i // 15}", group="g"))
    reader = RedisReader(open_wire(bench.url))
    await reader.look([Round(signals())], NOW)
    before: dict[str, Any] = bench.client.info("stats")
    readings = await reader.look([Round(asked)], bench.began)
    after: dict[str, Any] = bench.client.info("stats")
    await reader.close()
    found = {reading.signal: reading.values for reading in readings}
    assert [found[signal.key].get("age", found[signal.key].get("lag")) for signal in asked] == [
        pytest.approx(float(i))
        for beat in range(300)
        for i in ([beat, beat // 15] if beat % 15 == 0 else [beat])
    ]
    assert after["total_commands_processed"] - before["total_commands_processed"] > 600
    assert after["total_reads_processed"] - before["total_reads_processed"] < 40


class Failing(RedisSignal[Any]):
    """A signal that cannot make sense of what it gets."""

    error: type[Exception] = ValueError

    def look(self, now: datetime) -> Look:
        """Ask once, and fail on the answer."""
        yield [("PING",)]
        raise self.error("odd")


@pytest.mark.parametrize("error", [ValueError, KeyError, TypeError, OverflowError, RecursionError])
def test_an_answer_that_makes_no_sense(bench: Bench, error: type[Exception]) -> None:
    """It is this one signal's trouble; its neighbours are read."""
    template = signal_of("heartbeat", key="odd")
    failing = Failing(template.key, template.config, template.keep)
    failing.error = error
    bench.client.set("k", "1771359991")
    odd, even = look_at(bench.url, failing, signal_of("heartbeat", key="k"), now=NOW)
    assert str(odd.trouble).startswith(f"an answer makes no sense ({error.__name__}: ")
    assert (odd.down, even.known) == (None, True)
