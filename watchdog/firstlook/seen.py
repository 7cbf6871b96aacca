"""What one look at a Redis, and at this machine, showed: facts, from which `guesses` is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise

from watchdog.entries import Entry
from watchdog.facts import ConsumerFacts, GroupFacts, StreamFacts


@dataclass(frozen=True, slots=True)
class GroupSeen:
    """A consumer group; *consumers* are empty as well where they may not be asked for."""

    name: str
    facts: GroupFacts
    consumers: Sequence[ConsumerFacts] = ()


@dataclass(frozen=True, slots=True)
class StreamSeen:
    """A stream with its groups and its newest entries, the oldest of them first."""

    key: str
    facts: StreamFacts
    groups: Sequence[GroupSeen] = ()
    entries: Sequence[Entry] = ()

    @property
    def span(self) -> timedelta:
        """Return how long the entries that were read reach back, from the newest one."""
        return self.entries[-1].id.at - self.entries[0].id.at if self.entries else timedelta(0)

    @property
    def longest_gap(self) -> timedelta:
        """Return the longest time between two of the entries that were read."""
        gaps = (after.id.at - before.id.at for before, after in pairwise(self.entries))
        return max(gaps, default=timedelta(0))


@dataclass(frozen=True, slots=True)
class KeySeen:
    """A key that looks like a heartbeat or a flag; of a hash *fields* are what it holds."""

    key: str
    text: str = ""
    left: timedelta | None = None
    """How long it still lives; None if it does not expire, or that may not be asked."""
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LogSeen:
    """A log file: how it is written, and how many of its last records there are, and are errors."""

    path: str
    format: str
    records: int = 0
    errors: int = 0


@dataclass(frozen=True, slots=True)
class Seen:
    """
    All that was seen.

    *keys* is how many keys were gone over; *more_streams* how many streams were too many to look into;
    *untellable* how many names no page could show; *refused* which commands are not allowed; *cut_short*
    whether time ended the look; *lists* are names of lists, which no signal watches; *remarks* tell what
    of this machine could not be looked at.
    """

    place: str
    version: str = ""
    keys: int = 0
    streams: Sequence[StreamSeen] = ()
    heartbeats: Sequence[KeySeen] = ()
    flags: Sequence[KeySeen] = ()
    units: Sequence[str] = ()
    logs: Sequence[LogSeen] = ()
    lists: Sequence[str] = ()
    hosts: frozenset[str] = frozenset()
    more_streams: int = 0
    more_keys: int = 0
    untellable: int = 0
    refused: frozenset[str] = frozenset()
    cut_short: bool = False
    remarks: Sequence[str] = ()
