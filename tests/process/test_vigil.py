"""The watcher is watched: readiness, the ping outside, systemd, its own heartbeat, reports, self-tests."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from pytest_httpserver import HTTPServer
from structlog.testing import capture_logs
from werkzeug import Request, Response

from tests.moved import MovedClock
from tests.process.conftest import Running, until
from watchdog.config import load
from watchdog.demo.server import EmbeddedServer, start_server
from watchdog.duties import SELF_TESTED
from watchdog.fitness import STUCK
from watchdog.model import Reading
from watchdog.notifications import Notification
from watchdog.sidecar import Sidecar
from watchdog.signals.base import Signal
from watchdog.state import StateFile
from watchdog.systemd import systemd_of
from watchdog.vigil import Checkup

Start = Callable[..., Running]
NOON = datetime(2026, 2, 19, 12, 0, tzinfo=UTC)
RULES = """
redis: {{url: "{redis}", timeout: 500ms}}
every: 200ms
state: "{state}"
services:
  one: {{heartbeat: {{key: one}}}}
builtin_rules: off
rules:
  - {{alert: Missing, when: heartbeat.present == 0, severity: critical}}
  - {{alert: SelfTest, when: watchdog.self_test == 1, severity: info}}
notifications: {{group_interval: 0s}}
receivers: {{hook: {{webhook: {{url: "{hook}", timeout: 1s}}}}}}
{more}
"""


class Inbox:
    """A receiver that takes everything, or nothing, and remembers what it took."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.status = 200
        self.asked = 0
        self.taken: list[dict[str, Any]] = []

    def __call__(self, request: Request) -> Response:
        self.asked += 1
        if self.status == 200 and request.method == "POST":
            self.taken += request.get_json()["alerts"]
        return Response(status=self.status)

    def names(self) -> list[tuple[str, str]]:
        """Return the alerts that were told, and as what."""
        return [(alert["labels"]["alertname"], alert["status"]) for alert in self.taken]


def inbox_at(httpserver: HTTPServer, path: str) -> Inbox:
    """Return a receiver at *path*."""
    inbox = Inbox(httpserver.url_for(path))
    httpserver.expect_request(path).respond_with_handler(inbox)
    return inbox


@pytest.fixture
def hook(httpserver: HTTPServer) -> Inbox:
    """The receiver."""
    return inbox_at(httpserver, "/hook")


@pytest.fixture
def beating(client: redis.Redis) -> redis.Redis:
    """A pipeline that works."""
    client.set("one", int(time.time()))
    return client


class Hands:
    """A sidecar whose clock stands until it is moved, ticked by hand."""

    def __init__(self, rules: Path, at: datetime = NOON, state: Path | None = None) -> None:
        self.time = at
        self.sidecar = Sidecar(load(rules), self.now, StateFile(str(state or ":memory:"), self.now))

    def now(self) -> datetime:
        """Return what the hands show."""
        return self.time

    async def __aenter__(self) -> Hands:
        self.sidecar.outbox.start()
        for witness in self.sidecar.witnesses:
            witness.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.sidecar.stop()

    async def tick(self, later: timedelta = timedelta(seconds=1)) -> Sidecar:
        """Move the clock on and tick once."""
        self.time += later
        await self.sidecar._tick_safely()
        return self.sidecar


async def eventually(holds: Callable[[], Any], within: float = 10) -> None:
    """Return once *holds*, which takes events on this loop to become true."""
    async with asyncio.timeout(within):
        while not holds():
            await asyncio.sleep(0.005)


class Shut:
    """A gate through which nothing goes."""

    def open(self, receiver: str) -> bool:
        """Say no."""
        return False

    async def opened(self, receiver: str) -> None:
        """Return never."""
        await asyncio.Event().wait()

    def sent(self, message: Notification) -> None:
        """Hear of nothing."""


