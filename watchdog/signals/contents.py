"""What the fields of a stream's entries hold: which values the file rules out, and how constant they are."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from watchdog.entries import Entry, EntryId, normal
from watchdog.facts import StreamFacts
from watchdog.fields import one_or_many
from watchdog.model import Counted, Kind, Measure, Series
from watchdog.signals.base import Command, Reply
from watchdog.signals.tail import StreamTail
from watchdog.units import Unit

FILL_FIELDS = 20_000
"""How many entries are read at start to fill the window."""
NAMED, BUCKETS = 32, 32
"""So many values of a field are counted by name, the rest by bucket: all fit a counter's variants."""
LONGEST_VALUE = 80


def _words(raw: object) -> object:
    listed = one_or_many(raw)
    return [str(word) for word in listed] if isinstance(listed, list) else listed


Words = Annotated[tuple[str, ...], BeforeValidator(_words), Field(min_length=1)]


class FieldCheck(BaseModel):
    """What a field may hold: a numeric `range`, `one_of` some words, none of `deny`."""

    model_config = ConfigDict(defer_build=True, extra="forbid", frozen=True)
    range: tuple[float, float] | None = Field(
        None, description="least and greatest number allowed", examples=[[0, 1000000]]
    )
    one_of: Words | None = Field(None, description="the only words allowed", examples=[["BUY", "SELL"]])
    deny: Words | None = Field(None, description="words that must not occur", examples=[["test", "replay"]])

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


def constant_share(name: str) -> Measure:
    """Return the measure of how large a part the most frequent value of field *name* has."""
    help_ = "Share of the most frequent value of a field"
    return Measure(Kind.SHARE, Unit.RATIO, help_, parts=(f"value.{name}", f"values.{name}"))


class FieldCounts:
    """Counts what the fields of entries hold, and which entries hold what they may not."""

    def __init__(
        self, checks: Mapping[str, FieldCheck], has_numbers: Callable[[Entry], bool] | None = None
    ) -> None:
        """Hold fields against *checks*, their numbers only in entries for which *has_numbers* holds."""
        self._checks = checks
        self._words = {n: check.model_copy(update={"range": None}) for n, check in checks.items()}
        self._has_numbers = has_numbers
        self._named: dict[str, set[str]] = {}
        self.last_bad: Mapping[str, str] | None = None

    def count(self, entries: Iterable[Entry], since: datetime, now: datetime) -> dict[Series, Counted]:
        """Count bad values and the variants of every declared field in *entries*."""
        bad: list[tuple[datetime, float]] = []
        seen: dict[Series, list[tuple[datetime, float]]] = {}
        for entry in entries:
            at = min(entry.id.at, now)
            objections: Counter[str] = Counter()
            whole = self._has_numbers is None or self._has_numbers(entry)
            for name, check in (self._checks if whole else self._words).items():
                text = entry.find(name)
                if text is not None:
                    seen.setdefault((f"value.{name}", self._variant(name, text)), []).append((at, 1.0))
                    seen.setdefault((f"values.{name}", ""), []).append((at, 1.0))
                if (objection := check.objection(text)) is not None:
                    objections[name] += 1
                    self.last_bad = {"id": str(entry.id), "field": name, "problem": objection}
            if objections:
                bad.append((at, 1.0))
        counts: dict[Series, Counted] = {("bad_values", ""): Counted(since, tuple(bad))}
        for name in self._checks:
            counts[f"values.{name}", ""] = Counted(since)
        return counts | {series: Counted(since, tuple(steps)) for series, steps in seen.items()}

    def _variant(self, name: str, text: str) -> str:
        """Return under which name a value counts: its own if it is one of few, else that of its bucket."""
        named = self._named.setdefault(name, set())
        if text not in named and (len(named) == NAMED or len(text) > LONGEST_VALUE):
            return f"(bucket {zlib.crc32(text.encode()) % BUCKETS})"
        named.add(text)
        return text or "(empty)"


class Contents:
    """Reads each entry of a stream once and counts what its fields hold."""

    def __init__(self, stream: str, checks: Mapping[str, FieldCheck], keep: timedelta) -> None:
        self._tail = StreamTail(stream, keep, FILL_FIELDS)
        self._fields = FieldCounts(checks)
        self.unjudged: list[Entry] = []  # read and not yet counted, in an earlier look if Redis cut it short
        self.behind = False  # more entries wait than were read in one look

    @property
    def last_bad(self) -> Mapping[str, str] | None:
        """Return which entry last held what it may not, and what was wrong with it."""
        return self._fields.last_bad

    @property
    def reached(self) -> EntryId | None:
        """Return the ID down to which the first look read, None if that is all the stream keeps."""
        return self._tail.reached

    def found(self, facts: StreamFacts) -> Sequence[EntryId]:
        """
        Return the IDs of what was read and is in the count that *facts* tell, if they tell one.

        What came since they were asked for is in the next.
        """
        read = [entry.id for entry in self.unjudged]
        return read if facts.added is None else [found for found in read if found <= facts.generated]

    def read(self, now: datetime, facts: StreamFacts) -> Generator[Sequence[Command], Sequence[Reply], None]:
        """Read what is new in the stream of *facts*."""
        if self._tail.cursor == facts.generated:
            return
        found = yield from self._tail.read_on(now, facts)
        self.behind = found.behind
        self.unjudged += found.entries

    def count(self, now: datetime) -> dict[Series, Counted]:
        """Count bad values and the variants of every declared field in what was read."""
        entries, self.unjudged = self.unjudged, []
        return self._fields.count(entries, self._tail.since or now, now)
