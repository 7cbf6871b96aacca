"""
The faults W02 to W14: the process is up, the work is dead, because its loop or its consumer is.

Most are code: `BREAK=<word>` in the env file of a service, deployed as a bad version is, by a restart.
"""

from __future__ import annotations

from datetime import timedelta

from watchdog.demo.faults.deploy import deployed, mended, restarted
from watchdog.demo.faults.fault import Fault
from watchdog.demo.stage import Stage
from watchdog.pipeline import names

MINUTE = timedelta(minutes=1)
STALLED = timedelta(minutes=2, seconds=2)
"""Until an entry waits, a minute until its group is called stalled, and the minute of GroupStalled."""
UNHEARD = timedelta(minutes=1)
"""Half a minute until the heartbeat expires, and the half minute of HeartbeatMissing."""
LOG_SILENT = timedelta(minutes=1, seconds=5)
"""The few entries that are still worked on, and the minute that the demo's user declares for the log."""
STREAM_SILENT = timedelta(seconds=15)
"""Three times the five seconds that the demo's user declares."""


async def _many_restarts_and_nobody_reads(stage: Stage) -> None:
    """Leave the consumers behind that every restart left, and none that reads."""
    await _many_restarts(stage)
    await deployed("apply_layer", "started_too_early")(stage)


async def _many_restarts(stage: Stage) -> None:
    for process in range(4001, 4034):
        stage.redis.xgroup_createconsumer(
            names.APPLY_PLAN, names.APPLY_LAYER_GROUP, f"apply_layer-host-{process}"
        )


async def _stop(stage: Stage) -> None:
    await stage.units.stop_unit("apply_layer")


async def _start(stage: Stage) -> None:
    await stage.units.start_unit("apply_layer")


async def _stop_for_a_moment(stage: Stage) -> None:
    await _stop(stage)
    await stage.live(timedelta(seconds=20))
    await _start(stage)


async def _producer_gone(stage: Stage) -> None:
    """Stop the producer for good, and bring its sibling up in shadow mode."""
    await stage.units.stop_unit("intents")
    stage.units.says("intents", UnitFileState="disabled")
    await deployed("exits", "shadow")(stage)


async def _producer_back(stage: Stage) -> None:
    stage.units.says("intents")
    await stage.units.start_unit("intents")
    await mended("exits")(stage)


async def fewer_orders(stage: Stage) -> None:
    """Let the market calm down to a third of its orders."""
    await stage.units.set_setting("intents", "RATE", "0.34")


async def _restart_redis_under_readers(stage: Stage) -> None:
    await deployed("execution", "never_reconnects")(stage)
    stage.restart_redis()


async def _restart_redis(stage: Stage) -> None:
    stage.restart_redis()


def symptoms(*services: str) -> tuple[tuple[str, str], ...]:
    """Return what may be said of *services* while their work does not come."""
    work = ("NoExecutions", "ExecutionsOverdue", "NothingOffered", "SlowOrders")
    silence = ("StreamSilent", "StreamOverdue", "LogSilent")
    return tuple((alert, service) for service in services for alert in (*work, *silence))


def loop_dead(service: str) -> tuple[tuple[str, str], ...]:
    """Return what may be said of *service* while its loop does not go round."""
    said = ("HeartbeatMissing", "HeartbeatStale", "GroupStalled", "Unanswered")
    return (*((alert, service) for alert in said), *symptoms(service))


BEHIND_APPLY = symptoms("apply_layer", "execution", "exits", "rl_feedback", "rl_trainer")
BEHIND_BRIDGE = (*symptoms("intent_bridge", "permits"), *BEHIND_APPLY)

