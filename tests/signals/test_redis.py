"""The server itself: up or not, how fast, how full, since when."""

from __future__ import annotations

import pytest
import redis

from tests.signals.conftest import Bench, binary_of, look_at, signal_of, steps
from watchdog.demo.server import start_server
from watchdog.signals.redis import parse_info, version


def test_a_server_that_answers(bench: Bench) -> None:
    """Up, quick, just started, without a limit and so without a share of it."""
    found = bench.look(signal_of("redis"))
    assert found.values.keys() == {"up", "latency", "uptime", "clients"}
    assert (found.values["up"], found.known) == (1.0, True)
    assert isinstance(found.values["latency"], float)
    assert 0 < found.values["latency"] < 1
    assert isinstance(found.values["uptime"], float)
    assert 0 <= found.values["uptime"] < 600
    assert isinstance(found.values["clients"], float)
    assert found.values["clients"] >= 1


def test_the_server_tells_its_own_version(bench: Bench) -> None:
    """Valkey also says which Redis it resembles; its own version is meant."""
    told = str(bench.look(signal_of("redis")).evidence["version"])
    assert told.partition(".")[0] == {"Valkey 9": "9", "Redis 7.0": "7"}[bench.name]


@pytest.fixture(params=["Valkey 9", "Redis 7.0"])
def small(request: pytest.FixtureRequest) -> str | None:
    """Return the binary of each server, to be started with little memory."""
    return binary_of(str(request.param))


def test_memory_and_evictions(small: str | None) -> None:
    """A server of 3 MB that evicts: its share is told, and evictions count from our first look on."""
    limits = ("--maxmemory", "3mb", "--maxmemory-policy", "allkeys-random")
    with start_server(small, extra=limits) as server, redis.Redis.from_url(server.url) as client:
        bench = Bench("small", server.url, client)
        signal = signal_of("redis")

        def fill(prefix: str) -> None:
            pipe = client.pipeline(transaction=False)
            for i in range(400):
                pipe.set(f"{prefix}{i}", "x" * 10_000)
            pipe.execute()

        fill("before")
        first = bench.look(signal)
        assert steps(first, "evicted") == 0
        assert isinstance(first.values["memory_ratio"], float)
        assert 0.5 < first.values["memory_ratio"] < 1.5
        told = int(client.info("stats")["evicted_keys"])
        fill("after")
        gained = int(client.info("stats")["evicted_keys"]) - told
        found = steps(bench.look(signal, 5), "evicted")
        assert 300 < gained <= found < gained + 50  # looking takes memory as well


def test_evictions_after_a_restart_begin_at_zero(small: str | None) -> None:
    """A counter that went back is a new one: all of it was gained since."""
    signal = signal_of("redis")
    gained: list[float] = []
    for evicted in (70, 90, 4, 4):
        looking = signal.look(Bench("canned", "", redis.Redis()).after(len(gained)))
        next(looking)
        with pytest.raises(StopIteration) as done:
            looking.send([0.001, f"evicted_keys:{evicted}\r\n".encode()])
        gained.append(steps(done.value.value, "evicted"))
    assert gained == [0, 20, 4, 0]


def test_info_is_not_allowed() -> None:
    """Up is known, the rest does not apply; the evidence says why."""
    users = ("user default off", "user watchdog on >secret ~* +ping +client")
    with start_server(users=users) as server, redis.Redis.from_url(server.url) as client:
        url = server.url.replace("redis://", "redis://watchdog:secret@")
        (found,) = look_at(url, signal_of("redis"), now=Bench("", url, client).began)
    assert found.values.keys() == {"up", "latency"}
    assert found.evidence == {"info": "INFO is not allowed for this Redis user"}


def test_info_is_read_line_by_line() -> None:
    """Sections and empty lines are left out, and values may hold colons."""
    found = parse_info("# Server\r\nredis_version:7.0.15\r\n\r\nexecutable:/a:b\r\n")
    assert found == {"redis_version": "7.0.15", "executable": "/a:b"}
    assert [version(found), version({})] == ["7.0.15", "unknown"]
