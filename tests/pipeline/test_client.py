"""The heartbeat a service gives: on real servers, and with clients that fail."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import redis
import redis.asyncio

from tests.drawn import T0, ids, rows
from watchdog.client import Heartbeat
from watchdog.demo.server import EmbeddedServer, free_port, start_server

KEY = "quantum:svc:orders:heartbeat"


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> datetime:
        return T0 + timedelta(seconds=self.seconds)


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedServer]:
    """A real server."""
    with start_server() as running:
        yield running


@pytest.fixture
def client(server: EmbeddedServer) -> Iterator[redis.Redis]:
    """A client of it, which finds it empty."""
    with redis.Redis.from_url(server.url, decode_responses=True) as found:
        found.flushall()
        yield found


@pytest.fixture
def clock() -> Clock:
    """A clock at T0."""
    return Clock()


def stands(client: redis.Redis) -> dict[str, Any]:
    """Return what the key tells, its times in seconds after T0, and how long it lives."""
    held = client.get(KEY)
    if held is None:
        return {}
    found = json.loads(str(held))
    times = {n: found[n] and found[n] - T0.timestamp() for n in ("ts", "last_success", "idle", "started")}
    return {**found, **times, "ttl": client.pttl(KEY)}


class Recorder:
    """A client that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def execute_command(self, *command: Any) -> None:
        """Keep *command*."""
        self.told.append(command)


def attempt(beat: Heartbeat, word: str) -> None:
    """Do one piece of work that ends as *word* says."""
    if word == "idle":
        beat.idle()
        return
    try:
        with beat.work() as work:
            if word == "raise":
                raise ValueError("a bad entry")
            if word == "fail":
                work.failed()
            if word == "stop":
                raise KeyboardInterrupt
    except (ValueError, KeyboardInterrupt):
        pass


LIVES = """
  every 10 s             | in the key: done failed last_success idle | renewed at
  ok                     | 1 0 0 -                                   | 0
  ok ok ok               | 3 0 20 -                                  | 0 10 20
  ok idle idle           | 1 0 0 20                                  | 0 10 20
  idle                   | 0 0 - 0                                   | 0
  ok raise raise         | 1 2 0 -                                   | 0
  ok fail ok             | 2 1 20 -                                  | 0 20
  ok stop stop           | 1 0 0 -                                   | 0
  raise fail             | nothing                                   | never
  ok raise raise raise raise raise raise | 1 2 0 -                   | 0
"""


@pytest.mark.parametrize(("words", "told", "renewed"), rows(LIVES), ids=ids(LIVES))
def test_what_renews_the_key(client: redis.Redis, clock: Clock, words: str, told: str, renewed: str) -> None:
    """Success and idleness renew; failures are told while the key lives, and what was stopped is neither."""
    recorder = Recorder()
    beat, twin = (Heartbeat(c, KEY, ttl=30, clock=clock) for c in (client, recorder))
    for step, word in enumerate(words.split()):
        clock.seconds = 10.0 * step
        attempt(beat, word)
        attempt(twin, word)
    found = stands(client)
    shown = [found.get(name) for name in ("done", "failed", "last_success", "idle")]
    assert told == (" ".join("-" if x is None else f"{x:g}" for x in shown) if found else "nothing")
    renewals = [json.loads(c[2])["ts"] - T0.timestamp() for c in recorder.told if c[3] == "PX"]
    assert renewed == (" ".join(f"{at:g}" for at in renewals) or "never")


def test_the_key_ends_where_nothing_progresses(client: redis.Redis, clock: Clock) -> None:
    """A failure changes what is told and leaves the life as it is, to the millisecond; a dead key stays dead."""
    beat = Heartbeat(client, KEY, ttl=30, clock=clock)
    attempt(beat, "ok")
    client.pexpire(KEY, 12_345)
    clock.seconds = 10
    attempt(beat, "raise")
    assert 11_000 < stands(client)["ttl"] <= 12_345
    client.delete(KEY)
    clock.seconds = 20
    attempt(beat, "raise")
    assert stands(client) == {}


def test_an_emergency_heartbeat_is_left_alone_by_who_only_fails(client: redis.Redis, clock: Clock) -> None:
    """When its own key is long over, what stands there is another's; the first success takes it back."""
    beat = Heartbeat(client, KEY, ttl=30, clock=clock)
    attempt(beat, "ok")
    client.set(KEY, "1771359991", px=30_000)
    clock.seconds = 40
    attempt(beat, "raise")
    assert client.get(KEY) == "1771359991"
    clock.seconds = 50
    attempt(beat, "ok")
    assert stands(client)["last_success"] == 50


def test_at_most_one_write_in_each_interval(clock: Clock) -> None:
    """A thousand pieces of work in a second are one write, and all of them are told with the next."""
    recorder = Recorder()
    beat = Heartbeat(recorder, KEY, ttl=30, clock=clock)
    for _ in range(1000):
        attempt(beat, "ok")
    clock.seconds = 5
    attempt(beat, "ok")
    assert [json.loads(command[2])["done"] for command in recorder.told] == [1, 1001]


