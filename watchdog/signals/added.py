"""How many entries came into a stream: as Redis counts them, fetched only where that is no help."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, TypeVar

from watchdog.entries import ORIGIN, EntryId
from watchdog.facts import StreamFacts
from watchdog.signals.asking import read_id
from watchdog.signals.base import Command, Reply
from watchdog.signals.replies import require

PAGE, PAGES_A_LOOK = 500, 20
"""How many entries are fetched at once, and how often in one look: what is beyond makes a lower bound."""

T = TypeVar("T")
Asking = Generator[Sequence[Command], Sequence[Reply], T]


def recall(
    key: str, facts: StreamFacts, start: EntryId, limit: int
) -> Asking[tuple[Sequence[EntryId], EntryId | None]]:
    """
    Find out what came from *start* on, before the first look at the stream *key*.

    Returns IDs of entries in their order, at most *limit* of them fetched, and the ID from which on they
    are all there, None if they are all that the stream keeps. A stream that was quiet costs no command.
    """
    edges = sorted({edge for edge in (facts.first, facts.last) if edge is not None})
    if facts.first is None or facts.length <= len(edges):
        return edges, None
    if facts.generated < start or not limit:
        return edges, facts.generated
    (reply,) = yield [("XREVRANGE", key, str(facts.generated), str(start), "COUNT", limit)]
    ids = [read_id(row[0]) for row in reversed(_rows(key, reply))]
    if len(ids) >= limit:
        return ids, ids[0]
    return ids, None if start <= facts.first else start


def gain(key: str, before: StreamFacts, facts: StreamFacts, *, anew: bool) -> Asking[tuple[int, bool]]:
    """
    Return how many entries were added since *before*, and whether there may have been more.

    *anew* says that the stream is not the one of before: what it holds beyond the last ID is new.
    """
    if facts.added is not None and before.added is not None and not anew:
        return facts.added - before.added, False
    if facts.generated <= before.generated:
        return 0, anew
    count, newest = yield from _fetch(key, before.generated, facts.generated)
    return count, anew or may_be_more(before, facts, newest)


def may_be_more(before: StreamFacts, facts: StreamFacts, newest: EntryId) -> bool:
    """
    Say whether entries may have come and gone unseen: the last itself, or any where none of before is left.

    What is empty was emptied, and may be again before the next look; but what was never used has no past.
    """
    if facts.generated <= before.generated:
        return False
    passed = before.generated > ORIGIN and (facts.first is None or facts.first > before.generated)
    return passed or newest < facts.generated


def _fetch(key: str, after: EntryId, until: EntryId) -> Asking[tuple[int, EntryId]]:
    """Count the entries after one ID up to another, and say which was the last that was found."""
    count = 0
    for _ in range(PAGES_A_LOOK):
        (reply,) = yield [("XRANGE", key, f"({after}", str(until), "COUNT", PAGE)]
        rows = _rows(key, reply)
        count += len(rows)
        after = read_id(rows[-1][0]) if rows else after
        if len(rows) < PAGE:
            break
    return count, after


def _rows(key: str, reply: Reply) -> Sequence[Any]:
    rows: Sequence[Any] = require(reply, f'stream "{key}"')
    return rows
