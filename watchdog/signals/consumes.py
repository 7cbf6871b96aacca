"""`consumes`: a consumer group seen from both ladders, what was delivered and what was acknowledged."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, ClassVar

from pydantic import Field

from watchdog.backlog import NOWHERE, Place, Provenance
from watchdog.dossier import GroupEvidence, GroupValues
from watchdog.entries import EntryId
from watchdog.facts import ConsumerFacts
from watchdog.fields import Duration
from watchdog.groups import GHOST_AFTER, Found, GroupLook, look_on
from watchdog.model import Counted, Labels, Measure, Reading, Series, SignalKey, counter, seconds, value, word
from watchdog.signals.asking import about_consumers, about_groups, about_stream
from watchdog.signals.base import LONGEST_REST, NextLook, Question, Refused, RestingSignal, SignalConfig
from watchdog.signals.inquiry import Facts, Inquiry, nothing_open
from watchdog.signals.replies import require
from watchdog.verdicts import Verdict, changes_at, diagnose

BUSY, RESTING = 60.0, 300.0
"""
How many seconds go by between two looks at consumers: while something waits or is pending, and else.

The pause is doubled with every look that brings nothing new: what has been pending for days is no news.
"""
MOST_UNCHANGED = 3
AT_WORK = 60.0
"""Who read something within so many seconds is at work."""
KEPT_FOR = 300.0
"""What the next process should know is renewed no more often, in seconds."""


class ConsumesConfig(SignalConfig):
    """Keys of `consumes`."""

    stream: str = Field(
        min_length=1, description="the stream that is read", examples=["quantum:stream:apply.plan"]
    )
    group: str = Field(
        min_length=1, description="the consumer group that reads it", examples=["apply_layer_entry"]
    )
    single: bool = Field(False, description="whether only one consumer may be at work at a time")
    ghost_after: Duration = Field(
        timedelta(seconds=GHOST_AFTER),
        description="idle for longer a consumer that holds entries is a ghost (1h)",
    )

    def labels(self) -> Labels:
        """Return stream and group: one group name may stand on two streams."""
        return Labels(stream=self.stream, group=self.group)

    def offered(self) -> Mapping[str, Measure]:
        """Return every measure; `alive` only where one consumer must be alone."""
        absent = set() if self.single else {"alive"}
        return {name: found for name, found in Consumes.MEASURES.items() if name not in absent}


class Consumes(RestingSignal[ConsumesConfig]):
    """Judges a group by its position and its pending entries; Redis' own lag is only one witness."""

    MEASURES: ClassVar[Mapping[str, Measure]] = {
        "lag": value("Entries not yet delivered; our own number, not the one of Redis"),
        "provenance": word("Where that number comes from", *map(str, Provenance)),
        "behind": seconds("Age of the oldest entry not yet delivered, 0 if none waits", grows=True),
        "pending": value("Entries delivered and not acknowledged"),
        "oldest_pending": seconds("Age of the oldest pending entry, 0 if none is pending", grows=True),
        "idle": seconds("Time since the group's position last moved", grows=True),
        "consumers": value("Consumers of the group"),
        "alive": value("Consumers at work now and a minute ago, where one must be alone"),
        "ghosts": value("Consumers idle for longer than `ghost_after` that still hold entries"),
        "deliveries": value("The largest delivery count among the oldest pending entries"),
        "bodies_gone": value("Pending entries whose body was trimmed or deleted, among the oldest"),
        "read": counter("Entries delivered"),
        "lost": counter("Entries trimmed before they were delivered"),
        "time_to_loss": seconds("Time until trimming reaches the group's position at this pace"),
        "catch_up": seconds("Time until the backlog is cleared at this pace"),
        "verdict": word("What is wrong with the group, in one word", *map(str, Verdict)),
    }
    Config = ConsumesConfig

    def __init__(self, key: SignalKey, config: ConsumesConfig, keep: timedelta) -> None:
        super().__init__(key, config, keep)
        self.questions = _questions(config.stream)
        self.each_consumer = False
        self._met: Mapping[str, float] = {}  # when each consumer was first seen, where one must be alone
        self._look: GroupLook | None = None
        self._place: Place | None = None  # where the group was while there is no look
        self._verdict: Verdict | None = None
        self._absent: Mapping[str, str] | None = None
        self._slow_at = 0.0
        self._unchanged = 0  # looks at consumers in a row that brought nothing new
        self._offset = zlib.crc32(str(key.labels).encode())  # so that not all ask the slow questions at once
        self._kept: Mapping[str, str] = {}
        self._kept_at = 0.0

    @property
    def each_consumer(self) -> bool:
        """Say whether every consumer is looked at in every tick, as views of single consumers need it."""
        return len(self.questions) > len(_questions(self.config.stream))

    @each_consumer.setter
    def each_consumer(self, wanted: bool) -> None:
        stream, group = self.config.stream, self.config.group
        each = (about_consumers(stream, group),) if wanted or self.config.single else ()
        self.questions = _questions(stream) + each

    def memory(self) -> Mapping[str, Any]:
        """Return the group's place as of some minutes ago: what is lost meanwhile is told afterwards."""
        look = self._look
        if look is not None and (look.lost or look.at - self._kept_at >= KEPT_FOR):
            self._kept, self._kept_at = {"place": _written(look.place)}, look.at
        return self._kept

    def remember(self, memory: Mapping[str, Any]) -> None:
        """Take back the place."""
        if "place" in memory:
            self._place = _place_read(memory["place"])
            self._kept = {"place": memory["place"]}

    # ---- looking -------------------------------------------------------------------------------

    def look_on(self, now: datetime, answers: Sequence[Any] | None) -> NextLook:
        """Ask further what the answers leave open; say nothing while they are as before."""
        at, before = now.timestamp(), self._look
        facts = self._facts(answers)
        if isinstance(facts, Mapping):
            return self._missing(facts, now)
        if before is not None and at < self.wake_at and _rests(before, facts, at):
            return None
        heard = self.wake_at != 0.0
        self.wake_at = 0.0  # until this look has come to its end
        slow = before is None or at >= self._slow_at or facts.group.consumers != before.group.consumers
        place = self._place if before is None else before.place
        if before is not None and not slow and nothing_open(facts):  # most of them, most of the time
            found: Found | None = Found(
                facts.stream, facts.group, consumers=facts.consumers, refused=before.refused
            )
        else:
            ghost_after = self.config.ghost_after.total_seconds()
            inquiry = Inquiry(self.config.stream, self.config.group, ghost_after=ghost_after)
            found = yield from inquiry.ask(before, place, facts, at, slow=slow)
        if found is None:
            return self._missing({"missing": "it went away while it was looked at"}, now)
        look = self._look = look_on(before, place, found, now)
        self._place = self._absent = None
        verdict, said = diagnose(look, at), self._verdict
        self._verdict = verdict
        same = before is not None and verdict is said and look.says_the_same(before)
        if slow or not same:
            self._unchanged = min(MOST_UNCHANGED, self._unchanged + 1) if same else 0
        self._rest(look, at)
        if same and heard:
            return None
        values = GroupValues(look, verdict, self._alive(look) if self.config.single else None)
        evidence = GroupEvidence(look, self.config.stream, self.config.group)
        return Reading(self.key, now, values, _counts(look, now), evidence, facts=look)

    def _alive(self, look: GroupLook) -> float | None:
        """
        Return how many consumers are at work and were a minute ago already, None if that may not be asked.

        So the one before a restart and the one after it are never both counted.
        """
        if look.consumers is None:
            return None
        self._met = {one.name: self._met.get(one.name, look.at) for one in look.consumers}
        working = (one.name for one in look.consumers if one.idle_ms < AT_WORK * 1000)
        return float(sum(look.at - self._met[name] >= AT_WORK for name in working))

    def _rest(self, look: GroupLook, at: float) -> None:
        """Find out when to look again although nothing happens."""
        busy = look.waiting != 0 or look.group.pending
        every = min(RESTING, BUSY * 2**self._unchanged) if busy else RESTING
        last = look.holders.at
        self._slow_at = last + every - (last + self._offset) % every
        counting = look.provenance is Provenance.AT_LEAST and look.stream.added is not None
        until = at + LONGEST_REST.total_seconds()
        self.wake_at = at if counting else min(until, self._slow_at, changes_at(look, at))

    def _facts(self, answers: Sequence[Any] | None) -> Facts | Mapping[str, str]:
        """Return the facts of our group, or what is missing; without answers those of the last look."""
        if answers is None:
            look = self._look
            return (self._absent or {}) if look is None else Facts(look.stream, look.group, look.consumers)
        info, groups = answers[0], answers[1]
        if isinstance(info, Refused) or isinstance(groups, Refused):
            if "no such key" in info or "no such key" in groups:
                return {"missing": "there is no such stream"}
            self.wake_at = 0.0
            stream = self.config.stream
            require(info, f'stream "{stream}"')
            require(groups, f'the groups of stream "{stream}"')
        if (group := groups.get(self.config.group)) is None:
            return {"missing": "there is no such group", "groups": ", ".join(sorted(groups)) or "none"}
        each = answers[2] if len(answers) > 2 else None
        return Facts(info, group, None if isinstance(each, Refused) else each)

    def _missing(self, evidence: Mapping[str, str], now: datetime) -> Reading | None:
        at = now.timestamp()
        if evidence == self._absent and at < self.wake_at:
            return None
        self._look, self._place, self._absent = None, NOWHERE, evidence
        self.wake_at = at + LONGEST_REST.total_seconds()
        return Reading(self.key, now, {"verdict": str(Verdict.MISSING)}, evidence=evidence)


