"""
What is wrong with a consumer group: one sentence, one predicate; the order is the policy.

A window of looks goes in, the first verdict whose predicate holds comes out. The idea of judging
a window of positions rather than a threshold is Burrow's (its rules OK, STALL, STOP, REWIND).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise

from watchdog.entries import ORIGIN, EntryId

PATIENCE = timedelta(seconds=60)
"""How long entries may wait before a group that does not move is called stalled."""
STILL_ACKED = timedelta(minutes=5)
"""How long deliveries may go on without one acknowledgement."""
POISON_DELIVERIES = 5
LOSS_HORIZON = timedelta(minutes=15)


class Verdict(StrEnum):
    """The word for the state of a consumer group."""

    MISSING = "missing"
    UNKNOWN = "unknown"
    LOST = "lost"
    REWOUND = "rewound"
    UNREAD = "unread"
    NO_CONSUMERS = "no_consumers"
    STALLED = "stalled"
    STUCK = "stuck"
    POISON = "poison"
    POLLING_IN_VAIN = "polling_in_vain"
    LOSING_SOON = "losing_soon"
    FALLING_BEHIND = "falling_behind"
    CATCHING_UP = "catching_up"
    OK = "ok"


@dataclass(frozen=True, slots=True)
class GroupLook:
    """
    What one look told about a group.

    *behind* is the age of the oldest entry never delivered (None: none waits), *lost* the number
    of entries found trimmed unread since the look before, *consumers* how many there are (None: may
    not be asked for), *quiet* the shortest time since any of them last did something (None: nobody did).
    """

    at: datetime
    delivered: EntryId
    generated: EntryId
    length: int
    read: int | None
    lag: int | None
    behind: timedelta | None
    pending: int
    oldest_pending: EntryId | None
    deliveries: int
    consumers: int | None
    quiet: timedelta | None
    lost: int


Window = Sequence[GroupLook]


def lost(window: Window) -> bool:
    """Entries were trimmed before this group was given them."""
    return any(look.lost for look in window)


def rewound(window: Window) -> bool:
    """The group's position went back."""
    return any(after.delivered < before.delivered for before, after in pairwise(window))


def waiting(window: Window) -> bool:
    """Entries wait for longer than is patient."""
    behind = window[-1].behind
    return behind is not None and behind >= PATIENCE


def unread(window: Window) -> bool:
    """Entries wait, and nobody ever read from this group."""
    last = window[-1]
    return waiting(window) and last.consumers == 0 and not last.read and not last.pending


def no_consumers(window: Window) -> bool:
    """Entries wait, and the group has no consumer."""
    return waiting(window) and window[-1].consumers == 0


def stalled(window: Window) -> bool:
    """Entries wait, and the group has not moved for longer than is patient."""
    last = window[-1]
    moves = [after.at for before, after in pairwise(window) if before.delivered != after.delivered]
    unmoved = last.at - (moves[-1] if moves else window[0].at)
    quiet = not moves and last.quiet is not None and last.quiet >= PATIENCE
    return waiting(window) and (unmoved >= PATIENCE or quiet)


def stuck(window: Window) -> bool:
    """Entries are delivered and none is acknowledged."""
    first, last = window[0], window[-1]
    if last.pending > last.length and last.pending > POISON_DELIVERIES:
        return True
    if last.oldest_pending is None or first.oldest_pending is None or first.read is None or last.read is None:
        return False
    delivered = last.read - first.read
    acknowledged = delivered - (last.pending - first.pending)
    return delivered > 0 and acknowledged <= 0 and last.at - last.oldest_pending.at >= STILL_ACKED


def poison(window: Window) -> bool:
    """One entry is delivered again and again."""
    return window[-1].deliveries >= POISON_DELIVERIES


def losing_soon(window: Window) -> bool:
    """Trimming will reach unread entries soon if nothing changes."""
    left = time_to_loss(window)
    return left is not None and left <= LOSS_HORIZON


def falling_behind(window: Window) -> bool:
    """The backlog grows throughout, and its oldest entry waits longer than is patient."""
    lags = [look.lag for look in window if look.lag is not None]
    if not waiting(window) or len(lags) < 4 or window[-1].at - window[0].at < PATIENCE:
        return False
    middle = len(lags) // 2
    return max(lags[:middle]) < min(lags[middle:])


def catching_up(window: Window) -> bool:
    """Entries wait, and they become fewer."""
    return waiting(window) and catch_up(window) is not None


VERDICTS: tuple[tuple[Verdict, Callable[[Window], bool]], ...] = (
    (Verdict.REWOUND, rewound),
    (Verdict.UNREAD, unread),
    (Verdict.NO_CONSUMERS, no_consumers),
    (Verdict.STALLED, stalled),
    (Verdict.STUCK, stuck),
    (Verdict.LOST, lost),  # after those that say why: a dead group is still dead when trimming reaches it
    (Verdict.POISON, poison),
    (Verdict.LOSING_SOON, losing_soon),
    (Verdict.FALLING_BEHIND, falling_behind),
    (Verdict.CATCHING_UP, catching_up),
)


def diagnose(window: Window) -> Verdict:
    """Name what is wrong with a consumer group; the first that holds wins."""
    if not window:
        return Verdict.MISSING
    return next((verdict for verdict, holds in VERDICTS if holds(window)), Verdict.OK)


def _growth(window: Window) -> float | None:
    """Return by how many entries a second the backlog grows, or None if that cannot be told."""
    if len(window) < 2:
        return None
    first, last = window[0], window[-1]
    span = (last.at - first.at).total_seconds()
    if first.lag is None or last.lag is None or span < PATIENCE.total_seconds() / 2:
        return None
    return (last.lag - first.lag) / span


def catch_up(window: Window) -> timedelta | None:
    """Return how long the backlog will take to clear at the present pace; None if it does not shrink."""
    growth = _growth(window)
    lag = window[-1].lag if window else None
    if growth is None or growth >= 0 or not lag:
        return None
    return _span(lag / -growth)


def time_to_loss(window: Window) -> timedelta | None:
    """
    Return how long until trimming reaches this group's position; None if it does not approach it.

    Only for a stream that is being trimmed: one whose length stands while entries are added.
    """
    growth = _growth(window)
    if growth is None or growth <= 0:
        return None
    first, last = window[0], window[-1]
    capped = last.generated > first.generated and last.length <= first.length * 1.02 + 1
    if not capped or last.lag is None or last.delivered == ORIGIN:
        return None
    return _span(max(0, last.length - last.lag) / growth)


def _span(seconds: float) -> timedelta:
    return timedelta(seconds=min(seconds, 1e9))