async def broken(signals: Sequence[Signal[Any]], now: datetime) -> list[Reading]:
    """Fail as only a defect of the watchdog's own would."""
    raise RuntimeError("a defect")


async def never(signals: Sequence[Signal[Any]], now: datetime) -> list[Reading]:
    """Give no answer."""
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


@pytest.fixture
def rules(server: EmbeddedServer, beating: redis.Redis, hook: Inbox, tmp_path: Path) -> Callable[..., Path]:
    """Write rules for the server, with more at the end."""

    def write(more: str = "") -> Path:
        path = tmp_path / "rules.yaml"
        path.write_text(RULES.format(redis=server.url, state=tmp_path / "state.db", hook=hook.url, more=more))
        return path

    return write


# ---- is it well? -------------------------------------------------------------------------------


async def test_it_is_well_while_it_ticks_looks_and_can_send(rules: Callable[..., Path]) -> None:
    """Each thing that is missing is the reason it gives; a source without an answer is none."""
    async with Hands(rules()) as hands:
        sidecar, source = hands.sidecar, hands.sidecar.sources[0]
        assert sidecar.why_unwell(hands.time) == "last tick never"
        await hands.tick()
        assert sidecar.fitness.why_not_ready(hands.time) is None
        ask, source.ask = source.ask, never
        source.monotonic = lambda: hands.time.timestamp() - 1.0
        for _ in range(4):
            await hands.tick(timedelta(seconds=3))
            assert sidecar.why_unwell(hands.time) is None
        assert sidecar.history.latest[source.turns[0].signals[1].key].trouble == "no answer for 9s"
        assert source.task is not None
        source.task.cancel()
        source.task, source.ask = None, broken
        await hands.tick()
        await eventually(lambda: source.failed)
        assert sidecar.why_unwell(hands.time) == "looking at redis failed inside the watchdog"
        source.ask = ask
        await hands.tick()
        await eventually(lambda: not source.failed)
        await hands.tick()
        assert sidecar.why_unwell(hands.time) is None
        await eventually(lambda: source.task is None or source.task.done())
        source.collect(hands.time)
        source.turns[0].due = hands.time - timedelta(seconds=10)
        assert sidecar.why_unwell(hands.time) == "redis was not looked at"
        last, hands.time = hands.time, hands.time + timedelta(seconds=11)
        assert sidecar.why_unwell(hands.time) == f"last tick {last.isoformat()}"
        hands.time = last - timedelta(hours=1)
        assert sidecar.why_unwell(hands.time) == f"last tick {last.isoformat()}"


def test_setting_the_clock_back_stops_nothing(
    rules: Callable[..., Path], beating: redis.Redis, hook: Inbox, run: Start, tmp_path: Path
) -> None:
    """An hour back: it goes on ticking, and looking, and telling."""
    clock = MovedClock(tmp_path)
    sidecar = run(rules(), environment=clock.environment)
    until(sidecar.ready)
    clock.advance(timedelta(hours=-1))
    beating.delete("one")
    until(lambda: hook.names() == [("Missing", "firing")])
    assert sidecar.ready()


# ---- the ping outside --------------------------------------------------------------------------


@pytest.fixture
def outside(httpserver: HTTPServer) -> Inbox:
    """A dead-man's switch, whose address is its secret."""
    return inbox_at(httpserver, "/ping/s3cret")