FAULTS = (
    Fault(
        "W02",
        "the consumer's task died of an exception, the process and its HTTP server live on",
        deployed("execution", "consumer_dies"),
        expected=(
            ("HeartbeatMissing", "execution"),
            ("GroupStalled", "execution"),
            ("NewLogErrors", "execution"),
        ),
        window=UNHEARD,
        possible=loop_dead("execution"),
        twin=restarted("execution"),
        twin_title="a restart",
        repairs=mended("execution"),
    ),
    Fault(
        "W03",
        "the consumer's loop returns at once and the service is restarted, again and again",
        deployed("execution", "loop_returns"),
        expected=(("UnitRestarting", "execution"),),
        window=MINUTE,
        possible=(("HealthFailing", "execution"), ("UnitDown", "execution"), *loop_dead("execution")),
        twin=restarted("execution", times=2),
        twin_title="two deploys, one after the other",
        repairs=mended("execution"),
    ),
    Fault(
        "W04",
        "the consumer looked at its own `running` flag before it was set, and ended without a word",
        deployed("intent_bridge", "started_too_early"),
        expected=(("StreamSilent", "intent_bridge"), ("GroupStalled", "intent_bridge")),
        window=STREAM_SILENT,
        possible=(*loop_dead("intent_bridge"), *BEHIND_BRIDGE),
        twin=restarted("intent_bridge"),
        twin_title="a restart",
        repairs=mended("intent_bridge"),
    ),
    Fault(
        "W05",
        "a service stops working with no error: its unit is active, its log silent, three streams rest",
        deployed("apply_layer", "stops_quietly"),
        expected=(("LogSilent", "apply_layer"), ("GroupStalled", "apply_layer")),
        window=LOG_SILENT,
        possible=(*loop_dead("apply_layer"), *BEHIND_APPLY),
        twin=fewer_orders,
        twin_title="a calm market: a third of all orders",
        repairs=mended("apply_layer"),
    ),
    Fault(
        "W06",
        "one of several groups on a stream is dead while its unit runs and the others read on",
        deployed("exits", "started_too_early"),
        expected=(("HeartbeatMissing", "exits"), ("GroupStalled", "exits")),
        window=UNHEARD,
        possible=(*loop_dead("exits"), ("HealthFailing", "exits")),
        twin=restarted("exits"),
        twin_title="a restart",
        repairs=mended("exits"),
    ),
    Fault(
        "W07",
        "the producer is gone for good, its sibling was restarted in shadow mode",
        _producer_gone,
        expected=(("StreamSilent", "intents"), ("HealthFailing", "intents"), ("HeartbeatMissing", "intents")),
        window=STREAM_SILENT,
        possible=(*loop_dead("intents"), *symptoms("exits"), *BEHIND_BRIDGE),
        twin=restarted("intents"),
        twin_title="a restart of the producer",
        repairs=_producer_back,
    ),
    Fault(
        "W08",
        "stopped by hand; no denials are counted because there are no lines",
        _stop,
        expected=(("UnitDown", "apply_layer"), ("HealthFailing", "apply_layer")),
        window=MINUTE,
        possible=(*loop_dead("apply_layer"), *BEHIND_APPLY),
        twin=_stop_for_a_moment,
        twin_title="stopped by hand for twenty seconds",
        repairs=_start,
    ),
    Fault(
        "W09",
        "34 consumers in the group, every one of them idle",
        _many_restarts_and_nobody_reads,
        expected=(("HeartbeatMissing", "apply_layer"), ("GroupStalled", "apply_layer")),
        window=UNHEARD,
        possible=(*loop_dead("apply_layer"), *BEHIND_APPLY),
        twin=_many_restarts,
        twin_title="33 consumers of former processes, and one that reads",
        repairs=mended("apply_layer"),
    ),
    Fault(
        "W10",
        "every close fails on an argument that was renamed",
        deployed("exits", "renamed_argument"),
        expected=(("LogErrors", "exits"), ("NewLogErrors", "exits")),
        window=timedelta(minutes=12),
        possible=(("Unanswered", "exits"), ("OnlyFailures", "exits"), *symptoms("exits")),
        twin=restarted("exits"),
        twin_title="a restart",
        repairs=mended("exits"),
    ),
    Fault(
        "W11",
        "the consumer reads a legacy stream that nobody writes any more",
        deployed("execution", "legacy_stream"),
        expected=(("GroupStalled", "execution"),),
        window=STALLED,
        possible=symptoms("execution"),
        twin=restarted("execution"),
        twin_title="a restart",
        repairs=mended("execution"),
    ),
    Fault(
        "W12",
        "a NameError on each evaluation, the loop goes round with emitted=0",
        deployed("exits", "evaluates_nothing"),
        expected=(("HarvestIdle", "exits"),),
        window=timedelta(minutes=10),
        possible=symptoms("exits"),
        twin=fewer_orders,
        twin_title="a calm market: a third of all orders",
        repairs=mended("exits"),
        note="told by a rule of the user on two patterns of the line HARVEST_TICK",
    ),
    Fault(
        "W13",
        "HTTP connections are accepted and never answered: the event loop is starved",
        deployed("execution", "starved"),
        expected=(
            ("HeartbeatMissing", "execution"),
            ("HealthFailing", "execution"),
            ("GroupStalled", "execution"),
        ),
        window=UNHEARD,
        possible=loop_dead("execution"),
        twin=restarted("execution"),
        twin_title="a restart",
        repairs=mended("execution"),
    ),
    Fault(
        "W14",
        "reads block for ever after Redis was restarted",
        _restart_redis_under_readers,
        expected=(("HeartbeatMissing", "execution"), ("GroupStalled", "execution")),
        window=UNHEARD,
        possible=loop_dead("execution"),
        twin=_restart_redis,
        twin_title="a restart of Redis after which everybody reads on",
        repairs=mended("execution"),
    ),
)
