"""`stream`: what is added to a stream, how old its newest entry is, what its fields hold."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from watchdog.entries import ORIGIN, Entry, EntryId, normal
from watchdog.fields import Duration, one_or_many
from watchdog.model import (
    AtLeast,
    Counted,
    Kind,
    Labels,
    Measure,
    Reading,
    Series,
    SignalKey,
    Value,
    counter,
    seconds,
    value,
)
from watchdog.signals.base import Look, RedisSignal, SignalConfig
from watchdog.signals.tail import Slice, StreamTail
from watchdog.timestamps import parse_timestamp
from watchdog.units import Unit

FILL_PLAIN = 1_000
FILL_FIELDS = 20_000
"""How many entries are read at start to fill the window, without and with a look into their fields."""
NAMED, BUCKETS = 32, 32
"""So many values of a field are counted by name, the rest by bucket: all fit a counter's variants."""
LONGEST_VALUE = 80


def _words(raw: object) -> object:
    listed = one_or_many(raw)
    return [str(word) for word in listed] if isinstance(listed, list) else listed


Words = Annotated[tuple[str, ...], BeforeValidator(_words), Field(min_length=1)]


class FieldCheck(BaseModel):
    """What a field may hold: a numeric `range`, `one_of` some words, none of `deny`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    range: tuple[float, float] | None = Field(None, description="least and greatest number allowed")
    one_of: Words | None = Field(None, description="the only words allowed")
    deny: Words | None = Field(None, description="words that must not occur")

    @field_validator("range")
    @classmethod
    def _in_order(cls, limits: tuple[float, float] | None) -> tuple[float, float] | None:
        if limits is not None and limits[0] > limits[1]:
            raise ValueError("nothing lies between these two (write the least first)")
        return limits

    def objection(self, text: str | None) -> str | None:
        """Say what is wrong with *text*, or None; a missing field is not judged."""
        if text is None:
            return None
        if self.range is not None:
            low, high = self.range
            try:
                number = float(text)
            except ValueError:
                return "not a number"
            if not low <= number <= high:
                return f"outside {low:g} to {high:g}"
        if self.one_of is not None and not _among(text, self.one_of):
            return f"not one of {', '.join(self.one_of)}"
        if self.deny is not None and _among(text, self.deny):
            return "denied"
        return None


def _among(text: str, words: Iterable[str]) -> bool:
    return normal(text) in map(normal, words)


class StreamConfig(SignalConfig):
    """Keys of `stream`."""

    key: str = Field(min_length=1, description="the stream's key")
    expect_every: Duration | None = Field(None, description="the longest usual gap between two entries")
    timestamp: str | None = Field(None, description="the field that says when the entry's event happened")
    fields: dict[str, FieldCheck] = Field(default_factory=dict, description="what fields may hold")

    def labels(self) -> Labels:
        """Return the stream's key as `stream`, the name it has beside groups and executions."""
        return Labels(stream=self.key)

    def offered(self) -> Mapping[str, Measure]:
        """Return what this configuration can tell."""
        absent = set() if self.expect_every else {"overdue"}
        absent |= set() if self.timestamp else {"skew"}
        absent |= {"constant_share.*"} | (set() if self.fields else {"bad_values"})
        shares = {f"constant_share.{name}": constant_share(name) for name in self.fields}
        return {name: m for name, m in Stream.MEASURES.items() if name not in absent} | shares


def constant_share(name: str) -> Measure:
    """Return the measure of how large a part the most frequent value of field *name* has."""
    help_ = "Share of the most frequent value of a field"
    return Measure(Kind.SHARE, Unit.RATIO, help_, parts=(f"value.{name}", f"values.{name}"))