async def test_the_ping_goes_out_while_all_is_well_and_only_then(
    rules: Callable[..., Path], beating: redis.Redis, hook: Inbox, outside: Inbox
) -> None:
    """A defect withholds it, and so does an outbox that does not move; nothing says its address."""
    hook.status = 500
    with capture_logs() as logs:
        async with Hands(rules(f'ping: {{url: "{outside.url}", every: 1ms}}')) as hands:
            signs = hands.sidecar.pulse.signs
            assert (signs["ping", "sent"], signs["ping", "failed"], signs["ping", "withheld"]) == (0, 0, 0)
            await hands.tick()
            await eventually(lambda: signs["ping", "sent"] == 1)
            source = hands.sidecar.sources[0]
            ask, source.ask = source.ask, broken
            await hands.tick()
            source.ask = ask
            outside.status = 500
            await hands.tick()
            await eventually(lambda: signs["ping", "failed"] == 1)
            outside.status = 200
            beating.delete("one")
            await hands.tick()
            await eventually(lambda: signs["ping", "sent"] == 2)
            await hands.tick(STUCK + timedelta(seconds=1))
    assert (outside.asked, signs["ping", "withheld"]) == (3, 2)
    assert [(line["event"], line["why"]) for line in logs if line["event"].startswith("ping")] == [
        ("ping_withheld", "looking at redis failed inside the watchdog"),
        ("ping_failed", "answered 500"),
        ("ping_withheld", "notifications wait and none is taken"),
    ]
    assert "s3cret" not in str(logs)


async def test_an_address_that_hangs_delays_no_tick(rules: Callable[..., Path]) -> None:
    """There is one question at a time, and it is given up in the end."""
    with socket.socket() as listener, capture_logs() as logs:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/s3cret"
        async with Hands(rules(f'ping: {{url: "{url}", every: 1ms, timeout: 2s}}')) as hands:
            for _ in range(3):
                await hands.tick()
            assert (hands.sidecar.pulse.ticks, hands.sidecar.pulse.signs["ping", "failed"]) == (3, 0)
            await eventually(lambda: hands.sidecar.pulse.signs["ping", "failed"] == 1)
    (failed,) = [line for line in logs if line["event"] == "ping_failed"]
    assert failed["why"] == "no answer within 2s"


# ---- systemd -----------------------------------------------------------------------------------


