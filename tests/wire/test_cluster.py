"""A cluster of real nodes: each key is asked of the node that has it, and one node away costs only its keys."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from redis.crc import key_slot

from tests.signals.conftest import signal_of
from tests.wire.servers import Cluster, cluster, redis_7, until, until_asked
from watchdog.audit import look_once
from watchdog.config import parse
from watchdog.demo.server import HOST, EmbeddedServer, start_server
from watchdog.errors import SourceDownError
from watchdog.model import Reading
from watchdog.signals.base import Refused
from watchdog.signals.nodes import Away, OfNodes
from watchdog.wire import Batch, Wire, open_wire
from watchdog.wire.slots import key_slot as slot_of

NOW = datetime(2026, 2, 19, 1, 50, 25, tzinfo=UTC)
INFO = Batch([("INFO",)])


@asynccontextmanager
async def wired(url: str, timeout: float = 3.0) -> AsyncIterator[Wire]:
    """Yield a wire to *url*."""
    wire = open_wire(url, timeout)
    yield wire
    await wire.close()


@pytest.fixture(scope="module")
def three() -> Iterator[Cluster]:
    """Three masters without replicas; on each, two streams of as many entries as its number says."""
    with cluster() as built:
        for number in range(3):
            keys = built.keys(number)
            with built.client(number) as client:
                for key in (next(keys), next(keys)):
                    client.xgroup_create(key, "g", mkstream=True)
                    for _ in range(number):
                        client.xadd(key, {"n": 1})
        yield built


def streams(built: Cluster) -> list[str]:
    """Return the streams in an order that changes the node with each: 0 1 2 0 1 2."""
    return [key for pair in zip(*(_two(built, number) for number in range(3)), strict=True) for key in pair]


def _two(built: Cluster, number: int) -> list[str]:
    keys = built.keys(number)
    return [next(keys), next(keys)]


async def look_at_server(wire: Wire) -> Reading:
    """Return what the `redis` signal says of the server behind *wire*."""
    looking = signal_of("redis").look(NOW)
    next(looking)
    with pytest.raises(StopIteration) as done:
        looking.send([0.001, *await wire.ask(INFO)])
    reading = done.value.value
    assert isinstance(reading, Reading)
    return reading


# ---- all is well -------------------------------------------------------------------------------


def sent_on(built: Cluster) -> int:
    """Return how often the nodes have answered that a key is elsewhere."""
    told = [built.client(number).info("errorstats") for number in range(3)]
    return sum(
        stats.get(f"errorstat_{code}", {}).get("count", 0) for stats in told for code in ("MOVED", "ASK")
    )


async def test_each_command_goes_to_the_node_of_its_key(three: Cluster) -> None:
    """Keys stand second, with XINFO third; answers come in the order of the batch, and nobody is sent on."""
    batch = Batch(
        [
            command
            for key in streams(three)
            for command in (("XLEN", key), ("XINFO", "GROUPS", key), ("XRANGE", key, "-", "+"))
        ]
    )
    before = sent_on(three)
    async with wired(three.url) as wire:
        replies = await wire.ask(batch)
        assert await wire.ask(batch) == replies
    assert replies[::3] == [0, 1, 2] * 2
    assert [len(groups) for groups in replies[1::3]] == [1] * 6
    assert [len(entries) for entries in replies[2::3]] == [0, 1, 2] * 2
    assert sent_on(three) == before


async def test_scan_goes_through_all_masters(three: Cluster) -> None:
    """Step by step, until the cursor is 0: every key once."""
    found: list[bytes] = []
    async with wired(three.url) as wire:
        cursor = b"0"
        while True:
            ((cursor, keys),) = await wire.ask(Batch([("SCAN", cursor, "MATCH", "stream:*", "COUNT", 1)]))
            found += keys
            if cursor == b"0":
                break
    assert sorted(found) == sorted(key.encode() for key in streams(three))


async def test_the_server_is_all_of_them(three: Cluster) -> None:
    """Up, the clients of all, and who they are."""
    async with wired(three.url) as wire:
        assert await wire.ask(Batch([("PING",)])) == [b"PONG"]
        (reply,) = await wire.ask(INFO)
        reading = await look_at_server(wire)
    places = sorted(three.place(number) for number in range(3))
    assert isinstance(reply, OfNodes)
    assert sorted(reply) == places
    assert reading.values["up"] == 1.0
    assert isinstance(reading.values["clients"], float)
    assert reading.values["clients"] >= 3
    assert reading.evidence == {"version": "7.0.15", "masters": ", ".join(places)}


def info(**lines: object) -> bytes:
    """Return an INFO of these lines."""
    return "".join(f"{name}:{value}\r\n" for name, value in lines.items()).encode()


def test_worst_and_sum() -> None:
    """The fullest node counts, the youngest one, all clients; evictions are each node's own, also after a restart."""
    server = signal_of("redis")
    gained = []
    for evicted in ((5, 7), (6, 7), (6, 2)):
        looking = server.look(NOW)
        next(looking)
        one = info(
            uptime_in_seconds=9, connected_clients=3, maxmemory=100, used_memory=40, evicted_keys=evicted[0]
        )
        two = info(
            uptime_in_seconds=5, connected_clients=4, maxmemory=100, used_memory=70, evicted_keys=evicted[1]
        )
        with pytest.raises(StopIteration) as done:
            looking.send([0.001, OfNodes({"h1:1": one, "h2:2": two})])
        reading: Reading = done.value.value
        assert [reading.values[name] for name in ("uptime", "clients", "memory_ratio")] == [5, 7, 0.7]
        gained.append(sum(by for _, by in reading.counts["evicted", ""].steps))
    assert gained == [0, 1, 2]


