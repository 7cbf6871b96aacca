"""
The roster: what was found by one plan on one server, what of it is missing, and since when.

It says what is new, keeps what vanished until that is forgotten, and never holds more than its plan
allows. It asks nobody.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from sys import intern
from typing import Any, NamedTuple

from watchdog.discovery import GROUP, HEARTBEAT, LONGEST_NAME, STREAM, Plan, tellable
from watchdog.model import Labels, SignalKey

Twin = tuple[str, Labels]
"""Two signals of one kind with the same labels look at the same thing, whatever service they are of."""


class Change(NamedTuple):
    """What is watched from now on, and what no longer."""

    added: tuple[SignalKey, ...] = ()
    gone: tuple[SignalKey, ...] = ()


@dataclass(slots=True)
class Known:
    """
    A key that was found: whose it is, in which round it was last seen, since when it is missing.

    *groups* are those of a stream, each with the moment since which it is missing.
    """

    service: str
    round: int
    missing: float | None = None
    groups: dict[str, float | None] = field(default_factory=dict)


class Roster:
    """What one plan found on one server. Names come from the server as bytes, and go as text."""

    def __init__(self, plan: Plan, declared: Iterable[Twin] = (), before: Sequence[Plan] = ()) -> None:
        """
        Hold what *plan* finds.

        What the file *declared* itself is not found once more, nor what a plan *before* this one finds.
        """
        self.plan = plan
        self.version = 0
        """Changes whenever `memory` does."""
        self.found = 0
        """How many streams, groups and heartbeats fit, those that the file declares included."""
        self.held = 0
        """How many signals that takes."""
        self.skipped = 0
        self.elsewhere = 0
        """How many keys of the last round other shards watch."""
        """How many names of the last round cannot be told."""
        self._declared = frozenset(declared)
        self._before = before
        self._known: dict[str, dict[str, Known]] = {STREAM: {}, HEARTBEAT: {}}
        self._round = self._skipping = self._elsewhere = 0
        self._crowded = self._left_out = 0  # keys without room: in this round, and in the last one
        self._short: dict[str, int] = {}  # streams with so many groups for which there was no room

    @property
    def left_out(self) -> int:
        """Return about how many more signals there are than the plan allows."""
        return self._left_out + sum(self._short.values())

    def missing(self) -> Iterator[str]:
        """Name what was there and is not."""
        for found in self._known.values():
            for name, known in found.items():
                if known.missing is not None:
                    yield name
                else:
                    yield from (f"{g} on {name}" for g, since in known.groups.items() if since is not None)

    # ---- a round over the keys -------------------------------------------------------------------

    def begin_round(self) -> None:
        """Begin to go over all keys."""
        self._round += 1
        self._crowded = self._skipping = self._elsewhere = 0

    def sight(self, kind: str, raw: bytes) -> bool:
        """
        Take note that a key of *kind* is there, however often it is said; say whether to go and see it.

        Once in each round: a new key may be gone again by then, a known stream may have other groups.
        """
        known = self._known[kind].get(raw.decode("utf-8", "replace"))
        if known is None:
            name = self._name_of(kind, raw)
            if name is None:
                return False
            room = self._has_room(kind, _labels(kind, name))
            self._crowded += not room
            return room
        first, known.round = known.round != self._round, self._round
        return first

    def take(self, kind: str, raw: bytes, groups: Collection[str] | None, now: datetime) -> Change:
        """Watch a key that was sighted and is there, a stream with its *groups* if they can be told."""
        name = self._name_of(kind, raw)
        if name is None:
            return Change()
        added: list[SignalKey] = []
        known = self._known[kind].get(name)
        if known is None:
            if not self._has_room(kind, _labels(kind, name)):
                self._crowded += 1
                return Change()
            known = self._enter(kind, name, added)
        known.round = self._round
        self._mark(known, None)
        more = self.noticed(name, groups, now) if kind == STREAM and groups is not None else Change()
        return Change((*added, *more.added))

    def noticed(self, stream: str, groups: Collection[str], now: datetime) -> Change:
        """Take note that *stream* has these groups now, and no others."""
        known = self._known[STREAM].get(stream)
        if known is None:
            return Change()
        if known.groups.keys() == set(groups) and not any(known.groups.values()):
            return Change()  # as nearly always
        there = {group for group in groups if tellable(group)}
        for group, since in known.groups.items():
            if (since is None) != (group in there):
                known.groups[group] = None if group in there else now.timestamp()
                self.version += 1
        added: list[SignalKey] = []
        short = sum(
            not self._enter_group(known, stream, group, added)
            for group in sorted(there - known.groups.keys())
        )
        if short:
            self._short[stream] = short
        else:
            self._short.pop(stream, None)
        return Change(tuple(added))

    def end_round(self, now: datetime) -> Change:
        """Take note that all keys were gone over: what was not seen is missing, and at last forgotten."""
        self._left_out, self.skipped = self._crowded, self._skipping
        self.elsewhere = self._elsewhere
        gone: list[SignalKey] = []
        for kind, found in self._known.items():
            for name, known in [*found.items()]:
                if known.round != self._round and known.missing is None:
                    self._mark(known, now.timestamp())
                whole = self._is_over(known.missing, now)
                for group in [g for g, since in known.groups.items() if whole or self._is_over(since, now)]:
                    del known.groups[group]
                    self._leave(known.service, GROUP, _labels(GROUP, name, group), gone)
                if whole:
                    del found[name]
                    self._short.pop(name, None)
                    self._leave(known.service, kind, _labels(kind, name), gone)
        return Change(gone=tuple(gone))

    # ---- from one process to the next ------------------------------------------------------------

    def memory(self) -> dict[str, list[Any]]:
        """Return what the next process should know, as JSON: a record for each key."""
        return {
            f"{kind} {name}": [known.missing, dict(known.groups)]
            for kind, found in self._known.items()
            for name, known in found.items()
        }

    def remember(self, memory: Mapping[str, Any]) -> Change:
        """
        Take back what an earlier process gave as its memory.

        What the plan no longer covers is dropped, and so is what makes no sense: if it is there, it
        will be found.
        """
        added: list[SignalKey] = []
        for key, record in memory.items():
            kind, _, name = key.partition(" ")
            if kind not in self._known or not _makes_sense(record) or not tellable(name):
                continue
            if self._name_of(kind, name.encode()) is None or name in self._known[kind]:
                continue
            if self._has_room(kind, _labels(kind, name)):
                known = self._enter(kind, name, added)
                known.missing, groups = record
                for group, since in groups.items() if kind == STREAM else ():
                    if tellable(group) and self._enter_group(known, name, group, added):
                        known.groups[group] = since
        return Change(tuple(added))

    # ---- names and room --------------------------------------------------------------------------

    def _name_of(self, kind: str, raw: bytes) -> str | None:
        """Return the name of a key that the plan covers, as text; one that is none is counted."""
        if len(raw) > LONGEST_NAME:  # no need to look at a megabyte more closely
            self._skipping += any(raw.startswith(pattern.fixed) for pattern in self.plan.patterns(kind))
            return None
        if not self.plan.covers(kind, raw) or any(plan.covers(kind, raw) for plan in self._before):
            return None
        name = raw.decode("utf-8", "replace")
        if not tellable(name):
            self._skipping += 1
            return None
        if not self.plan.is_ours(self.plan.service_of(kind, raw), name):
            self._elsewhere += 1
            return None
        return name

    def _has_room(self, kind: str, labels: Labels) -> bool:
        return self.held < self.plan.limit or (kind, labels) in self._declared

    def _enter(self, kind: str, name: str, added: list[SignalKey]) -> Known:
        known = self._known[kind][name] = Known(self.plan.service_of(kind, name.encode()), self._round)
        self._join(known.service, kind, _labels(kind, name), added)
        return known

    def _enter_group(self, known: Known, stream: str, group: str, added: list[SignalKey]) -> bool:
        """Take in a group if there is room; say whether there was."""
        labels = _labels(GROUP, stream, intern(group))
        if not self._has_room(GROUP, labels):
            return False
        known.groups[labels["group"]] = None
        self._join(known.service, GROUP, labels, added)
        return True

    def _join(self, service: str, kind: str, labels: Labels, added: list[SignalKey]) -> None:
        self.version += 1
        self.found += 1
        if (kind, labels) not in self._declared:
            self.held += 1
            added.append(SignalKey(service, kind, self._located(labels)))

    def _leave(self, service: str, kind: str, labels: Labels, gone: list[SignalKey]) -> None:
        self.version += 1
        self.found -= 1
        if (kind, labels) not in self._declared:
            self.held -= 1
            gone.append(SignalKey(service, kind, self._located(labels)))

    def _located(self, labels: Labels) -> Labels:
        """Return *labels* as they are where the item of the file names its server."""
        return Labels(labels, redis=self.plan.redis) if self.plan.redis else labels

    # ---- what is missing -------------------------------------------------------------------------

    def _mark(self, known: Known, missing: float | None) -> None:
        self.version += known.missing != missing
        known.missing = missing

    def _is_over(self, since: float | None, now: datetime) -> bool:
        return since is not None and now.timestamp() - since >= self.plan.forget_after.total_seconds()


def _labels(kind: str, name: str, group: str = "") -> Labels:
    """Return the labels that a signal of the file would have."""
    if kind == GROUP:
        return Labels(stream=name, group=group)
    return Labels(stream=name) if kind == STREAM else Labels(key=name)


def _makes_sense(record: object) -> bool:
    """Say whether *record* is one of `Roster.memory`."""
    match record:
        case [missing, dict() as groups]:
            return all(isinstance(since, int | float | None) for since in (missing, *groups.values()))
    return False