class Manager:
    """A service manager's socket: what was said to it, line by line."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.settimeout(10)
        self.environment = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "2000000"}

    def hear(self) -> list[str]:
        """Return the lines of the next message."""
        return self.socket.recv(4096).decode().splitlines()

    def hear_until(self, line: str) -> list[list[str]]:
        """Return the messages up to the one that has *line*."""
        messages = [self.hear()]
        while line not in messages[-1]:
            messages.append(self.hear())
        return messages


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    """A service manager, at both kinds of addresses it may have."""
    found = Manager(str(tmp_path / "notify") if request.param == "path" else f"@watchdog-test-{os.getpid()}")
    yield found
    found.socket.close()


def test_systemd_hears_of_every_tick(
    rules: Callable[..., Path], beating: redis.Redis, hook: Inbox, run: Start, manager: Manager
) -> None:
    """Ready after the first, how the services stand, that it is well – receivers may be down – and that it stops."""
    hook.status = 500
    sidecar = run(rules(), environment=manager.environment)
    assert manager.hear() == ["READY=1", "STATUS=The only service works", "WATCHDOG=1"]
    assert [manager.hear() for _ in range(3)] == [["WATCHDOG=1"]] * 3
    beating.delete("one")
    status = "STATUS=1 of 1 services does not work: one (critical); 1 alert fires: Missing of one"
    assert manager.hear_until(status)[-1] == [status, "WATCHDOG=1"]
    assert [manager.hear() for _ in range(3)] == [["WATCHDOG=1"]] * 3
    sidecar.stop()
    assert manager.hear_until("STOPPING=1")[-1] == ["STOPPING=1"]


async def test_systemd_does_not_hear_that_it_is_well_when_it_is_not(
    rules: Callable[..., Path], manager: Manager
) -> None:
    """It hears why instead; what it could not be told it is told a tick later."""
    async with Hands(rules()) as hands:
        systemd = systemd_of(manager.environment, timedelta(milliseconds=200))
        assert systemd is not None
        hands.sidecar.witnesses.append(systemd)
        systemd.start()
        await hands.tick()
        assert manager.hear()[-1] == "WATCHDOG=1"
        hands.sidecar.sources[0].ask = broken
        await hands.tick()
        assert manager.hear() == ["STATUS=looking at redis failed inside the watchdog"]


def checkup(headline: str) -> Checkup:
    """Return a checkup that found nothing."""
    return Checkup(NOON, None, None, headline)


async def test_a_manager_that_is_away_for_a_moment_hears_all_the_same(tmp_path: Path) -> None:
    """What was not taken is said again; no word of ours can pose as another."""
    systemd = systemd_of({"NOTIFY_SOCKET": str(tmp_path / "notify")}, timedelta(seconds=1))
    assert systemd is not None
    systemd.start()
    with capture_logs() as logs:
        systemd.ticked(checkup("fine"))
    assert [line["event"] for line in logs] == ["systemd_not_told"]
    manager = Manager(str(tmp_path / "notify"))
    systemd.ticked(checkup("fine\nWATCHDOG=1"))
    assert manager.hear() == ["READY=1", "STATUS=fine\N{REPLACEMENT CHARACTER}WATCHDOG=1"]
    await systemd.stop()
    assert manager.hear() == ["STOPPING=1"]
    manager.socket.close()


MINE, OTHERS = str(os.getpid()), "1"
ENVIRONMENTS: dict[str, tuple[dict[str, str], str]] = {
    "not run by systemd": ({}, "nobody"),
    "another kind of address": ({"NOTIFY_SOCKET": "vsock:2:1"}, "nobody"),
    "an empty one": ({"NOTIFY_SOCKET": ""}, "nobody"),
    "without WatchdogSec": ({"NOTIFY_SOCKET": "/x"}, "notified"),
    "with": ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "10000000"}, "watched"),
    "for us": ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "10000000", "WATCHDOG_PID": MINE}, "watched"),
    "for another": ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "10000000", "WATCHDOG_PID": OTHERS}, "notified"),
    "no number": ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "soon"}, "notified"),
    "too short": ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "9000000"}, "watched, too short"),
}


@pytest.mark.parametrize(("environment", "then"), ENVIRONMENTS.values(), ids=ENVIRONMENTS)
def test_the_environment_says_whether_systemd_watches(environment: dict[str, str], then: str) -> None:
    """At five seconds a tick; a ``WatchdogSec=`` with room for less than two of them is warned of."""
    with capture_logs() as logs:
        systemd = systemd_of(environment, timedelta(seconds=5))
    found = "nobody" if systemd is None else "notified" if systemd.patience is None else "watched"
    warned = ", too short" if [line["event"] for line in logs] == ["watchdog_sec_too_short"] else ""
    assert found + warned == then


# ---- its own heartbeat -------------------------------------------------------------------------

WATCHER = """
redis: {{url: "{redis}", timeout: 500ms}}
every: 200ms
state: "{state}"
heartbeat: {{key: "watchdog:{me}", ttl: 4s}}
services:
  watchdog_{other}: {{heartbeat: {{key: "watchdog:{other}"}}}}
