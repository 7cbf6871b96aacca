"""
What a reply costs on the way in: ways to ask one server 2 × N commands, XINFO STREAM and XINFO GROUPS.

::

    python -m bench.wire --streams 5000 --runs 7

Every way is taken once in each run, in turns, so that all meet the same machine; the best of all runs counts.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any

import hiredis
import redis
import redis.asyncio

from watchdog.demo.server import HOST, EmbeddedServer, start_server
from watchdog.signals.base import Command
from watchdog.wire import Batch, Wire, open_wire

Way = Callable[[], Awaitable[None]]


def fill(server: EmbeddedServer, streams: int) -> list[Command]:
    """Make *streams* streams with three groups each; return what is asked of them."""
    commands: list[Command] = []
    with redis.Redis.from_url(server.url) as client, client.pipeline(transaction=False) as pipe:
        for i in range(streams):
            key = f"quantum:stream:{i}"
            for n in range(12):
                pipe.xadd(key, {"payload": "x" * 40, "n": n}, maxlen=10)
            for group in "abc":
                pipe.xgroup_create(key, f"group_{group}", "0")
            commands += [("XINFO", "STREAM", key), ("XINFO", "GROUPS", key)]
            if i % 500 == 499:
                pipe.execute()
        pipe.execute()
    return commands


async def in_turn(wire: Wire, batches: Iterable[Batch]) -> None:
    """Ask one batch after the other."""
    for batch in batches:
        await wire.ask(batch)


async def ahead(wire: Wire, batches: Iterable[Batch], flight: int) -> None:
    """Ask with *flight* batches under way."""
    asked: deque[asyncio.Task[list[Any]]] = deque()
    for batch in batches:
        asked.append(asyncio.create_task(wire.ask(batch)))
        if len(asked) >= flight:
            await asked.popleft()
    while asked:
        await asked.popleft()


async def redis_py(client: Any, some: Sequence[Sequence[Command]]) -> None:
    """Ask with redis-py's pipeline, its decoding and all."""
    for commands in some:
        pipe = client.pipeline(transaction=False)
        for command in commands:
            pipe.execute_command(*command)
        await pipe.execute()


async def bare(connection: socket.socket, batches: Iterable[Batch]) -> None:
    """Ask over a blocking socket and parse with hiredis: the least there is to do."""
    reader = hiredis.Reader(notEnoughData=...)
    for batch in batches:
        connection.sendall(batch.packed)
        missing = len(batch)
        while missing:
            reader.feed(connection.recv(262_144))
            while reader.gets() is not ...:
                missing -= 1


async def measure(
    server: EmbeddedServer, commands: Sequence[Command], runs: int
) -> dict[str, tuple[float, float]]:
    """Return CPU and wall seconds of each way."""
    some = {size: [commands[i : i + size] for i in range(0, len(commands), size)] for size in (50, 250, 1000)}
    batches = {size: [Batch(part) for part in parts] for size, parts in some.items()}
    wire = open_wire(server.url)
    client = redis.asyncio.Redis.from_url(server.url, protocol=2)
    with socket.create_connection((HOST, server.port)) as connection:
        ways: dict[str, Way] = {
            "redis-py pipeline, RESP2": partial(redis_py, client, some[250]),
            "bare socket + hiredis": partial(bare, connection, batches[250]),
            "wire, 250 a batch": partial(in_turn, wire, batches[250]),
            "wire, 50 a batch": partial(in_turn, wire, batches[50]),
            "wire, 1000 a batch": partial(in_turn, wire, batches[1000]),
            "wire, two batches in flight": partial(ahead, wire, batches[250], 2),
            "wire, three in flight": partial(ahead, wire, batches[250], 3),
            "wire, all in flight": partial(ahead, wire, batches[250], len(commands)),
        }
        best: dict[str, tuple[float, float]] = {}
        for _ in range(runs):
            for name, way in ways.items():
                cpu, wall = time.process_time(), time.perf_counter()
                await way()
                cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
                before = best.get(name, (cpu, wall))
                best[name] = min(cpu, before[0]), min(wall, before[1])
    await wire.close()
    await client.aclose()
    return best


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--streams", type=int, default=5000)
    parser.add_argument("--runs", type=int, default=7)
    given = parser.parse_args()
    with start_server("redis-server") as server:
        commands = fill(server, given.streams)
        best = asyncio.run(measure(server, commands, given.runs))
    print(f"| {len(commands):,} commands | own CPU a reply | wall |\n| --- | ---: | ---: |")
    for name, (cpu, wall) in best.items():
        print(f"| {name} | {cpu / len(commands) * 1e6:.1f} µs | {wall * 1000:.0f} ms |")


if __name__ == "__main__":
    main()