def test_a_clock_that_is_set_back_stops_nothing(clock: Clock) -> None:
    """The next piece of work is told at once."""
    recorder = Recorder()
    beat = Heartbeat(recorder, KEY, ttl=30, clock=clock)
    attempt(beat, "ok")
    clock.seconds = -3600
    attempt(beat, "ok")
    assert len(recorder.told) == 2


async def test_asyncio(server: EmbeddedServer, client: redis.Redis, clock: Clock) -> None:
    """The same with `async with` and `await`; a cancelled piece of work counts as nothing."""
    async with redis.asyncio.Redis.from_url(server.url) as own:
        beat = Heartbeat(own, KEY, ttl=30, every=1, clock=clock)
        async with beat.work():
            clock.seconds = 1
        with pytest.raises(ValueError, match="a bad entry"):
            async with beat.work():
                raise ValueError("a bad entry")
        begun = asyncio.Event()

        async def never_ends() -> None:
            async with beat.work():
                begun.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(never_ends())
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        clock.seconds = 2
        await beat.idle()
        with pytest.raises(TypeError, match=r"write: async with beat\.work\(\)"), beat.work():
            pass
    found = stands(client)
    assert (found["done"], found["failed"], found["last_success"], found["idle"]) == (1, 1, 1, 2)


def test_threads(clock: Clock) -> None:
    """Nothing is lost between eight of them."""
    recorder = Recorder()
    beat = Heartbeat(recorder, KEY, ttl=30, clock=clock)
    gate = threading.Barrier(8)

    def toil() -> None:
        gate.wait()
        for _ in range(500):
            attempt(beat, "ok")

    workers = [threading.Thread(target=toil) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert (beat.done, beat.failed, beat.errors, len(recorder.told)) == (4000, 0, 0, 1)


def test_no_two_write_at_once(clock: Clock) -> None:
    """While Redis is slow to answer one thread, the work of another waits for the next beat to be told."""

    class Slow(Recorder):
        def execute_command(self, *command: Any) -> None:
            super().execute_command(*command)
            clock.seconds += 100
            if len(self.told) < 5:
                attempt(beat, "ok")  # as another thread would just now

    slow = Slow()
    beat = Heartbeat(slow, KEY, ttl=30, clock=clock)
    attempt(beat, "ok")
    assert (beat.done, len(slow.told)) == (2, 1)
    attempt(beat, "idle")
    assert [json.loads(command[2])["done"] for command in slow.told] == [1, 2]


def test_redis_away_does_not_break_the_service(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """Counted, logged once a minute, tried again in the next interval, and never raised."""
    gone = redis.Redis.from_url(f"redis://127.0.0.1:{free_port()}", socket_timeout=1.0)
    beat = Heartbeat(gone, KEY, ttl=30, clock=clock)
    with caplog.at_level(logging.WARNING, "watchdog.client"):
        for seconds in (0, 1, 5, 10, 61):
            clock.seconds = seconds
            attempt(beat, "ok")
    assert (beat.done, beat.errors, len(caplog.records)) == (5, 4, 2)
    assert caplog.messages[0].startswith(f"heartbeat_failed: {KEY}: ")


def test_after_an_error_the_next_beat_renews(client: redis.Redis, clock: Clock) -> None:
    """A success that could not be told is told by whatever comes next, with its own time."""
    sender: Any = client

    class Weak:
        def execute_command(self, *command: Any) -> Any:
            if clock.seconds == 0:
                raise redis.ConnectionError("away")
            return sender.execute_command(*command)

    beat = Heartbeat(Weak(), KEY, ttl=30, clock=clock)
    attempt(beat, "ok")
    clock.seconds = 5
    attempt(beat, "raise")
    found = stands(client)
    assert (found["ts"], found["failed"], found["ttl"] > 29_000) == (0, 1, True)


@pytest.mark.parametrize("keys", [{"ttl": 0}, {"ttl": 5, "every": 5}, {"every": 0}], ids=str)
def test_a_heartbeat_that_could_not_live(keys: dict[str, Any]) -> None:
    """A mistake of the programmer's is told at once."""
    with pytest.raises(ValueError, match="0 < every < ttl"):
        Heartbeat(Recorder(), KEY, **keys)


def test_a_service_that_imports_it_gets_nothing_else() -> None:
    """Nothing but the standard library, and the light part of that."""
    script = "import sys, watchdog.client; print(*sorted(m.partition('.')[0] for m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    heavy = {
        "asyncio",
        "hiredis",
        "httpx",
        "pydantic",
        "redis",
        "rich",
        "starlette",
        "structlog",
        "typer",
        "yaml",
    }
    assert heavy & set(done.stdout.split()) == set()