async def test_by_any_node(three: Cluster) -> None:
    """A seed that is gone does not matter while another one is there."""
    places = ",".join(["127.0.0.1:1", three.place(2)])
    async with wired(f"redis+cluster://{places}") as wire:
        assert await wire.ask(Batch([("XLEN", key) for key in streams(three)[:3]])) == [0, 1, 2]


async def test_no_cluster_there() -> None:
    """A plain server says so itself."""
    with start_server(redis_7()) as server:
        async with wired(f"redis+cluster://{HOST}:{server.port}") as wire:
            with pytest.raises(SourceDownError, match="cluster support disabled"):
                await wire.ask(INFO)


# ---- slots that move ---------------------------------------------------------------------------


async def test_a_slot_that_has_moved_and_one_that_is_moving() -> None:
    """Both are read where they are: by the new map, or where the node sends us for this once."""
    with cluster() as built:
        moved, moving = built.key(0, "moved"), built.key(0, "moving")
        one, two = built.client(0), built.client(1)
        batch = Batch([("XLEN", moved), ("XLEN", moving), ("XLEN", built.key(2))])
        async with wired(built.url) as wire:
            assert await wire.ask(batch) == [0, 0, 0]
            here, there = (client.execute_command("CLUSTER", "MYID") for client in (one, two))
            built.tell("CLUSTER", "SETSLOT", key_slot(moved.encode()), "NODE", there)
            two.xadd(moved, {"n": 1})
            slot = key_slot(moving.encode())
            two.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", here)
            one.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", there)
            two.execute_command("ASKING")
            with two.pipeline(transaction=False) as pipe:
                pipe.execute_command("ASKING")
                pipe.xadd(moving, {"n": 1})
                pipe.execute()
            assert await wire.ask(batch) == [1, 1, 0]
            assert await wire.ask(batch) == [1, 1, 0]
            asked = sent_on(built)
            assert await wire.ask(Batch([("XLEN", moved)])) == [1]
            assert sent_on(built) == asked


# ---- a node that is away -----------------------------------------------------------------------


def stop(server: EmbeddedServer) -> None:
    """Kill a node and wait until it is gone."""
    server.process.kill()
    server.process.wait()


async def test_one_node_away_costs_only_its_keys() -> None:
    """All others are read; `redis.up` is 0 and says which; it is back when it is."""
    with cluster(full_coverage=False) as built:
        batch = Batch([("XLEN", built.key(number)) for number in range(3)])
        frozen = built.servers[1].process.pid
        async with wired(built.url, 0.3) as wire:
            assert await wire.ask(batch) == [0, 0, 0]
            os.kill(frozen, signal.SIGSTOP)
            replies = await wire.ask(batch)
            why = f"Redis at {built.place(1)} does not answer in time"
            assert replies == [0, f"AWAY {why}", 0]
            assert [type(reply) for reply in replies] == [int, Away, int]
            reading = await look_at_server(wire)
            assert (reading.values, dict(reading.evidence)) == ({"up": 0.0}, {"error": why})
            os.kill(frozen, signal.SIGCONT)
            assert await until_asked(wire, batch, [0, 0, 0])
            assert await until_asked(
                wire, INFO, lambda found: not any(isinstance(r, Away) for r in found[0].values())
            )


