"""`consumes`: a consumer group seen from both ladders, what was delivered and what was acknowledged."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar

from pydantic import Field

from watchdog.entries import EntryId
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
        self._overrun = 0  # by how many entries lag exceeds the stream, when last seen
        self._lost = 0

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
        consumers = _consumers(replies[2])
        seen = self._note(
            now,
            info=info,
            group=group,
            pending=replies[3:5],
            ahead=require(ahead, f'stream "{stream}"'),
            consumers=consumers,
        )
        return Reading(
            self.key,
            now,
            self._values(seen, consumers, now),
            self._counts(seen, now),
            self._evidence(seen, consumers, replies[4]),
        )

    def _missing(self, now: datetime, evidence: Mapping[str, object]) -> Reading:
        self._window.clear()
        return Reading(self.key, now, {"verdict": str(Verdict.MISSING)}, evidence=evidence)

    def _note(
        self,
        now: datetime,
        *,
        info: dict[str, Any],
        group: Mapping[str, Any],
        pending: Sequence[Reply],
        ahead: Sequence[Any],
        consumers: Sequence[Consumer],
    ) -> GroupLook:
        """Turn the replies into one look and put it into the window."""
        length, lag = int(info["length"]), integer(group.get("lag"))
        delivered = EntryId.parse(group["last-delivered-id"])
        overrun = max(0, (lag or 0) - length)
        if lag is not None:
            self._lost += max(0, overrun - self._overrun)
            self._overrun = overrun
        summary = pending[0] if not isinstance(pending[0], Refused) else [0, None, None, None]
        details = pending[1] if not isinstance(pending[1], Refused) else []
        oldest = entry_id(summary[1])
        generated = EntryId.parse(info["last-generated-id"])
        first_waiting = EntryId.parse(ahead[0][0]) if ahead else None
        if first_waiting is None and delivered < generated and edge(info, "first-entry") is None and lag:
            first_waiting = generated  # what waited was trimmed away altogether
        look = GroupLook(
            at=now,
            delivered=delivered,
            generated=generated,
            length=length,
            read=integer(group.get("entries-read")),
            lag=lag,
            behind=None if first_waiting is None else max(timedelta(0), now - first_waiting.at),
            pending=int(group["pending"]),
            oldest_pending=oldest,
            deliveries=max((int(row[3]) for row in details), default=0),
            consumers=len(consumers),
            quiet=min((c.idle for c in consumers), default=None),
            lost=self._lost,
        )
        before = self._window[-1] if self._window else None
        if before is not None and before.delivered != delivered:
            self._moved = now
        self._since = self._since or now
        self._window.append(look)
        while now - self._window[0].at > WINDOW:
            self._window.popleft()
        return look

    def _values(self, look: GroupLook, consumers: Sequence[Consumer], now: datetime) -> dict[str, Value]:
        window = tuple(self._window)
        values: dict[str, Value] = {
            "lag": None if look.lag is None or look.lag < 0 else float(look.lag),
            "behind": 0.0 if look.behind is None else look.behind.total_seconds(),
            "pending": float(look.pending),
            "oldest_pending": 0.0
            if look.oldest_pending is None
            else max(0.0, (now - look.oldest_pending.at).total_seconds()),
            "idle": self._idle(look, now),
            "consumers": float(look.consumers),
            "ghosts": float(sum(c.ghost for c in consumers)),
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

    def _counts(self, look: GroupLook, now: datetime) -> dict[tuple[str, str], Counted]:
        since = self._since or now
        before = self._window[-2] if len(self._window) > 1 else None
        lost = look.lost - (before.lost if before else 0)
        counts = {("lost", ""): Counted(since, ((now, float(lost)),) if lost else ())}
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
        if look.lost:
            evidence["lost"] = look.lost
        if ghosts := [f"{c.name} ({c.pending})" for c in consumers if c.ghost]:
            evidence["ghosts"] = ghosts[:5]
        if not isinstance(details, Refused) and look.deliveries > 1:
            worst = max(details, key=lambda row: int(row[3]))
            evidence["delivered_most"] = f"{text(worst[0])}, {int(worst[3])} times, held by {text(worst[1])}"
        return evidence


def _consumers(reply: Reply) -> list[Consumer]:
    """Return the group's consumers; idle is the time since the last *success* where Redis tells it."""
    if isinstance(reply, Refused):
        return []
    rows = [fields(row) for row in reply]
    return [
        Consumer(text(row["name"]), int(row["pending"]), timedelta(milliseconds=max(0, _quiet_ms(row))))
        for row in rows
    ]


def _quiet_ms(row: Mapping[str, Any]) -> int:
    """Return `inactive` from 7.2 on (-1: never succeeded, so its idle time counts), `idle` before."""
    inactive = int(row.get("inactive", -1))
    return inactive if inactive >= 0 else int(row["idle"])
