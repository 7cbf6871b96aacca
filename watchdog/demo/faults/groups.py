"""The faults S03 to S07, S09 and S11: what a consumer group remembers, and what it was given."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import count, islice

from watchdog.demo.faults.bus import (
    MINUTE,
    STALLED,
    TURN,
    add,
    dismiss,
    hold,
    let_go,
    pass_through,
    read_again,
    read_all,
)
from watchdog.demo.faults.fault import Fault
from watchdog.demo.stage import Stage


def _begin_at(stage: Stage, reader: str, position: str) -> None:
    found = stage.beside.readers[reader]
    stage.redis.xgroup_destroy(found.stream, found.group)
    stage.redis.xgroup_create(found.stream, found.group, id=position)


async def _never_start(stage: Stage) -> None:
    stage.beside.readers["trade_history_logger"].running = False
    _begin_at(stage, "trade_history_logger", "$")


async def _start_late(stage: Stage) -> None:
    await _never_start(stage)
    await stage.live(timedelta(seconds=30))
    await read_again(stage)


async def _replay(stage: Stage) -> None:
    stage.beside.readers["trade_history_logger"].most = 10  # each entry of a replay is work
    _begin_at(stage, "trade_history_logger", "0")


async def _backfill(stage: Stage) -> None:
    known = stage.beside.readers["trade_history_logger"]
    stage.redis.xgroup_create(known.stream, "backfill", id="0")
    stage.beside.readers["backfill"] = replace(known, group="backfill")


async def _leave_ghost(stage: Stage) -> None:
    hold(stage, "router", 20)


async def _leave_empty_ghosts(stage: Stage) -> None:
    router = stage.beside.readers["router"]
    for process in range(40):
        stage.redis.xgroup_createconsumer(router.stream, router.group, f"router-host-{process}")


async def _never_acknowledge(stage: Stage) -> None:
    stage.beside.readers["router"].acknowledges = False
    read_all(stage, "router", acknowledged=False)
    pass_through(stage, "decisions", "router", 11_343, acknowledged=False)  # as many as were found


async def _acknowledge_late(stage: Stage) -> None:
    stage.beside.readers["router"].acknowledges = False
    await stage.live(timedelta(seconds=30))
    await let_go(stage)


async def _lose_lag(stage: Stage) -> None:
    router = stage.beside.readers["router"]
    router.running = False
    _, deleted = add(stage, "decisions", 2)
    stage.redis.xdel(router.stream, deleted)


async def _delete_what_was_read(stage: Stage) -> None:
    router = stage.beside.readers["router"]
    made = add(stage, "decisions", 10)
    read_all(stage, "router")
    stage.redis.xdel(router.stream, *islice(made, 5, None))
    stage.redis.xgroup_setid(router.stream, router.group, "$")


async def _trim_pending(stage: Stage) -> None:
    hold(stage, "router", 20)
    read_all(stage, "router")
    stage.redis.xtrim(stage.beside.readers["router"].stream, maxlen=0, approximate=False)


async def _trim_read(stage: Stage) -> None:
    read_all(stage, "router")
    stage.redis.xtrim(stage.beside.readers["router"].stream, maxlen=0, approximate=False)


@dataclass(slots=True)
class Crashing:
    """Processes that die of one entry: each claims it from the one before."""

    stage: Stage
    entry: str
    process: count[int]

    def __call__(self, _: datetime) -> None:
        """Start, claim, die."""
        router = self.stage.beside.readers["router"]
        who = f"router-host-{next(self.process)}"
        self.stage.redis.xclaim(router.stream, router.group, who, 0, [self.entry])


async def _poison(stage: Stage) -> None:
    (entry,) = hold(stage, "router", 1)
    crash = Crashing(stage, entry, count(5000))
    for _ in range(5):
        crash(stage.clock())
    stage.each(TURN, crash)


async def _take_up_once(stage: Stage) -> None:
    (entry,) = hold(stage, "router", 1)
    Crashing(stage, entry, count(5000))(stage.clock())
    await let_go(stage)


async def _clear_poison(stage: Stage) -> None:
    dismiss(stage, Crashing)
    await let_go(stage)


FAULTS: tuple[Fault, ...] = (
    Fault(
        "S03",
        "a group is made at `$` and its consumer never starts: Redis says lag NULL",
        _never_start,
        expected=(("GroupStalled", "trade_history_logger"),),
        window=STALLED,
        twin=_start_late,
        twin_title="its consumer starts after half a minute",
        repairs=read_again,
    ),
    Fault(
        "S04",
        "a group is made anew at 0 and replays all that the stream keeps",
        _replay,
        expected=(("GroupStalled", "trade_history_logger"),),
        window=MINUTE,
        twin=_backfill,
        twin_title="a new group reads the stream from its beginning",
        repairs=read_again,
    ),
    Fault(
        "S05",
        "a consumer is gone and holds entries that it never acknowledged",
        _leave_ghost,
        expected=(("GhostConsumers", "router"),),
        window=timedelta(hours=1, minutes=6),  # an hour idle, five minutes, a look at consumers each minute
        twin=_leave_empty_ghosts,
        twin_title="forty consumers are gone and hold nothing",
        repairs=let_go,
    ),
    Fault(
        "S06",
        "a group never acknowledges: more is pending than the stream holds, and lag is 0",
        _never_acknowledge,
        expected=(("GroupStalled", "router"),),
        window=STALLED,
        possible=(("PendingBodiesGone", "router"),),  # what is pending was trimmed
        twin=_acknowledge_late,
        twin_title="a consumer acknowledges twice a minute",
        repairs=let_go,
    ),
    Fault(
        "S07",
        "an entry ahead was deleted, so that Redis says lag NULL for good, and the reader is dead",
        _lose_lag,
        expected=(("GroupStalled", "router"),),
        window=STALLED,
        twin=_delete_what_was_read,
        twin_title="entries that were read are deleted, the group is set to `$`, the reader reads on",
        repairs=read_again,
    ),
    Fault(
        "S09",
        "entries are trimmed while a dead consumer holds them: what they said is gone",
        _trim_pending,
        expected=(("PendingBodiesGone", "router"),),
        window=timedelta(minutes=6),
        possible=(("GhostConsumers", "router"),),
        twin=_trim_read,
        twin_title="a stream is emptied whose entries were all acknowledged",
        repairs=let_go,
    ),
    Fault(
        "S11",
        "one entry kills each process that takes it up, again and again",
        _poison,
        expected=(("PoisonEntry", "router"),),
        window=timedelta(minutes=6),
        possible=(("GhostConsumers", "router"),),
        twin=_take_up_once,
        twin_title="an entry is taken up once more after a crash, and done",
        repairs=_clear_poison,
    ),
)