async def test_a_whole_look_with_one_node_away() -> None:
    """Signals of the others' keys are known, those of its own are not, and the server is not up."""
    with cluster(full_coverage=False) as built:
        flags = ", ".join(f"{{key: '{built.key(number, 'flag')}'}}" for number in range(3))
        config = parse(f"redis: {built.url}\nstate: null\nservices:\n  orders:\n    flag: [{flags}]\n")
        stop(built.servers[2])
        places = {built.place(number) for number in range(2)}
        url = f"redis+cluster://{','.join(places)}"
        config = replace(config, servers={"": replace(config.servers[""], url=SecretStr(url))})
        snapshot = await look_once(config, NOW)
    read = {key.labels.get("key", "server"): report.reading for key, report in snapshot.signals.items()}
    assert [read[built.key(number, "flag")].known for number in range(2)] == [True, True]
    assert not read[built.key(2, "flag")].known
    assert built.place(2) in str(read[built.key(2, "flag")].trouble)
    assert read["server"].values["up"] == 0.0
    assert built.place(2) in str(read["server"].evidence["error"])


async def test_one_node_away_may_take_the_cluster_down() -> None:
    """Where all slots must be served nothing can be read; it is still one fault, and the node has a name."""
    with cluster() as built:
        batch = Batch([("XLEN", built.key(number)) for number in range(3)])
        async with wired(built.url, 1.0) as wire:
            assert await wire.ask(batch) == [0, 0, 0]
            stop(built.servers[2])
            until(lambda: built.client(0).cluster("info")["cluster_state"] == "fail", "the cluster is down")
            replies = await wire.ask(batch)
            assert [type(reply) for reply in replies] == [Away] * 3
            (why,) = {reply.why for reply in replies}
            assert why.startswith(f"Redis at {built.place(2)} ")
            assert (await look_at_server(wire)).values == {"up": 0.0}


async def test_slots_that_nobody_serves() -> None:
    """They are away as well, and the server is not up: nobody can write there."""
    with cluster(full_coverage=False) as built:
        key = built.key(1)
        built.tell("CLUSTER", "DELSLOTS", key_slot(key.encode()))
        async with wired(built.url, 1.0) as wire:
            (reply,) = await wire.ask(Batch([("XLEN", key)]))
            assert isinstance(reply, Away)
            reading = await look_at_server(wire)
    assert dict(reading.evidence) == {"error": "1 of the cluster's slots are served by no node"}
    assert reading.values == {"up": 0.0}


def served_by(built: Cluster, slot: int) -> int:
    """Return the port of the node that serves *slot*, as master 1 has it."""
    rows = built.client(1).execute_command("CLUSTER", "SHARDS")
    owners = {
        int(node["port"])
        for shard in map(as_mapping, rows)
        for first, last in zip(shard["slots"][::2], shard["slots"][1::2], strict=True)
        if int(first) <= slot <= int(last)
        for node in map(as_mapping, shard["nodes"])
        if node["role"] == "master" and node["health"] == "online"
    }
    return owners.pop() if owners else 0


def as_mapping(found: Any) -> dict[str, Any]:
    """Return a flat list of names and values as a mapping, unless it is one."""
    return found if isinstance(found, dict) else dict(zip(found[::2], found[1::2], strict=True))


async def test_failover() -> None:
    """A replica takes over: its keys are read there, and the dead master is no longer missed."""
    with cluster(replicas=1) as built:
        key = built.key(0)
        with built.client(0) as client:
            client.xadd(key, {"n": 1})
            assert client.wait(1, 5000) == 1
        async with wired(built.url, 1.0) as wire:
            assert await wire.ask(Batch([("XLEN", key)])) == [1]
            stop(built.servers[0])
            heir = built.replicas[0].port
            until(lambda: served_by(built, key_slot(key.encode())) == heir, "the replica has taken over")
            assert await wire.ask(Batch([("XLEN", key)])) == [1]
            reading = await look_at_server(wire)
    assert reading.values["up"] == 1.0
    assert f"{HOST}:{built.replicas[0].port}" in str(reading.evidence["masters"])


async def test_all_nodes_away() -> None:
    """The whole source is down."""
    with cluster() as built:
        async with wired(built.url, 1.0) as wire:
            await wire.ask(INFO)
            for server in built.servers:
                stop(server)
            with pytest.raises(SourceDownError, match=f"^Redis at {HOST}:.* (closes|cannot be reached)"):
                await wire.ask(INFO)


async def test_a_command_that_is_refused(three: Cluster) -> None:
    """It is this command's own trouble, on every node."""
    async with wired(three.url) as wire:
        replies = await wire.ask(Batch([("XLEN", streams(three)[0]), ("XINFO", "GROUPS", "none")]))
    assert (replies[0], type(replies[1])) == (0, Refused)


@given(st.lists(st.sampled_from([b"{", b"}", b"a", b":", b"\xff"]), max_size=9).map(b"".join))
def test_our_slots_are_those_of_redis_py(key: bytes) -> None:
    """Braces or none, closed or not, empty or twice."""
    assert key_slot(key) == slot_of(key)
