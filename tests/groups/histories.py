"""Random histories of one stream: what clients and operators do to it, and when somebody looks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from random import Random
from typing import Any, NamedTuple

from tests.groups.model import Truth
from tests.groups.wire import Wire
from watchdog.entries import ORIGIN, EntryId
from watchdog.signals.base import Refused, Reply
from watchdog.units import EPOCH

STREAM = "s"
GROUPS = ("g", "h")
CONSUMERS = ("c1", "c2", "c3")
LIES = (0, 1, 2, 7, 1000)


class Step(NamedTuple):
    """One thing that happens; its numbers get their meaning when it does, so any step can be left out."""

    verb: str
    a: int
    b: int
    c: int


WEIGHTS: Mapping[str, dict[str, float]] = {
    "working": {"add": 30, "read": 25, "ack": 18, "look": 22, "noack": 2, "reread": 1, "restart": 1},
    "capped": {"add": 32, "read": 18, "ack": 12, "look": 24, "trim": 6, "noack": 2, "restart": 2},
    "starving": {"add": 40, "read": 3, "ack": 2, "look": 28, "trim": 6, "consumer_gone": 1},
    "deleting": {"add": 28, "read": 18, "ack": 8, "look": 22, "delete": 14, "trim": 2, "claim": 2},
    "claiming": {"add": 22, "read": 22, "ack": 8, "look": 22, "claim": 8, "autoclaim": 6, "delete": 4, "trim": 3,
                 "consumer_gone": 2, "force": 1, "reread": 2},
    "meddling": {"add": 26, "read": 14, "ack": 6, "look": 24, "setid": 8, "create": 3, "destroy": 3, "trim": 5,
                 "delete": 4, "last_id": 2, "counters": 3, "drop": 1, "restart": 1},
    "all": {"add": 26, "read": 16, "ack": 9, "look": 22, "trim": 4, "delete": 5, "setid": 3, "create": 2, "destroy": 1.5,
            "claim": 2, "autoclaim": 2, "noack": 2, "reread": 1, "last_id": 1, "counters": 1.5, "force": 0.7,
            "consumer_gone": 1, "drop": 0.6, "restart": 1},
    "deep": {"burst": 10, "add": 16, "read": 28, "ack": 8, "look": 28, "trim": 5, "delete": 5, "setid": 2, "restart": 1},
    "flooded": {"burst": 12, "add": 20, "read": 20, "ack": 12, "look": 26, "trim": 8, "delete": 2},
}  # fmt: skip
"""What happens how often, in each kind of life a stream may have."""


def draw(random: Random) -> list[Step]:
    """Return one history; it begins with a group, and ends with a look."""
    weights = WEIGHTS[random.choice(list(WEIGHTS))]
    cap = random.choice((0, 0, 0, *range(1, 6))) * 100  # added to `b`: whether and how XADD trims

    def step(verb: str) -> Step:
        extra = cap if verb == "add" else 0
        return Step(verb, random.randrange(1000), random.randrange(100) + extra, random.randrange(1000))

    steps = [step("add")] if random.random() < 0.4 else []
    steps += [step("create"), step("look")]
    count = random.randrange(8, 24 if "burst" in weights else 60)
    steps += [step(verb) for verb in random.choices(list(weights), list(weights.values()), k=count)]
    return [*steps, step("look")]


class Player:
    """Lets a history happen on a server, and tells the model what each command did."""

    def __init__(self, wire: Wire, truth: Truth, began: datetime, counts: bool) -> None:
        """Play on *wire*, the clock at *began*; *counts* is a server from 7.0 on."""
        self.wire = wire
        self.truth = truth
        self.now = began
        self.counts = counts
        self.told: list[str] = []
        self._verbs: Mapping[str, Callable[[Step], None]] = {
            name: getattr(self, f"_{name}")
            for name in WEIGHTS["all"] | WEIGHTS["flooded"]
            if name not in ("look", "restart")
        }

    def play(self, step: Step) -> None:
        """Let *step* happen."""
        self._verbs[step.verb](step)

    def tick(self, step: Step) -> None:
        """Let the time before a look go by."""
        waits = (1, 5, 5, 5, 15, 20, 30, 40, 65, 90, 310)
        self.now += timedelta(seconds=waits[step.a % len(waits)], milliseconds=step.b)
        self.told.append(f"# +{waits[step.a % len(waits)]}.{step.b:03} s: look")

    # ---- what producers do ---------------------------------------------------------------------

    def _add(self, step: Step) -> None:
        way: tuple[str | int, ...] = ()
        cap, limit = step.b // 100, 1 + step.c % 12
        if cap in (1, 2):
            way = ("MAXLEN", "=" if cap == 1 else "~", limit)
        elif cap == 3 and self.truth.live:
            border = list(self.truth.live)[-limit:][0]
            way = ("MINID", "=" if step.b % 2 else "~", str(border))
        for _ in range(1 + step.a % 7):
            length = len(self.truth.live)
            reply = self._do("XADD", STREAM, *way, self._new_id(step.b % 100), "n", "1")
            self.truth.added(EntryId.parse(reply), self.now)
            if way:
                self.truth.trimmed(length + 1 - int(self.wire.one("XLEN", STREAM)))

    def _burst(self, step: Step) -> None:
        """Add so many entries that nobody counts them one by one."""
        last, count = self.truth.generated, (25, 40, 90, 150, 600, 2500)[step.a % 6]
        first = EntryId(max(last.ms + 1, int((self.now - EPOCH) / timedelta(milliseconds=1))), 0)
        entries = [EntryId(first.ms, seq) for seq in range(count)]
        self.wire.ask([("XADD", STREAM, str(entry), "n", "1") for entry in entries])
        self.told.append(f"XADD {STREAM} {first} n 1   # and {count - 1} more")
        for entry in entries:
            self.truth.added(entry, self.now)

    def _new_id(self, kind: int) -> str:
        if kind < 5:
            return "*"
        at = self.now + timedelta(seconds=150 if kind < 8 else 0)
        ms = int((at - EPOCH) / timedelta(milliseconds=1))
        last = self.truth.generated
        return f"{ms}-0" if ms > last.ms else f"{last.ms}-{last.seq + (1 if kind < 90 else 3)}"

    def _trim(self, step: Step) -> None:
        sign = "~" if step.c % 4 == 0 else "="
        if step.b % 3 and self.truth.exists:
            count = self._do("XTRIM", STREAM, "MAXLEN", sign, step.a % (len(self.truth.live) + 2))
        else:
            border = self._some_id(step.a)
            count = self._do("XTRIM", STREAM, "MINID", sign, str(border))
        self.truth.trimmed(int(count))

    # ---- what consumers do ---------------------------------------------------------------------

    def _read(self, step: Step, *how: str) -> None:
        name = GROUPS[step.c % 5 == 0]
        consumer = CONSUMERS[step.c % 3]
        count = (100, 9, 10_000, 23)[step.b // 4 % 4] if step.b % 4 == 0 else 1 + step.a % 4
        reply = self._do("XREADGROUP", "GROUP", name, consumer, "COUNT", count, *how, "STREAMS", STREAM, ">")
        if isinstance(reply, Refused) or not reply:
            return
        entries = [EntryId.parse(row[0]) for row in reply[0][1]]
        self.truth.delivered(name, entries, consumer, "NOACK" in how)

    def _noack(self, step: Step) -> None:
        self._read(step, "NOACK")

    def _reread(self, step: Step) -> None:
        self._do(
            "XREADGROUP",
            "GROUP",
            GROUPS[step.c % 2],
            CONSUMERS[step.a % 3],
            "COUNT",
            3,
            "STREAMS",
            STREAM,
            "0",
        )

    def _ack(self, step: Step) -> None:
        name = GROUPS[step.c % 5 == 0]
        if some := self._some_pending(name, step):
            self._do("XACK", STREAM, name, *map(str, some))
            self.truth.acknowledged(name, some)

    def _claim(self, step: Step) -> None:
        name, consumer = GROUPS[step.c % 5 == 0], CONSUMERS[step.b % 3]
        if some := self._some_pending(name, step):
            self._do("XCLAIM", STREAM, name, consumer, 0, *map(str, some))
            self.truth.claimed(name, some, consumer)

    def _autoclaim(self, step: Step) -> None:
        name, consumer = GROUPS[step.c % 5 == 0], CONSUMERS[step.b % 3]
        reply = self._do("XAUTOCLAIM", STREAM, name, consumer, 0, "0", "COUNT", 1000)
        if not isinstance(reply, Refused):
            self.truth.claimed(name, list(self.truth.groups[name].pending), consumer)

    def _force(self, step: Step) -> None:
        name, consumer, entry = GROUPS[step.c % 2], CONSUMERS[step.b % 3], self._some_id(step.a)
        reply = self._do("XCLAIM", STREAM, name, consumer, 0, str(entry), "FORCE")
        if not isinstance(reply, Refused):
            self.truth.claimed(name, [entry], consumer, force=True)

    def _last_id(self, step: Step) -> None:
        name, consumer = GROUPS[step.c % 2], CONSUMERS[step.b % 3]
        if (group := self.truth.groups.get(name)) is None or not group.pending:
            return
        entry, position = min(group.pending), max(group.position, self._some_id(step.a))
        self._do("XCLAIM", STREAM, name, consumer, 0, str(entry), "LASTID", str(position))
        self.truth.claimed(name, [entry], consumer)
        self.truth.skipped(name, position)

    # ---- what operators do ---------------------------------------------------------------------

    def _delete(self, step: Step) -> None:
        live = list(self.truth.live)
        if not live:
            return
        group = self.truth.groups.get(GROUPS[0])
        unread = self.truth.ahead(GROUPS[0]) if group else []
        kinds = (live[:1], live[-1:], [live[step.b % len(live)]], unread[:1], unread[1:2], live[:3],
                 [e for e in live if group and e <= group.position and e not in group.pending],
                 live)  # fmt: skip
        if some := kinds[step.a % len(kinds)]:
            self._do("XDEL", STREAM, *map(str, some))
            self.truth.deleted(some)

    def _setid(self, step: Step) -> None:
        name, position = GROUPS[step.c % 4 == 0], self._position(step)
        reply = self._do("XGROUP", "SETID", STREAM, name, position, *self._lie(step))
        if not isinstance(reply, Refused):
            self.truth.positioned(name, self._meant(position), self._lie_of(step))

    def _create(self, step: Step) -> None:
        name, position = GROUPS[step.c % 4 == 0], self._position(step)
        reply = self._do("XGROUP", "CREATE", STREAM, name, position, "MKSTREAM", *self._lie(step))
        if not isinstance(reply, Refused):
            self.truth.created(name, self._meant(position), self._lie_of(step))

    def _destroy(self, step: Step) -> None:
        name = GROUPS[step.c % 4 == 0]
        if self._do("XGROUP", "DESTROY", STREAM, name) == 1:
            self.truth.destroyed(name)

    def _consumer_gone(self, step: Step) -> None:
        name, consumer = GROUPS[step.c % 4 == 0], CONSUMERS[step.b % 3]
        if not isinstance(self._do("XGROUP", "DELCONSUMER", STREAM, name, consumer), Refused):
            self.truth.consumer_gone(name, consumer)

    def _counters(self, step: Step) -> None:
        last = self.truth.generated
        generated = EntryId(last.ms, last.seq + step.a % 5)
        tombstone = added = None
        lies: tuple[str | int, ...] = ()
        if self.counts:
            added = len(self.truth.live) + LIES[step.b % len(LIES)]
            lies = ("ENTRIESADDED", added)
            if step.c % 2:
                tombstone = min(self._some_id(step.a), generated)
                lies += ("MAXDELETEDID", str(tombstone))
        if not isinstance(self._do("XSETID", STREAM, str(generated), *lies), Refused):
            self.truth.counters_set(generated, added, tombstone)

    def _drop(self, step: Step) -> None:
        self._do("DEL", STREAM)
        self.truth.dropped()

    # ---- helpers -------------------------------------------------------------------------------

    def _do(self, *command: str | int) -> Reply:
        reply = self.wire.one(*command)
        refused = f"   # {reply}" if isinstance(reply, Refused) else ""
        if command[0] == "XADD":
            command = tuple(reply.decode() if part == "*" else part for part in command)
        self.told.append(" ".join(map(str, command)) + refused)
        return reply

    def _some_id(self, pick: int) -> EntryId:
        """Return an ID that is in the stream, just above or below one, or was never in it."""
        live = list(self.truth.live)
        if not live:
            return EntryId(self.truth.generated.ms, self.truth.generated.seq + pick % 2)
        entry = live[pick % len(live)]
        return EntryId(entry.ms, max(0, entry.seq + (0, 0, 0, 1, -1)[pick % 5]))

    def _position(self, step: Step) -> str:
        kinds = ("0", "0", "$", "$", str(self._some_id(step.b)), str(self._some_id(step.b)))
        return kinds[step.a % len(kinds)]

    def _meant(self, position: str) -> EntryId:
        return {"0": ORIGIN, "$": self.truth.generated}.get(position) or EntryId.parse(position)

    def _lie(self, step: Step) -> tuple[str | int, ...]:
        lie = self._lie_of(step)
        return () if lie is None else ("ENTRIESREAD", lie)

    def _lie_of(self, step: Step) -> int | None:
        return LIES[step.b % len(LIES)] if self.counts and step.b % 3 == 0 else None

    def _some_pending(self, name: str, step: Step) -> list[EntryId]:
        group = self.truth.groups.get(name)
        pending = sorted(group.pending) if group else []
        if not pending:
            return []
        many = len(pending) if step.a % 3 == 0 else 1 + step.a % 3
        return (pending[:many], pending[-many:], [pending[step.b % len(pending)]], pending)[step.b % 4]


def same_as_server(player: Player) -> list[str]:
    """Hold the model to the server: what differs is a mistake of the model, and nothing may be built on it."""
    replies = player.wire.ask(
        [("XRANGE", STREAM, "-", "+"), *(("XPENDING", STREAM, name, "-", "+", 10_000) for name in GROUPS)]
    )
    truth = player.truth
    wrong: list[str] = []
    if [row[0].decode() for row in replies[0]] != list(map(str, truth.live)):
        wrong.append("entries")
    for name, rows in zip(GROUPS, replies[1:], strict=True):
        group = truth.groups.get(name)
        there: Any = None if isinstance(rows, Refused) else [EntryId.parse(row[0]) for row in rows]
        if there != (None if group is None else sorted(group.pending)):
            wrong.append(f"pending of {name}")
    return [f"the model is wrong about {what}" for what in wrong]
