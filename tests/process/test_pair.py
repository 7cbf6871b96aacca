"""Two sidecars on one pipeline: one tells, the other knows what was told; in doubt both tell."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from tests.process.conftest import Running, until
from tests.signals.conftest import SERVERS, binary_of
from watchdog.clock import utc_now
from watchdog.config import parse
from watchdog.demo.server import EmbeddedServer, start_server
from watchdog.lease import AT_ONCE, Lease
from watchdog.model import Reading
from watchdog.muting import Ack, Silence, parse_matcher
from watchdog.pair import LEFT_UNTOLD, Pair, Role
from watchdog.sidecar import Sidecar
from watchdog.signals.base import Signal
from watchdog.state import StateFile
from watchdog.writer import RedisWriter

Start = Callable[..., Running]
TTL = 3.0
RULES = """
redis: {{url: "{redis}", timeout: 700ms}}
every: 200ms
state: "{state}"
pair: {{lease: wd, ttl: {ttl}s, name: {name}}}
services:
  one: {{heartbeat: {{key: one}}}}
  two: {{heartbeat: {{key: two}}}}
builtin_rules: off
rules:
  - {{alert: Missing, when: heartbeat.present == 0, severity: critical}}
  - {{alert: Away, when: redis.up == 0, for: 1s, severity: critical}}
