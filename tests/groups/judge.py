"""Holds what the signal says to what is true."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from tests.groups.model import Truth
from watchdog.entries import EntryId
from watchdog.model import AtLeast, Reading, as_of

PATIENCE = timedelta(seconds=60, milliseconds=5)  # and a little, for seconds as floats
WINDOW = timedelta(minutes=5)
ROUNDING = 0.002
WAITING = frozenset({"unread", "no_consumers", "stalled", "losing_soon", "falling_behind", "catching_up"})
"""Verdicts that need something that waits."""
HELD = frozenset({"stuck", "poison"})
"""Verdicts that need something pending."""


class Moment(NamedTuple):
    """What was true at one moment of a look."""

    position: EntryId | None
    waiting: int
    head: EntryId | None
    pending: int
    oldest: EntryId | None
    lied_to: bool = False


def moment(truth: Truth, name: str) -> Moment:
    """Return what is true of group *name* now."""
    group = truth.groups.get(name)
    if group is None:
        return Moment(None, 0, None, 0, None)
    ahead = truth.ahead(name)
    oldest = min(group.pending, default=None)
    head = ahead[0] if ahead else None
    return Moment(group.position, len(ahead), head, len(group.pending), oldest, group.lied)


@dataclass
class Judge:
    """Follows one group from look to look; what it finds wrong are sentences, what it sees it counts."""

    name: str
    truth: Truth
    counts: bool
    tally: Counter[str]
    claimed: float = 0.0
    allowed: float = 0.0
    unsaved: float = 0.0
    torn_before: bool = False
    looked: bool = False
    torn_ever: bool = False
    position: EntryId | None = None
    unmoved: tuple[EntryId, datetime] | None = None
    head: tuple[EntryId, datetime] | None = None
    oldest: tuple[EntryId, datetime] | None = None
    set_back: list[datetime] = field(default_factory=list)
    losses: list[datetime] = field(default_factory=list)
    ticks: list[datetime] = field(default_factory=list)

    def judge(self, reading: Reading, new: bool, seen: Sequence[Moment], now: datetime) -> list[str]:
        """
        Return what is wrong with *reading*, the one in force at *now*.

        *new* says that the signal looked for it just now; *seen* is what was true in the course of that
        look: one moment, unless the look was torn.
        """
        self.ticks.append(now)
        last = seen[-1]
        wrong = []
        if reading.trouble is not None:
            wrong = self._trouble(reading.trouble, seen)
        elif new:
            wrong += self._loss(reading, seen, now)
        if len(seen) == 1:
            self._follow(last, now)
        else:
            self.unmoved = self.head = self.oldest = None
            self.torn_ever = True
            self.set_back.append(now)
            self.position = max((one.position for one in seen if one.position), default=self.position)
        verdict = reading.values.get("verdict")
        if reading.trouble is None and {verdict == "missing"} - {one.position is None for one in seen}:
            wrong.append(
                f"verdict {verdict}, but the group is {'missing' if last.position is None else 'there'}"
            )
        if verdict != "missing" and reading.trouble is None and any(one.position for one in seen):
            wrong += self._figures(reading, new, seen, now)
            if len(seen) == 1:
                wrong += self._age("behind", reading, self.head, now)
                wrong += self._verdict(str(verdict), last, now)
        self.torn_before = len(seen) > 1
        return [f"{self.name}: {what}" for what in wrong]

    def _trouble(self, trouble: str, seen: Sequence[Moment]) -> list[str]:
        """Let it say that it could not look only where the group came or went in the midst of it."""
        if len({one.position is None for one in seen}) > 1:
            self.tally["trouble came or went while looked at"] += 1
            return []
        return [f"it could not look: {trouble}"]

    def saved(self) -> None:
        """Note that the next process will know of all that was said so far."""
        self.unsaved = 0

    def restarted(self) -> None:
        """Begin anew with a new process; what the old one did not write down may be told once more."""
        self.allowed = self.claimed + self.unsaved
        self.unmoved = self.head = self.oldest = None
        self.torn_before = True  # whatever is lost across it may be unknown

    # ---- figures -------------------------------------------------------------------------------

    def _figures(self, reading: Reading, new: bool, seen: Sequence[Moment], now: datetime) -> list[str]:
        values, wrong = reading.values, []
        lag = as_of(values.get("lag"), now)
        truths = sorted({one.waiting for one in seen})
        self.tally[f"lag {values.get('provenance')}"] += 1
        told = {"unknown": lag is None, "at_least": isinstance(lag, AtLeast)}
        if not told.get(str(values.get("provenance")), isinstance(lag, float)):
            wrong.append(f"lag {lag} is called {values.get('provenance')}")
        if isinstance(lag, AtLeast) and lag.number > truths[-1]:
            wrong.append(f"lag at least {lag.number:g}, true {truths}")
        elif isinstance(lag, float) and lag not in truths:
            if any(one.lied_to for one in seen) and values.get("provenance") == "reported":
                self.tally["lies believed, for a wrong lag"] += 1
            else:
                wrong.append(f"lag {lag}, true {truths}")
        elif len(seen) == 1 and isinstance(lag, float):
            self.truth.lie_over(self.name)
        pending = as_of(values.get("pending"), now)
        if pending not in {one.pending for one in seen}:
            wrong.append(f"pending {pending}, true {sorted({one.pending for one in seen})}")
        if not new and self.truth.since[self.name].forced:
            self.tally["masked by XCLAIM FORCE"] += 1
            return wrong
        oldest = reading.evidence.get("oldest_pending_id")
        if oldest not in {None if one.oldest is None else str(one.oldest) for one in seen}:
            wrong.append(f"oldest pending {oldest}, true {[str(one.oldest) for one in seen]}")
        elif len(seen) == 1:
            wrong += self._age("oldest_pending", reading, self.oldest, now)
        return wrong

    def _loss(self, reading: Reading, seen: Sequence[Moment], now: datetime) -> list[str]:
        """Add up what is claimed to be lost, and hold it to what was."""
        torn, lied = len(seen) > 1, any(one.lied_to for one in seen)
        lowest = min((one.position for one in seen if one.position), default=None) if torn else None
        strict, seeming = self.truth.lost_since(self.name, lowest)
        counted = reading.counts.get(("lost", ""))
        claim = sum(by for _, by in counted.steps) if counted else 0.0
        flagged = "lost" in reading.gaps or counted is None or (counted.since >= now and self.looked)
        clear = self.counts and self.truth.clear(self.name) and not torn and not self.torn_before
        if self.looked and not torn and not self.torn_before:
            self._delivered(reading)
        self.truth.looked_at(self.name)
        self.claimed += claim
        self.allowed += seeming
        self.unsaved += seeming
        if claim:
            self.losses.append(now)
        wrong = []
        if self.claimed > self.allowed and lied:
            self.tally["lies believed, for a loss"] += 1
        elif self.claimed > self.allowed:
            wrong.append(f"lost {self.claimed:g} claimed, true {self.allowed:g}, now {claim:g} for {strict}")
        elif clear and claim < strict and not flagged:
            wrong.append(f"lost {claim:g} claimed of {strict} in a clear interval")
        if strict and self.looked and not torn and not self.torn_before:
            kind = "told" if claim >= strict else "partly told" if claim else "untold"
            self.tally[f"loss {kind}{', flagged' if flagged and claim < strict else ''}"] += 1
        if clear and self.looked:
            self.tally["intervals clear"] += 1
        if not self.looked or self.claimed > self.allowed:  # what came before is not owed a second time
            self.allowed = self.claimed + (seeming if torn else 0)
        self.looked = True
        return wrong

    def _delivered(self, reading: Reading) -> None:
        """Count how well the deliveries are counted; the server's own counter is all there is to go by."""
        counted, given = reading.counts.get(("read", "")), self.truth.since[self.name].given
        told = None if counted is None else sum(by for _, by in counted.steps)
        kind = (
            "unknown" if told is None else ("right", "too many", "too few")[(told > given) - (told < given)]
        )
        self.tally[f"read {kind}"] += 1

    def _age(
        self, measure: str, reading: Reading, entry: tuple[EntryId, datetime] | None, now: datetime
    ) -> list[str]:
        """
        Hold the age of *entry* to its ID; with an ID from the future it waits since it was first seen.

        Where a look was torn, the signal may have seen it before us, but never before it came.
        """
        age = as_of(reading.values.get(measure), now)
        if entry is None:
            return [] if age == 0 else [f"{measure} {age} s, but there is none"]
        most = least = (now - min(entry[0].at, entry[1])).total_seconds()
        if self.torn_ever:
            most = (now - min(entry[0].at, self.truth.came[entry[0]])).total_seconds()
        if age is None or isinstance(age, AtLeast):
            self.tally[f"{measure} {'unknown' if age is None else 'at least'}"] += 1
            over = isinstance(age, AtLeast) and age.number > most + ROUNDING
            return [f"{measure} {age}, true {most:g}"] if over else []
        near = isinstance(age, float | int) and least - ROUNDING <= age <= most + ROUNDING
        return [] if near else [f"{measure} {age} s, true {least:g}"]

    # ---- verdicts ------------------------------------------------------------------------------

    def _follow(self, last: Moment, now: datetime) -> None:
        """Note since when the group stands where it stands, and the head of its line heads it."""
        if last.position is None:
            self.unmoved = None
        elif self.unmoved is None or self.unmoved[0] != last.position:
            self.unmoved = last.position, now
        if last.position is not None and self.position is not None and last.position < self.position:
            self.set_back.append(now)
        self.position = last.position or self.position
        self.head = _first_seen(self.head, last.head, now)
        self.oldest = _first_seen(self.oldest, last.oldest, now)

    def _verdict(self, verdict: str, last: Moment, now: datetime) -> list[str]:
        wrong = []
        self.tally[f"verdict {verdict}"] += 1
        if last.head is not None and self.head is not None and self.unmoved is not None:
            waited = now - min(last.head.at, self.head[1])
            if waited >= PATIENCE and now - self.unmoved[1] >= PATIENCE and verdict in ("ok", "catching_up"):
                stood = (now - self.unmoved[1]).total_seconds()
                wrong.append(f"verdict {verdict}: waiting {waited.total_seconds():g} s, unmoved {stood:g} s")
        if verdict == "stalled" and self.unmoved is not None and not self.torn_ever:
            stood = (now - self.unmoved[1]).total_seconds()
            if stood < PATIENCE.total_seconds() - 2 * ROUNDING - 0.005:
                wrong.append(f"verdict stalled, but it moved {stood:g} s ago")
        if verdict in WAITING and not last.waiting:
            wrong.append(f"verdict {verdict}, but nothing waits")
        if verdict in HELD and not last.pending:
            wrong.append(f"verdict {verdict}, but nothing is pending")
        if verdict == "rewound" and not self._lately(self.set_back, now):
            wrong.append("verdict rewound, but the position never went back")
        if verdict == "lost" and not self._lately(self.losses, now):
            wrong.append("verdict lost, but nothing was")
        return wrong

    def _lately(self, moments: Sequence[datetime], now: datetime) -> bool:
        """Say whether one of *moments* lies in the window of looks, which holds two looks at least."""
        border = min(now - WINDOW, self.ticks[-2] if len(self.ticks) > 1 else now)
        return any(at >= border for at in moments)


def _first_seen(
    before: tuple[EntryId, datetime] | None, entry: EntryId | None, now: datetime
) -> tuple[EntryId, datetime] | None:
    """Return *entry* with the moment since when it was seen in its place."""
    if entry is None or before is None or before[0] != entry:
        return None if entry is None else (entry, now)
    return before
