"""The `redis:` of the file: a single server or several by name, over TCP or a socket, each with its login."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.drawn import ids, rows
from tests.groups.wire import SERVERS
from tests.wire.servers import client_of
from watchdog.audit import look_once
from watchdog.config import Config, parse
from watchdog.demo.server import HOST, EmbeddedServer, free_port, start_server
from watchdog.errors import ConfigError, SourceDownError
from watchdog.wire import Batch, open_wire

NOW = datetime(2026, 2, 19, 1, 50, 25, tzinfo=UTC)
GET = Batch([("GET", "k")])


def file(redis: str, signal: str = "{stream: s, group: g}") -> str:
    """Return a rules file with one service."""
    return f"redis: {redis}\nstate: null\nservices:\n  orders:\n    consumes: {signal}\n"


def signals(config: Config) -> list[str]:
    """Return each signal that is read from Redis and the server it is read from."""
    return [f"{spec.key.kind}{spec.key.labels!r} @ {spec.server or '-'}" for spec in config.signals][:-1]


# ---- what the file says ------------------------------------------------------------------------

BOTH = "{main: 'redis://m', cache: {url: 'redis://c', timeout: 1s}}"
SINGLE = ["redis{} @ -", 'consumes{group="g", stream="s"} @ -']


@pytest.mark.parametrize("redis", ["redis://m", "{url: 'redis://m'}", "{timeout: 3s}", "{}"])
def test_a_single_server_has_no_name(redis: str) -> None:
    """No label tells it from others, as there are none."""
    config = parse(file(redis))
    assert (list(config.servers), signals(config)) == ([""], SINGLE)
    assert config.servers[""].timeout.total_seconds() == 3


def test_several_servers_have_a_signal_each() -> None:
    """A signal that names no server is read from the first."""
    config = parse(file(BOTH, "[{stream: s, group: g}, {stream: s, group: g, redis: cache}]"))
    assert {name: spec.timeout.total_seconds() for name, spec in config.servers.items()} == {
        "main": 3,
        "cache": 1,
    }
    assert signals(config) == [
        'redis{redis="main"} @ main',
        'redis{redis="cache"} @ cache',
        'consumes{group="g", stream="s"} @ main',
        'consumes{group="g", redis="cache", stream="s"} @ cache',
    ]
    assert "redis://" not in repr(config.servers)


WRONG = """
  redis                           | signal                           | problem
  {main: 'redis://m'}             | {stream: s, group: g, redis: mian} | rules.yaml:5:44: service "orders": consumes.redis: no server of `redis:` is called "mian" (did you mean "main"?)
  redis://m                       | {stream: s, group: g, redis: main} | rules.yaml:5:44: service "orders": consumes.redis: no server of `redis:` is called "main" (name it: `redis: {main: {url: …}}`)
  {ulr: 'redis://m'}              | {stream: s, group: g}            | rules.yaml:1:9: redis: unknown key "ulr" (did you mean "url"?)
  {main: {ulr: 'redis://m'}}      | {stream: s, group: g}            | rules.yaml:1:16: redis.main: unknown key "ulr" (did you mean "url"?)
  {main: 'http://:secret@m'}      | {stream: s, group: g}            | rules.yaml:1:15: redis.main.url: this is not a Redis URL (write redis://host:6379/0)
  {url: 'redis://:sec/ret@m'}     | {stream: s, group: g}            | rules.yaml:1:14: redis.url: host and port of this Redis URL cannot be read (write host:6379, and %40 %3A %2F for @ : / in a password)
  {main: 3}                       | {stream: s, group: g}            | rules.yaml:1:15: redis.main: expected a mapping (key: value), found a number
"""


@pytest.mark.parametrize(("redis", "signal", "problem"), rows(WRONG), ids=ids(WRONG))
def test_what_is_wrong(redis: str, signal: str, problem: str) -> None:
    """One line, with the place and the cure, and nothing secret."""
    with pytest.raises(ConfigError) as told:
        parse(file(redis, signal))
    assert str(told.value) == problem


def test_the_pages_samples_are_right() -> None:
    """What docs/reference/redis.md offers to copy is a whole rules file."""
    page = (Path(__file__).parents[2] / "docs" / "reference" / "redis.md").read_text(encoding="utf-8")
    samples = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert [list(parse(sample).servers) for sample in samples] == [[""], ["main", "cache"]]


# ---- one of several away -----------------------------------------------------------------------


@pytest.fixture(scope="module", params=list(SERVERS))
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EmbeddedServer]:
    """Each of the two servers, also on a socket, with a key in two databases and a user."""
    path = tmp_path_factory.mktemp("socket") / "redis.sock"
    with start_server(SERVERS[request.param].binary(), extra=("--unixsocket", str(path))) as started:
        with client_of(started) as client:
            client.set("k", "zero")
            client.execute_command("ACL", "SETUSER", "ann", "on", ">top:secret", "~*", "+@all")
            client.execute_command("SELECT", 0)
            with client.pipeline(transaction=True) as pipe:
                pipe.execute_command("SELECT", 3)
                pipe.set("k", "three")
                pipe.execute_command("SELECT", 0)
                pipe.execute()
        yield started


def test_one_away_leaves_the_other_alone(server: EmbeddedServer) -> None:
    """RedisDown names it; what is read from the other is known."""
    away = free_port()
    redis = f"{{here: 'redis://{HOST}:{server.port}', away: 'redis://:secret@{HOST}:{away}'}}"
    text = file(redis).replace("consumes: {stream: s, group: g}", "flag: [{key: k}, {key: k, redis: away}]")
    snapshot = asyncio.run(look_once(parse(text), NOW))
    read = {
        (key.kind, key.labels.get("redis", "-")): (report.reading.values, report.reading.down)
        for key, report in snapshot.signals.items()
    }
    assert read["flag", "-"][0]["set"] == 1.0
    assert read["redis", "here"][0]["up"] == 1.0
    assert read["redis", "away"] == ({"up": 0.0}, None)
    assert read["flag", "away"] == ({}, "redis")
    down = [notice.alert.labels for notice in snapshot.notices if notice.alert.name == "RedisDown"]
    assert [labels["redis"] for labels in down] == ["away"]


# ---- how they are reached ----------------------------------------------------------------------

WAYS = """
  URL                                          | value
  redis://{tcp}                                | zero
  redis://{tcp}/3                              | three
  redis://{tcp}/0?db=3                         | three
  redis://ann:top%3Asecret@{tcp}/3             | three
  redis://{tcp}?username=ann&password=top:secret | zero
  unix://{socket}                              | zero
  unix://ann:top%3Asecret@{socket}?db=3        | three
"""


def url_to(server: EmbeddedServer, way: str) -> str:
    """Fill in where *server* is."""
    with client_of(server) as client:
        path: str = client.config_get("unixsocket")["unixsocket"]
    return way.format(tcp=f"{HOST}:{server.port}", socket=path)


@pytest.mark.parametrize(("way", "value"), rows(WAYS), ids=ids(WAYS))
async def test_ways_to_a_server(server: EmbeddedServer, way: str, value: str) -> None:
    """User, password and database are what the URL says; the connection has our name."""
    wire = open_wire(url_to(server, way))
    try:
        found = await wire.ask(GET)
        with client_of(server) as client:
            names = [one["name"] for one in client.client_list()]
    finally:
        await wire.close()
    assert found == [value.encode()]
    assert "pipeline-watchdog" in names


REFUSED = """
  URL                                 | why
  redis://ann:wrongsecret@{tcp}       | refuses the password or user: WRONGPASS
  redis://bob:secret@{tcp}            | refuses the password or user: WRONGPASS
  unix://ann:wrongsecret@{socket}     | refuses the password or user: WRONGPASS
  redis://{tcp}/99                    | refuses database 99: ERR
"""


@pytest.mark.parametrize(("way", "why"), rows(REFUSED), ids=ids(REFUSED))
async def test_refused(server: EmbeddedServer, way: str, why: str) -> None:
    """One sentence with the place and the server's own words, without the password."""
    wire = open_wire(url_to(server, way))
    with pytest.raises(SourceDownError) as told:
        await wire.ask(GET)
    assert str(told.value).startswith(f"Redis at {wire.place} {why}")
    assert "secret" not in str(told.value)


async def test_full(server: EmbeddedServer) -> None:
    """A server that takes no more clients says so before it hangs up."""
    wire = open_wire(url_to(server, "redis://{tcp}"))
    with client_of(server) as client:
        client.config_set("maxclients", 1)
        with pytest.raises(SourceDownError, match="refuses: ERR max number of clients reached"):
            await wire.ask(GET)
        client.config_set("maxclients", 100)
        assert await wire.ask(GET) == [b"zero"]
        await wire.close()


async def test_nobody_there(tmp_path: Path) -> None:
    """Host, port and path are told, and what the system says."""
    port = free_port()
    whys = {
        f"redis://:secret@{HOST}:{port}": f"Redis at {HOST}:{port} cannot be reached: Connection refused",
        f"redis://:secret@localhost:{port}": f"Redis at localhost:{port} cannot be reached: Connection refused",
        f"redis://{'x' * 70}:{port}": f"Redis at {'x' * 70}:{port} cannot be reached: that is no name of a host",
        f"unix://{tmp_path}/none": f"Redis at {tmp_path}/none cannot be reached: No such file or directory",
    }
    for url, why in whys.items():
        with pytest.raises(SourceDownError) as told:
            await open_wire(url).ask(GET)
        assert str(told.value) == why
