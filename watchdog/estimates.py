"""How fast a group goes, and where that leads: honest or absent."""

from __future__ import annotations

from watchdog.backlog import Provenance
from watchdog.groups import GroupLook

SHORTEST = 30.0
"""Less than so many seconds tell no pace."""
AGES = 1e9
"""Seconds beyond which an estimate means *never*."""


def growth(look: GroupLook) -> float | None:
    """Return by how many entries a second the backlog grows, None if less than half a minute tells it."""
    if len(look.marks) < 2:
        return None
    first, last = look.marks[0], look.marks[-1]
    span = last.at - first.at
    if span < SHORTEST:
        return None
    if first.waiting is not None and last.waiting is not None:
        return (last.waiting - first.waiting) / span
    if first.drift is not None and last.drift is not None:
        return (last.drift - first.drift) / span
    return None


def catch_up(look: GroupLook) -> float | None:
    """Return how many seconds the backlog takes to clear at the present pace; None if it does not shrink."""
    pace = growth(look)
    if pace is None or pace >= 0 or not look.waiting:
        return None
    return min(look.waiting / -pace, AGES)


def time_to_loss(look: GroupLook) -> float | None:
    """
    Return how many seconds until trimming reaches the group's position; None if it does not approach it.

    Only for a stream that is being trimmed, so that its edge moves as fast as entries come in: the
    entries between edge and position are used up as fast as the backlog grows. Where entries are also
    deleted by hand, the distance cannot be told.
    """
    pace = growth(look)
    if pace is None or pace <= 0 or look.waiting is None or look.provenance is Provenance.AT_LEAST:
        return None
    first, last = look.marks[0], look.marks[-1]
    if first.removed is not None and last.removed is not None:
        trimmed = last.removed > first.removed and last.deleted == first.deleted
    else:
        trimmed = last.length <= first.length * 1.02 + 1
    return min(max(0, last.length - look.waiting) / pace, AGES) if trimmed else None