class Stream(RedisSignal[StreamConfig]):
    """Looks at a stream from its producers' side."""

    MEASURES: ClassVar[Mapping[str, Measure]] = {
        "length": value("Entries in the stream"),
        "added": counter("Entries added"),
        "age": seconds("Age of the newest entry", grows=True),
        "overdue": value("Age of the newest entry by the longest usual gap"),
        "retained": seconds("Age of the oldest entry kept"),
        "skew": seconds("Time of the newest entry's ID less the time in its payload"),
        "capped": value("1 where entries were ever removed, 0 where the stream only grows"),
        "bad_values": counter("Entries with a field outside what the file allows"),
        "constant_share.*": constant_share("*"),
    }
    Config = StreamConfig

    def __init__(self, key: SignalKey, config: StreamConfig, keep: timedelta) -> None:
        super().__init__(key, config, keep)
        self._tail = StreamTail(config.key, keep, FILL_FIELDS if config.fields else FILL_PLAIN)
        self._first_look: datetime | None = None
        self._newest: tuple[EntryId, datetime] | None = None  # and when it was first seen
        self._named: dict[str, set[str]] = {}
        self._skew: dict[str, Value] = {}  # empty until there was an entry to tell it by
        self._last_bad: dict[str, str] = {}

    def memory(self) -> Mapping[str, Any]:
        """Remember since when the stream is watched, for a stream that never held an entry."""
        return {"first_look": self._first_look.isoformat()} if self._first_look else {}

    def remember(self, memory: Mapping[str, Any]) -> None:
        """Take back since when the stream is watched."""
        if "first_look" in memory:
            self._first_look = datetime.fromisoformat(memory["first_look"])

    def look(self, now: datetime) -> Look:
        """Read the stream's facts, and the entries that are new."""
        found = yield from self._tail.read(now)
        self._first_look = self._first_look or now
        since = self._tail.since or now
        steps = tuple((min(entry.id.at, now), 1.0) for entry in found.entries)
        counts: dict[Series, Counted] = {("added", ""): Counted(since, steps)}
        if self.config.fields:
            counts |= self._inspect(found.entries, since, now)
        self._note_skew(found)
        evidence: dict[str, object] = {"newest": str(found.newest)}
        if self._last_bad:
            evidence["last_bad_value"] = dict(self._last_bad)
        return Reading(self.key, now, self._values(found, now), counts, evidence)

    def _values(self, found: Slice, now: datetime) -> dict[str, Value]:
        values: dict[str, Value] = {"length": float(found.length)}
        if found.newest == ORIGIN:  # it never held an entry: as old as we have been watching
            watched = (now - (self._first_look or now)).total_seconds()
            values["age"] = AtLeast(watched)
        else:
            watched = self._age(found.newest, now)
            values["age"] = watched
        if self.config.expect_every:
            overdue = watched / self.config.expect_every.total_seconds()
            values["overdue"] = overdue if found.newest != ORIGIN else AtLeast(overdue)
        if found.oldest is not None:
            values["retained"] = max(0.0, (now - found.oldest.at).total_seconds())
        if found.added is not None:
            values["capped"] = float(found.added > found.length)
        return values | self._skew

    def _age(self, newest: EntryId, now: datetime) -> float:
        """Return the newest entry's age; one from the future ages from when it was first seen."""
        if self._newest is None or self._newest[0] != newest:
            self._newest = newest, now
        return max(0.0, (now - min(newest.at, self._newest[1])).total_seconds())

    def _note_skew(self, found: Slice) -> None:
        if self.config.timestamp and found.entries:
            newest = found.entries[-1]
            stated = parse_timestamp(newest.find(self.config.timestamp) or "")
            skew = None if stated is None else (newest.id.at - stated).total_seconds()
            self._skew = {"skew": skew}

    def _inspect(self, entries: Iterable[Entry], since: datetime, now: datetime) -> dict[Series, Counted]:
        """Count bad values and the variants of every declared field."""
        bad: list[tuple[datetime, float]] = []
        seen: dict[Series, list[tuple[datetime, float]]] = {}
        for entry in entries:
            at = min(entry.id.at, now)
            objections: Counter[str] = Counter()
            for name, check in self.config.fields.items():
                text = entry.find(name)
                if text is not None:
                    seen.setdefault((f"value.{name}", self._variant(name, text)), []).append((at, 1.0))
                    seen.setdefault((f"values.{name}", ""), []).append((at, 1.0))
                if (objection := check.objection(text)) is not None:
                    objections[name] += 1
                    self._last_bad = {"id": str(entry.id), "field": name, "problem": objection}
            if objections:
                bad.append((at, 1.0))
        counts = {("bad_values", ""): Counted(since, tuple(bad))}
        for name in self.config.fields:
            counts[f"values.{name}", ""] = Counted(since)
        return counts | {series: Counted(since, tuple(steps)) for series, steps in seen.items()}

    def _variant(self, name: str, text: str) -> str:
        """Return under which name a value counts: its own if it is one of few, else that of its bucket."""
        named = self._named.setdefault(name, set())
        if text not in named and (len(named) == NAMED or len(text) > LONGEST_VALUE):
            return f"(bucket {zlib.crc32(text.encode()) % BUCKETS})"
        named.add(text)
        return text or "(empty)"