notifications: {{group_interval: 0s}}
receivers: {{hook: {{webhook: {{url: "{hook}/{name}", timeout: 1s}}}}}}
"""


@dataclass
class Inbox:
    """A receiver that both sidecars know, each by a path of its own; it takes from whom it is told to take."""

    url: str
    refuses: set[str] = field(default_factory=set)
    taken: list[tuple[str, str, str]] = field(default_factory=list)
    turned_away: list[str] = field(default_factory=list)
    patience: str = "0"
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, request: Request) -> Response:
        who, body = request.path.strip("/"), request.get_json()
        with self.lock:
            if who in self.refuses:
                self.turned_away.append(who)
                return Response(status=503, headers={"Retry-After": self.patience})
            self.taken += [
                (who, alert["status"], f"{alert['labels']['alertname']} {alert['labels']['service']}")
                for alert in body["alerts"]
                if "reason" in alert["annotations"]
            ]
            return Response(status=200)

    def told(self, *names: str) -> list[tuple[str, str]]:
        """Return what was taken of these alerts (of all, if none is named), by whom and in order."""
        with self.lock:
            return [(who, status) for who, status, name in self.taken if not names or name in names]


ON_ONE_SERVER = pytest.mark.parametrize("server", ["Redis 7.0"], indirect=True)
"""For pairs of processes: what the servers may do differently is tested below, within this process."""


@pytest.fixture(params=list(SERVERS))
def server(request: pytest.FixtureRequest) -> Iterator[EmbeddedServer]:
    """Each of the two servers, a new one for every test: some of them stop it."""
    with start_server(binary_of(str(request.param))) as started:
        yield started


@pytest.fixture
def client(server: EmbeddedServer) -> Iterator[redis.Redis]:
    """A client of the server, on which both services beat."""
    with redis.Redis(port=server.port, decode_responses=True) as connected:
        connected.mset({"one": int(time.time()), "two": int(time.time())})
        yield connected


@pytest.fixture
def inbox(httpserver: HTTPServer) -> Inbox:
    """The receiver."""
    taken = Inbox(httpserver.url_for("").rstrip("/"))
    for who in "ab":
        httpserver.expect_request(f"/{who}").respond_with_handler(taken)
    return taken


def rules_of(name: str, server: EmbeddedServer, inbox: Inbox, directory: Path) -> str:
    """Return the rules file of the sidecar called *name*."""
    state = directory / f"{name}.db"
    return RULES.format(redis=server.url, state=state, ttl=TTL, name=name, hook=inbox.url)


@pytest.fixture
def start(server: EmbeddedServer, inbox: Inbox, run: Start, tmp_path: Path) -> Callable[[str], Running]:
    """Start the sidecar of a name and return once it is ready."""

    def start(name: str) -> Running:
        rules = tmp_path / f"{name}.yaml"
        rules.write_text(rules_of(name, server, inbox, tmp_path))
        sidecar = run(rules)
        until(sidecar.ready)
        return sidecar

    return start


def holder(client: redis.Redis) -> str:
    """Return the name of the sidecar that holds the lease."""
    return str(client.get("wd") or "").partition("-")[0]


def waiting(sidecar: Running) -> int:
    """Return how many messages wait in the sidecar."""
    lines = sidecar.get("/metrics").text.splitlines()
    return int(float(next(line.split()[-1] for line in lines if line.startswith("watchdog_outbox_depth{"))))


@ON_ONE_SERVER
def test_one_tells_and_the_other_takes_over_where_it_stopped(
    client: redis.Redis, inbox: Inbox, start: Callable[[str], Running]
) -> None:
    """In an orderly end nothing is told twice and nothing is left out."""
    a, b = start("a"), start("b")
    assert holder(client) == "a"
    client.delete("one")
    until(lambda: inbox.told() == [("a", "firing")])
    until(lambda: waiting(b) == 0)
    a.stop()
    until(lambda: holder(client) == "b", within=TTL)
    client.delete("two")
    client.set("one", int(time.time()))
    until(lambda: len(inbox.told()) == 3)
    b.stop()
    assert inbox.told("Missing one") == [("a", "firing"), ("b", "resolved")]
    assert inbox.told("Missing two") == [("b", "firing")]
    assert (client.get("wd"), client.get("wd:fence")) == (None, "2")


@ON_ONE_SERVER
def test_what_a_killed_holder_did_not_get_out_is_told_and_nothing_else(
    client: redis.Redis, inbox: Inbox, start: Callable[[str], Running]
) -> None:
    """One alert it told, the next it could not: the other tells that one, and the end of both."""
    a, b = start("a"), start("b")
    client.delete("one")
    until(lambda: inbox.told() == [("a", "firing")])
    until(lambda: waiting(b) == 0)
    inbox.refuses = {"a"}
    client.delete("two")
    until(lambda: inbox.turned_away and waiting(b) == 1)
    a.process.send_signal(signal.SIGKILL)
    began = time.monotonic()
    until(lambda: inbox.told("Missing two") == [("b", "firing")])
    assert time.monotonic() - began < TTL + 3
    client.mset({"one": int(time.time()), "two": int(time.time())})
    until(lambda: len(inbox.told()) == 4)
    b.stop()
    assert inbox.told("Missing one") == [("a", "firing"), ("b", "resolved")]
    assert inbox.told("Missing two") == [("b", "firing"), ("b", "resolved")]


@ON_ONE_SERVER
def test_without_redis_both_tell_and_afterwards_one(
    server: EmbeddedServer, client: redis.Redis, inbox: Inbox, start: Callable[[str], Running]
) -> None:
    """At least once, never none: the server hangs, and its own absence is told by both."""
    a, b = start("a"), start("b")
    server.process.send_signal(signal.SIGSTOP)
    until(lambda: sorted(inbox.told("Away redis")) == [("a", "firing"), ("b", "firing")])
    server.process.send_signal(signal.SIGCONT)
    until(lambda: ("a", "resolved") in inbox.told() or ("b", "resolved") in inbox.told())
    until(lambda: holder(client) and waiting(a) == waiting(b) == 0)
    client.delete("one")
    until(lambda: inbox.told("Missing one"))
    until(lambda: waiting(a) == waiting(b) == 0)
    a.stop()
    b.stop()
    assert len(inbox.told("Missing one")) == 1


@ON_ONE_SERVER
def test_a_holder_that_was_paused_does_not_send_on_a_lapsed_lease(
    client: redis.Redis, inbox: Inbox, start: Callable[[str], Running]
) -> None:
    """It has something to send the moment it wakes up; the other has told it meanwhile."""
    a, b = start("a"), start("b")
    inbox.refuses, inbox.patience = {"a"}, str(round(TTL))  # stopped between two attempts, not in one
    client.delete("one")
    until(lambda: inbox.turned_away and waiting(a) == waiting(b) == 1)
    a.process.send_signal(signal.SIGSTOP)
    until(lambda: inbox.told() == [("b", "firing")])
    inbox.turned_away.clear()
    a.process.send_signal(signal.SIGCONT)
    until(lambda: waiting(a) == 0)
    client.delete("two")
    until(lambda: ("b", "firing") in inbox.told("Missing two"))
    until(lambda: waiting(a) == 0)
    b.stop()
    a.stop()
    assert (inbox.turned_away, inbox.told("Missing one")) == ([], [("b", "firing")])


# ---- within one process ------------------------------------------------------------------------


class Half:
    """One half of a pair in this process, on a clock that can be moved on."""

    def __init__(self, rules: str, ahead: timedelta = timedelta(0)) -> None:
        self.ahead = ahead
        config = parse(rules)
        self.sidecar = Sidecar(config, self.now, StateFile(config.state or ":memory:", utc_now))

    def now(self) -> datetime:
        """Return what its clock shows."""
        return utc_now() + self.ahead

    @property
    def pair(self) -> Pair:
        """Return its gate."""
        assert self.sidecar.pair is not None
        return self.sidecar.pair

    @property
    def firing(self) -> list[str]:
        """Return the services for which something fires, as it sees it."""
        return sorted(alert.service for alert in self.sidecar.alerts.values() if alert.firing)

    @property
    def depth(self) -> int:
        """Return how many messages wait."""
        return self.sidecar.outbox.depth("hook")


@pytest.fixture
async def halves(
    server: EmbeddedServer, client: redis.Redis, inbox: Inbox, tmp_path: Path
) -> AsyncIterator[Callable[..., Half]]:
    """Start halves of a pair by their names; all that still run are stopped in the end."""
    started: list[Half] = []

    def start(name: str, ahead: timedelta = timedelta(0)) -> Half:
        started.append(Half(rules_of(name, server, inbox, tmp_path), ahead))
        started[-1].sidecar.start()
        return started[-1]

    yield start
    for half in started:
        await half.sidecar.stop()


async def eventually(holds: Callable[[], Any], within: float = 15) -> None:
    """Return once *holds*, which takes events on this loop to become true."""
    async with asyncio.timeout(within):
        while not holds():
            await asyncio.sleep(0.01)


async def test_what_the_holder_leaves_untold_the_other_tells(
    client: redis.Redis, inbox: Inbox, halves: Callable[..., Half]
) -> None:
    """The holder lives but cannot reach the receiver; once it is told it need not any more."""
    a = halves("a")
    await eventually(lambda: a.pair.role is Role.HOLDER)
    b = halves("b")
    inbox.refuses = {"a"}
    client.delete("one")
    await eventually(lambda: inbox.turned_away and b.depth == 1)
    assert (b.pair.role, b.pair.open("hook")) == (Role.STANDBY, False)
    b.ahead = LEFT_UNTOLD
    await eventually(lambda: inbox.told() == [("b", "firing")])
    await eventually(lambda: a.depth == 0)
    assert (a.pair.role, b.pair.open("hook")) == (Role.HOLDER, False)


async def test_a_new_standby_does_not_page_again_what_has_long_been_firing(
    client: redis.Redis, inbox: Inbox, halves: Callable[..., Half]
) -> None:
    """It finds out what was told long before it came."""
    a = halves("a")
    client.delete("one")
    await eventually(lambda: inbox.told() == [("a", "firing")])
    b = halves("b", timedelta(hours=3))
    await eventually(lambda: b.firing == ["one"] and b.depth == 0)
    b.ahead += LEFT_UNTOLD
    await eventually(
        lambda: b.sidecar.latest is not None and b.sidecar.latest.at > b.now() - timedelta(seconds=1)
    )
    assert (b.depth, a.depth, inbox.told()) == (0, 0, [("a", "firing")])


async def test_an_end_is_told_by_one_that_never_saw_the_beginning(
    client: redis.Redis, inbox: Inbox, halves: Callable[..., Half]
) -> None:
    """The holder told of it and is gone for good; when the other comes nothing is wrong any more."""
    a = halves("a")
    client.delete("one")
    await eventually(lambda: inbox.told() == [("a", "firing")])
    await a.sidecar.stop()
    client.set("one", int(time.time()))
    b = halves("b")
    await eventually(lambda: inbox.told("Missing one") == [("a", "firing"), ("b", "resolved")])
    assert b.firing == []


async def test_what_one_is_asked_both_do(client: redis.Redis, halves: Callable[..., Half]) -> None:
    """A silence and an acknowledgement reach the other, and one that comes later."""
    now = utc_now()
    silence = Silence("s1", (parse_matcher("service=two"),), now, now + timedelta(hours=1), "ann", "upgrade")
    a, b = halves("a"), halves("b")
    client.delete("one")
    await eventually(lambda: a.firing == b.firing == ["one"])
    assert b.sidecar.silence(silence)
    (alert,) = a.sidecar.alerts.values()
    assert alert.fired_at is not None
    assert a.sidecar.acknowledge(Ack(alert.labels.fingerprint, alert.fired_at, now, "bob"))
    await eventually(lambda: "s1" in a.sidecar.wishes.silences)
    await eventually(lambda: alert.labels.fingerprint in b.sidecar.wishes.acks)
    await b.sidecar.stop()
    client.delete("wd:told")  # it was said long ago
    later = halves("later")
    await eventually(lambda: later.sidecar.wishes.silences == {"s1": silence})


async def test_what_one_brings_with_it_the_other_takes_unless_it_knows_better(
    client: redis.Redis, halves: Callable[..., Half]
) -> None:
    """A silence from before the other came; one that was ended there meanwhile stays ended."""
    now = utc_now()
    hour = timedelta(hours=1)
    brought = Silence("new", (parse_matcher("service=two"),), now, now + hour, "ann", "upgrade")
    outdated = Silence("old", (parse_matcher("service=one"),), now, now + hour, "ann", "upgrade")
    first = halves("a")
    assert first.sidecar.silence(brought)
    assert first.sidecar.silence(outdated)
    await first.sidecar.stop()
    client.delete("wd:told")
    b = halves("b")
    ended = replace(outdated, ends_at=now)
    assert b.sidecar.silence(ended)
    await eventually(lambda: b.pair.role is Role.HOLDER)
    again = halves("a")
    await eventually(lambda: again.sidecar.wishes == b.sidecar.wishes)
    assert b.sidecar.wishes.silences == {"new": brought, "old": ended}


async def test_one_that_is_not_well_leaves_the_lease_to_one_that_is(
    client: redis.Redis, halves: Callable[..., Half]
) -> None:
    """But keeps it while nobody else is there."""
    a = halves("a")
    await eventually(lambda: a.sidecar.fitness.ready(utc_now()) and a.pair.role is Role.HOLDER)
    a.sidecar.sources[0].ask = broken
    await eventually(lambda: a.sidecar.why_unwell(utc_now()) is not None)
    fence = client.get("wd:fence")
    ticks = a.sidecar.pulse.ticks
    await eventually(lambda: a.sidecar.pulse.ticks > ticks + 5)
    assert (a.pair.role, client.get("wd:fence")) == (Role.HOLDER, fence)
    b = halves("b")
    await eventually(lambda: b.pair.role is Role.HOLDER)
    assert a.pair.role is Role.STANDBY


async def broken(signals: Sequence[Signal[Any]], now: datetime) -> list[Reading]:
    """Fail as only a defect of the watchdog's own would."""
    raise RuntimeError("a defect")


