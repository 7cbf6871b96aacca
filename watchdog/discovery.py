"""
Discovery: what of a server is watched without being named in the file.

A `Plan` is one item of `discover`: what to find, what to leave out, and whose it is. What was found by
it is in a `watchdog.roster.Roster`, and `watchdog.scout` does the asking.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from sys import intern
from typing import Any

from watchdog.globs import Pattern
from watchdog.shards import Shard
from watchdog.synthetic import MARK_SUFFIX
from watchdog.units import write_duration

NAMELESS = "discovered"
"""The service of what was found by a pattern that names none."""
LONGEST_NAME = 512
"""A name of more bytes is nobody's name for a stream, and would stand in every page and metric."""
UNTOLD = "�"
"""What stands in a name for bytes that are not UTF-8."""
STREAM, GROUP, HEARTBEAT = "stream", "consumes", "heartbeat"
MARK = MARK_SUFFIX.encode()


@dataclass(frozen=True, slots=True)
class Plan:
    """One item of `discover`: what to find, what to leave out, how often to look, how much to hold."""

    streams: tuple[Pattern, ...] = ()
    heartbeats: tuple[Pattern, ...] = ()
    exclude: tuple[Pattern, ...] = ()
    limit: int = 20_000
    every: timedelta = timedelta(seconds=30)
    forget_after: timedelta = timedelta(days=1)
    redis: str | None = None
    shard: Shard | None = None
    """Whose part of what is found this is; None: all of it."""

    @property
    def title(self) -> str:
        """Return its patterns, by which people tell it from others."""
        return " ".join(pattern.written for pattern in (*self.streams, *self.heartbeats))

    @property
    def names_services(self) -> bool:
        """Say whether any pattern names the service."""
        return any(pattern.names_service for pattern in (*self.streams, *self.heartbeats))

    @property
    def nameless(self) -> bool:
        """Say whether anything can be found that belongs to no service by name."""
        return not all(pattern.names_service for pattern in (*self.streams, *self.heartbeats))

    def patterns(self, kind: str) -> tuple[Pattern, ...]:
        """Return the patterns by which keys of *kind* are found."""
        return self.streams if kind == STREAM else self.heartbeats

    def covers(self, kind: str, name: bytes) -> bool:
        """Say whether a key of *kind* with this *name* is to be watched."""
        if kind == HEARTBEAT and name.endswith(MARK):  # what stands beside a heartbeat is none
            return False
        wanted = any(pattern.takes(name) for pattern in self.patterns(kind))
        return wanted and not any(pattern.takes(name) for pattern in self.exclude)

    def service_of(self, kind: str, name: bytes) -> str:
        """Return whose a key is that the plan covers: as the first pattern that takes it says."""
        first = next(pattern for pattern in self.patterns(kind) if pattern.takes(name))
        named = first.service_of(name)
        return NAMELESS if named is None else intern(named.decode("utf-8", "replace"))

    def is_ours(self, service: str, name: str) -> bool:
        """Say whether this shard watches the key *name*, which was found to be of *service*."""
        return self.shard is None or self.shard.has(divided_by(service, name))

    def __str__(self) -> str:
        found = [
            f"{what} {pattern.written} (of {'the service so named' if pattern.names_service else NAMELESS})"
            for what, patterns in (("streams", self.streams), ("heartbeats", self.heartbeats))
            for pattern in patterns
        ]
        without = f" without {' and '.join(p.written for p in self.exclude)}" if self.exclude else ""
        where = f" on {self.redis}" if self.redis else ""
        return (
            f"{', '.join(found)}{without}{where}; every {write_duration(self.every)},"
            f" at most {self.limit} signals, vanished ones for {write_duration(self.forget_after)}"
        )


def divided_by(service: str, key: str) -> str:
    """Return by what name shards take a *key* of *service*: a service is never divided, nobody's keys are."""
    return key if service == NAMELESS else service


def tellable(name: str) -> bool:
    """Say whether *name* can stand in a page, a metric and a terminal, and be asked for again."""
    return name.isprintable() and UNTOLD not in name and 0 < len(name.encode()) <= LONGEST_NAME


def groups_of(rows: Iterable[Sequence[Any]]) -> tuple[str, ...]:
    """Return the names in the raw reply to XINFO GROUPS, and nothing else of it: there are many."""
    return tuple(row[row.index(b"name") + 1].decode("utf-8", "replace") for row in rows)
