"""A server drawn in a few words: streams with entries, groups, keys."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from tests.drawn import T0
from watchdog.entries import ORIGIN, Entry, EntryId
from watchdog.facts import ConsumerFacts, GroupFacts, StreamFacts
from watchdog.firstlook.seen import GroupSeen, StreamSeen

NOW_MS = int(T0.timestamp() * 1000)


def entries(drawn: Sequence[str], every: timedelta = timedelta(seconds=10)) -> list[Entry]:
    """Return entries of fields drawn as `status=filled error=`, the last of them now."""
    step = int(every.total_seconds() * 1000)
    return [
        Entry(EntryId(NOW_MS - step * (len(drawn) - 1 - i), 0), dict(p.split("=", 1) for p in text.split()))
        for i, text in enumerate(drawn)
    ]


def stream(key: str, found: Sequence[Entry], **groups: str) -> StreamSeen:
    """Return a stream with *groups*, each with the names of its consumers."""
    newest = found[-1].id if found else ORIGIN
    first, last = (found[0].id, newest) if found else (None, None)
    facts = StreamFacts(len(found), newest, first, last, len(found), ORIGIN, len(groups), 1, 2)
    return StreamSeen(key, facts, [group(name, *names.split()) for name, names in groups.items()], found)


def group(name: str, *consumers: str) -> GroupSeen:
    """Return a consumer group that has read everything."""
    who = tuple(ConsumerFacts(consumer, 0, 100, 100) for consumer in consumers)
    return GroupSeen(name, GroupFacts(ORIGIN, 0, len(who), 1, 0, True), who)
