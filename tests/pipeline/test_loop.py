"""The loop and the gate on a real server, one service at a time."""

import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from watchdog.pipeline import market, names
from watchdog.pipeline.apply_layer import ApplyLayer
from watchdog.pipeline.execution import Execution
from watchdog.pipeline.gates import OUR_KILL_SWITCH, REQUIRED_HEARTBEATS
from watchdog.pipeline.intent_bridge import IntentBridge
from watchdog.pipeline.messages import Plan, compact
from watchdog.pipeline.permits import GRANTED, Permits
from watchdog.pipeline.rl_feedback import RlFeedback
from watchdog.pipeline.rl_trainer import RlTrainer
from watchdog.pipeline.runtime import Loop, Service, Write, append

pytestmark = pytest.mark.redis

BUY = Plan("p1", "SOLUSDT", "EXECUTE", "ENTRY_PROPOSED", side="BUY", qty=0.6)
NO_GRACE = {"RISK_BOOT_GRACE_SEC": "0.000001"}

JUNK: Mapping[str, Mapping[str | bytes, str | bytes]] = {
    "unknown shape": {"hello": "world"},
    "binary": {b"\xff\xfe\x00": b"\x80\x81", "symbol": b"\xc3\x28"},
    "half an envelope": {"payload": '{"symbol": "AAA'},
    "a list in the envelope": {"details": "[1, 2]"},
    "wrong types": {"payload": '{"symbol": 7, "side": {}, "plan_id": [], "decision": null}'},
    "no number": {"symbol": "BTCUSDT", "side": "BUY", "entry_price": "nan", "position_size_usd": "x"},
    "unknown symbol": {"plan_id": "u", "symbol": "NOSUCH", "decision": "EXECUTE", "executed": "True"},
    "deep": {"payload": "[" * 100_000},
    "fill at no price": {
        "payload": '{"symbol":"AAAUSDT","action":"BUY","status":"filled","entry_price":0.0}',
    },
}


def beat(redis: Any, *keys: str) -> None:
    """Set heartbeats as their services do."""
    for key in keys:
        redis.set(key, "1771364540", ex=30)


def propose(redis: Any, plan: Plan) -> None:
    """Put a plan on its stream."""
    redis.execute_command(*append(names.APPLY_PLAN, plan.order_fields(5, 0.0)).command)


def send(redis: Any, plan: Plan) -> None:
    """Put a plan on its stream, with all that it needs to be let through."""
    propose(redis, plan)
    redis.rpush(names.permit(plan.plan_id), GRANTED)
    redis.set(names.POLICY, compact({"universe": [plan.symbol]}))
    redis.set(names.P33_SNAPSHOT, compact({"ts": time.time(), "symbols": [plan.symbol]}))


def errors(redis: Any) -> list[str]:
    """Return the reasons of all results."""
    return [fields["error"] for _, fields in redis.xrange(names.APPLY_RESULT)]


def acknowledged(redis: Any, service: Service) -> bool:
    """Say whether a service left nothing unread and nothing pending."""
    return all(
        (consumer_group["lag"], consumer_group["pending"]) == (0, 0)
        for source in service.inputs
        for consumer_group in redis.xinfo_groups(source.stream)
    )


@dataclass(frozen=True)
class Case:
    """What is in Redis before a plan comes, and what should be there afterwards."""

    error: str
    beating: Sequence[str] = REQUIRED_HEARTBEATS
    endless: Sequence[str] = ()
    switch: str | None = None
    switch_after: str | None = None


MISSING = "risk_layer0_fail:heartbeat_missing"
TRAINER, FEEDBACK = REQUIRED_HEARTBEATS
GATE = {
    "all there": Case(""),
    "trainer missing": Case(MISSING, beating=[FEEDBACK], switch_after=OUR_KILL_SWITCH),
    "feedback missing": Case(MISSING, beating=[TRAINER], switch_after=OUR_KILL_SWITCH),
    "trainer without expiry": Case(MISSING, endless=[TRAINER], switch_after=OUR_KILL_SWITCH),
    "back again": Case("", switch=OUR_KILL_SWITCH),
    "somebody's switch": Case("kill_switch_active", switch="by hand", switch_after="by hand"),
    "somebody's switch, trainer missing": Case(
        MISSING, beating=[FEEDBACK], switch="by hand", switch_after="by hand"
    ),
}


