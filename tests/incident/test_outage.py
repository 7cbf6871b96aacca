"""
The outage, replayed in its real proportions on a real Redis: an hour's rule takes an hour.

The server's wall clock and the watchdog's are moved together; days of silence pass in seconds.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from tests.moved import MovedClock
from watchdog.config import parse
from watchdog.demo.server import EmbeddedServer, start_server
from watchdog.sidecar import Sidecar

RESULTS, INPUT = "quantum:stream:execution.result", "quantum:stream:apply.result"
GROUP = "quantum:group:execution:trade.intent"
TRAINER = "quantum:svc:rl_trainer:heartbeat"
CAP = 10_000
RATE = 2.1  # entries a second on apply.result
SKIPPED = {
    "plan_id": "c07e",
    "symbol": "BTCUSDT",
    "decision": "SKIP",
    "executed": "False",
    "error": "kill_score_close_ok",
}
FILLED = (
    '{"symbol":"BTCUSDT","action":"BUY","entry_price":71208.9,"position_size_usd":50.0,'
    '"order_id":"85440001","status":"filled"}'
)
PARSE_ERROR = (
    "❌ Failed to parse TradeIntent for BTCUSDT: TradeIntent.__init__() missing 2 required"
    " positional arguments: 'action' and 'confidence'"
)
RULES = """
redis: {url: "%(redis)s"}
state: "%(state)s"
services:
  rl_trainer:
    heartbeat: {key: "quantum:svc:rl_trainer:heartbeat"}
    unit: {name: quantum-rl-trainer.service}
  execution:
    consumes: {stream: "quantum:stream:apply.result", group: "quantum:group:execution:trade.intent"}
    stream: {key: "quantum:stream:apply.result"}
    executions:
      stream: "quantum:stream:execution.result"
      success: {status: filled, entry_price: "> 0"}
      reason: error
      input: "quantum:stream:apply.result"
    log: {path: "%(log)s"}
    health: {url: "%(health)s"}
    unit: {name: quantum-execution.service}
receivers:
  hook: {webhook: {url: "%(hook)s"}}
"""
SYSTEMCTL = """#!/bin/sh
printf 'LoadState=loaded\\nActiveState=active\\nSubState=running\\nResult=success\\nExecMainStatus=0\\n'
printf 'NRestarts=0\\nUnitFileState=enabled\\nInvocationID=1\\n'
"""


class Pipeline:
    """The one stage that failed, reduced to what it leaves behind: entries, acknowledgements, log lines."""

    def __init__(self, server: EmbeddedServer, clock: MovedClock, log: Path) -> None:
        self.redis = redis.Redis(port=server.port)
        self.clock = clock
        self.log = log
        self.parses = True  # the consumer understands what it reads
        self.beats = True
        self.trades = True  # the market offers something to execute
        self._owed = 0.0
        self._fills = itertools.count(1)
        self.redis.xgroup_create(INPUT, GROUP, id="$", mkstream=True)
        self.redis.xgroup_create(RESULTS, "quantum:group:bridge:execution.result", id="$", mkstream=True)

    def live(self, span: timedelta) -> None:
        """Let *span* pass: entries are added, read, worked on and acknowledged, whatever comes of it."""
        now = self.clock.advance(span)
        self._owed += span.total_seconds() * RATE
        count, self._owed = int(self._owed), self._owed % 1
        pipe = self.redis.pipeline(transaction=False)
        for _ in range(count):
            entry: dict[Any, Any] = SKIPPED | {"timestamp": str(int(now.timestamp()))}
            pipe.xadd(INPUT, entry, maxlen=CAP, approximate=True)
        if self.beats:
            pipe.set(TRAINER, str(int(now.timestamp())))
        pipe.execute()
        while self._consume(now):
            pass

    def _consume(self, now: datetime) -> bool:
        read: Any = self.redis.xreadgroup(GROUP, "execution-host-1", {INPUT: ">"}, count=5000)
        entries = read[0][1] if read else []
        stamp = f"{now:%Y-%m-%d %H:%M:%S},{now.microsecond // 1000:03d}"
        lines = []
        for entry_id, _ in entries:
            lines.append(
                f"{stamp} | INFO     | __main__ | [PATH1B] RX apply.result msg_id={entry_id.decode()}\n"
            )
            if not self.parses:
                lines.append(f"{stamp} | ERROR    | __main__ | {PARSE_ERROR}\n")
        with self.log.open("a", encoding="utf-8") as log:
            log.writelines(lines)
        if entries:
            self.redis.xack(INPUT, GROUP, *[entry_id for entry_id, _ in entries])
        if entries and self.parses and self.trades:
            self.redis.xadd(RESULTS, {"event_type": "execution.result", "payload": FILLED}, maxlen=CAP)
        return bool(entries)


class Told(list[tuple[str, str]]):
    """What arrived at the receiver, as (alert, status), in order."""

    def take(self, request: Request) -> Response:
        """Take one webhook."""
        for alert in (request.get_json() or {})["alerts"]:
            name, status = alert["labels"]["alertname"], alert["status"]
            last = next((said for known, said in reversed(self) if known == name), None)
            if status != last:  # a message repeats what else fires in its group
                self.append((name, status))
        return Response(status=204)


@pytest.fixture
def clock(tmp_path: Path) -> MovedClock:
    """A clock of this test's own."""
    return MovedClock(tmp_path)


