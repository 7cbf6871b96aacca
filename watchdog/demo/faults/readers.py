"""The faults S12, S17 and S19 to S23: who reads, how, and what there is to read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from watchdog.demo.faults.bus import MINUTE, STALLED, TURN, add, dismiss, nothing, pass_through, read_again
from watchdog.demo.faults.deploy import restarted
from watchdog.demo.faults.fault import Fault
from watchdog.demo.stage import Stage
from watchdog.pipeline import names

OTHER = "trade_history_logger 2"


@dataclass(slots=True)
class Guard:
    """A "stream guard" that reads and acknowledges what nobody works off, so that nothing is pending."""

    stage: Stage

    def __call__(self, _: datetime) -> None:
        """Take everything away."""
        stream, group = names.APPLY_RESULT, names.EXECUTION_GROUP
        self.stage.redis.xautoclaim(stream, group, "stream-guard", 0, count=1_000)
        self.stage.redis.xreadgroup(group, "stream-guard", {stream: ">"}, count=1_000)
        held = self.stage.redis.xpending_range(stream, group, "-", "+", 10_000)
        if held:
            self.stage.redis.xack(stream, group, *(row["message_id"] for row in held))


async def _guard_the_dead(stage: Stage) -> None:
    await stage.units.set_setting("execution", "BREAK", "only_beats")
    stage.each(TURN, Guard(stage))


async def _work_again(stage: Stage) -> None:
    dismiss(stage, Guard)
    await stage.units.set_setting("execution", "BREAK", "")


async def _run_twice(stage: Stage) -> None:
    known = stage.beside.readers["trade_history_logger"]
    stage.beside.readers[OTHER] = replace(known, process=9311)


async def _run_once(stage: Stage) -> None:
    stage.beside.readers.pop(OTHER, None)


async def _overlap(stage: Stage) -> None:
    await _run_twice(stage)
    await stage.live(timedelta(seconds=30))
    stage.beside.readers["trade_history_logger"] = stage.beside.readers.pop(OTHER)


async def _catch_up(stage: Stage) -> None:
    stage.beside.readers["router"].most = 40
    add(stage, "decisions", 8_000)


async def _read_too_slowly(stage: Stage) -> None:
    pass_through(stage, "ticks", "features", 800)
    stage.beside.readers["features"].most = 1  # of two that come


async def _come_and_go(stage: Stage) -> None:
    pass_through(stage, "ticks", "features", 800)
    add(stage, "ticks", 300)


async def _read_own_history(stage: Stage) -> None:
    stage.beside.readers["governor"].begins = "0"


async def _read_own_history_once(stage: Stage) -> None:
    await _read_own_history(stage)  # as one should after a start
    await stage.live(TURN)
    await read_again(stage)


async def _stop_deciding(stage: Stage) -> None:
    stage.beside.producers["decisions"].running = False


async def _decide(stage: Stage) -> None:
    stage.beside.producers["decisions"].running = True


async def _pause_deciding(stage: Stage) -> None:
    await _stop_deciding(stage)
    await stage.live(timedelta(seconds=20))
    await _decide(stage)


FAULTS: tuple[Fault, ...] = (
    Fault(
        "S12",
        "a guard reads and acknowledges what the dead consumer leaves: nothing waits, nothing is pending",
        _guard_the_dead,
        expected=(("NoExecutions", "execution"),),
        window=timedelta(hours=1),
        possible=tuple(
            (alert, service)
            for alert in ("ExecutionsOverdue", "StreamOverdue", "NothingOffered", "SlowOrders", "LogSilent")
            for service in ("execution", "rl_feedback", "rl_trainer")
        ),
        twin=restarted("execution"),
        twin_title="the execution service is restarted",
        repairs=_work_again,
    ),
    Fault(
        "S17",
        "a service that must be alone runs twice",
        _run_twice,
        expected=(("SecondInstance", "trade_history_logger"),),
        window=timedelta(seconds=90),
        twin=_overlap,
        twin_title="for half a minute of a deploy the old instance runs beside the new one",
        repairs=_run_once,
        note="told by `consumes: {single: true}`; elsewhere a second consumer is how one scales",
    ),
    Fault(
        "S19",
        "a consumer is 8,000 entries behind and catching up: that is an estimate, not an alert",
        _catch_up,
        window=timedelta(minutes=5),
        repairs=read_again,
    ),
    Fault(
        "S20",
        "a reader takes half of what comes, and the stream keeps six minutes",
        _read_too_slowly,
        expected=(("LossImminent", "features"),),
        window=MINUTE,
        possible=(("EntriesLost", "features"), ("GroupFallingBehind", "features")),
        twin=_come_and_go,
        twin_title="a burst is worked off",
        repairs=read_again,
    ),
    Fault(
        "S21",
        "a consumer keeps polling its own history and gets nothing (from 7.2 on: idle small, inactive large)",
        _read_own_history,
        expected=(("GroupStalled", "governor"),),
        window=STALLED,
        twin=_read_own_history_once,
        twin_title="a consumer begins with its own history and goes on with what is new",
        repairs=read_again,
        note="where nothing comes either, one who polls in vain is S22 or S23",
    ),
    Fault(
        "S22",
        "streams that are driven by events have been empty for weeks: nothing is wrong",
        nothing,
        window=timedelta(minutes=30),
    ),
    Fault(
        "S23",
        "a healthy group reads a stream that is itself dead: its producer is to blame",
        _stop_deciding,
        expected=(("StreamSilent", "ai_engine"),),
        window=timedelta(seconds=30),
        twin=_pause_deciding,
        twin_title="the producer pauses for twenty seconds",
        repairs=_decide,
    ),
)
