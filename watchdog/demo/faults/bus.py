"""What happens on the bus beside the units: entries in bulk, and who reads them."""

from __future__ import annotations

from datetime import timedelta

from watchdog.demo.stage import Stage

MINUTE = timedelta(minutes=1)
STALLED = 2 * MINUTE  # the verdict's own minute, and the one that `GroupStalled` waits
TURN = timedelta(seconds=5)
GONE = "router-host-4193"  # a consumer whose process is no more
AT_A_TIME = 1_000
ADD = """
local made = {}
for i = 1, tonumber(ARGV[1]) do made[i] = redis.call('XADD', KEYS[1], unpack(ARGV, 2)) end
return made
"""


def add(stage: Stage, producer: str, entries: int) -> list[str]:
    """Have *producer* add so many *entries* at once, and return their IDs."""
    found = stage.beside.producers[producer]
    made: list[str] = []
    trimmed = ("MAXLEN", found.cap) if found.cap else ()
    for begin in range(0, entries, AT_A_TIME):
        fields = found.entry(stage.clock().timestamp()).items()
        pairs = (part for pair in fields for part in pair)
        number = min(AT_A_TIME, entries - begin)
        made += stage.redis.eval(ADD, 1, found.stream, number, *trimmed, "*", *pairs)
    return made


def read_all(stage: Stage, reader: str, *, acknowledged: bool = True) -> None:
    """Have *reader* read all there is."""
    found = stage.beside.readers[reader]
    while stage.redis.xreadgroup(
        found.group, found.consumer, {found.stream: ">"}, count=AT_A_TIME, noack=acknowledged
    ):
        pass


def pass_through(
    stage: Stage, producer: str, reader: str, entries: int, *, acknowledged: bool = True
) -> None:
    """Have *producer* add so many *entries* as fast as *reader* reads them."""
    for begin in range(0, entries, AT_A_TIME // 2):
        add(stage, producer, min(AT_A_TIME // 2, entries - begin))
        read_all(stage, reader, acknowledged=acknowledged)


def hold(stage: Stage, reader: str, entries: int, producer: str = "decisions") -> list[str]:
    """Give *entries* to a consumer of *reader*'s group that dies before it acknowledges them."""
    read_all(stage, reader)
    add(stage, producer, entries)
    found = stage.beside.readers[reader]
    ((_, given),) = stage.redis.xreadgroup(found.group, GONE, {found.stream: ">"}, count=entries)
    return [entry for entry, _ in given]


async def let_go(stage: Stage) -> None:
    """Acknowledge whatever the router's group holds, and have everybody read as they should."""
    router = stage.beside.readers["router"]
    held = stage.redis.xpending_range(router.stream, router.group, "-", "+", 100_000)
    if held:
        stage.redis.xack(router.stream, router.group, *(row["message_id"] for row in held))
    stage.redis.xgroup_delconsumer(router.stream, router.group, GONE)
    await read_again(stage)


async def read_again(stage: Stage) -> None:
    """Start whoever reads beside the units anew, as they are meant to be."""
    for reader in stage.beside.readers.values():
        reader.running = reader.acknowledges = True
        reader.begins, reader.most = ">", 100


async def nothing(_: Stage) -> None:
    """Change nothing."""


def dismiss(stage: Stage, kind: type) -> None:
    """Send away who acts as *kind* says."""
    known = [actor for actor in stage.actors if isinstance(actor.act, kind)]
    if known:
        stage.dismiss(*known)