@lru_cache(maxsize=4096)
def _questions(stream: str) -> tuple[Question, ...]:
    """Return the questions about *stream*; its groups, which come one after the other, share them."""
    return about_stream(stream), about_groups(stream)


@lru_cache(maxsize=64)
def _nothing_counted(since: datetime) -> Mapping[Series, Counted]:
    """Return the counts of a look in which nothing happened; those of one tick share them."""
    return {("lost", ""): Counted(since), ("read", ""): Counted(since)}


def _counts(look: GroupLook, now: datetime) -> Mapping[Series, Counted]:
    if not look.lost and not look.read and look.since is look.read_since:
        return _nothing_counted(look.since)
    return {
        ("lost", ""): Counted(look.since, ((now, float(look.lost)),) if look.lost else ()),
        ("read", ""): Counted(look.read_since, ((now, float(look.read)),) if look.read else ()),
    }


def _rests(before: GroupLook, facts: Facts, at: float) -> bool:
    """Say whether *facts* are those of the look before."""
    return (
        facts.group == before.group
        and (facts.stream is before.stream or facts.stream == before.stream)
        and (facts.consumers is None or _only_aged(before, facts.consumers, at))
    )


def _only_aged(before: GroupLook, consumers: tuple[ConsumerFacts, ...], at: float) -> bool:
    """Say whether *consumers* did nothing but grow older."""
    ago = (at - before.at) * 1000
    return before.consumers is not None and len(before.consumers) == len(consumers) and all(
        (was.name, was.pending) == (now.name, now.pending) and abs(was.idle_ms + ago - now.idle_ms) < 500
        for was, now in zip(before.consumers, consumers, strict=True)
    )  # fmt: skip


def _written(place: Place) -> str:
    """Return *place* as one short line; what only the same process can compare is left out."""
    return " ".join("-" if part is None else str(part) for part in place[:6])


def _place_read(line: str) -> Place:
    """Read what `_written` wrote."""
    delivered, *numbers, generated = line.split(" ")
    ordinal, read, added, length = (None if part == "-" else int(part) for part in numbers)
    return Place(EntryId.parse(delivered), ordinal, read, added, length or 0, EntryId.parse(generated))
