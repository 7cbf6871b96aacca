"""The values everything else is made of: labels, measures, readings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from types import MappingProxyType

from watchdog.units import Unit

FNV_OFFSET = 0xCBF29CE484222325
FNV_PRIME = 0x100000001B3
NOTHING: Mapping[str, object] = MappingProxyType({})
OWN_SERVICE = "watchdog"
"""The service the sidecar's own alerts are about."""


class Labels(Mapping[str, str]):
    """An immutable set of label names and values, sorted by name, hashable."""

    __slots__ = ("_fingerprint", "_flat", "_hash")

    def __init__(self, *sources: Mapping[str, str], **labels: str) -> None:
        merged: dict[str, str] = {}
        for source in (*sources, labels):
            merged.update(source)
        self._flat = tuple(part for pair in sorted(merged.items()) for part in pair)
        self._hash = hash(self._flat)
        self._fingerprint: str | None = None

    def __getitem__(self, name: str) -> str:
        flat = self._flat
        for i in range(0, len(flat), 2):
            if flat[i] == name:
                return flat[i + 1]
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._flat[::2])

    def __len__(self) -> int:
        return len(self._flat) // 2

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Labels):
            return self._flat == other._flat
        return isinstance(other, Mapping) and dict(self.pairs()) == dict(other)

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Yield names and values; quicker than `items`, for who asks thousands."""
        return zip(self._flat[::2], self._flat[1::2], strict=True)

    def __repr__(self) -> str:
        return "{" + ", ".join(f'{name}="{value}"' for name, value in self.pairs()) + "}"

    @property
    def fingerprint(self) -> str:
        """
        Return the 16 hex digits under which Alertmanager knows this label set.

        FNV-1a, 64 bits, over each name and value, every one followed by the byte 0xff
        (prometheus/common, ``model.LabelSet.Fingerprint``).
        """
        if self._fingerprint is None:
            total = FNV_OFFSET
            for text in self._flat:
                for byte in (*text.encode(), 0xFF):
                    total = ((total ^ byte) * FNV_PRIME) & 0xFFFFFFFFFFFFFFFF
            self._fingerprint = f"{total:016x}"
        return self._fingerprint


@dataclass(frozen=True, slots=True)
class AtLeast:
    """A number of which only a lower bound is known."""

    number: float


Value = float | str | AtLeast | None
"""What a measure says: a number, a word, a lower bound, or None for *unknown*."""


@dataclass(frozen=True, slots=True)
class Since:
    """
    A number that grows with the clock: the time since *moment* (seconds since the epoch).

    It is counted in units of *per* seconds; *at_least* says that it may be more. What holds nothing
    else stays right while nobody looks.
    """

    moment: float
    at_least: bool = False
    per: float = 1.0

    def at(self, now: datetime) -> float | AtLeast:
        """Return the number as of *now*; never negative."""
        number = max(0.0, now.timestamp() - self.moment) / self.per
        return AtLeast(number) if self.at_least else number

    def reaches(self, number: float) -> float:
        """Return the moment at which it is *number*."""
        return self.moment + number * self.per


Held = Value | Since
"""What a reading holds: a value, or what a value grows from."""


def as_of(held: Held, now: datetime) -> Value:
    """Return what *held* is at *now*."""
    return held.at(now) if isinstance(held, Since) else held


class Kind(Enum):
    """How a measure comes about, and so whether it takes a window."""

    VALUE = "value"  # the number now
    WORD = "word"  # the word now
    COUNTER = "counter"  # its increase over a window
    RATIO = "ratio"  # one counter by another, over a window
    SHARE = "share"  # the largest variant of a counter by a total, over a window
    TOP = "top"  # the name of that variant


@dataclass(frozen=True, slots=True)
class Measure:
    """
    One thing a signal can tell.

    *parts* are the counters a RATIO, SHARE or TOP is made of; *words* are all words a WORD can
    be (empty: any); *grows* says that the value, while nothing happens, grows with the clock.
    """

    kind: Kind
    unit: Unit
    help: str
    parts: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    grows: bool = False

    @property
    def windowed(self) -> bool:
        """Say whether the measure is taken over a window."""
        return self.kind in (Kind.COUNTER, Kind.RATIO, Kind.SHARE, Kind.TOP)


def value(help_: str, unit: Unit = Unit.NUMBER, *, grows: bool = False) -> Measure:
    """Return a measure that is a number now."""
    return Measure(Kind.VALUE, unit, help_, grows=grows)


def seconds(help_: str, *, grows: bool = False) -> Measure:
    """Return a measure that is a number of seconds now."""
    return Measure(Kind.VALUE, Unit.SECONDS, help_, grows=grows)


def word(help_: str, *words: str) -> Measure:
    """Return a measure that is one of *words* now."""
    return Measure(Kind.WORD, Unit.WORD, help_, words=words)


def counter(help_: str) -> Measure:
    """Return a measure that is a count over a window."""
    return Measure(Kind.COUNTER, Unit.NUMBER, help_)


class SignalKey:
    """Which signal of which service: the identity under which readings are kept; its hash is kept, too."""

    __slots__ = ("_hash", "kind", "labels", "service")

    def __init__(self, service: str, kind: str, labels: Labels) -> None:
        self.service = service
        self.kind = kind
        self.labels = labels
        self._hash = hash((service, kind, labels))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, SignalKey):
            return NotImplemented
        mine, its = (self.service, self.kind, self.labels), (other.service, other.kind, other.labels)
        return self._hash == other._hash and mine == its

    def __repr__(self) -> str:
        return f"SignalKey({self})"

    def __str__(self) -> str:
        return f"{self.service}/{self.kind}{self.labels!r}"


Series = tuple[str, str]
"""The name of a counter and its variant (``("reason", "no_position")``; the variant may be empty)."""


@dataclass(frozen=True, slots=True)
class Counted:
    """
    What a counter gained: *steps* of (when, how much) in order of time.

    *since* is the moment from which on nothing was missed. A counter without steps still says
    that nothing happened since then.
    """

    since: datetime
    steps: tuple[tuple[datetime, float], ...] = ()


class Worked(Mapping[str, Held]):
    """Values that are worked out when somebody asks for them, by the thousand; each kind has its own."""

    __slots__ = ()

    @property
    def whole(self) -> bool:
        """Say whether none of them is unknown."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Reading:
    """
    What one look at a signal brought.

    It holds until the next one of its signal, which may be long after: a signal that finds nothing
    changed says nothing. *values* holds a measure only where it applies; None in it means *unknown*,
    and `Since` one that grows with the clock. *trouble* says in one sentence why the look failed as
    a whole. *down* names the source that is away when the failure is not this signal's own. *gaps*
    names counters that could not be read. *facts* are what it was made of, for views that show the
    source's own figures.
    """

    signal: SignalKey
    at: datetime
    values: Mapping[str, Held] = field(default_factory=dict)
    counts: Mapping[Series, Counted] = field(default_factory=dict)
    evidence: Mapping[str, object] = field(default_factory=lambda: NOTHING)
    trouble: str | None = None
    down: str | None = None
    gaps: tuple[str, ...] = ()
    facts: object = None

    @property
    def known(self) -> bool | None:
        """Say whether every applicable measure has a value; None when the whole source is away."""
        if self.down is not None:
            return None
        if self.trouble is not None or self.gaps:
            return False
        values = self.values
        return values.whole if isinstance(values, Worked) else None not in values.values()

    def seen(self, now: datetime) -> dict[str, Value]:
        """Return all values as they are at *now*."""
        return {name: as_of(held, now) for name, held in self.values.items()}
