"""The faults S01, S02, S08, S10, S13 to S16 and S18: what is written into streams, and what becomes of it."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from watchdog.demo.faults.bus import MINUTE, STALLED, TURN, add, dismiss, pass_through, read_again, read_all
from watchdog.demo.faults.deploy import deployed, mended, restarted
from watchdog.demo.faults.fault import Fault
from watchdog.demo.stage import Stage
from watchdog.pipeline import names
from watchdog.pipeline.messages import Body, body

OLD = timedelta(days=8)
ALL_READERS = (
    *("intent_bridge", "apply_layer", "execution", "exits", "permits", "rl_trainer"),
    *("router", "features", "governor", "harvest_brain", "trade_history_logger"),
)
COPIES = 20


async def _rename(stage: Stage) -> None:
    stage.beside.producers["decisions"].stream = names.stream("ai.decisions")


async def _name_rightly(stage: Stage) -> None:
    stage.beside.producers["decisions"].stream = names.stream("ai.decision.made")


async def _write_to_both(stage: Stage) -> None:
    known = stage.beside.producers["decisions"]
    stage.beside.producers["also"] = replace(known, stream=names.stream("ai.decisions"))


async def _overrun(stage: Stage) -> None:
    add(stage, "decisions", 15_000)


async def _burst(stage: Stage) -> None:
    pass_through(stage, "decisions", "router", 30_000)


async def _lift_cap(stage: Stage) -> None:
    stage.beside.producers["decisions"].cap = None
    add(stage, "decisions", 101_000)
    router = stage.beside.readers["router"]
    stage.redis.xgroup_setid(router.stream, router.group, "$")  # who reads it keeps up


async def _cap(stage: Stage) -> None:
    stage.beside.producers["decisions"].cap = 10_000


async def _restart_redis_alone(stage: Stage) -> None:
    stage.restart_redis()


async def _restart_redis(stage: Stage) -> None:
    stage.restart_redis()
    for lost in ("trade_history_logger", "governor"):
        stage.beside.readers[lost].running = False


async def _flush(stage: Stage) -> None:
    stage.redis.flushall()


async def _make_groups(stage: Stage) -> None:
    stage.beside.begin()


async def _empty_a_stream(stage: Stage) -> None:
    read_all(stage, "router")
    stage.redis.xtrim(stage.beside.readers["router"].stream, maxlen=0, approximate=False)


def _moved(fields: Body, by: timedelta) -> dict[str, str]:
    """Return an entry as it was written *by* earlier."""
    said = json.loads(fields["payload"])
    then = (datetime.fromisoformat(said["timestamp"]) - by).isoformat().replace("+00:00", "Z")
    moved = {"payload": json.dumps({**said, "timestamp": then}), "timestamp": then}
    return {name: value for name, value in {**fields, **moved}.items() if name != "traceparent"}


async def _publish_again(stage: Stage, by: timedelta = OLD) -> None:
    for _, fields in stage.redis.xrevrange(names.EXECUTION_RESULT, count=10):
        stage.redis.xadd(names.EXECUTION_RESULT, _moved(fields, by))


async def _publish_late(stage: Stage) -> None:
    await _publish_again(stage, timedelta(minutes=5))


def _hold_of(source: str, now: datetime) -> dict[str, str]:
    return {
        "symbol": "BTCUSDT",
        "side": "HOLD",
        "action": "HOLD",
        "timestamp": now.astimezone(UTC).isoformat(),
        "correlation_id": str(uuid.uuid4()),
        "source": source,
    }


async def _leave_test_data(stage: Stage) -> None:
    for _ in range(3):
        stage.redis.xadd(names.TRADE_INTENT, _hold_of("e2e-test", stage.clock()))


async def _add_by_hand(stage: Stage) -> None:
    stage.redis.xadd(names.TRADE_INTENT, _hold_of("reconcile-engine", stage.clock()))


@dataclass(slots=True)
class Repeating:
    """Sends each order so many times: the key by which repetitions are told has a float in it."""

    stage: Stage
    last: str

    def __call__(self, _: datetime) -> None:
        """Send again what has come since."""
        for found, fields in self.stage.redis.xrange(names.TRADE_INTENT, f"({self.last}", "+"):
            said: dict[str, Any] = body(fields)
            self.last = found
            if said["side"] != "HOLD" and "repeated" not in fields:
                for _copy in range(COPIES - 1):
                    again = {**fields, "correlation_id": str(uuid.uuid4()), "repeated": "1"}
                    again.pop("traceparent", None)
                    self.stage.redis.xadd(names.TRADE_INTENT, again)


async def _repeat_orders(stage: Stage) -> None:
    ((last, _),) = stage.redis.xrevrange(names.TRADE_INTENT, count=1)
    stage.each(TURN, Repeating(stage, last))


async def _repeat_none(stage: Stage) -> None:
    dismiss(stage, Repeating)


async def _repeat_one(stage: Stage) -> None:
    ((_, fields),) = stage.redis.xrevrange(names.TRADE_INTENT, count=1)
    for _ in range(COPIES):
        stage.redis.xadd(names.TRADE_INTENT, fields)  # with the same id: they are known to be the same


FAULTS: tuple[Fault, ...] = (
    Fault(
        "S01",
        "the AI engine writes its decisions to another name than those who read them",
        _rename,
        expected=(("StreamSilent", "ai_engine"),),
        window=timedelta(seconds=30),  # three times the usual gap
        twin=_write_to_both,
        twin_title="while everybody moves it writes to both names",
        repairs=_name_rightly,
    ),
    Fault(
        "S02",
        "the apply layer wraps its results anew: who reads them skips and acknowledges every one",
        deployed("apply_layer", "other_envelope"),
        expected=(
            ("EntriesDropped", "execution"),
            ("NoExecutions", "apply_layer"),
            ("NoExecutions", "execution"),
        ),
        window=MINUTE,
        possible=tuple(
            (alert, service)
            for alert in (
                "EntriesDropped",
                "NoExecutions",
                "ExecutionsOverdue",
                "StreamOverdue",
                "SlowOrders",
            )
            for service in ("apply_layer", "execution", "exits", "rl_feedback", "rl_trainer")
        ),
        twin=restarted("apply_layer"),
        twin_title="the apply layer is restarted and writes as before",
        repairs=mended("apply_layer"),
        note="told by the line in which the reader says what it drops, a pattern of the user's",
    ),
    Fault(
        "S08",
        "15,000 entries come at once into a stream that keeps 10,000: a third is never read",
        _overrun,
        expected=(("EntriesLost", "router"),),
        possible=(("LossImminent", "router"),),
        twin=_burst,
        twin_title="30,000 entries come as fast as they are read",
    ),
    Fault(
        "S10",
        "a stream without MAXLEN grows and grows (6.3 million entries in the end; here 101,000)",
        _lift_cap,
        expected=(("StreamUnbounded", "ai_engine"),),
        twin=_burst,
        twin_title="30,000 entries go through a stream that keeps 10,000",
        repairs=_cap,
    ),
    Fault(
        "S13",
        "Redis was restarted, and two readers did not come back",
        _restart_redis,
        expected=(("GroupStalled", "trade_history_logger"), ("GroupStalled", "governor")),
        window=STALLED,
        twin=_restart_redis_alone,
        twin_title="Redis was restarted, and all came back",
        repairs=read_again,
    ),
    Fault(
        "S14",
        "FLUSHALL: all streams begin anew",
        _flush,
        expected=(
            ("StreamReset", "intents"),
            ("StreamReset", "intent_bridge"),
            ("StreamReset", "ai_engine"),
            ("GroupStalled", "reconciler"),
            ("GroupStalled", "retrainer"),
        ),
        possible=(
            *(("StreamReset", service) for service in ("apply_layer", "execution", "exits")),
            *(("SignalUnknown", service) for service in ("reconciler", "retrainer")),
            *(("GroupStalled", service) for service in ALL_READERS),  # each begins anew, at 0
        ),
        twin=_empty_a_stream,
        twin_title="a stream is emptied by XTRIM",
        repairs=_make_groups,
    ),
    Fault(
        "S15",
        "ten results of eight days ago are published again under new IDs",
        _publish_again,
        expected=(("OldWork", "execution"),),
        twin=_publish_late,
        twin_title="ten results of five minutes ago are published again",
    ),
    Fault(
        "S16",
        "test data were left in the production stream",
        _leave_test_data,
        expected=(("BadValues", "intents"),),
        twin=_add_by_hand,
        twin_title="an intent is added by hand in the name of the reconcile engine",
        note="told by who may write there: `fields: {source: {one_of: […]}}`",
    ),
    Fault(
        "S18",
        "the key by which repetitions are told has a float in it: every order is sent twenty times",
        _repeat_orders,
        expected=(("RateExceeded", "execution"),),
        window=MINUTE,
        possible=(("OnlyEntries", "intent_bridge"),),  # nothing can be sold twenty times
        twin=_repeat_one,
        twin_title="an intent comes twenty times under one id, and nineteen are dropped",
        repairs=_repeat_none,
        note="told by how many orders there may be: `executions: {at_most: …}`",
    ),
)