rules: [{{alert: HeartbeatMissing, when: heartbeat.present == 0, severity: critical}}]
notifications: {{group_interval: 0s}}
receivers: {{hook: {{webhook: {{url: "{hook}"}}}}}}
"""


def test_two_watchdogs_watch_each_other(
    server: EmbeddedServer, client: redis.Redis, hook: Inbox, run: Start, tmp_path: Path
) -> None:
    """Each beats as any service does, and misses the other when it is killed."""
    watchers = {}
    for me, other in ("ab", "ba"):
        rules = tmp_path / f"{me}.yaml"
        state = tmp_path / f"{me}.db"
        rules.write_text(WATCHER.format(redis=server.url, state=state, me=me, other=other, hook=hook.url))
        watchers[me] = run(rules)

    def age_of_b() -> Any:
        service = watchers["a"].get("/api/v1/status").json()["services"]["watchdog_b"]
        return service["status"] == "ok" and service["signals"][0]["values"]["age"]

    until(lambda: watchers["a"].ready() and watchers["b"].ready() and age_of_b() is not False)
    assert 0 <= age_of_b() < 2
    at = datetime.fromisoformat(client.get("watchdog:a").decode())  # type: ignore[union-attr]
    assert (at.tzinfo, 0 < client.pttl("watchdog:a") <= 4000) == (UTC, True)
    killed_at = datetime.now(UTC)
    watchers["b"].process.kill()

    def missed() -> list[tuple[str, str, str]]:
        """Return what was told of what began since: one may have missed the other at the start, and say so late."""
        later = [alert for alert in hook.taken if datetime.fromisoformat(alert["startsAt"]) > killed_at]
        return [(a["labels"]["alertname"], a["labels"]["service"], a["status"]) for a in later]

    until(lambda: missed() == [("HeartbeatMissing", "watchdog_b", "firing")], within=30)


async def test_a_heartbeat_that_cannot_be_written_is_counted_and_makes_no_noise(
    hook: Inbox, tmp_path: Path
) -> None:
    """Redis away is told by `RedisDown`; Redis refusing it is told once, by the log."""
    more = "heartbeat: {key: beat}"
    with start_server(users=["user default on nopass ~* &* +@all -set"]) as server, capture_logs() as logs:
        path = tmp_path / "rules.yaml"
        path.write_text(RULES.format(redis=server.url, state=":memory:", hook=hook.url, more=more))
        async with Hands(path) as hands:
            signs = hands.sidecar.pulse.signs
            for count in (1, 2):
                await hands.tick()
                await eventually(lambda count=count: signs["heartbeat", "failed"] == count)  # type: ignore[misc]
            server.stop()
            await hands.tick()
            await eventually(lambda: signs["heartbeat", "failed"] == 3)
    (refused,) = [line for line in logs if line["event"].startswith("heartbeat")]
    assert refused["event"] == "heartbeat_refused"
    assert signs["heartbeat", "sent"] == 0


async def test_the_heartbeat_stops_while_it_is_not_well(
    rules: Callable[..., Path], beating: redis.Redis
) -> None:
    """Another watchdog is to notice."""
    async with Hands(rules("heartbeat: {key: beat}")) as hands:
        await hands.tick()
        await eventually(lambda: beating.get("beat"))
        beating.delete("beat")
        hands.sidecar.sources[0].ask = broken
        await hands.tick()
        assert hands.sidecar.pulse.signs["heartbeat", "withheld"] == 1
    assert beating.get("beat") is None


# ---- reports and self-tests --------------------------------------------------------------------

REPORTS = """
reports:
  - {what: all_clear, to: hook, cron: "0 8 * * *"}
  - {what: audit, to: hook, cron: "0 9 * * *"}