@pytest.mark.parametrize("case", GATE.values(), ids=GATE)
def test_the_gate(case: Case, redis: Any, loop_of: Callable[..., Loop]) -> None:
    """The gate opens for heartbeats that expire, however old their value, and minds its own switch only."""
    beat(redis, *case.beating)
    for key in case.endless:
        redis.persist(key)
    if case.switch:
        redis.set(names.KILL_SWITCH, case.switch)
    send(redis, BUY)
    loop_of("apply_layer", ApplyLayer, **NO_GRACE).step()
    assert errors(redis) == [case.error]
    assert redis.get(names.KILL_SWITCH) == case.switch_after


NO_PERMIT = "permit_timeout_or_missing:missing_p26"
NO_SNAPSHOT = "p33_permit_denied:no_exchange_snapshot"
PERMITTED = {
    "granted": ("SOLUSDT", {}, ""),
    "denied": ("LINKUSDT", {}, NO_PERMIT),
    "never covered": ("TRXUSDT", {}, NO_SNAPSHOT),
    "not covered here": ("SOLUSDT", {"P33_SYMBOLS": "BTCUSDT,ETHUSDT"}, NO_SNAPSHOT),
}


@pytest.mark.parametrize(("symbol", "env", "expected"), PERMITTED.values(), ids=PERMITTED)
def test_permits(
    symbol: str, env: Mapping[str, str], expected: str, redis: Any, loop_of: Callable[..., Loop]
) -> None:
    """An order passes with the permit and the snapshot that the permits service gives for it."""
    beat(redis, *REQUIRED_HEARTBEATS)
    propose(redis, replace(BUY, symbol=symbol, qty=50.0 / market.PRICES[symbol]))
    loop_of("permits", Permits, **env).step(0)
    loop_of("apply_layer", ApplyLayer, **NO_GRACE).step(0)
    assert errors(redis) == [expected]
    assert not redis.exists(names.permit(BUY.plan_id)), "a permit is taken, and holds once"


def test_an_order_nobody_answers_is_refused(redis: Any, loop_of: Callable[..., Loop]) -> None:
    """Where no permit comes the wait for it ends."""
    beat(redis, *REQUIRED_HEARTBEATS)
    send(redis, BUY)
    redis.delete(names.permit(BUY.plan_id))
    loop_of("apply_layer", ApplyLayer, **NO_GRACE, PERMIT_WAIT_SEC="0.01").step(0)
    assert errors(redis) == [NO_PERMIT]


@pytest.mark.parametrize("before", ["", "7"], ids=["none yet", "without its expiry"])
def test_the_day_is_counted(before: str, redis: Any, loop_of: Callable[..., Loop]) -> None:
    """What is executed counts until midnight; a count that has lost its expiry goes on for ever."""
    beat(redis, *REQUIRED_HEARTBEATS)
    if before:
        redis.set(names.EXECUTED_TODAY, before)
    send(redis, BUY)
    loop_of("apply_layer", ApplyLayer, **NO_GRACE).step(0)
    assert redis.get(names.EXECUTED_TODAY) == str(int(before or 0) + 1)
    assert (redis.ttl(names.EXECUTED_TODAY) == -1) == bool(before)


def test_the_start_up_grace_ends(redis: Any, loop_of: Callable[..., Loop]) -> None:
    """An order is blocked while the service boots, and none later."""
    beat(redis, *REQUIRED_HEARTBEATS)
    loop = loop_of("apply_layer", ApplyLayer)
    send(redis, BUY)
    loop.step()
    assert isinstance(loop.service, ApplyLayer)
    loop.service.booted_at = 0.0
    send(redis, replace(BUY, plan_id="p2"))
    loop.step()
    assert errors(redis) == ["risk_booting:startup_grace", ""]


def test_a_plan_is_answered_once(redis: Any, loop_of: Callable[..., Loop]) -> None:
    """The same plan again is a duplicate."""
    beat(redis, *REQUIRED_HEARTBEATS)
    send(redis, BUY)
    send(redis, BUY)
    loop_of("apply_layer", ApplyLayer, **NO_GRACE).step()
    assert errors(redis) == ["", "duplicate_plan"]


@pytest.mark.parametrize("service", [IntentBridge, ApplyLayer, Execution, RlFeedback, RlTrainer, Permits])
def test_junk_is_logged_and_acknowledged(
    service: type[Service], redis: Any, loop_of: Callable[..., Loop], caplog: pytest.LogCaptureFixture
) -> None:
    """No entry, whatever is in it, ends a service or stays with it."""
    for source in service.inputs:
        for junk in JUNK.values():
            redis.xadd(source.stream, dict(junk))
    loop = loop_of("service", service)
    with caplog.at_level(logging.WARNING):
        loop.step()
    assert acknowledged(redis, loop.service)
    assert "Dropped unreadable entry" in caplog.text


