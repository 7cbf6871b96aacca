"""`stream`: what is added to a stream, how old its newest entry is, what its fields hold."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar

from pydantic import Field

from watchdog.entries import ORIGIN, EntryId, parse_entries
from watchdog.facts import StreamFacts
from watchdog.fields import Duration
from watchdog.intake import begun_anew, is_capped, last_cap, remembered
from watchdog.model import (
    NOTHING,
    Counted,
    Held,
    Labels,
    Measure,
    Reading,
    Series,
    SignalKey,
    counter,
    seconds,
    value,
)
from watchdog.rhythm import Rhythm
from watchdog.signals.added import Asking, gain, may_be_more, recall
from watchdog.signals.asking import about_stream
from watchdog.signals.base import LONGEST_REST, NextLook, Refused, RestingSignal, SignalConfig
from watchdog.signals.contents import Contents, FieldCheck, constant_share
from watchdog.signals.held import ADDED, StreamCounts, StreamEvidence, StreamValues
from watchdog.signals.replies import require
from watchdog.timestamps import parse_timestamp
from watchdog.units import rfc3339

FILL_ALL, FILL_LEAST, FILL_MOST = 100_000, 20, 2_000
"""How many entries are read at start: of all plain streams together, and of each at least and at most."""
NO_SKEW: Mapping[str, Held] = {}
Came = int | tuple[Sequence[EntryId], EntryId | None]
"""How many entries came since the look before, or which, and from which on that is all of them."""


class StreamConfig(SignalConfig):
    """Keys of `stream`."""

    key: str = Field(min_length=1, description="the stream's key", examples=["quantum:stream:apply.result"])
    expect_every: Duration | None = Field(
        None,
        description="the longest usual gap between two entries; learnt if not told",
        examples=["2m"],
    )
    expect_groups: bool = Field(False, description="whether somebody must read it through a consumer group")
    timestamp: str | None = Field(
        None, description="the field that says when the entry's event happened", examples=["timestamp"]
    )
    fields: dict[str, FieldCheck] = Field(
        default_factory=dict,
        description="what fields may hold",
        examples=[{"price": {"range": [0, 1000000]}, "source": {"deny": ["test", "replay"]}}],
    )

    def labels(self) -> Labels:
        """Return the stream's key as `stream`, the name it has beside groups and executions."""
        return Labels(stream=self.key)

    def offered(self) -> Mapping[str, Measure]:
        """Return what this configuration can tell."""
        absent = {"constant_share.*"}
        absent |= {"usual"} if self.expect_every else {"expected"}
        absent |= set() if self.expect_groups else {"unread"}
        absent |= set() if self.timestamp else {"skew"}
        absent |= set() if self.fields else {"bad_values"}
        shares = {f"constant_share.{name}": constant_share(name) for name in self.fields}
        return {name: m for name, m in Stream.MEASURES.items() if name not in absent} | shares


