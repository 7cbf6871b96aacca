"""`consumes`: a consumer group seen from both ladders, what was delivered and what was acknowledged."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar

from pydantic import Field

from watchdog.entries import ORIGIN, EntryId
from watchdog.model import (
    AtLeast,
    Counted,
    Labels,
    Measure,
    Reading,
    SignalKey,
    Value,
    counter,
    seconds,
    value,
    word,
)
from watchdog.signals.base import Look, RedisSignal, Refused, Reply, SignalConfig
from watchdog.signals.replies import edge, entry_id, fields, integer, require, stream_info, text
from watchdog.verdicts import GroupLook, Verdict, catch_up, diagnose, time_to_loss

WINDOW = timedelta(minutes=5)
"""How far back looks are kept for the verdict."""
GHOST_IDLE = timedelta(hours=1)
"""A consumer idle for longer that still holds entries is a ghost (failure-modes S05)."""
PENDING_SHOWN = 10


class ConsumesConfig(SignalConfig):
    """Keys of `consumes`."""

    stream: str = Field(min_length=1, description="the stream that is read")
    group: str = Field(min_length=1, description="the consumer group that reads it")

    def labels(self) -> Labels:
        """Return stream and group: one group name may stand on two streams."""
        return Labels(stream=self.stream, group=self.group)

    def offered(self) -> Mapping[str, Measure]:
        """Return every measure."""
        return Consumes.MEASURES


@dataclass(frozen=True, slots=True)
class Consumer:
    """One consumer of a group: who it is, what it holds, how long it has done nothing."""

    name: str
    pending: int
    idle: timedelta

    @property
    def ghost(self) -> bool:
        """Say whether it is gone and left entries behind."""
        return self.pending > 0 and self.idle > GHOST_IDLE


@dataclass(frozen=True, slots=True)
class Place:
    """
    Where a group stood: its position, and what stood there.

    *ordinal* is how many entries the stream had ever taken in up to that position, None where that
    cannot be told; *read* and *added* are Redis' own counters.
    """

    delivered: EntryId
    ordinal: int | None
    read: int | None
    added: int


NOWHERE = Place(ORIGIN, None, None, 0)
"""The place of a group that was looked for and not there."""


class Consumes(RedisSignal[ConsumesConfig]):
    """Judges a group by its position and its pending entries; Redis' own lag is only one witness."""

    MEASURES: ClassVar[Mapping[str, Measure]] = {
        "lag": value("Entries not yet delivered, as Redis counts them"),
        "behind": seconds("Age of the oldest entry not yet delivered, 0 if none waits", grows=True),
        "pending": value("Entries delivered and not acknowledged"),
        "oldest_pending": seconds("Age of the oldest pending entry, 0 if none is pending", grows=True),
        "idle": seconds("Time since the group's position last moved", grows=True),
        "consumers": value("Consumers of the group"),
        "ghosts": value("Consumers idle for over an hour that still hold entries"),
        "deliveries": value("The largest delivery count among the oldest pending entries"),
        "read": counter("Entries delivered"),
        "lost": counter("Entries trimmed before they were delivered"),
        "time_to_loss": seconds("Time until trimming reaches the group's position at this pace"),
        "catch_up": seconds("Time until the backlog is cleared at this pace"),
        "verdict": word("What is wrong with the group, in one word", *map(str, Verdict)),
    }
    Config = ConsumesConfig

    def __init__(self, key: SignalKey, config: ConsumesConfig, keep: timedelta) -> None:
        super().__init__(key, config, keep)
        self._window: deque[GroupLook] = deque()
        self._since: datetime | None = None
        self._moved: datetime | None = None
        self._place: Place | None = None
        self._lost = 0
        self._waiting: tuple[EntryId, datetime] | None = None  # who heads the line, and when first seen

    def look(self, now: datetime) -> Look:
        """Ask for stream, groups, consumers and pending entries in one go, then for the head of the line."""
        stream, name = self.config.stream, self.config.group
        replies = yield [
            ("XINFO", "STREAM", stream),
            ("XINFO", "GROUPS", stream),
            ("XINFO", "CONSUMERS", stream, name),
            ("XPENDING", stream, name),
            ("XPENDING", stream, name, "-", "+", PENDING_SHOWN),
        ]
        if isinstance(replies[0], Refused) and "no such key" in replies[0]:
            return self._missing(now, {"missing": "there is no such stream"})
        info = stream_info(replies[0], stream)
        groups = [fields(group) for group in require(replies[1], f'the groups of stream "{stream}"')]
        group = next((g for g in groups if text(g["name"]) == name), None)
        if group is None:
            present = ", ".join(sorted(text(g["name"]) for g in groups)) or "none"
            return self._missing(now, {"missing": "there is no such group", "groups": present})
        delivered = EntryId.parse(group["last-delivered-id"])
        (ahead,) = yield [("XRANGE", stream, f"({delivered}", "+", "COUNT", 1)]
        consumers = None if isinstance(replies[2], Refused) else _consumers(replies[2])
        before = self._window[-1] if self._window else None
        seen = self._note(
            now,
            info=info,
            group=group,
            pending=replies[3:5],
            ahead=require(ahead, f'stream "{stream}"'),
            consumers=consumers,
        )
        values = self._values(seen, consumers, now)
        if isinstance(replies[3], Refused):
            values["oldest_pending"] = None
        if isinstance(replies[4], Refused):
            values["deliveries"] = None
        counts = self._counts(seen, before, now)
        evidence = self._evidence(seen, consumers or (), replies[4])
        refused = sorted({str(reply) for reply in replies[2:] if isinstance(reply, Refused)})
        return Reading(
            self.key, now, values, counts, evidence | ({"refused": "; ".join(refused)} if refused else {})
        )

    def _missing(self, now: datetime, evidence: Mapping[str, object]) -> Reading:
        self._window.clear()
        self._since = self._since or now
        self._place = NOWHERE
        return Reading(self.key, now, {"verdict": str(Verdict.MISSING)}, evidence=evidence)

    def _note(
        self,
        now: datetime,
        *,
        info: dict[str, Any],
        group: Mapping[str, Any],
        pending: Sequence[Reply],
        ahead: Sequence[Any],
        consumers: Sequence[Consumer] | None,
    ) -> GroupLook:
        """Turn the replies into one look and put it into the window."""
        lag = integer(group.get("lag"))
        delivered = EntryId.parse(group["last-delivered-id"])
        self._place, lost = find_place(self._place, info, group)
        self._lost += lost
        summary = pending[0] if not isinstance(pending[0], Refused) else [0, None, None, None]
        details = pending[1] if not isinstance(pending[1], Refused) else []
        oldest = entry_id(summary[1])
        generated = EntryId.parse(info["last-generated-id"])
        if lag is not None and (lag < 0 or not ahead):
            lag = None if ahead else 0  # after trimming Redis miscounts, but nothing is ahead
        look = GroupLook(
            at=now,
            delivered=delivered,
            generated=generated,
            length=int(info["length"]),
            read=integer(group.get("entries-read")),
            lag=lag,
            behind=self._behind(EntryId.parse(ahead[0][0]), now) if ahead else None,
            pending=int(group["pending"]),
            oldest_pending=oldest,
            deliveries=max((int(row[3]) for row in details), default=0),
            consumers=None if consumers is None else len(consumers),
            quiet=min((c.idle for c in consumers or ()), default=None),
            lost=lost,
        )
        before = self._window[-1] if self._window else None
        if before is not None and before.delivered != delivered:
            self._moved = now
        self._since = self._since or now
        self._window.append(look)
        while now - self._window[0].at > WINDOW and len(self._window) > 2:  # however seldom it looks
            self._window.popleft()
        return look

    def _behind(self, head: EntryId, now: datetime) -> timedelta:
        """Return how long *head* has waited; an ID from the future waits from when it was first seen."""
        if self._waiting is None or self._waiting[0] != head:
            self._waiting = head, now
        return max(timedelta(0), now - min(head.at, self._waiting[1]))

    def _values(
        self, look: GroupLook, consumers: Sequence[Consumer] | None, now: datetime
    ) -> dict[str, Value]:
        window = tuple(self._window)
        values: dict[str, Value] = {
            "lag": None if look.lag is None else float(look.lag),
            "behind": 0.0 if look.behind is None else look.behind.total_seconds(),
            "pending": float(look.pending),
            "oldest_pending": 0.0
            if look.oldest_pending is None
            else max(0.0, (now - look.oldest_pending.at).total_seconds()),
            "idle": self._idle(look, now),
            "consumers": None if consumers is None else float(len(consumers)),
            "ghosts": None if consumers is None else float(sum(c.ghost for c in consumers)),
            "deliveries": float(look.deliveries),
            "verdict": str(diagnose(window)),
        }
        if (left := time_to_loss(window)) is not None:
            values["time_to_loss"] = left.total_seconds()
        if (needed := catch_up(window)) is not None:
            values["catch_up"] = needed.total_seconds()
        return values

    def _idle(self, look: GroupLook, now: datetime) -> Value:
        """Return the time since the position moved, or what the consumers' idleness says of it."""
        if self._moved is not None:
            return max(0.0, (now - self._moved).total_seconds())
        watched = now - (self._since or now)
        return AtLeast(max(watched, look.quiet or timedelta(0)).total_seconds())

    def _counts(
        self, look: GroupLook, before: GroupLook | None, now: datetime
    ) -> dict[tuple[str, str], Counted]:
        since = self._since or now
        counts = {("lost", ""): Counted(since, ((now, float(look.lost)),) if look.lost else ())}
        if look.read is not None:
            gained = look.read - before.read if before and before.read is not None else 0
            counts["read", ""] = Counted(since, ((now, float(gained)),) if gained > 0 else ())
        return counts

    def _evidence(self, look: GroupLook, consumers: Sequence[Consumer], details: Reply) -> dict[str, object]:
        stream, name = self.config.stream, self.config.group
        evidence: dict[str, object] = {
            "last_delivered": str(look.delivered),
            "last_added": str(look.generated),
            "look": f"redis-cli XINFO GROUPS '{stream}'; redis-cli XPENDING '{stream}' '{name}'",
        }
        if look.oldest_pending is not None:
            evidence["oldest_pending_id"] = str(look.oldest_pending)
        if self._lost:
            evidence["lost"] = self._lost
        if ghosts := [f"{c.name} ({c.pending})" for c in consumers if c.ghost]:
            evidence["ghosts"] = ghosts[:5]
        if not isinstance(details, Refused) and look.deliveries > 1:
            worst = max(details, key=lambda row: int(row[3]))
            evidence["delivered_most"] = f"{text(worst[0])}, {int(worst[3])} times, held by {text(worst[1])}"
        return evidence