@pytest.fixture
def server(clock: MovedClock) -> Iterator[EmbeddedServer]:
    """Debian's Redis 7.0, the version of the outage, on the moved clock."""
    with start_server("/usr/bin/redis-server", environment=clock.environment) as started:
        yield started


@pytest.fixture
def told(httpserver: HTTPServer) -> Told:
    """The receiver's memory."""
    told = Told()
    httpserver.expect_request("/hook").respond_with_handler(told.take)
    httpserver.expect_request("/health").respond_with_json({"status": "ok"})
    return told


@pytest.fixture
async def watched(
    server: EmbeddedServer,
    clock: MovedClock,
    tmp_path: Path,
    httpserver: HTTPServer,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Sidecar]:
    """A sidecar on the moved clock, with the built-in rules as they are."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "systemctl").write_text(SYSTEMCTL)
    (tools / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "execution.log").touch()
    places = {
        "redis": server.url,
        "state": tmp_path / "watchdog.db",
        "log": tmp_path / "execution.log",
        "health": httpserver.url_for("/health"),
        "hook": httpserver.url_for("/hook"),
    }
    sidecar = Sidecar(parse(RULES % places), clock.now)
    sidecar._patience = 30.0  # between two of these ticks lie up to twenty minutes, but no time of ours
    sidecar.outbox.start()
    yield sidecar
    await sidecar.stop()


class Replay:
    """Pipeline and sidecar, moved on together, with the moment each alert fired or ended."""

    def __init__(self, pipeline: Pipeline, sidecar: Sidecar) -> None:
        self.pipeline = pipeline
        self.sidecar = sidecar

    async def live(self, span: timedelta, step: timedelta) -> None:
        """Let *span* pass in steps, with a tick after each."""
        for _ in range(span // step):
            self.pipeline.live(step)
            await self.sidecar.tick(self.pipeline.clock.now())

    @property
    def firing(self) -> set[str]:
        """Return the names of what fires."""
        return {alert.name for alert in self.sidecar.alerts.values() if alert.firing}

    def fired_after(self, name: str, begin: datetime) -> float:
        """Return how many seconds after *begin* the alert fired."""
        (alert,) = (a for a in self.sidecar.alerts.values() if a.name == name)
        assert alert.fired_at is not None
        return (alert.fired_at - begin).total_seconds()

    def green_lights(self) -> dict[str, Any]:
        """Return everything that looked healthy during the outage."""
        assert self.sidecar.latest is not None
        values: dict[str, Any] = {}
        for key, report in self.sidecar.latest.signals.items():
            if key.service == "execution":
                values |= {f"{key.kind}.{name}": found for name, found in report.reading.values.items()}
        names = (
            "consumes.lag",
            "consumes.pending",
            "consumes.verdict",
            "health.up",
            "health.status",
            "unit.active",
        )
        return {name: values[name] for name in names} | {"full": values["stream.length"] >= CAP}

    async def delivered(self) -> None:
        """Return once the receiver has everything."""
        async with asyncio.timeout(10):
            while self.sidecar.outbox.depth("hook"):
                await asyncio.sleep(0.01)


GREEN = {
    "consumes.lag": 0.0,
    "consumes.pending": 0.0,
    "consumes.verdict": "ok",
    "health.up": 1.0,
    "health.status": 200.0,
    "unit.active": 1.0,
    "full": True,
}
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


async def test_the_outage_is_told_within_the_hour_and_ends_with_a_success(
    server: EmbeddedServer, clock: MovedClock, watched: Sidecar, told: Told, tmp_path: Path
) -> None:
    """Lag, pending, length, process and health stay green; four rules see it, and only a success ends it."""
    pipeline = Pipeline(server, clock, tmp_path / "execution.log")
    replay = Replay(pipeline, watched)
    await replay.live(90 * MINUTE, 30 * SECOND)
    assert (replay.firing, replay.green_lights()) == (set(), GREEN)

    # The deploy that cannot parse a SKIP, and the trainer that is gone.
    pipeline.parses = pipeline.beats = False
    broken = clock.now()
    await replay.live(4 * MINUTE, 5 * SECOND)
    assert replay.firing == {"NewLogErrors", "LogErrors"}
    assert replay.fired_after("NewLogErrors", broken) <= 11  # the first line of its kind
    # 1 ERROR for 1 INFO passes 10 % of a ten-minute window after 67 s; then its `for` of 2 minutes.
    assert 180 <= replay.fired_after("LogErrors", broken) <= 200
    await replay.live(2 * MINUTE, 5 * SECOND)
    assert replay.firing == {"NewLogErrors", "LogErrors", "HeartbeatStale"}
    assert 295 <= replay.fired_after("HeartbeatStale", broken) <= 311
    await replay.live(53 * MINUTE, 20 * SECOND)
    assert (replay.firing, replay.green_lights()) == ({"LogErrors", "HeartbeatStale"}, GREEN)
    await replay.live(2 * MINUTE, 5 * SECOND)
    assert replay.firing == {"LogErrors", "HeartbeatStale", "NoExecutions"}
    assert 3600 - 30 <= replay.fired_after("NoExecutions", broken) <= 3600 + 10

    # A day passes, every usual light green.
    await replay.live(timedelta(days=1), 20 * MINUTE)
    assert (replay.firing, replay.green_lights()) == ({"LogErrors", "HeartbeatStale", "NoExecutions"}, GREEN)
    (alert,) = (a for a in watched.alerts.values() if a.name == "NoExecutions")
    assert alert.summary.startswith("execution has not succeeded for 1d 1h although ")

    # "Resolved" by proxy: no parse errors, heartbeat back, and still not one success.
    pipeline.parses = pipeline.beats = True
    pipeline.trades = False
    await replay.live(30 * MINUTE, 30 * SECOND)
    assert replay.firing == {"NoExecutions"}
    pipeline.trades = True
    await replay.live(10 * SECOND, 5 * SECOND)
    assert replay.firing == set()
    await replay.delivered()
    assert told == [
        ("NewLogErrors", "firing"),
        ("LogErrors", "firing"),
        ("HeartbeatStale", "firing"),
        ("NewLogErrors", "resolved"),
        ("NoExecutions", "firing"),
        ("HeartbeatStale", "resolved"),
        ("LogErrors", "resolved"),
        ("NoExecutions", "resolved"),
    ]


async def test_the_first_audit_on_the_ninth_day_tells_it_all(
    server: EmbeddedServer, clock: MovedClock, watched: Sidecar, told: Told, tmp_path: Path
) -> None:
    """With no sidecar and no state, one look at what the sources remember is enough."""
    pipeline = Pipeline(server, clock, tmp_path / "execution.log")
    pipeline.live(10 * MINUTE)
    pipeline.parses = pipeline.beats = False
    pipeline.live(10 * MINUTE)
    clock.advance(timedelta(days=9))  # of which every source has forgotten all but the last minutes
    for _ in range(180):
        pipeline.live(30 * SECOND)
    fresh = Sidecar(watched.config, clock.now)
    fresh._patience = 30.0
    await fresh.tick(clock.now())
    assert {alert.name for alert in fresh.alerts.values() if alert.firing} == {
        "NoExecutions",
        "HeartbeatStale",
        "LogErrors",
    }
    assert fresh.latest is not None
    ages = [r.reading.values["age"] for k, r in fresh.latest.signals.items() if k.kind == "executions"]
    assert isinstance(ages[0], float)
    assert 9 * 86400 <= ages[0] <= 9 * 86400 + 7200
    assert told == []
    await fresh.fleet.close()
