"""What a stream's facts prove about what came into it: how much, since when, and whether it was trimmed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from watchdog.entries import ORIGIN, EntryId
from watchdog.facts import StreamFacts
from watchdog.units import EPOCH

SAWTOOTH = 1_000
"""By so many entries a stream may outgrow its cap before it is trimmed again, however small the cap."""


def begun_anew(before: StreamFacts, after: StreamFacts) -> bool:
    """
    Say whether the stream of *after* cannot be the one of *before* gone on.

    It was deleted and made again, or restored from an older copy: no counter and no ID of a stream ever
    goes back, and what stood in it before and stands there no longer must count as removed. A new stream
    that lost more since the last look than the old one ever held cannot be told from it.
    """
    if after.generated < before.generated or (after.deleted or ORIGIN) < (before.deleted or ORIGIN):
        return True
    if before.added is None or after.added is None:
        return False
    removed_before, removed = before.added - before.length, after.added - after.length
    if after.added < before.added or removed < removed_before:
        return True
    return after.first is not None and after.first > before.generated and removed < before.added


def remembered(
    facts: StreamFacts, read: Sequence[EntryId], reached: EntryId | None, now: datetime
) -> tuple[datetime, Sequence[tuple[float, float]]]:
    """
    Return what the stream remembers of its intake at the first look: since when, and (moment, how many).

    *read* are IDs of entries in their order: all that it keeps from *reached* on, or all there are if
    that is None. Of the other entries it keeps it is only certain that none is older than the first:
    counted there, they belong to every window that surely holds them and make none too large.
    """
    rest, moment = max(0, facts.length - len(read)), now.timestamp()
    steps = [(min(entry.ms / 1000, moment), 1.0) for entry in read]
    if rest and facts.first is not None:
        steps.insert(0, (min(facts.first.ms / 1000, moment), float(rest)))
    if not rest and (facts.generated == ORIGIN or facts.added == facts.length):
        return EPOCH, steps  # it still holds all it ever held
    covered = max(reached or facts.first or facts.generated, facts.deleted or ORIGIN)
    return min(covered.at, now), steps


def last_cap(known: int | None, before: StreamFacts | None, facts: StreamFacts) -> int | None:
    """
    Return how long the stream was when an entry was last seen to be gone from it.

    0 means that none ever was; None that this cannot be told, as at the first look before Redis 7.0.
    *known* is what was returned for the facts of *before*.
    """
    if facts.added is None:
        gone = before is not None and before.first is not None and before.first != facts.first
        return max(1, facts.length) if gone else known
    removed = facts.added - facts.length
    if before is None or before.added is None:
        return max(1, facts.length) if removed else 0
    return max(1, facts.length) if removed != before.added - before.length else known


def is_capped(facts: StreamFacts, cap: int | None) -> bool | None:
    """Say whether something trims the stream: a cap that it has outgrown twice over holds it no longer."""
    if cap is None:
        return None
    return cap > 0 and facts.length <= 2 * cap + SAWTOOTH
