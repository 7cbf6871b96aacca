"""The faults W15 to W22: work is done all the time, and nothing comes of it; or it only looks like that."""

from __future__ import annotations

from datetime import timedelta

from watchdog.demo.faults.deploy import deployed, mended, restarted
from watchdog.demo.faults.fault import AT_ONCE, Fault
from watchdog.demo.faults.work import BEHIND_BRIDGE, STALLED, STREAM_SILENT, fewer_orders, symptoms
from watchdog.demo.stage import Stage
from watchdog.pipeline import names
from watchdog.pipeline.execution import Order
from watchdog.pipeline.exits import proposal

BACKLOG = timedelta(days=5.6)
SMALL_BACKLOG = timedelta(minutes=4)
PROPOSALS = 40
MODEL_STUCK = timedelta(hours=1)


async def _old_backlog(stage: Stage) -> None:
    """Have the producer hand over what it spooled, oldest first, to a reader that asks for no dates."""
    _spooled(stage, BACKLOG)


async def _small_backlog(stage: Stage) -> None:
    _spooled(stage, SMALL_BACKLOG)


def _spooled(stage: Stage, age: timedelta) -> None:
    began = (stage.clock() - age).timestamp()
    pipe = stage.redis.pipeline(transaction=False)
    for serial in range(PROPOSALS):
        pipe.xadd(names.HARVEST_INTENT, proposal(Order("XRPUSDT", "SELL", 40.0), began + serial))
    pipe.execute()


FAULTS = (
    Fault(
        "W15",
        "envelopes are read as flat entries: symbol UNKNOWN, price 0",
        deployed("intent_bridge", "reads_flat"),
        expected=(("BadValues", "intent_bridge"),),
        window=AT_ONCE,
        possible=BEHIND_BRIDGE,
        twin=restarted("intent_bridge"),
        twin_title="a restart",
        repairs=mended("intent_bridge"),
        note="told by a word that the user forbids: what the bridge writes for a symbol it could not read",
    ),
    Fault(
        "W16",
        "a backlog of 5.6 days is worked through as if it were live",
        _old_backlog,
        expected=(("OldWork", "exits"),),
        window=AT_ONCE,
        twin=_small_backlog,
        twin_title="a backlog of four minutes",
        note="told by `timestamp`: of when the work is stands in the payload, the IDs are new",
    ),
    Fault(
        "W17",
        'orders are "filled" with price 0 and quantity 0',
        deployed("execution", "fills_nothing"),
        expected=(("BadValues", "execution"),),
        window=timedelta(seconds=25),
        possible=(
            ("OnlyFailures", "execution"),
            ("NewLogErrors", "intent_bridge"),
            *symptoms("execution", "rl_feedback", "rl_trainer"),
        ),
        twin=restarted("execution"),
        twin_title="a restart",
        repairs=mended("execution"),
        note="visible with the first order after the break, and there is one every 24 s",
    ),
    Fault(
        "W18",
        "the model answers HOLD whatever it is asked",
        deployed("intents", "always_holds"),
        expected=(("OneDecision", "intents"),),
        window=MODEL_STUCK,
        possible=(("ExecutionsOverdue", "intents"), *BEHIND_BRIDGE),
        twin=fewer_orders,
        twin_title="a calm market: a third of all orders",
        repairs=mended("intents"),
    ),
    Fault(
        "W19",
        "an unknown action silently becomes HOLD, then SKIP",
        deployed("intents", "renamed_action"),
        expected=(("ForbiddenResult", "intent_bridge"),),
        window=AT_ONCE,
        possible=(("OnlyEntries", "intent_bridge"), *BEHIND_BRIDGE),
        twin=restarted("intents"),
        twin_title="a restart",
        repairs=mended("intents"),
    ),
    Fault(
        "W20",
        "the producer runs in shadow mode: it prints, and never writes",
        deployed("intents", "shadow"),
        expected=(("StreamSilent", "intents"),),
        window=STREAM_SILENT,
        possible=(("ExecutionsOverdue", "intents"), *BEHIND_BRIDGE),
        twin=fewer_orders,
        twin_title="a calm market: a third of all orders",
        repairs=mended("intents"),
    ),
    Fault(
        "W21",
        "a liveness thread goes on beating for a loop that hangs",
        deployed("execution", "only_beats"),
        expected=(("GroupStalled", "execution"),),
        window=STALLED,
        possible=symptoms("execution"),
        twin=restarted("execution"),
        twin_title="a restart",
        repairs=mended("execution"),
    ),
    Fault(
        "W22",
        "the line that tells of a success was moved to DEBUG; the work goes on",
        deployed("execution", "tells_at_debug"),
        expected=(("LogChanged", "execution"),),
        window=timedelta(minutes=15),
        twin=restarted("execution"),
        twin_title="a restart",
        repairs=mended("execution"),
        note="told by a rule of the user on a pattern of that line; an info: nothing died",
    ),
)