class Stream(RestingSignal[StreamConfig]):
    """
    Looks at a stream from its producers' side.

    Entries are read only where the file asks what is in them. How many came is told by Redis' own
    count of all entries ever added; only before 7.0, which keeps none, are they fetched to be counted.
    """

    MEASURES: ClassVar[Mapping[str, Measure]] = {
        "length": value("Entries in the stream"),
        "added": counter("Entries added"),
        "age": seconds("Age of the newest entry", grows=True),
        "overdue": value("Age of the newest entry by the longest usual gap"),
        "expected": seconds("The longest usual gap as the file declares it"),
        "usual": seconds("The longest usual gap at this hour as it was learnt"),
        "retained": seconds("Age of the oldest entry kept"),
        "skew": seconds("Time of the newest entry's ID less the time in its payload"),
        "capped": value("0 where the stream only grows: never trimmed, or far beyond its former cap; else 1"),
        "resets": counter("Times the stream was deleted and made anew, or set back to an older copy"),
        "groups": value("Consumer groups of the stream"),
        "unread": value("1 while no consumer group reads the stream"),
        "bad_values": counter("Entries with a field outside what the file allows"),
        "constant_share.*": constant_share("*"),
    }
    Config = StreamConfig
    RECALLS = True

    def __init__(self, key: SignalKey, config: StreamConfig, keep: timedelta) -> None:
        super().__init__(key, config, keep)
        self.questions = (about_stream(config.key),)
        self.fill = FILL_LEAST  # how many entries the first look may fetch for the history of `added`
        self._contents = Contents(config.key, config.fields, keep) if config.fields else None
        self._facts: StreamFacts | None = None
        self._stands = False  # whether what was last said of them is in force
        self._gone = False  # seen to be missing after it was there
        self._first_look: datetime | None = None
        self._newest_at = 0.0  # when the newest entry came; one from the future came when it was first seen
        self._since: datetime | None = None  # from then on nothing that was added was missed
        self._watched: datetime | None = None  # by this process
        self._cap: int | None = None
        self._skew = NO_SKEW  # until there was an entry to tell it by
        self._anew = NOTHING
        self._expected = config.expect_every.total_seconds() if config.expect_every else None
        self._rhythm: Rhythm | None = None
        self._usual: float | None = None
        self._kept: Mapping[str, Any] = NOTHING
        self._kept_in = 0  # which hour it was when it was kept

    def memory(self) -> Mapping[str, Any]:
        """Remember what was learnt, and of a stream that never held an entry since when it is watched."""
        if self._first_look is None or self._newest_at:
            return self._kept
        return {"first_look": self._first_look.isoformat()}

    def remember(self, memory: Mapping[str, Any]) -> None:
        """Take back what was learnt, and since when the stream is watched."""
        if "rhythm" in memory and self._expected is None:
            self._rhythm, self._kept = Rhythm.of(memory["rhythm"]), memory
        if "first_look" in memory:
            self._first_look = datetime.fromisoformat(memory["first_look"])

    def look_on(self, now: datetime, answers: Sequence[Any] | None) -> NextLook:
        """Say what became of the stream if its facts are not those of before."""
        moment, contents = now.timestamp(), self._contents
        answers = (self._facts,) if answers is None else answers
        if isinstance(answers[0], Refused):
            self._stands, self.wake_at = False, self._next_rest(moment)
            away = "no such key" in answers[0] or answers[0].code == "WRONGTYPE"
            self._gone = self._gone or (away and self._facts is not None)
        facts: StreamFacts = require(answers[0], f'stream "{self.config.key}"')
        waiting = contents is not None and contents.behind
        unbroken = self._stands and bool(self.wake_at)
        if unbroken and facts == self._facts and not waiting and self._usual == self._learnt(moment):
            self.wake_at = self._next_rest(moment)
            return None
        self._stands = False
        if contents is not None:
            yield from contents.read(now, facts)
        anew = self._facts is not None and (self._gone or begun_anew(self._facts, facts))
        counts: Mapping[Series, Counted]
        counts, came = yield from self._count(now, facts, anew)
        if self.config.timestamp:
            self._skew = yield from self._tell_skew(self.config.timestamp, facts)
        # from here on nothing is asked: a look that Redis cuts short leaves all to the next
        self._note(now, facts, counts[ADDED].since, anew)
        if self._expected is None:
            self._learn(moment, came, sure=not anew and (unbroken or came == 1))
        if contents is not None:
            counts = {**counts, **contents.count(now)}
        self._stands = True
        self.wake_at = moment if contents is not None and contents.behind else self._next_rest(moment)
        return Reading(self.key, now, self._values(facts, now), counts, self._evidence(facts), facts=facts)

    def _next_rest(self, moment: float) -> float:
        """Return the end of the rest that begins at *moment*; every stream has a beat of its own."""
        rest = LONGEST_REST.total_seconds()
        return moment + rest - (moment + zlib.crc32(self.config.key.encode()) % 100_000) % rest

    def _count(self, now: datetime, facts: StreamFacts, anew: bool) -> Asking[tuple[StreamCounts, Came]]:
        """Return what was added since the look before, at the first one what the stream remembers."""
        before, key, contents = self._facts, self.config.key, self._contents
        if before is None or self._watched is None:
            if contents is None:
                # What a gap is told by may be older than any window.
                far = (
                    ORIGIN
                    if self._expected is None
                    else EntryId(int((now - self.keep).timestamp() * 1000), 0)
                )
                found = yield from recall(key, facts, far, self.fill)
            else:
                found = contents.found(facts), contents.reached
            since, past = remembered(facts, *found, now)
            return StreamCounts(now, since, now, past=past), found
        if contents is None or facts.added is not None:
            gained, missed = yield from gain(key, before, facts, anew=anew)
        else:
            ids = [entry.id for entry in contents.unjudged]
            gained, missed = len(ids), anew or may_be_more(before, facts, max(ids, default=before.generated))
        since = now if missed or self._since is None else self._since
        return StreamCounts(now, since, self._watched, gained, anew=anew), gained

    def _tell_skew(self, timestamp: str, facts: StreamFacts) -> Asking[Mapping[str, Held]]:
        """Hold the newest entry's own time against that of its ID; it stays while there is no new entry."""
        entries = self._contents.unjudged if self._contents is not None else []
        changed = self._facts is None or self._facts.last != facts.last
        if not entries and changed and facts.last is not None:
            (reply,) = yield [("XREVRANGE", self.config.key, "+", "-", "COUNT", 1)]
            entries = parse_entries(require(reply, f'stream "{self.config.key}"'))
        if not entries:
            return self._skew
        stated = parse_timestamp(entries[-1].find(timestamp) or "")
        return {"skew": None if stated is None else (entries[-1].id.at - stated).total_seconds()}

    def _note(self, now: datetime, facts: StreamFacts, since: datetime, anew: bool) -> None:
        """Take note of *facts*, and since when all that was added was counted."""
        before, newest = self._facts, facts.generated
        if newest != ORIGIN and (before is None or before.generated != newest):
            # One that was made anew and is empty still is as old as what it last held.
            self._newest_at = min(newest.ms / 1000, now.timestamp())
        if anew and before is not None:
            self._anew = {"made_anew": f"{rfc3339(now)}, when it stood at {before.generated}"}
        self._first_look = self._first_look or now
        self._watched = self._watched or now
        self._cap = last_cap(self._cap, before, facts)
        self._since, self._facts, self._gone = since, facts, False

    def _learn(self, moment: float, came: Came, *, sure: bool) -> None:
        """
        Learn from when entries came: the IDs of a first look, or how many in this one.

        Of several in one look the newest stands for the first: they came since the tick before. That is
        *sure* while nothing broke off between.
        """
        rhythm, news = self._rhythm, False
        if isinstance(came, int):
            times = [self._newest_at] if came else []
            known = sure
        else:
            ids, reached = came
            times = [min(found.ms / 1000, moment) for found in ids if reached is None or found >= reached]
            known = rhythm is None or any(at <= rhythm.last for at in times)
            times = times if rhythm is None else [at for at in times if at > rhythm.last]
        for at in times:
            if rhythm is None:
                rhythm = self._rhythm = Rhythm(at)
            elif known:
                news = rhythm.learn(at) or news
            else:
                rhythm.pass_over(at)
            known = True
        self._usual = self._learnt(moment)
        hour = int(moment + zlib.crc32(self.config.key.encode()) % 3600) // 3600
        if rhythm is not None and rhythm.gaps and (news or hour != self._kept_in):
            self._kept, self._kept_in = {"rhythm": rhythm.state()}, hour

    def _learnt(self, moment: float) -> float | None:
        return None if self._rhythm is None else self._rhythm.usual(moment)

    def _values(self, facts: StreamFacts, now: datetime) -> StreamValues:
        """Return the measures; a stream that never held an entry is at least as old as it is watched."""
        return StreamValues(
            facts,
            self._newest_at or (self._first_look or now).timestamp(),
            is_capped(facts, self._cap),
            self._expected,
            self._usual,
            must_be_read=self.config.expect_groups,
            more=self._skew,
        )

    def _evidence(self, facts: StreamFacts) -> StreamEvidence:
        bad = self._contents.last_bad if self._contents is not None else None
        return StreamEvidence(facts, {**self._anew, "last_bad_value": bad} if bad else self._anew)


def share_out(streams: Sequence[Stream]) -> None:
    """Let each of *streams* read so much at its first look that all together stay within bounds."""
    for stream in streams:
        stream.fill = min(FILL_MOST, max(FILL_LEAST, FILL_ALL // len(streams)))
