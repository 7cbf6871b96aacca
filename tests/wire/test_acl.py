"""The user of docs/reference/redis.md: what it may do is enough for all that is asked, and no more than that."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from redis.crc import key_slot

from tests.groups.wire import SERVERS
from tests.wire.servers import client_of, cluster, watched
from watchdog.audit import look_once
from watchdog.config import parse
from watchdog.demo.server import HOST, EmbeddedServer, start_server
from watchdog.errors import SourceDownError
from watchdog.report import Snapshot
from watchdog.wire import Batch, open_wire

NOW = datetime(2026, 2, 19, 1, 50, 25, tzinfo=UTC)
PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "redis.md").read_text(encoding="utf-8")
(LINE,) = re.findall(r"^ACL SETUSER watchdog (.*)$", PAGE, re.MULTILINE)
COMMANDS = re.findall(r"\+(\S+)", LINE)
MORE = {
    where: re.findall(r"`\+([^`]*)`", commands.replace("\\|", "|"))
    for where, commands in re.findall(r"^\| (.*?) \| (`\+.*) \|$", PAGE, re.MULTILINE)
}
ALWAYS = {"auth", "hello"}
"""What every user may do, whatever its rights."""

EVERYTHING = """
redis: {{url: "redis://watchdog:PASSWORD@{host}:{port}/0"}}
state: null
discover: {{streams: "found:*", heartbeats: "beat:{{service}}"}}
services:
  orders:
    heartbeat: [{{key: "svc:beat"}}, {{hash: "svc:hash", field: at}}, {{stream: "svc:stream"}}, {{key: "svc:odd"}}]
    stream: {{key: "orders", expect_every: 1m, fields: {{n: {{range: [0, 9]}}}}}}
    consumes: [{{stream: "orders", group: ahead}}, {{stream: "orders", group: stuck}}]
    executions: {{stream: "orders", success: {{status: filled}}, reason: error, input: "input"}}
    flag: [{{key: "flag"}}, {{key: "svc:odd"}}]
"""


@contextmanager
def watched_by(name: str, *without: str) -> Iterator[EmbeddedServer]:
    """Run a server that has one of everything, and the documented user *without* some commands."""
    with start_server(SERVERS[name].binary()) as server, client_of(server) as client:
        client.set("svc:beat", "1771359991", ex=3600)
        client.hset("svc:hash", "at", "1771359991")
        client.sadd("svc:odd", "neither a text nor a hash")
        client.set("flag", "1", ex=3600)
        client.set("beat:found", "1771359991", ex=3600)
        for stream in ("orders", "input", "svc:stream", "found:stream"):
            for n in range(5):
                client.xadd(stream, {"n": n, "status": "filled", "ts": "1771359991"})
            for group in ("ahead", "stuck"):
                client.xgroup_create(stream, group, "0")
                client.xreadgroup(group, "host_1", {stream: ">"}, count=3)
        rights = (LINE.replace("%R~*", "~*") if name == "redis-6.2" else LINE).split()
        client.execute_command("ACL", "SETUSER", "watchdog", *rights, *(f"-{one}" for one in without))
        client.execute_command("ACL", "LOG", "RESET")
        client.config_resetstat()
        yield server


def look(server: EmbeddedServer) -> Snapshot:
    """Look at everything once, as the documented user."""
    config = parse(EVERYTHING.format(host=HOST, port=server.port))
    return asyncio.run(look_once(config, NOW))


def refused(client: Any) -> set[str]:
    """Return the commands that the server has refused to a user."""
    rows = client.execute_command("ACL", "LOG")
    return {str(row["object"]) for row in rows}


def used(client: Any) -> set[str]:
    """Return the commands that were asked of the server since its statistics began."""
    names = {name.removeprefix("cmdstat_") for name in client.info("commandstats")}
    return names - ALWAYS - {"config|resetstat", "acl|log", "client|setinfo", "config", "acl"}


@pytest.mark.parametrize("name", SERVERS)
def test_the_documented_user_is_enough_and_no_more(name: str) -> None:
    """Nothing is refused, everything is known, and all it may do is done."""
    with watched_by(name) as server, client_of(server) as client:
        snapshot = look(server)
        assert refused(client) == set()
        told = {command.partition("|")[0] if name == "redis-6.2" else command for command in COMMANDS}
        assert used(client) == told
    troubled = [key for key, report in snapshot.signals.items() if report.reading.trouble]
    assert [(key.kind, *key.labels.values()) for key in troubled] == [("heartbeat", "svc:odd")]  # its type
    kinds = {key.kind for key in snapshot.signals}
    assert kinds >= {"redis", "heartbeat", "stream", "consumes", "executions", "flag"}
    assert any(key.labels.get("stream") == "found:stream" for key in snapshot.signals)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_is_needed(command: str) -> None:
    """Without any one of them something is refused."""
    with watched_by("redis-7.0", command) as server, client_of(server) as client:
        look(server)
        assert command in refused(client)


def allow(client: Any, *more: str) -> None:
    """Make the documented user, with what else its deployment needs."""
    client.execute_command("ACL", "SETUSER", "watchdog", *LINE.split(), *(f"+{one}" for one in more))


async def test_a_cluster_needs_a_little_more() -> None:
    """The map of the slots, and the way to one that is on its way; nothing is refused."""
    more = MORE["Cluster"]
    assert more == ["cluster|slots", "asking"]
    with cluster() as built:
        here, there = (built.client(number).execute_command("CLUSTER", "MYID") for number in (0, 1))
        for number in range(3):
            allow(built.client(number), *more)
        key = built.key(0)
        built.client(1).execute_command("CLUSTER", "SETSLOT", key_slot(key.encode()), "IMPORTING", here)
        built.client(0).execute_command("CLUSTER", "SETSLOT", key_slot(key.encode()), "MIGRATING", there)
        for number in range(3):
            built.client(number).config_resetstat()
        wire = open_wire(built.url.replace("://", "://watchdog:PASSWORD@"))
        await wire.ask(Batch([("INFO",), ("SCAN", "0", "COUNT", 10), ("XINFO", "STREAM", key)]))
        await wire.close()
        for number in range(3):
            assert refused(built.client(number)) == set()
        assert set.union(*(used(built.client(number)) for number in range(3))) >= set(more)


async def test_behind_sentinel_the_role_is_asked_for() -> None:
    """And nothing else."""
    assert MORE["Sentinel"] == ["role"]
    with watched() as trio, client_of(trio.master) as client:
        allow(client, "role")
        client.config_resetstat()
        wire = open_wire(trio.url("watchdog:PASSWORD@"))
        await wire.ask(Batch([("PING",)]))
        await wire.close()
        assert refused(client) == set()
        assert used(client) >= {"role", "client|setname", "ping"}


async def test_another_database_has_to_be_chosen() -> None:
    """SELECT is said only where it is needed, and then it has to be allowed."""
    ((_, (select,)),) = [(where, more) for where, more in MORE.items() if where.startswith("a database")]
    with start_server(SERVERS["redis-7.0"].binary()) as server, client_of(server) as client:
        allow(client)
        url = f"redis://watchdog:PASSWORD@{HOST}:{server.port}"
        with pytest.raises(SourceDownError, match="refuses database 1: NOPERM"):
            await open_wire(f"{url}/1").ask(Batch([("PING",)]))
        allow(client, select)
        for database in (0, 1):
            wire = open_wire(f"{url}/{database}")
            assert await wire.ask(Batch([("PING",)])) == [b"PONG"]
            await wire.close()
