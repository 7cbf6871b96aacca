"""
What a reading of a stream holds, worked out from its facts when somebody asks.

Thousands of these stand in memory, and most are never asked.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, ItemsView, Iterator, Mapping, Sequence, ValuesView
from datetime import UTC, datetime
from itertools import chain

from watchdog.entries import ORIGIN
from watchdog.facts import StreamFacts
from watchdog.model import Counted, Held, Series, Since, Worked

ADDED: Series = ("added", "")
RESETS: Series = ("resets", "")
NO_PAST = array("d")


class StreamValues(Worked):
    """
    The measures of a stream.

    *newest_at* is the moment its newest entry came (at the latest, where it never held one). *expected* is
    the longest usual gap in seconds as declared, *usual* as learnt. *more* are the values for which the facts
    do not suffice.
    """

    __slots__ = ("_capped", "_expected", "_facts", "_more", "_must_be_read", "_newest_at", "_usual")

    def __init__(
        self,
        facts: StreamFacts,
        newest_at: float,
        capped: bool | None,
        expected: float | None,
        usual: float | None,
        *,
        must_be_read: bool,
        more: Mapping[str, Held],
    ) -> None:
        self._facts = facts
        self._newest_at = newest_at
        self._capped = capped
        self._expected = expected
        self._usual = usual
        self._must_be_read = must_be_read
        self._more = more

    def length(self) -> Held:
        """Return the number of entries."""
        return float(self._facts.length)

    def age(self) -> Held:
        """Return the age of the newest entry."""
        return Since(self._newest_at, self._facts.generated == ORIGIN)

    def overdue(self) -> Held:
        """Return the age in units of the longest usual gap, None if that is not known."""
        every = self._expected or self._usual
        return None if every is None else Since(self._newest_at, self._facts.generated == ORIGIN, every)

    def expected(self) -> Held:
        """Return the longest usual gap as declared, None if none is."""
        return self._expected

    def usual(self) -> Held:
        """Return the longest usual gap as learnt, None where it is declared or not enough was learnt."""
        return self._usual

    def retained(self) -> Held:
        """Return the age of the oldest entry, None if there is no entry."""
        return None if self._facts.first is None else Since(self._facts.first.ms / 1000)

    def capped(self) -> Held:
        """Return whether something trims the stream, None if that cannot be told."""
        return None if self._capped is None else float(self._capped)

    def groups(self) -> Held:
        """Return the number of groups."""
        return float(self._facts.groups)

    def unread(self) -> Held:
        """Return whether a group is missing, None if none is expected."""
        return float(self._facts.groups == 0) if self._must_be_read else None

    @property
    def whole(self) -> bool:
        """Say whether every measure is known: only what entries say of themselves may not be."""
        return None not in self._more.values()

    def _held(self) -> dict[str, Held]:
        held = {name: found for name, tell in TELL.items() if (found := tell(self)) is not None}
        return {**held, **self._more}

    def __getitem__(self, name: str) -> Held:
        if name in self._more:
            return self._more[name]
        found = TELL[name](self)
        if found is None:
            raise KeyError(name)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._held())

    def __len__(self) -> int:
        return len(self._held())

    def items(self) -> ItemsView[str, Held]:
        """Return all measures, each worked out once."""
        return self._held().items()

    def values(self) -> ValuesView[Held]:
        """Return what all measures are, each worked out once."""
        return self._held().values()


TELL: Mapping[str, Callable[[StreamValues], Held]] = {
    "length": StreamValues.length,
    "age": StreamValues.age,
    "overdue": StreamValues.overdue,
    "expected": StreamValues.expected,
    "usual": StreamValues.usual,
    "retained": StreamValues.retained,
    "capped": StreamValues.capped,
    "groups": StreamValues.groups,
    "unread": StreamValues.unread,
}
"""What tells a measure; None where it does not apply."""


class StreamCounts(Mapping[Series, Counted]):
    """
    The two counters that every stream has: *gained* entries came, and it *began anew* or did not.

    Both at *at*; *since* is the moment from which on no entry was missed, *watched* that from which on no
    new beginning was. *past* is what a first look found: moments, and how many entries came at each.
    """

    __slots__ = ("_anew", "_at", "_gained", "_past", "_since", "_watched")

    def __init__(
        self,
        at: datetime,
        since: datetime,
        watched: datetime,
        gained: int = 0,
        *,
        anew: bool = False,
        past: Sequence[tuple[float, float]] = (),
    ) -> None:
        self._at = at
        self._since = since
        self._watched = watched
        self._gained = gained
        self._anew = anew
        self._past = array("d", chain.from_iterable(past)) if past else NO_PAST

    def __getitem__(self, series: Series) -> Counted:
        if series == ADDED:
            now = ((self._at, float(self._gained)),) if self._gained else ()
            past = zip(self._past[::2], self._past[1::2], strict=True)
            return Counted(self._since, (*((datetime.fromtimestamp(m, UTC), by) for m, by in past), *now))
        if series == RESETS:
            return Counted(self._watched, ((self._at, 1.0),) if self._anew else ())
        raise KeyError(series)

    def __iter__(self) -> Iterator[Series]:
        return iter((ADDED, RESETS))

    def __len__(self) -> int:
        return 2


class StreamEvidence(Mapping[str, object]):
    """The newest entry's ID, and whatever else there is to show."""

    __slots__ = ("_facts", "_more")

    def __init__(self, facts: StreamFacts, more: Mapping[str, object]) -> None:
        self._facts = facts
        self._more = more

    def __getitem__(self, name: str) -> object:
        return str(self._facts.generated) if name == "newest" else self._more[name]

    def __iter__(self) -> Iterator[str]:
        yield "newest"
        yield from self._more

    def __len__(self) -> int:
        return 1 + len(self._more)
