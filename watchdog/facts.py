"""What Redis says of a stream and of a consumer group, as values: the raw material of every verdict."""

from __future__ import annotations

from typing import NamedTuple

from watchdog.entries import EntryId


class StreamFacts(NamedTuple):
    """
    One XINFO STREAM.

    *added* counts the entries ever added and *deleted* is the highest ID ever deleted; both are None
    before Redis 7.0, which does not tell. *first* and *last* are None where the stream is empty.
    """

    length: int
    generated: EntryId
    first: EntryId | None
    last: EntryId | None
    added: int | None
    deleted: EntryId | None
    groups: int
    radix_keys: int
    radix_nodes: int


class GroupFacts(NamedTuple):
    """
    One row of XINFO GROUPS.

    *read* and *lag* are Redis' own counters, None where it says NULL and before 7.0 (then *counts* is
    false as well).
    """

    delivered: EntryId
    pending: int
    consumers: int
    read: int | None
    lag: int | None
    counts: bool


class ConsumerFacts(NamedTuple):
    """
    One row of XINFO CONSUMERS, times in milliseconds.

    *idle_ms* is the time since the last attempt to read (before 7.2: since the last success),
    *inactive_ms* the time since the last success: None before 7.2 and for who never succeeded.
    """

    name: str
    pending: int
    idle_ms: int
    inactive_ms: int | None