def find_place(
    before: Place | None, info: dict[str, Any], group: Mapping[str, Any]
) -> tuple[Place | None, int]:
    """
    Return the group's place, and how many entries were lost to it since *before*.

    Redis' lag alone cannot tell: it forgets a loss with the next read, and shows none to a group that
    never read. So the entries ever removed are held against the entries up to the group's position.
    """
    added, read = integer(info.get("entries-added")), integer(group.get("entries-read"))
    delivered, generated = EntryId.parse(group["last-delivered-id"]), EntryId.parse(info["last-generated-id"])
    if added is None:  # before 7.0
        return None, 0
    removed = added - int(info["length"])
    first = edge(info, "first-entry")
    trimmed_past = delivered < (generated if first is None else first)
    if before is not None and (delivered < before.delivered or added < before.added or before is NOWHERE):
        # set back, or made anew: what is gone was gone before, and nobody promised it
        ordinal = added if delivered >= generated else removed if trimmed_past else read
    elif delivered >= generated:
        ordinal = added
    elif before is not None and before.ordinal is not None and before.delivered == delivered:
        ordinal = before.ordinal
    elif before is not None and None not in (before.ordinal, before.read, read):
        ordinal = (before.ordinal or 0) + (read or 0) - (before.read or 0)
    else:
        ordinal = 0 if delivered == ORIGIN else read
    lost = max(0, removed - ordinal) if trimmed_past and ordinal is not None else 0
    return Place(delivered, None if ordinal is None else ordinal + lost, read, added), lost


def _consumers(reply: Reply) -> list[Consumer]:
    """Return the group's consumers; idle is the time since the last *success* where Redis tells it."""
    rows = [fields(row) for row in reply]
    return [
        Consumer(text(row["name"]), int(row["pending"]), timedelta(milliseconds=max(0, _quiet_ms(row))))
        for row in rows
    ]


def _quiet_ms(row: Mapping[str, Any]) -> int:
    """Return `inactive` from 7.2 on (-1: never succeeded, so its idle time counts), `idle` before."""
    inactive = int(row.get("inactive", -1))
    return inactive if inactive >= 0 else int(row["idle"])
