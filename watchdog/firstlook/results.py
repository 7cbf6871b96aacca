"""`executions` of a stream: what its entries say of success, and of which work they are the results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import pairwise

from watchdog.entries import Entry, matches
from watchdog.firstlook.figures import count_of, duration, nice_above, said
from watchdog.firstlook.links import FEWEST, Link
from watchdog.firstlook.outcomes import (
    DECISION_FIELDS,
    NOT_MEANT,
    Outcome,
    Wanted,
    find_outcome,
    one_or_all,
    values_of,
)
from watchdog.firstlook.owners import Owners
from watchdog.firstlook.seen import StreamSeen

PATIENT = timedelta(minutes=30)
"""Who was ever so long without a success might be called dead after the built-in hour."""
ROOM = 1.5
MOSTLY = 0.9
"""If no larger part of the offers is of a kind, the kind tells work from the rest."""


class Results:
    """What one stream tells of results."""

    def __init__(self, stream: StreamSeen, owners: Owners) -> None:
        """Look for results in *stream*, and among its *owners* for what they are results of."""
        self.stream = stream
        self.outcome = find_outcome(stream.entries)
        self._owners = owners
        self._link = owners.input_of(stream.key)

    def guess(self) -> Mapping[str, object] | None:
        """Return the keys of `executions`, None if no success can be told."""
        found = self.outcome
        if found is None or not found.success:
            return None
        keys: dict[str, object] = {"stream": self.stream.key, "success": found.success}
        if found.reason is not None:
            keys["reason"] = found.reason
        if found.ignore:
            keys["ignore"] = found.ignore
        if (offers := self._input(found)) is not None:
            keys["input"] = offers
        if (gap := self._longest_gap(found)) > PATIENT:
            keys["expect_every"] = duration(nice_above(gap * ROOM))
        return keys

    @property
    def why(self) -> str:
        """Say what was seen of successes."""
        found = self.outcome
        assert found is not None
        parts = [f"{found.succeeded:,} of {count_of(found.entries, 'entry')} succeeded"]
        if found.ignored:
            parts.append(f"{found.ignored:,} were not meant to")
        gap = self._longest_gap(found)
        if gap:
            parts.append(f"longest time between two successes {said(gap)}")
        if self._link is not None:
            parts.append(f"{self._link.matched:,} of {self._link.of:,} follow from {self._link.source}")
        elif self._source() is not None:
            parts.append("the input is the only stream that it reads")
        return "; ".join(parts)

    @property
    def notes(self) -> Sequence[str]:
        """Say where a success should be told and none was seen."""
        found = self.outcome
        if found is None or found.success:
            return []
        seen = f"{self.stream.key}: no success among {count_of(found.entries, 'entry')}"
        words = ", ".join(sorted(values_of(self.stream.entries, found.field)))
        which = f"`{found.field}` is one" + (f" (seen: {words})" if words else "")
        cure = f"executions: {{stream: …, success: {{{found.field}: …}}}}"
        return [f"{seen}, so nothing was guessed of results; say which {which}: {cure}"]

    def _source(self) -> str | None:
        """Return the stream that offers the work: the one it follows from, or the only one that is read."""
        if self._link is not None:
            return self._link.source
        read = self._owners.read_by(self._owners.writers[self.stream.key].service)
        others = [key for key in read if key != self.stream.key]
        return others[0] if len(others) == 1 and self._owners.writers[self.stream.key].seen else None

    def _input(self, found: Outcome) -> object:
        source = self._source()
        if source is None:
            return None
        where = self._where(found, self._link) if self._link is not None else {}
        return {"stream": source, "where": where} if where else source

    def _where(self, found: Outcome, link: Link) -> Wanted:
        """Return which entries of the input are offers: those that led to something, or were meant to."""
        offers = self._owners.entries(link.source)
        return (
            self._as_succeeded(found, link, offers)
            or _as_followed(link, offers)
            or _as_meant(found.ignore, offers)
        )

    def _as_succeeded(self, found: Outcome, link: Link, offers: Sequence[Entry]) -> Wanted:
        """Return the success of the input if no other entry of it ever led to a success here."""
        before = find_outcome(offers)
        first = [one for one, then in link.pairs if matches(then, found.tests)]
        if before is None or not before.success or len(first) < FEWEST:
            return {}
        some = sum(matches(entry, before.tests) for entry in offers)
        is_so = some <= MOSTLY * len(offers) and all(matches(one, before.tests) for one in first)
        return before.success if is_so else {}

    def _longest_gap(self, found: Outcome) -> timedelta:
        at = [entry.id.at for entry in self.stream.entries if matches(entry, found.tests)]
        return max((after - before for before, after in pairwise(at)), default=timedelta(0))


def _as_followed(link: Link, offers: Sequence[Entry]) -> Wanted:
    """Return the decisions that led to a result, if those that did not were decided otherwise."""
    for name in DECISION_FIELDS:
        led = values_of([one for one, _ in link.pairs], name)
        some = sum(entry.find(name) in led for entry in offers)
        if led and some <= MOSTLY * len(offers) and _are_told(offers, name):
            return {name: one_or_all(sorted(led))}
    return {}


def _as_meant(ignore: Wanted, offers: Sequence[Entry]) -> Wanted:
    """Return the decisions of the input that are not those which are ignored here."""
    for name, skipped in ignore.items():
        words = {skipped} if isinstance(skipped, str | bool) else {*skipped}
        meant = {word for word in values_of(offers, name) - words if word.lower() not in NOT_MEANT}
        if meant and _are_told(offers, name):
            return {name: one_or_all(sorted(meant))}
    return {}


def _are_told(offers: Sequence[Entry], name: str) -> bool:
    """Say whether every one of the *offers* has the field."""
    return all(entry.find(name) is not None for entry in offers)