def test_a_bug_costs_one_entry(
    redis: Any, loop_of: Callable[..., Loop], caplog: pytest.LogCaptureFixture
) -> None:
    """An entry that makes a service fail is logged with its traceback, and the next one is answered."""
    redis.hset(names.POSITIONS, "AAAUSDT", "{")
    beat(redis, *REQUIRED_HEARTBEATS)
    send(redis, BUY)
    loop = loop_of("apply_layer", ApplyLayer, **NO_GRACE)
    loop.step()
    redis.delete(names.POSITIONS)
    send(redis, replace(BUY, plan_id="p2"))
    loop.step()
    assert errors(redis) == [""]
    assert acknowledged(redis, loop.service)
    assert "JSONDecodeError" in caplog.text


def test_what_a_predecessor_left_is_taken_up(redis: Any, loop_of: Callable[..., Loop]) -> None:
    """Entries that were delivered and never acknowledged are answered after a restart."""
    source = ApplyLayer.inputs[0]
    beat(redis, *REQUIRED_HEARTBEATS)
    send(redis, BUY)
    redis.xgroup_create(source.stream, source.consumer_group, id="0")
    redis.xreadgroup(source.consumer_group, "apply_layer-host-1", {source.stream: ">"})
    (pending,) = redis.xpending_range(source.stream, source.consumer_group, "-", "+", 1)
    redis.execute_command(
        *("XCLAIM", source.stream, source.consumer_group, "apply_layer-host-1", 0),
        *(pending["message_id"], "IDLE", 60_000),
    )
    loop = loop_of("apply_layer", ApplyLayer, **NO_GRACE)
    loop.step()
    assert errors(redis) == [""]
    assert acknowledged(redis, loop.service)


def test_a_group_that_vanished_is_made_again(redis: Any, loop_of: Callable[..., Loop]) -> None:
    """After a flush the streams and groups are there again, and the heartbeat with its expiry."""
    loop = loop_of("rl_feedback", RlFeedback)
    loop.step()
    redis.flushall()
    vars(loop.service)["tick"] = stop_after(loop, steps=2)
    loop.run()
    assert redis.xinfo_groups(names.EXITBRAIN_PNL)[0]["name"] == names.RL_FEEDBACK_GROUP
    assert redis.exists("quantum:svc:rl_feedback_v2:heartbeat")


def stop_after(loop: Loop, steps: int) -> Callable[[float], list[Write]]:
    """Return a tick that stops *loop* in its step number *steps*."""
    ticks = iter(range(1, steps))

    def tick(_now: float) -> list[Write]:
        if next(ticks, None) is None:
            loop.stopping.set()
        return []

    return tick


HEARTBEATS = {
    "trainer": ("rl_trainer", RlTrainer, r"quantum:svc:rl_trainer:heartbeat = \d{10} for 30 s"),
    "feedback": ("rl_feedback", RlFeedback, r"quantum:svc:rl_feedback_v2:heartbeat = \d{10}\.\d+ for 10 s"),
}


@pytest.mark.parametrize(("name", "service", "expected"), HEARTBEATS.values(), ids=HEARTBEATS)
def test_heartbeats(
    name: str, service: type[Service], expected: str, redis: Any, loop_of: Callable[..., Loop]
) -> None:
    """A service that only exists does not beat; a step does, in the service's own way."""
    loop = loop_of(name, service)
    assert redis.keys("quantum:svc:*") == []
    loop.step()
    (key,) = redis.keys("quantum:svc:*")
    assert re.fullmatch(expected, f"{key} = {redis.get(key)} for {round(redis.pttl(key) / 1000)} s")


def test_a_flat_close_is_proposed_again_and_again(redis: Any, loop_of: Callable[..., Loop]) -> None:
    """G20: without the skip one SELL on a flat symbol becomes a plan now, and another every half second."""
    loop = loop_of("intent_bridge", IntentBridge, INTENT_BRIDGE_SKIP_FLAT_SELL="false")
    redis.xadd(names.TRADE_INTENT, {"symbol": "AAAUSDT", "side": "SELL", "correlation_id": "c"})
    loop.step()
    assert isinstance(loop.service, IntentBridge)
    first = loop.service.propose_again_at
    again = [write.command[1] for at in (0.0, 0.4, 0.5, 1.0) for write in loop.service.tick(first + at)]
    assert redis.xlen(names.APPLY_PLAN) == 1
    assert again == [names.APPLY_PLAN] * 3