"""
HOUR = timedelta(hours=1)


@pytest.fixture
def daily(rules: Callable[..., Path], tmp_path: Path) -> Callable[[datetime], Hands]:
    """Start a sidecar at a moment; all of them have the same state file."""

    def start(at: datetime) -> Hands:
        return Hands(rules(REPORTS), at, tmp_path / "state.db")

    return start


async def test_a_report_is_sent_once_when_its_time_has_come(
    daily: Callable[[datetime], Hands], beating: redis.Redis, hook: Inbox
) -> None:
    """Nothing at the very first start; what was missed while it was down once."""
    async with daily(NOON - 5 * HOUR) as hands:
        await hands.tick()
        await hands.tick()
        await hands.tick(HOUR)
        await eventually(lambda: hook.names() == [("AllClear", "resolved")])
        assert hook.taken[0]["annotations"] == {
            "summary": "The only service works",
            "description": "one: ok",
            "status_url": "http://127.0.0.1:9821",
            "reason": "report",
        }
        await hands.tick()
    async with daily(NOON - 4 * HOUR) as hands:
        await hands.tick()
    async with daily(NOON) as hands:
        beating.delete("one")
        await hands.tick()
        await eventually(lambda: len(hook.taken) == 3)
        audit = next(alert for alert in hook.taken if alert["labels"]["alertname"] == "Audit")
        assert audit["annotations"]["description"].split("; ")[:2] == [
            "alerts told in the past week: none",
            "one: critical",
        ]


async def test_a_report_that_is_too_late_is_not_sent(rules: Callable[..., Path], tmp_path: Path) -> None:
    """Two days after a weekly one it waits for the next week; no more than once a week."""
    weekly = rules('reports: [{what: all_clear, to: hook, cron: "0 8 * * thu"}]')  # as is NOON
    depths = []
    for days in (-1, 2, 7, 7.5):
        async with Hands(weekly, NOON + timedelta(days=days), tmp_path / "state.db") as hands:
            hands.sidecar.outbox.gate = Shut()
            await hands.tick()
            depths.append(hands.sidecar.outbox.depth("hook"))
    assert depths == [0, 0, 1, 1]


async def test_a_report_that_was_queued_survives(
    daily: Callable[[datetime], Hands], beating: redis.Redis, hook: Inbox
) -> None:
    """That it is done and what it says are kept in one: it is neither lost nor sent twice."""
    hook.status = 500
    async with daily(NOON - 5 * HOUR) as hands:
        await hands.tick()
        await hands.tick(HOUR)
        assert hands.sidecar.outbox.depth("hook") == 1
    hook.status = 200
    async with daily(NOON - 4 * HOUR + timedelta(minutes=5)) as hands:
        await hands.tick()
        await eventually(lambda: hands.sidecar.outbox.depth("hook") == 0)
    assert [name for name, _ in hook.names()] == ["AllClear"]


async def test_a_report_waits_until_everything_was_looked_at_once(
    rules: Callable[..., Path], hook: Inbox, tmp_path: Path
) -> None:
    """But not for ever."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        path = rules(REPORTS)
        text = path.read_text().replace("heartbeat: {key: one}", f'health: {{url: "{url}", timeout: 1h}}')
        path.write_text(text.replace("heartbeat.present == 0", "health.up == 0"))
        async with Hands(path, NOON - 5 * HOUR, tmp_path / "state.db") as hands:
            await hands.tick()
        async with Hands(path, NOON - 4 * HOUR, tmp_path / "state.db") as hands:
            await hands.tick()
            assert hands.sidecar.outbox.depth("hook") == 0
            await hands.tick(timedelta(minutes=1))
            await eventually(lambda: hook.names() == [("AllClear", "resolved")])
    assert hook.taken[0]["annotations"]["summary"] == "1 of 1 services does not work: one (unknown)"


async def test_a_self_test_goes_the_whole_way_and_says_when_it_came_through(
    rules: Callable[..., Path], hook: Inbox
) -> None:
    """On its schedule; it counts once the receiver has taken it, not before."""
    hook.status = 500
    more = 'reports: [{what: self_test, cron: "0 8 * * *"}]'
    async with Hands(rules(more), NOON - 5 * HOUR) as hands:
        await hands.tick()
        await hands.tick(HOUR)
        await hands.tick()
        await eventually(lambda: hook.asked)
        await hands.tick()
        assert SELF_TESTED not in hands.sidecar.duties.done
        hook.status = 200
        await eventually(lambda: hook.names() == [("SelfTest", "firing")])
        await eventually(lambda: hands.sidecar.outbox.outcomes["hook", "sent"] == 1)
        await hands.tick()
        assert hands.sidecar.duties.done[SELF_TESTED] == hands.time
        await hands.tick(timedelta(seconds=20))
        await eventually(lambda: hook.names()[1:] == [("SelfTest", "resolved")])
        assert hands.sidecar.duties.done[SELF_TESTED] == hands.time - timedelta(seconds=20)