async def test_alertmanager_is_told_by_both(
    client: redis.Redis, server: EmbeddedServer, inbox: Inbox, httpserver: HTTPServer, tmp_path: Path
) -> None:
    """It removes doubles itself, by the labels; the other receiver is told by one."""
    told: list[tuple[str, dict[str, str]]] = []

    def take(request: Request) -> Response:
        told.extend((request.path[1], alert["labels"]) for alert in request.get_json())
        return Response(status=200)

    halves = []
    for name in "ab":
        httpserver.expect_request(f"/{name}/api/v2/alerts").respond_with_handler(take)
        text = rules_of(name, server, inbox, tmp_path)
        more = f'receivers:\n  peers: {{alertmanager: {{url: "{inbox.url}/{name}"}}}}\n  hook: {{webhook'
        halves.append(Half(text.replace("receivers: {hook: {webhook", more).removesuffix("}\n") + "\n"))
        halves[-1].sidecar.start()
    client.delete("one")
    await eventually(lambda: {name for name, _ in told} == {"a", "b"} and inbox.told())
    await eventually(lambda: all(half.depth == 0 for half in halves))
    for half in halves:
        await half.sidecar.stop()
    assert told[0][1] == told[1][1]
    assert len(inbox.told()) == 1


async def test_a_server_that_refuses_the_lease_leaves_both_to_tell(inbox: Inbox, tmp_path: Path) -> None:
    """It may be read but not written: there is no lease, so nobody has to wait for it."""
    with start_server(users=["user default on nopass ~* &* +@all -eval"]) as server:
        halves = [Half(rules_of(name, server, inbox, tmp_path)) for name in "ab"]
        for half in halves:
            half.sidecar.start()
        await eventually(lambda: sorted(inbox.told("Missing one")) == [("a", "firing"), ("b", "firing")])
        assert [half.pair.role for half in halves] == [Role.ALONE, Role.ALONE]
        for half in halves:
            await half.sidecar.stop()


# ---- the lease itself --------------------------------------------------------------------------

RIGHTS = "+client|setname +eval +get +set +del +exists +incr +pexpire +xread +xadd"
"""What docs/how-to/ha.md asks for."""


@pytest.fixture
async def leases(server: EmbeddedServer) -> AsyncIterator[Callable[[str], Lease]]:
    """Return the lease as somebody sees it who may do no more than he must."""
    with redis.Redis(port=server.port) as admin:
        admin.execute_command("ACL", "SETUSER", "pair", "on", ">secret", "~wd*", *RIGHTS.split())
    url = server.url.replace("//", "//pair:secret@")
    writers: list[RedisWriter] = []

    def lease(name: str) -> Lease:
        writers.append(RedisWriter(url, timedelta(seconds=2)))
        return Lease("wd", name, timedelta(seconds=60), writers[-1])

    yield lease
    for writer in writers:
        await writer.close()


async def test_who_has_had_a_successor_is_not_believed(leases: Callable[[str], Lease]) -> None:
    """A word under an older fence is refused; one who knows of the successor may speak."""
    first, second = leases("first"), leases("second")
    assert (await first.turn("0", well=True)).fence == 1
    assert not (await second.turn("0", well=True)).held
    await second.release()
    assert (await first.turn("0", well=True)).held  # only the holder's own release counts
    assert await first.say(["while it held"], 1)
    await first.release()
    assert (await second.turn("0", well=True)).fence == 2
    assert not await first.say(["too late"], 1)
    assert await first.say(["with the new one's knowledge"], 2)
    heard = await second.turn("0", well=True)
    assert [text for _, text in heard.said] == ["while it held", "with the new one's knowledge"]
    assert (heard.held, heard.holder, heard.all_said) == (True, "second:2", True)


async def test_everything_that_was_said_is_heard_once_and_in_order(leases: Callable[[str], Lease]) -> None:
    """However much it is."""
    lease = leases("a")
    texts = [str(number) for number in range(AT_ONCE + 10)]
    assert await lease.say(texts, 0)
    first = await lease.turn("0", well=True)
    rest = await lease.turn(first.said[-1][0], well=True)
    assert (first.all_said, rest.all_said) == (False, True)
    assert [text for _, text in (*first.said, *rest.said)] == texts
